import numpy as np
import pytest

from rlkit.maths.exploration import boltzmann, epsilon_greedy

Q = np.array([0.0, 1.0, 0.5], np.float32)


@pytest.mark.parametrize("epsilon", [0.0, 0.3, 1.0])
def test_each_environment_tries_by_itself(epsilon: float):
    drawn = np.array([epsilon_greedy(np.tile(Q, (8, 1)), epsilon, rng) for rng in [np.random.default_rng(0)] * 5000])
    shares = np.bincount(drawn.ravel(), minlength=3) / drawn.size
    expected = np.array([0, 1, 0]) * (1 - epsilon) + epsilon / 3
    np.testing.assert_allclose(shares, expected, atol=0.0125)  # five standard errors of a share over 40,000
    if epsilon == 0.3:  # one toss for all would make rows agree: either all greedy, or all trying
        others = (drawn != 1).mean(0)
        together = ((drawn[:, 0] != 1) & (drawn[:, 1] != 1)).mean()
        assert together == pytest.approx(others[0] * others[1], abs=0.015)


@pytest.mark.parametrize("temperature", [0.2, 1.0, 5.0])
def test_boltzmann_draws_from_the_softmax(temperature: float):
    drawn = boltzmann(np.tile(Q, (40_000, 1)), temperature, np.random.default_rng(0))
    expected = np.exp(Q / temperature)
    np.testing.assert_allclose(np.bincount(drawn, minlength=3) / 40_000, expected / expected.sum(), atol=0.0125)


def test_without_temperature_it_is_greedy():
    assert boltzmann(np.tile(Q, (50, 1)), 0.0, np.random.default_rng(0)).tolist() == [1] * 50
