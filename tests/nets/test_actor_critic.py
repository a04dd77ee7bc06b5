import numpy as np
import pytest
import torch
from gymnasium import spaces

from rlkit.config.net import LayerConfig, MLPConfig, SequentialConfig
from rlkit.maths.distributions import Categorical, Gaussian
from rlkit.nets.actor_critic import ActorCritic

TANH = LayerConfig(type="activation", function="tanh")
SHAPES = {
    "stacked": (MLPConfig(hidden=[8, 8]), None),
    "separate": (MLPConfig(hidden=[8, 8]), MLPConfig(hidden=[5])),
    "traced": (MLPConfig(hidden=[8], activation="silu"), None),
    "mixed": (MLPConfig(hidden=[8]), MLPConfig(hidden=[8], layer_norm=True)),
    "shared": (MLPConfig(hidden=[8], shared=True), None),
    "sequential": (
        SequentialConfig(layers=[LayerConfig(type="linear", out=8), LayerConfig(type="activation", function="tanh")]),
        None,
    ),
}


def make(shape: str, dist) -> ActorCritic:
    net, critic = SHAPES[shape]
    generator = torch.Generator().manual_seed(0)
    return ActorCritic(
        net,
        critic,
        observation=spaces.Box(-1, 1, (3,)),
        dist=dist,
        generator=generator,
        device=torch.device("cpu"),
    )


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dist", [Categorical(4), Gaussian(2)], ids=["categorical", "gaussian"])
def test_acting_and_learning_see_the_same_network(shape: str, dist):
    net, obs = make(shape, dist), torch.randn(6, 3)
    policy, value, _ = net.tape(obs)
    np.testing.assert_allclose(net.policy(obs.numpy()), policy.numpy(), atol=1e-6)
    np.testing.assert_allclose(net.value(obs.numpy()), value.numpy(), atol=1e-6)
    assert policy.shape == (6, dist.outputs + dist.free)
    assert value.shape == (6,)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dist", [Categorical(4), Gaussian(2)], ids=["categorical", "gaussian"])
def test_the_gradient_is_that_of_finite_differences(shape: str, dist):
    generator = torch.Generator().manual_seed(3)
    net, obs = make(shape, dist), torch.randn(6, 3, generator=generator)
    d_policy = torch.randn(6, dist.outputs + dist.free, generator=generator)
    d_value = torch.randn(6, generator=generator)

    def along(direction: torch.Tensor, step: float) -> float:
        net.flat.weight.add_(direction, alpha=step)
        policy, value, _ = net.tape(obs)
        total = float((policy * d_policy).sum() + (value * d_value).sum())
        net.flat.weight.add_(direction, alpha=-step)
        return total

    net.tape(obs)[2](d_policy, d_value)
    grad = net.flat.grad.clone()
    for seed in range(3):
        direction = torch.randn(grad.shape, generator=torch.Generator().manual_seed(seed)) * (grad != 0)
        expected = (along(direction, 1e-2) - along(direction, -1e-2)) / 2e-2
        assert float(grad @ direction) == pytest.approx(expected, rel=0.02, abs=0.05)


@pytest.mark.parametrize("shape", SHAPES)
def test_weights_move_to_another_network(shape: str):
    one, other = make(shape, Gaussian(2)), make(shape, Gaussian(2))
    one.flat.weight.mul_(1.5)
    other.load_state_dict({name: w.clone() for name, w in one.state_dict().items()})
    obs = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)
    np.testing.assert_array_equal(one.policy(obs), other.policy(obs))
    np.testing.assert_array_equal(one.value(obs), other.value(obs))
    assert "log_std" in one.state_dict()


def test_the_first_policy_is_nearly_uniform():
    net = make("stacked", Categorical(4))
    obs = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)
    assert np.abs(net.policy(obs)).max() < 0.1
