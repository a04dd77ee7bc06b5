from unittest.mock import patch

import numpy as np
import pytest
import torch
from gymnasium import spaces
from hypothesis import given, settings
from hypothesis import strategies as st

from rlkit.config.net import MLPConfig
from rlkit.nets.build import Output, build
from rlkit.nets.dense import Dense
from rlkit.nets.kernels import LARGE, NumpyKernels, TorchKernels
from rlkit.nets.optim import Flat, Slot
from rlkit.nets.traced import Traced


def vectors(width: int) -> spaces.Box:
    return spaces.Box(-1, 1, (width,))


def bound(net: Dense, dtype: torch.dtype) -> Dense:
    """The net on flat tensors of its own."""
    net.bind(Slot(torch.zeros(net.size, dtype=dtype), torch.zeros(net.size, dtype=dtype)))
    return net


def make(inputs=3, hidden=(8, 5), outputs=(4, 1), activation="tanh", seed=0, dtype=torch.float32) -> Dense:
    names = [f"n{k}" for k in range(len(outputs))]
    generator = torch.Generator().manual_seed(seed)
    cfg = MLPConfig(hidden=list(hidden), activation=activation)
    owed = {name: Output(cfg, (width,), 1.0) for name, width in zip(names, outputs, strict=True)}
    net = build(owed, vectors(inputs), generator)
    assert isinstance(net, Dense)
    bound(net, dtype)
    for bias in (w for name, w in net.state_dict().items() if name.endswith("bias")):
        bias.copy_(torch.randn(bias.shape, generator=generator))
    return net


def grads(net: Dense) -> dict[str, torch.Tensor]:
    """The flat gradient by the names of `state_dict`."""
    twin = Dense(net.names, net.widths[0], net.widths[1:-1], net.outputs, net.activation)
    bound(twin, net.slot.grad.dtype).slot.weight.copy_(net.slot.grad)
    return twin.state_dict()


@settings(deadline=None, max_examples=40)
@given(
    rows=st.integers(1, 9),
    inputs=st.integers(1, 5),
    hidden=st.lists(st.integers(1, 9), max_size=3),
    outputs=st.lists(st.integers(1, 4), min_size=1, max_size=3),
    activation=st.sampled_from(["tanh", "relu"]),
    large=st.sampled_from([1, LARGE]),
)
def test_forward_and_backward_equal_autograd_for_any_shape(rows, inputs, hidden, outputs, activation, large):
    """In float64 to 1e-6 of each number, and in float32 to what its sums allow, in NumPy and in torch."""
    with patch("rlkit.nets.kernels.LARGE", large):
        compare_with_autograd(rows, inputs, hidden, outputs, activation)


def compare_with_autograd(rows, inputs, hidden, outputs, activation):
    for dtype, rtol, atol in ((torch.float64, 1e-6, 1e-9), (torch.float32, 1e-4, 1e-5)):
        net = make(inputs, hidden, outputs, activation, dtype=dtype)
        x = torch.randn(rows, inputs, generator=torch.Generator().manual_seed(1), dtype=dtype)
        outs, back = net.tape(x)
        d_outs = [
            torch.randn(o.shape, generator=torch.Generator().manual_seed(k), dtype=dtype) for k, o in enumerate(outs)
        ]
        twins = [net.twin(k).to(dtype) for k in range(len(outputs))]
        for twin, name in zip(twins, net.names, strict=True):
            weights = {k.removeprefix(f"{name}."): w for k, w in net.state_dict().items() if k.startswith(f"{name}.")}
            twin.load_state_dict(weights)
        leaf = x.clone().requires_grad_()
        theirs = [twin(leaf) for twin in twins]
        for mine, other in zip(outs, theirs, strict=True):
            torch.testing.assert_close(mine, other.detach(), rtol=rtol, atol=atol)
        torch.autograd.backward(theirs, d_outs)
        d_x = back(d_outs, inputs=True)
        torch.testing.assert_close(d_x, leaf.grad, rtol=rtol, atol=atol)
        found = grads(net)
        for name, twin in zip(net.names, twins, strict=True):
            for key, parameter in twin.named_parameters():
                torch.testing.assert_close(found[f"{name}.{key}"], parameter.grad, rtol=rtol, atol=atol)
        for k in range(len(outputs)):
            np.testing.assert_allclose(net.infer(x.numpy(), k), theirs[k].detach().numpy(), rtol=rtol, atol=atol)


