"""Every kind of net: shapes, gradients, names, and what does not fit."""

import numpy as np
import pytest
import torch
from gymnasium import spaces
from torch.nn import functional

from rlkit.config.net import ConvConfig, ImpalaConfig, LayerConfig, MLPConfig, RecurrentConfig, SequentialConfig
from rlkit.errors import ConfigError
from rlkit.nets.build import Net, Output, build
from rlkit.nets.noisy import NoisyLinear
from rlkit.nets.optim import Flat

VECTORS = spaces.Box(-1, 1, (5,))
PICTURES = spaces.Box(0, 255, (4, 40, 40), np.uint8)
OUTPUTS = {"actor": (3, 0.01), "critic": (1, 1.0)}
CPU = torch.device("cpu")


def layers(*given: dict) -> SequentialConfig:
    return SequentialConfig(layers=[LayerConfig(**layer) for layer in given])


CONVOLUTIONS = layers(
    {"type": "conv2d", "out": 4, "kernel": 8, "stride": 4, "padding": 1},
    {"type": "activation"},
    {"type": "flatten"},
    {"type": "linear", "out": 16},
    {"type": "layer_norm"},
    {"type": "activation", "function": "silu"},
)
NETS = {
    "mlp": (MLPConfig(hidden=[8, 8]), VECTORS),
    "mlp, shared": (MLPConfig(hidden=[8], shared=True), VECTORS),
    "conv": (ConvConfig(channels=[4, 4], kernels=[8, 4], strides=[4, 2], hidden=[16]), PICTURES),
    "conv, separate": (ConvConfig(channels=[4], kernels=[8], strides=[4], hidden=[16], shared=False), PICTURES),
    "impala": (ImpalaConfig(channels=[4, 8], hidden=[16]), PICTURES),
    "sequential": (layers({"type": "linear", "out": 8}, {"type": "batch_renorm"}, {"type": "activation"}), VECTORS),
    "sequential of convolutions": (CONVOLUTIONS, PICTURES),
    "sequential of nothing": (SequentialConfig(), VECTORS),
}


def of(cfg, outputs=OUTPUTS) -> dict[str, Output]:
    return {name: Output(cfg, (width,), gain) for name, (width, gain) in outputs.items()}


def bound(cfg, observation, outputs=OUTPUTS, seed: int = 0) -> tuple[Net, Flat]:
    net = build(of(cfg, outputs), observation, torch.Generator().manual_seed(seed))
    flat = Flat({"net": net.size}, CPU)
    net.bind(flat.slots["net"])
    return net, flat


def some(space: spaces.Box, rows: int = 6) -> torch.Tensor:
    space.seed(0)
    return torch.from_numpy(np.stack([space.sample() for _ in range(rows)]))


@pytest.mark.parametrize("which", NETS)
def test_outputs_have_their_widths_and_the_gradient_reaches_every_parameter(which: str):
    cfg, space = NETS[which]
    net, flat = bound(cfg, space)
    obs = some(space)
    outs, back = net.tape(obs)
    assert [tuple(out.shape) for out in outs] == [(6, 3), (6, 1)]
    assert not any(out.requires_grad for out in outs)
    back([torch.randn(6, 3), torch.randn(6, 1)])
    reached = {name: bool(grad.abs().sum() > 0) for name, grad in net.views(flat.grad).items()}
    # a bias before a batch normalisation is subtracted with the mean
    assert all(on for name, on in reached.items() if which != "sequential" or not name.endswith("0.bias")), reached
    assert set(net.views(flat.weight)) <= set(net.state_dict())
    assert not flat.slots["net"].fresh


