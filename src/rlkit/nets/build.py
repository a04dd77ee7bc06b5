"""The one contract of networks, the autograd path for any module, and the choice between that and the dense core."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import nn

from rlkit.config.net import ConvConfig, MLPConfig, NetConfig
from rlkit.errors import ConfigError
from rlkit.nets.dense import Dense

if TYPE_CHECKING:
    from gymnasium import Space
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


CHUNK = 512
"""Rows that acting puts through a module at once, so that a rollout of pictures does not fill the memory."""


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


class Parallel(nn.Module):
    """Networks of their own over one input."""

    def __init__(self, networks: dict[str, nn.Module]) -> None:
        super().__init__()
        self.networks = nn.ModuleDict(networks)

    def forward(self, x: Tensor) -> list[Tensor]:
        """The output of each."""
        return [network(x) for network in self.networks.values()]


class Shared(nn.Module):
    """Heads over one trunk."""

    def __init__(self, trunk: nn.Module, heads: dict[str, nn.Module]) -> None:
        super().__init__()
        self.trunk = trunk
        self.heads = nn.ModuleDict(heads)

    def forward(self, x: Tensor) -> list[Tensor]:
        """The output of each head."""
        h = self.trunk(x)
        return [head(h) for head in self.heads.values()]


def _plain(key: str) -> str:
    """A parameter's name without the names of the containers above."""
    return key.removeprefix("networks.").removeprefix("heads.")


class Traced:
    """Any module through autograd; it gives a list with the output of each network."""

    def __init__(self, module: nn.Module) -> None:
        self.module = module
        self.size = sum(p.numel() for p in module.parameters())

    def bind(self, slot: Slot) -> None:
        """See `Net.bind`."""
        self.slot = slot
        self.module.to(slot.weight.device)
        start = 0
        for p in self.module.parameters():
            span = slice(start, start + p.numel())
            slot.weight[span].copy_(p.data.reshape(-1))
            p.data = slot.weight[span].view(p.shape)
            p.grad = slot.grad[span].view(p.shape)
            start += p.numel()

    def tape(self, x: Tensor) -> tuple[Sequence[Tensor], Back]:
        """See `Net.tape`."""
        leaf = x.detach()
        if leaf.is_floating_point():
            leaf.requires_grad_()
        with torch.enable_grad():
            outs: list[Tensor] = self.module(leaf)

        def back(d_outs: Sequence[Tensor], params: bool = True, inputs: bool = False) -> Tensor | None:
            if params:
                if self.slot.fresh:
                    self.slot.grad.zero_()
                    self.slot.fresh = False
                wanted = [*self.module.parameters(), *([leaf] if inputs else [])]
                torch.autograd.backward(outs, d_outs, inputs=wanted)
                return leaf.grad
            return torch.autograd.grad(outs, leaf, d_outs)[0] if inputs else None

        return [out.detach() for out in outs], back

    def infer(self, x: Array, k: int) -> Floats:
        """See `Net.infer`."""
        with torch.no_grad():
            rows = torch.as_tensor(x, device=self.slot.weight.device)
            parts = [self.module(rows[i : i + CHUNK])[k] for i in range(0, len(rows), CHUNK)]
            return torch.cat(parts).cpu().numpy()

    def state_dict(self) -> dict[str, Tensor]:
        """See `Net.state_dict`."""
        return {_plain(key): value for key, value in self.module.state_dict().items()}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """See `Net.load_state_dict`."""
        self.module.load_state_dict({key: state[_plain(key)] for key in self.module.state_dict()})