@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_both_kernels_give_the_same(activation: str, monkeypatch: pytest.MonkeyPatch):
    """Torch's are also what CUDA runs."""
    fast, plain = make(activation=activation), make(activation=activation)
    x, d_outs = torch.randn(6, 3), [torch.randn(6, 4), torch.randn(6, 1)]
    for net, kernels, large in ((fast, NumpyKernels, LARGE), (plain, TorchKernels, 1)):
        monkeypatch.setattr("rlkit.nets.kernels.LARGE", large)
        net.slot.fresh = True
        outs, back = net.tape(x)
        back(d_outs)
        back2 = net.tape(x)[1]
        back2(d_outs)  # the second of a step adds
        assert net.scratch[6].kernels is kernels
    torch.testing.assert_close(plain.slot.grad, fast.slot.grad, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(outs[0], fast.tape(x)[0][0], rtol=1e-5, atol=1e-5)


def test_the_first_gradient_after_a_step_overwrites_and_later_ones_add():
    net, x, d = make(), torch.randn(6, 3), [torch.randn(6, 4), torch.randn(6, 1)]
    net.tape(x)[1](d)
    once = net.slot.grad.clone()
    net.tape(x)[1](d)
    torch.testing.assert_close(net.slot.grad, 2 * once)
    net.slot.fresh = True
    net.tape(x)[1](d)
    torch.testing.assert_close(net.slot.grad, once)


def test_gradients_at_the_input_alone_leave_the_weights_gradient():
    net, x, d = make(), torch.randn(6, 3), [torch.randn(6, 4), torch.randn(6, 1)]
    net.slot.grad.fill_(7)
    net.tape(x)[1](d, params=False, inputs=True)
    assert (net.slot.grad == 7).all()


@pytest.mark.parametrize("large", [1, LARGE])
@pytest.mark.parametrize("activation", ["tanh", "relu", "silu"])
def test_a_gradient_at_the_first_rows_is_that_of_these_alone(
    activation: str, large: int, monkeypatch: pytest.MonkeyPatch
):
    """On the dense core, in NumPy and in torch, and through autograd."""
    monkeypatch.setattr("rlkit.nets.kernels.LARGE", large)
    cfg = MLPConfig(hidden=[8, 5], activation=activation)
    owed = {"a": Output(cfg, (4,), 1.0), "b": Output(cfg, (1,), 1.0)}
    net = build(owed, vectors(3), torch.Generator().manual_seed(0))
    assert isinstance(net, Dense) == net.rowwise == (activation != "silu")
    net.bind(Slot(torch.zeros(net.size), torch.zeros(net.size)))
    x, d = torch.randn(6, 3), [torch.randn(4, 4), torch.randn(4, 1)]
    found = []
    for rows in (6, 4):
        net.slot.fresh = True
        d_input = net.tape(x[:rows])[1](d, inputs=True)
        found.append((d_input[:4].clone(), net.slot.grad.clone()))
    torch.testing.assert_close(found[0], found[1], rtol=1e-5, atol=1e-6)


def test_a_spent_tape_is_refused():
    net, x = make(), torch.randn(6, 3)
    _, back = net.tape(x)
    net.tape(x)
    with pytest.raises(RuntimeError, match="spent"):
        back([torch.zeros(6, 4), torch.zeros(6, 1)])


def test_weights_have_ordinary_names_and_load_into_torch_modules():
    state = make().state_dict()
    assert {name: tuple(w.shape) for name, w in state.items()} == {
        "n0.0.weight": (8, 3), "n0.0.bias": (8,), "n0.2.weight": (5, 8), "n0.2.bias": (5,),
        "n0.4.weight": (4, 5), "n0.4.bias": (4,),
        "n1.0.weight": (8, 3), "n1.0.bias": (8,), "n1.2.weight": (5, 8), "n1.2.bias": (5,),
        "n1.4.weight": (1, 5), "n1.4.bias": (1,),
    }  # fmt: skip


def test_the_padding_of_a_narrow_output_stays_zero():
    net = make(outputs=(4, 1))
    outs, back = net.tape(torch.randn(6, 3))
    back([torch.ones(6, 4), torch.ones(6, 1)])
    layers = net.scratch[6].layers
    assert (layers.weight[-1][1, 1:] == 0).all()
    assert (layers.d_weight[-1][1, 1:] == 0).all()
    assert [tuple(o.shape) for o in outs] == [(6, 4), (6, 1)]


@pytest.mark.parametrize("activation", ["tanh", "silu"])
def test_initialisation_is_orthogonal_with_the_gains_asked_for(activation: str):
    cfg = MLPConfig(hidden=[16, 16], activation=activation)
    owed = {"actor": Output(cfg, (3,), 0.01), "critic": Output(cfg, (), 1.0)}
    net = build(owed, vectors(4), torch.Generator().manual_seed(0))
    state = net.state_dict()
    hidden = state["actor.2.weight"]
    torch.testing.assert_close(hidden @ hidden.T, 2 * torch.eye(16), atol=1e-5, rtol=1e-5)
    last = state["actor.4.weight"]
    torch.testing.assert_close(last @ last.T, 1e-4 * torch.eye(3), atol=1e-8, rtol=1e-5)
    assert torch.linalg.vector_norm(state["critic.4.weight"]).item() == pytest.approx(1, rel=1e-5)
    assert all((w == 0).all() for name, w in state.items() if name.endswith("bias"))


def test_other_activations_and_layer_norm_go_through_autograd():
    for cfg in (MLPConfig(activation="silu"), MLPConfig(layer_norm=True)):
        generator = torch.Generator().manual_seed(0)
        net = build({"a": Output(cfg, (2,), 1), "b": Output(cfg, (), 1)}, vectors(3), generator)
        assert isinstance(net, Traced)
        flat = Flat({"net": net.size}, torch.device("cpu"))
        before = {k: v.clone() for k, v in net.state_dict().items()}
        net.bind(flat.slots["net"])
        x = torch.randn(5, 3)
        outs, back = net.tape(x)
        d_x = back([torch.ones(5, 2), torch.ones(5, 1)], inputs=True)
        assert d_x is not None
        assert d_x.shape == (5, 3)
        assert all((p.grad is not None and p.grad.abs().sum() > 0) for p in net.module.parameters())
        once = flat.grad.clone()
        assert once.abs().sum() > 0  # the gradients are views of the flat one
        net.tape(x)[1]([torch.ones(5, 2), torch.ones(5, 1)])
        torch.testing.assert_close(flat.grad, 2 * once)
        for key, value in net.state_dict().items():
            torch.testing.assert_close(value, before[key])
        np.testing.assert_allclose(net.infer(x.numpy(), 0), outs[0].numpy(), rtol=1e-5)
