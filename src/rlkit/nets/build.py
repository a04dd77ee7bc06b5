"""The one contract of networks, the autograd path for any module, and the choice between that and the dense core."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import torch
from torch import nn

from rlkit.config.net import MLPConfig, NetConfig
from rlkit.nets.dense import Dense

if TYPE_CHECKING:
    from torch import Tensor

    from rlkit.nets.optim import Slot
    from rlkit.types import Array, Back, Floats

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "tanh": nn.Tanh,
    "relu": nn.ReLU,
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "leaky_relu": nn.LeakyReLU,
    "selu": nn.SELU,
    "sigmoid": nn.Sigmoid,
    "silu": nn.SiLU,
}


class Net(Protocol):
    """`K` networks over the same input (actor and critic, twin critics), on one slot of the flat parameters."""

    size: int

    def bind(self, slot: Slot) -> None:
        """Move the parameters, and from now on the gradients, into the slot."""

    def tape(self, x: Tensor) -> tuple[Sequence[Tensor], Back]:
        """Forward of `x [B, I]`: each network's output `[B, O_k]` without gradient, and `back`.

        `back(d_outs, params=True, inputs=False)` takes the gradient at each output, adds to the flat gradient (the
        first one after a step overwrites) and returns the gradient at `x` where `inputs` asks for it. One call a tape.
        """

    def infer(self, x: Array, k: int) -> Floats:
        """Output `[B, O_k]` of network `k`, outside of any learning; `x` is a NumPy array."""

    def state_dict(self) -> dict[str, Tensor]:
        """Ordinary names and shapes: `actor.0.weight [H, I]`."""

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Copy weights in."""


class Traced:
    """Any modules through autograd, one a name."""

    def __init__(self, modules: dict[str, nn.Module]) -> None:
        self.modules = nn.ModuleDict(modules)
        self.size = sum(p.numel() for p in self.modules.parameters())

    def bind(self, slot: Slot) -> None:
        """See `Net.bind`."""
        self.slot = slot
        self.modules.to(slot.weight.device)
        start = 0
        for p in self.modules.parameters():
            span = slice(start, start + p.numel())
            slot.weight[span].copy_(p.data.reshape(-1))
            p.data = slot.weight[span].view(p.shape)
            p.grad = slot.grad[span].view(p.shape)
            start += p.numel()

    def tape(self, x: Tensor) -> tuple[Sequence[Tensor], Back]:
        """See `Net.tape`."""
        leaf = x.detach().requires_grad_()
        with torch.enable_grad():
            outs = [module(leaf) for module in self.modules.values()]

        def back(d_outs: Sequence[Tensor], params: bool = True, inputs: bool = False) -> Tensor | None:
            if params:
                if self.slot.fresh:
                    self.slot.grad.zero_()
                    self.slot.fresh = False
                wanted = [*self.modules.parameters(), *([leaf] if inputs else [])]
                torch.autograd.backward(outs, d_outs, inputs=wanted)
                return leaf.grad
            return torch.autograd.grad(outs, leaf, d_outs)[0] if inputs else None

        return [out.detach() for out in outs], back

    def infer(self, x: Array, k: int) -> Floats:
        """See `Net.infer`."""
        module = list(self.modules.values())[k]
        with torch.no_grad():
            out: Floats = module(torch.as_tensor(x, device=self.slot.weight.device)).cpu().numpy()
        return out

    def state_dict(self) -> dict[str, Tensor]:
        """See `Net.state_dict`."""
        return dict(self.modules.state_dict())

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """See `Net.load_state_dict`."""
        self.modules.load_state_dict(state)


def build(
    cfg: NetConfig,
    *,
    names: Sequence[str],
    inputs: int,
    outputs: Sequence[int],
    gains: Sequence[float],
    generator: torch.Generator,
) -> Net:
    """The networks that a config asks for, orthogonally initialised, on the dense core where it can take them.

    Args:
        cfg: the shape of each of the networks.
        names: one for each network; they lead its entries in `state_dict`.
        inputs: width of the observation.
        outputs: width of each network's output.
        gains: gain of each network's last layer; hidden layers have sqrt(2) (Huang et al. 2022, detail 2).
        generator: the random stream of the initialisation.
    """
    if not isinstance(cfg, MLPConfig):
        raise TypeError(f"no builder for {type(cfg).__name__}")
    if Dense.covers(cfg):
        net: Net = Dense(names, inputs, cfg.hidden, outputs, cfg.activation)
    else:
        net = Traced({n: _mlp(cfg, inputs, o) for n, o in zip(names, outputs, strict=True)})
    state = net.state_dict()
    for name, gain in zip(names, gains, strict=True):
        layers = [w for key, w in state.items() if key.startswith(f"{name}.") and w.dim() == 2]
        for layer in layers:
            nn.init.orthogonal_(layer, gain if layer is layers[-1] else math.sqrt(2), generator=generator)
        for key, value in state.items():
            if key.startswith(f"{name}.") and key.endswith(".bias"):
                nn.init.zeros_(value)
    net.load_state_dict(state)
    return net


def _mlp(cfg: MLPConfig, inputs: int, outputs: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for width in cfg.hidden:
        layers += [nn.Linear(inputs, width), *([nn.LayerNorm(width)] if cfg.layer_norm else [])]
        layers += [ACTIVATIONS[cfg.activation]()]
        inputs = width
    return nn.Sequential(*layers, nn.Linear(inputs, outputs))