def build(
    cfg: NetConfig,
    *,
    names: Sequence[str],
    observation: Space[Any],
    outputs: Sequence[int],
    gains: Sequence[float],
    generator: torch.Generator,
) -> Net:
    """The networks that a config asks for, orthogonally initialised, on the dense core where it can take them.

    Args:
        cfg: the shape of each of the networks.
        names: one for each network; they lead its entries in `state_dict`.
        observation: vectors, or pictures `[C, H, W]` of bytes.
        outputs: width of each network's output.
        gains: gain of each network's last layer; hidden layers have sqrt(2) (Huang et al. 2022, detail 2).
        generator: the random stream of the initialisation.

    Raises:
        ConfigError: the net does not fit the observation.
    """
    shape = observation.shape or ()
    widths = dict(zip(names, outputs, strict=True))
    if isinstance(cfg, ConvConfig):
        net: Net = Traced(_conv(cfg, shape, widths))
    elif isinstance(cfg, MLPConfig):
        if len(shape) != 1:
            raise ConfigError(
                f"net={cfg.name} takes vectors, the environment observes pictures {shape}\n  use net=conv"
            )
        if Dense.covers(cfg):
            net = Dense(names, shape[0], cfg.hidden, outputs, cfg.activation)
        else:
            net = Traced(Parallel({name: _mlp(cfg, shape[0], o) for name, o in widths.items()}))
    else:
        raise TypeError(f"no builder for {type(cfg).__name__}")
    _initialise(net, dict(zip(names, gains, strict=True)), generator)
    return net


def _initialise(net: Net, gains: dict[str, float], generator: torch.Generator) -> None:
    """Orthogonal weights, zero biases. A network's last weight is that with its name and the highest number."""
    state = net.state_dict()
    weights = [key for key, value in state.items() if key.endswith("weight") and value.dim() > 1]
    last = {name: [key for key in weights if name in key.split(".")][-1] for name in gains}
    for key in weights:
        gain = next((gains[name] for name, own in last.items() if own == key), math.sqrt(2))
        nn.init.orthogonal_(state[key], gain, generator=generator)
    for key, value in state.items():
        if key.endswith("bias"):
            nn.init.zeros_(value)
    net.load_state_dict(state)


def _mlp(cfg: MLPConfig, inputs: int, outputs: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for width in cfg.hidden:
        layers += [nn.Linear(inputs, width), *([nn.LayerNorm(width)] if cfg.layer_norm else [])]
        layers += [ACTIVATIONS[cfg.activation]()]
        inputs = width
    return nn.Sequential(*layers, nn.Linear(inputs, outputs))


class Scale(nn.Module):
    """Bytes to [0, 1]."""

    def forward(self, x: Tensor) -> Tensor:
        """`x / 255` as float32."""
        return x.float() / 255


def _conv(cfg: ConvConfig, shape: tuple[int, ...], widths: dict[str, int]) -> nn.Module:
    if len(shape) != 3:
        raise ConfigError(f"net=conv takes pictures, the environment observes vectors {shape}\n  use net=mlp")
    activation = ACTIVATIONS[cfg.activation]

    def trunk() -> tuple[nn.Sequential, int]:
        channels, height, width = shape
        layers: list[nn.Module] = [Scale()]
        for out, kernel, stride in zip(cfg.channels, cfg.kernels, cfg.strides, strict=True):
            layers += [nn.Conv2d(channels, out, kernel, stride), activation()]
            channels, height, width = out, (height - kernel) // stride + 1, (width - kernel) // stride + 1
            if min(height, width) < 1:
                raise ConfigError(
                    f"net.kernels={cfg.kernels}: pictures of {shape[1]} x {shape[2]} are too small for them"
                )
        layers += [nn.Flatten()]
        size = channels * height * width
        for hidden in cfg.hidden:
            layers += [nn.Linear(size, hidden), activation()]
            size = hidden
        return nn.Sequential(*layers), size

    if cfg.shared:
        body, size = trunk()
        return Shared(body, {name: nn.Linear(size, o) for name, o in widths.items()})
    networks: dict[str, nn.Module] = {}
    for name, o in widths.items():
        body, size = trunk()
        networks[name] = nn.Sequential(*body, nn.Linear(size, o))
    return Parallel(networks)