def test_kernels_with_their_channels_last_give_what_plain_ones_give():
    net, flat = bound(*NETS["conv"])
    state = net.state_dict()
    kernel = state["trunk.1.weight"]
    assert kernel.is_contiguous(memory_format=torch.channels_last)
    assert not kernel.is_contiguous()
    assert kernel.untyped_storage().data_ptr() == flat.weight.untyped_storage().data_ptr()

    obs = some(PICTURES)
    outs, back = net.tape(obs)
    back([torch.ones(6, 3), torch.full((6, 1), 2.0)])

    plain = {name: value.clone(memory_format=torch.contiguous_format).requires_grad_() for name, value in state.items()}
    h = obs.float() / 255
    for layer, stride in ((1, 4), (3, 2)):
        h = functional.conv2d(h, plain[f"trunk.{layer}.weight"], plain[f"trunk.{layer}.bias"], stride).relu()
    h = functional.linear(h.flatten(1), plain["trunk.6.weight"], plain["trunk.6.bias"]).relu()
    heads = [functional.linear(h, plain[f"{name}.weight"], plain[f"{name}.bias"]) for name in OUTPUTS]
    (heads[0].sum() + 2 * heads[1].sum()).backward()
    for mine, theirs in zip(outs, heads, strict=True):
        torch.testing.assert_close(mine, theirs.detach(), rtol=1e-5, atol=1e-6)
    for name, grad in net.views(flat.grad).items():
        torch.testing.assert_close(grad, plain[name].grad, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("which", NETS)
def test_weights_move_to_another_net_and_acting_sees_them(which: str):
    cfg, space = NETS[which]
    (one, flat), (other, _) = bound(cfg, space), bound(cfg, space, seed=1)
    flat.weight.mul_(1.5)
    other.load_state_dict({name: value.clone() for name, value in one.state_dict().items()})
    obs = some(space).numpy()
    for k in range(2):
        np.testing.assert_array_equal(one.infer(obs, k), other.infer(obs, k))


def test_a_shared_trunk_is_one_and_separate_ones_are_two():
    shared = bound(*NETS["mlp, shared"])[0].state_dict()
    assert set(shared) == {f"{n}.{p}" for n in ("trunk.0", "actor", "critic") for p in ("weight", "bias")}
    assert {"actor.1.weight", "critic.1.weight"} <= set(bound(*NETS["conv, separate"])[0].state_dict())


@pytest.mark.parametrize("init", ["orthogonal", "xavier_uniform", "xavier_normal", "kaiming_uniform", "kaiming_normal"])
def test_each_initialiser_has_its_deviation_and_its_gains(init: str):
    cfg = MLPConfig(hidden=[400, 300], init=init, hidden_gain=2.0, policy_gain=0.5, value_gain=3.0)
    outputs = {"actor": (200, cfg.policy_gain), "critic": (200, cfg.value_gain)}
    state = bound(cfg, spaces.Box(-1, 1, (300,)), outputs)[0].state_dict()
    for key, gain in [("actor.2.weight", 2.0), ("actor.4.weight", 0.5), ("critic.4.weight", 3.0)]:
        rows, columns = state[key].shape
        spread = {"orthogonal": max(rows, columns), "xavier": (rows + columns) / 2, "kaiming": columns}
        expected = gain / spread[init.split("_")[0]] ** 0.5
        assert float(state[key].std()) == pytest.approx(expected, rel=0.02)
    assert all((value == 0).all() for key, value in state.items() if "bias" in key)


def test_torchs_own_beginning_is_that_of_its_linear_layers():
    state = bound(MLPConfig(hidden=[400], init="torch"), spaces.Box(-1, 1, (100,)))[0].state_dict()
    linear = torch.nn.Linear(100, 400)
    for name in ("weight", "bias"):
        mine, theirs = state[f"actor.0.{name}"], getattr(linear, name).detach()
        assert float(mine.abs().max()) == pytest.approx(0.1, rel=0.02)
        assert float(mine.std()) == pytest.approx(float(theirs.std()), rel=0.1)


@pytest.mark.parametrize(
    ("cfg", "space", "said"),
    [
        (MLPConfig(), PICTURES, "kind mlp takes vectors, the environment observes pictures"),
        (ImpalaConfig(), VECTORS, "kind impala takes pictures"),
        (RecurrentConfig(), PICTURES, "kind recurrent takes vectors"),
        (ConvConfig(kernels=[50, 4, 3]), PICTURES, "net.channels does not fit"),
        (layers({"type": "conv2d", "out": 3}, {"type": "batch_renorm"}), PICTURES, "batch_renorm cannot follow"),
        (layers({"type": "conv2d", "out": 3}), VECTORS, r"net.layers.0 does not fit what comes before, \[5\]"),
    ],
)
def test_what_does_not_fit_is_said(cfg, space, said: str):
    with pytest.raises(ConfigError, match=said):
        bound(cfg, space)


@pytest.mark.parametrize(
    "given", [{"type": "linear"}, {"type": "flatten", "out": 3}, {"type": "lienar"}, {"type": "flatten", "eps": 0}]
)
def test_a_layer_that_cannot_be_is_refused(given: dict):
    with pytest.raises(ConfigError, match=r"net\.layers\."):
        LayerConfig(**given)


def test_batch_renormalisation_is_batch_normalisation_in_its_warm_up_then_agrees_with_acting():
    net, _ = bound(*NETS["sequential"])
    norms = [m for m in net.module.modules() if type(m).__name__ == "BatchRenorm"]
    x = torch.randn(64, 8) * 3 + 1
    norm = norms[0].train()
    torch.testing.assert_close(norm(x), (x - x.mean(0)) / (x.var(0, unbiased=False) + 1e-3).sqrt())
    assert norm.updates == 1
    torch.testing.assert_close(norm.mean, 0.01 * x.mean(0))
    # past the warm-up, and with running statistics near the batch's, r and d undo the batch's own normalisation
    norm.updates.fill_(100_000)
    norm.mean.copy_(x.mean(0) + 0.1)
    norm.std.copy_(x.std(0) * 1.1)
    acting = norm.eval()(x)
    torch.testing.assert_close(norm.train()(x), acting)
    frozen = norm.mean.clone()
    norm.eval()(x)
    assert torch.equal(norm.mean, frozen)


def test_batch_renormalisation_bounds_its_corrections():
    net, _ = bound(*NETS["sequential"])
    norm = next(m for m in net.module.modules() if type(m).__name__ == "BatchRenorm").train()
    norm.updates.fill_(100_000)
    norm.std.fill_(100.0)
    x = torch.randn(64, 8)
    std = (x.var(0, unbiased=False) + 1e-3).sqrt()
    expected = (x - x.mean(0)) / std / 3 + (x.mean(0) / 100).clamp(-5, 5)
    torch.testing.assert_close(norm(x), expected)


@pytest.mark.parametrize(
    "cfg", [ConvConfig(channels=[4], kernels=[8], strides=[4], hidden=[]), ImpalaConfig(channels=[4])]
)
def test_the_first_convolution_sees_pictures_between_0_and_1(cfg: ConvConfig | ImpalaConfig):
    net = build(of(cfg), PICTURES, torch.Generator().manual_seed(0))
    first = net.module.trunk[1]
    x = torch.randint(0, 256, (3, *PICTURES.shape), dtype=torch.uint8)
    plain = functional.conv2d(x / 255, first.weight, first.bias, first.stride, first.padding)
    torch.testing.assert_close(first(net.module.trunk[0](x)), plain, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("inputs", [1, 16, 100])
def test_noise_begins_with_half_of_the_inputs_root(inputs: int):
    """Fortunato et al. 2018, section 3.2."""
    layer = NoisyLinear(inputs, 3)
    assert layer.sigma.flatten().tolist() == pytest.approx([0.5 / inputs**0.5] * 3 * inputs)
    assert layer.sigma_0.tolist() == pytest.approx([0.5 / inputs**0.5] * 3)
