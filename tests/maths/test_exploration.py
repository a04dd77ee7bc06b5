import numpy as np
import pytest

from rlkit.maths.exploration import Repeats, boltzmann, epsilon_greedy

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


def test_repeated_actions_last_as_the_zeta_distribution_says():
    repeats, rng = Repeats(2.0, 4000), np.random.default_rng(0)
    repeats(np.tile(Q, (4000, 1)), 1.0, rng)
    lengths = repeats.left + 1
    for n in (1, 2, 3, 10):
        share = 6 / np.pi**2 / n**2  # the zeta function is pi^2 / 6 at 2
        assert (lengths == n).mean() == pytest.approx(share, abs=5 * np.sqrt(share / 4000))
    assert lengths.max() <= 10_000


def test_a_repeated_action_is_held_and_then_the_best_is_taken_again():
    repeats, rng = Repeats(1.5, 200), np.random.default_rng(1)
    q = np.tile(Q, (200, 1))
    first = repeats(q, 1.0, rng)
    assert set(first) == {0, 1, 2}
    lengths, held = repeats.left + 1, np.ones(200, bool)
    for step in range(1, 30):
        action = repeats(q, 0.0, rng)
        held = lengths > step
        np.testing.assert_array_equal(action, np.where(held, first, 1))
    assert held.any()
    assert not held.all()


def test_what_is_being_repeated_goes_with_the_state():
    one, rng = Repeats(1.5, 50), np.random.default_rng(2)
    q = np.tile(Q, (50, 1))
    one(q, 1.0, rng)
    other = Repeats(1.5, 50)
    other.load_state_dict(one.state_dict())
    np.testing.assert_array_equal(one(q, 0.1, np.random.default_rng(3)), other(q, 0.1, np.random.default_rng(3)))
