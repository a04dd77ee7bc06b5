import math

import numpy as np
import pytest
import torch
from gymnasium import spaces
from torch.distributions import Bernoulli as TorchBernoulli
from torch.distributions import Categorical as TorchCategorical
from torch.distributions import Normal, TransformedDistribution
from torch.distributions.transforms import AffineTransform, TanhTransform
from torch.nn.functional import softplus

from rlkit.errors import ConfigError
from rlkit.maths.bounded import Beta, TanhGaussian
from rlkit.maths.distributions import Bernoulli, Categorical, Gaussian, MultiCategorical
from rlkit.maths.spaces import for_space

DISTRIBUTIONS = {
    "categorical": Categorical(4),
    "gaussian": Gaussian(3),
    "multi-categorical": MultiCategorical([2, 4, 3]),
    "bernoulli": Bernoulli(3),
    "gaussian of the state": Gaussian(3, -0.5, state_dependent=True),
    "tanh-gaussian": TanhGaussian(3, -0.5),
    "tanh-gaussian of the state": TanhGaussian(2, -0.5, state_dependent=True),
    "beta": Beta(3),
}


def draw(dist, rows: int = 7, dtype=torch.float32):
    generator = torch.Generator().manual_seed(0)
    params = torch.randn(rows, dist.outputs + dist.free, generator=generator, dtype=dtype)
    action = torch.from_numpy(dist.sample(params.float().numpy(), np.random.default_rng(0)))
    return params, action.to(dtype) if action.is_floating_point() else action


class Joint:
    """Several of torch's categoricals at once."""

    def __init__(self, parts):
        self.parts = parts
        self.mode = torch.stack([p.mode for p in parts], -1)

    def log_prob(self, action):
        return sum(p.log_prob(action[..., i]) for i, p in enumerate(self.parts))

    def entropy(self):
        return sum(p.entropy() for p in self.parts)


def reference(dist, params):
    if isinstance(dist, Categorical):
        return TorchCategorical(logits=params)
    if isinstance(dist, MultiCategorical):
        return Joint([TorchCategorical(logits=part) for part in params.split([2, 4, 3], -1)])
    if isinstance(dist, Bernoulli):
        return torch.distributions.Independent(TorchBernoulli(logits=params), 1)
    if isinstance(dist, Beta):
        alpha, beta = (1 + softplus(params)).chunk(2, -1)
        stretched = TransformedDistribution(torch.distributions.Beta(alpha, beta), AffineTransform(-1.0, 2.0))
        return torch.distributions.Independent(stretched, 1)
    mean, log_std = params.chunk(2, -1)
    if dist.state_dependent:
        log_std = (log_std - 0.5).clamp(-5, 2)
    normal = Normal(mean, log_std.exp())
    if isinstance(dist, TanhGaussian):
        normal = TransformedDistribution(normal, TanhTransform())
    return torch.distributions.Independent(normal, 1)


@pytest.mark.parametrize("dist", DISTRIBUTIONS.values(), ids=DISTRIBUTIONS)
def test_log_prob_entropy_and_mode_are_torchs(dist):
    params, action = draw(dist)
    theirs = reference(dist, params)
    torch.testing.assert_close(
        dist.log_prob(params, action),
        theirs.log_prob(action.float() if isinstance(dist, Bernoulli) else action),
        rtol=1e-5,
        atol=1e-5,
    )
    if not isinstance(dist, TanhGaussian | Beta):  # torch has neither's; numerical integration below
        torch.testing.assert_close(dist.entropy(params), theirs.entropy(), rtol=1e-5, atol=1e-5)
        np.testing.assert_array_equal(dist.mode(params.numpy()), theirs.mode.numpy())


@pytest.mark.parametrize("kind", [TanhGaussian, Beta])
@pytest.mark.parametrize("params", [[0.3, -1.0], [-1.5, 0.2], [0.0, 0.2], [1.0, 0.3]])
def test_densities_within_bounds_integrate_to_one_and_to_their_entropy(kind, params):
    dist = kind(1)
    u = torch.linspace(-12, 12, 200_001, dtype=torch.float64)  # a = tanh(u), so that the bounds are resolved
    action, slope = u.tanh(), 1 - u.tanh() ** 2
    inside = action.abs() < 1 - 1e-6
    rows = torch.tensor([params], dtype=torch.float64).expand(len(u), 2)
    log_prob = dist.log_prob(rows, action.unsqueeze(-1))
    mass = log_prob.exp() * slope * inside
    step = float(u[1] - u[0])
    assert float(mass.sum()) * step == pytest.approx(1, abs=2e-4)
    assert -float((mass * log_prob).sum()) * step == pytest.approx(float(dist.entropy(rows[:1])), abs=4e-3)
    if kind is Beta:
        peak = float(action[log_prob.argmax()])
        assert dist.mode(rows[:1].numpy())[0, 0] == pytest.approx(peak, abs=1e-3)
    else:
        assert dist.mode(rows[:1].numpy())[0, 0] == pytest.approx(math.tanh(params[0]), abs=1e-6)


