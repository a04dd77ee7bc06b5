import numpy as np
import pytest
import torch
from gymnasium import spaces

from rlkit.config.net import LayerConfig, MLPConfig, SequentialConfig
from rlkit.maths.distributions import Categorical, Gaussian
from rlkit.nets import optim
from rlkit.nets.build import Output
from rlkit.nets.network import Network, Parameter

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


def make(shape: str, dist) -> Network:
    net, critic = SHAPES[shape]
    actor = Output(net, (dist.outputs + dist.free,), 0.01, free=dist.free)
    outputs = {"actor": actor, "critic": Output(critic or net, (), 1.0)}
    generator = torch.Generator().manual_seed(0)
    return Network(outputs, spaces.Box(-1, 1, (3,)), generator, torch.device("cpu"))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dist", [Categorical(4), Gaussian(2)], ids=["categorical", "gaussian"])
def test_acting_and_learning_see_the_same_network(shape: str, dist):
    net, obs = make(shape, dist), torch.randn(6, 3)
    policy, value = (out.detach() for out in net(obs))
    np.testing.assert_allclose(net.infer(obs.numpy(), 0), policy.numpy(), atol=1e-6)
    np.testing.assert_allclose(net.infer(obs.numpy(), 1), value.numpy(), atol=1e-6)
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
        policy, value = (out.detach() for out in net(obs))
        total = float((policy * d_policy).sum() + (value * d_value).sum())
        net.flat.weight.add_(direction, alpha=-step)
        return total

    torch.autograd.backward(net(obs), (d_policy, d_value))
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
    np.testing.assert_array_equal(one.infer(obs, 0), other.infer(obs, 0))
    np.testing.assert_array_equal(one.infer(obs, 1), other.infer(obs, 1))
    assert "log_std" in one.state_dict()


def test_the_first_policy_is_nearly_uniform():
    net = make("stacked", Categorical(4))
    obs = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)
    assert np.abs(net.infer(obs, 0)).max() < 0.1


def ensemble(shape: tuple[int, ...] = (), dueling: bool = False) -> Network:
    cfg = MLPConfig(hidden=[8], activation="relu")
    outputs = {name: Output(cfg, shape, 1.0, dueling=dueling) for name in ("q1", "q2", "q3")}
    return Network(outputs, spaces.Box(-1, 1, (5,)), torch.Generator().manual_seed(0), torch.device("cpu"), stack=True)


def test_a_gradient_flows_through_the_input_and_not_into_frozen_parameters():
    net, other = ensemble(), ensemble()
    optimizer = optim.build(optim.OptimizerConfig(name="sgd"), net, learning_rate=0.1)
    obs, action = torch.randn(6, 3), torch.randn(6, 2)
    before, theirs = net.flat.weight.clone(), other.flat.weight.clone()
    inner = net(obs, action)
    optimizer.step(other(obs, inner.mean(0).unsqueeze(-1).expand(6, 2), frozen=True).sum())
    assert not torch.equal(net.flat.weight, before)
    assert torch.equal(other.flat.weight, theirs)
    assert not other.flat.grad.any()


def test_the_gradient_by_the_input_is_that_of_ordinary_modules():
    net = ensemble()
    x = torch.randn(6, 5, requires_grad=True)
    twin = net.nets[0].twin(1)
    (expected,) = torch.autograd.grad(twin(x).square().sum(), x)
    (found,) = torch.autograd.grad(net(x)[1].square().sum(), x)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_an_ensemble_is_one_tensor_and_dueling_networks_have_the_shape_of_their_actions():
    assert ensemble()(torch.randn(6, 5)).shape == (3, 6)
    assert ensemble((4,))(torch.randn(6, 5)).shape == (3, 6, 4)
    net = ensemble((4, 7), dueling=True)
    x = torch.randn(6, 5)
    assert net(x).shape == (3, 6, 4, 7)
    np.testing.assert_allclose(net.infer(x.numpy(), 2), net.predict(x)[2].numpy(), atol=1e-6)


def test_a_dueling_network_has_the_gradient_of_autograd():
    net = ensemble((4,), dueling=True)
    x, d = torch.randn(6, 5), torch.randn(6, 4)
    out = net.nets[0].twin(0)
    raw = out(x)
    q = raw[:, :1] + raw[:, 1:] - raw[:, 1:].mean(1, keepdim=True)
    expected = torch.autograd.grad((q * d).sum(), list(out.parameters()))
    (net(x)[0] * d).sum().backward()
    names = [name for name in net.state_dict() if name.startswith("q1")]
    for name, gradient in zip(names, expected, strict=True):
        torch.testing.assert_close(net.views(net.flat.grad)[name], gradient, rtol=1e-4, atol=1e-5)


def test_outputs_are_memory_of_the_callers():
    net = ensemble()
    first = net.predict(torch.zeros(6, 5))
    kept = first.clone()
    net.predict(torch.ones(6, 5))
    assert torch.equal(first, kept)


@pytest.mark.parametrize("layer_norm", [False, True])
def test_two_batches_in_one_pass_are_those_of_two(layer_norm: bool):
    cfg = MLPConfig(hidden=[8], layer_norm=layer_norm)
    net = Network({"a": Output(cfg, (2,), 1.0)}, spaces.Box(-1, 1, (5,)), torch.Generator(), torch.device("cpu"))
    x, other = torch.randn(6, 5), torch.randn(4, 5)
    (now,), (following,) = net.both(x, other)
    assert now.requires_grad
    assert not following.requires_grad
    torch.testing.assert_close(following, net.predict(other)[0])
    now.sum().backward()
    joint = net.flat.grad.clone()
    net.flat.grad.zero_()
    net(x)[0].sum().backward()
    torch.testing.assert_close(net.flat.grad, joint)


def test_a_target_network_moves_towards_the_network():
    net = ensemble()
    target = net.target()
    net.flat.weight.add_(1.0)
    target.move_towards(net, 0.25)
    torch.testing.assert_close(net.flat.weight - target.flat.weight, torch.full_like(net.flat.weight, 0.75))
    target.move_towards(net, 1.0)
    assert torch.equal(net.flat.weight, target.flat.weight)
    assert target.predict(torch.ones(2, 5)).data_ptr() != net.predict(torch.ones(2, 5)).data_ptr()


def test_a_parameter_steps_along_a_loss():
    parameter = Parameter(2.0, torch.device("cpu"))
    optimizer = optim.build(optim.OptimizerConfig(name="sgd"), parameter, learning_rate=0.1)
    for _ in range(2):
        optimizer.step(parameter() ** 2)
    assert parameter().item() == pytest.approx(2.0 * 0.8 * 0.8)
