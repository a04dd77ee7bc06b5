import math

import numpy as np
import pytest
import torch
from gymnasium import spaces
from torch.distributions import Bernoulli as TorchBernoulli
from torch.distributions import Categorical as TorchCategorical
from torch.distributions import Normal

from rlkit.errors import ConfigError
from rlkit.maths.distributions import Bernoulli, Categorical, Gaussian, MultiCategorical, for_space

DISTRIBUTIONS = {
    "categorical": Categorical(4),
    "gaussian": Gaussian(3),
    "multi-categorical": MultiCategorical([2, 4, 3]),
    "bernoulli": Bernoulli(3),
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
    mean, log_std = params.chunk(2, -1)
    return torch.distributions.Independent(Normal(mean, log_std.exp()), 1)


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
    torch.testing.assert_close(dist.entropy(params), theirs.entropy(), rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(dist.mode(params.numpy()), theirs.mode.numpy())


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
    torch.testing.assert_close(back(weight, 0.0), without_entropy)


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
    with pytest.raises(ConfigError, match="accepted: Discrete"):
        for_space(spaces.Text(3))
