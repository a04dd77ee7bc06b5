import numpy as np
import pytest
import torch
from torch.distributions import Normal, TransformedDistribution
from torch.distributions.transforms import TanhTransform

from rlkit.config.off_policy import NoiseConfig
from rlkit.maths.noise import Noise, pink
from rlkit.maths.squashed import tanh_gaussian, tanh_gaussians


def test_actions_log_probabilities_and_the_way_back():
    generator = torch.Generator().manual_seed(0)
    params = torch.randn(9, 6, dtype=torch.float64, generator=generator)
    params[0, 3] = 5.0  # beyond the bound: no gradient
    leaf, noise = params.clone().requires_grad_(), torch.randn(9, 3, dtype=torch.float64, generator=generator)
    mean, log_std = leaf.chunk(2, -1)
    std = log_std.clamp(-20, 2).exp()
    expected = torch.tanh(mean + std * noise)
    theirs = TransformedDistribution(Normal(mean, std), TanhTransform(cache_size=1))
    mine = params.clone().requires_grad_()
    action, log_prob = tanh_gaussian(mine, noise)
    torch.testing.assert_close(action, expected)
    inside = (action.abs() < 1 - 1e-9).all(-1)
    torch.testing.assert_close(log_prob[inside], theirs.log_prob(expected).sum(-1)[inside], atol=1e-6, rtol=1e-6)
    d_action = torch.randn(9, 3, dtype=torch.float64, generator=generator)
    exact = Normal(mean, std).log_prob(mean + std * noise) - torch.log(1 - expected.square() + 1e-300)
    total = (d_action * expected).sum() + 0.3 * exact.sum()
    (gradient,) = torch.autograd.grad(total, leaf)
    (found,) = torch.autograd.grad((d_action * action).sum() + 0.3 * log_prob.sum(), mine)
    torch.testing.assert_close(found[inside], gradient[inside], atol=1e-8, rtol=1e-6)
    assert found[0, 3] == 0


@pytest.mark.parametrize("kind", ["gaussian", "ornstein_uhlenbeck", "pink"])
def test_noise_has_its_deviation_and_its_memory(kind: str):
    noise, rng = Noise(NoiseConfig(kind=kind, std=0.3), 50, 2), np.random.default_rng(0)
    drawn, level = np.zeros((1500, 50, 2), np.float32), None
    for t in range(1500):
        drawn[t], level = noise(rng, level)
    assert (level is None) == (kind != "ornstein_uhlenbeck")
    late = drawn[200:]
    expected = {"gaussian": 0.3, "pink": 0.3, "ornstein_uhlenbeck": 0.3 / np.sqrt(1 - 0.85**2)}[kind]
    assert late.std() == pytest.approx(expected, rel=0.05)
    lag = (late[1:] * late[:-1]).mean() / late.var()
    assert {"gaussian": abs(lag) < 0.02, "ornstein_uhlenbeck": abs(lag - 0.85) < 0.02, "pink": 0.5 < lag < 0.95}[kind]
    between = (late[:, 0, 0] * late[:, 1, 0]).mean() / late.var()
    assert abs(between) < 0.35  # environments have noise of their own


def test_pink_noise_has_power_over_frequency():
    series = pink((4096, 200), np.random.default_rng(0))
    power = (np.abs(np.fft.rfft(series, axis=0)) ** 2).mean(1)[1:-1]
    slope = np.polyfit(np.log(np.arange(1, len(power) + 1)), np.log(power), 1)[0]
    assert slope == pytest.approx(-1, abs=0.05)
    assert series.var() == pytest.approx(1, rel=0.05)


def test_noise_goes_on_where_it_was():
    one, other = (Noise(NoiseConfig(kind="pink"), 3, 2) for _ in range(2))
    for _ in range(5):
        one(np.random.default_rng(0))
    other.load_state_dict(one.state_dict())
    rngs = np.random.default_rng(1), np.random.default_rng(1)
    for _ in range(4):
        np.testing.assert_array_equal(one(rngs[0])[0], other(rngs[1])[0])


def test_a_level_of_noise_moves_from_what_it_is_given():
    noise = Noise(NoiseConfig(kind="ornstein_uhlenbeck", std=0.1, theta=0.2), 2, 1)
    level = np.array([[1.0], [0.0]], np.float32)
    drawn, after = noise(np.random.default_rng(0), level)
    fresh = 0.1 * np.random.default_rng(0).standard_normal((2, 1), dtype=np.float32)
    np.testing.assert_allclose(drawn, 0.8 * level + fresh, rtol=1e-6)
    np.testing.assert_array_equal(drawn, after)
    np.testing.assert_allclose(noise(np.random.default_rng(0))[0], fresh)  # from 0


def test_the_constant_half_has_the_same_values_and_no_gradient():
    params, constant, noise = torch.randn(5, 4), torch.randn(3, 4), torch.randn(8, 2)
    params.requires_grad_()
    (action, log_prob), others = tanh_gaussians(params, constant, noise)
    for mine, theirs in zip(
        (*others, action, log_prob),
        (*tanh_gaussian(constant, noise[5:]), *tanh_gaussian(params, noise[:5])),
        strict=True,
    ):
        torch.testing.assert_close(mine, theirs)
    assert not any(x.requires_grad for x in others)
    (one,) = torch.autograd.grad((action.sum() + log_prob.square().sum()), params)
    action, log_prob = tanh_gaussian(params, noise[:5])
    (two,) = torch.autograd.grad((action.sum() + log_prob.square().sum()), params)
    torch.testing.assert_close(one, two)