@pytest.mark.parametrize("dist", [TanhGaussian(1), Beta(1)], ids=["tanh-gaussian", "beta"])
def test_draws_within_bounds_have_the_density_that_is_said(dist):
    params = np.tile(np.array([[0.5, -0.3]], np.float32), (40_000, 1))
    drawn = dist.sample(params, np.random.default_rng(0))[:, 0]
    assert np.abs(drawn).max() < 1
    edges = np.linspace(-1, 1, 21)
    middles = torch.linspace(-1, 1, 20_001, dtype=torch.float64)[:-1] + 5e-5
    density = dist.log_prob(torch.tensor([[0.5, -0.3]], dtype=torch.float64).expand(20_000, 2), middles[:, None]).exp()
    expected = density.view(20, 1000).mean(1).numpy() * 0.1
    np.testing.assert_allclose(np.histogram(drawn, edges)[0] / 40_000, expected, atol=0.0125)  # five standard errors


@pytest.mark.parametrize("dist", DISTRIBUTIONS.values(), ids=DISTRIBUTIONS)
def test_the_tape_is_the_gradient(dist):
    params, action = draw(dist, dtype=torch.float64)
    leaf = params.clone().requires_grad_()
    weight = torch.arange(1.0, 8.0, dtype=torch.float64)
    loss = (weight * dist.log_prob(leaf, action)).sum() + 0.3 * dist.entropy(leaf).sum()
    (expected,) = torch.autograd.grad(loss, leaf)
    log_prob, back = dist.tape(params, action)
    torch.testing.assert_close(log_prob, dist.log_prob(params, action))
    torch.testing.assert_close(back(weight, 0.3), expected)
    (without_entropy,) = torch.autograd.grad((weight * dist.log_prob(leaf, action)).sum(), leaf)
    torch.testing.assert_close(dist.tape(params, action)[1](weight, 0.0), without_entropy)


def test_equal_logits_have_the_entropy_log_n():
    assert Categorical(5).entropy(torch.zeros(1, 5)).item() == pytest.approx(math.log(5))


def test_choices_are_drawn_as_often_as_their_probability_says():
    logits = np.log(np.array([0.1, 0.2, 0.7], np.float32))
    drawn = Categorical(3).sample(np.tile(logits, (60_000, 1)), np.random.default_rng(0))
    # five standard errors of a share over 60,000 draws
    np.testing.assert_allclose(np.bincount(drawn) / 60_000, [0.1, 0.2, 0.7], atol=0.01)


def test_gaussian_draws_have_their_mean_and_deviation():
    params = np.tile(np.array([1.0, -2.0, math.log(0.5), math.log(2.0)], np.float32), (60_000, 1))
    drawn = Gaussian(2).sample(params, np.random.default_rng(0))
    np.testing.assert_allclose(drawn.mean(0), [1, -2], atol=0.05)
    np.testing.assert_allclose(drawn.std(0), [0.5, 2], rtol=0.02)


def test_a_space_without_a_distribution_is_refused():
    assert for_space(spaces.Discrete(3)).outputs == 3
    assert for_space(spaces.Box(-1, 1, (2, 2))).outputs == 4
    assert for_space(spaces.MultiDiscrete([3, 4])).outputs == 7
    assert for_space(spaces.MultiBinary(5)).outputs == 5
    assert for_space(spaces.Box(-1, 1, (2,)), state_dependent_std=True).outputs == 4
    assert for_space(spaces.Box(-1, 1, (2,)), "beta").outputs == 4
    with pytest.raises(ConfigError, match="accepted: Discrete"):
        for_space(spaces.Text(3))
    with pytest.raises(ConfigError, match=r"beta is for continuous actions.*\n.*auto"):
        for_space(spaces.Discrete(3), "beta")
    with pytest.raises(ConfigError, match=r"tanh_gaussian is for bounded actions.*\n.*gaussian"):
        for_space(spaces.Box(-np.inf, np.inf, (2,)), "tanh_gaussian")


@pytest.mark.parametrize("dist", [Gaussian(2, -0.5, state_dependent=True), TanhGaussian(2, -0.5, state_dependent=True)])
@pytest.mark.parametrize("log_std", [-30.0, -5.0, 0.0, 2.7, 30.0])
def test_samples_have_the_deviation_that_log_prob_counts_with(dist: Gaussian, log_std: float):
    """Both bound the log standard deviation; otherwise the ratio of a policy to itself would not be 1."""
    params = np.tile(np.float32([0.0, 0.0, log_std, log_std]), (2, 1))
    noise = np.random.default_rng(0).standard_normal((2, 2), dtype=np.float32)
    u = np.exp(np.float32(np.clip(log_std - 0.5, -5, 2))) * noise
    expected = np.tanh(u) if isinstance(dist, TanhGaussian) else u
    np.testing.assert_allclose(dist.sample(params, np.random.default_rng(0)), expected, atol=2e-6)
    assert dist.split(torch.from_numpy(params))[1].unique().tolist() == [np.clip(log_std - 0.5, -5, 2)]


def test_a_free_deviation_is_not_bounded():
    sample = Gaussian(1).sample(np.float32([[0.0, 4.0]]), np.random.default_rng(0))
    assert sample == pytest.approx(np.exp(4) * np.random.default_rng(0).standard_normal((1, 1), dtype=np.float32))
