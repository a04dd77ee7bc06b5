"""From a config to a net."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import nn
from torch.nn.functional import conv2d

from rlkit.config.net import (
    ConvConfig,
    ImpalaConfig,
    LayerConfig,
    MLPConfig,
    NetConfig,
    RecurrentConfig,
    SequentialConfig,
)
from rlkit.errors import ConfigError
from rlkit.nets.batch_renorm import BatchRenorm
from rlkit.nets.dense import Dense
from rlkit.nets.net import Net
from rlkit.nets.noisy import NoisyLinear
from rlkit.nets.recurrent import Recurrent, RecurrentHeads, RecurrentTrunk
from rlkit.nets.traced import Heads, Traced

if TYPE_CHECKING:
    from gymnasium import Space
    from torch import Tensor

    Back = Callable[..., Any]

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "tanh": nn.Tanh,
    "relu": nn.ReLU,
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "leaky_relu": nn.LeakyReLU,
    "selu": nn.SELU,
    "sigmoid": nn.Sigmoid,
    "silu": nn.SiLU,
    "softplus": nn.Softplus,
    "identity": nn.Identity,
}


class Output(NamedTuple):
    """A network's shape, and the shape and the last layer of its output."""

    cfg: NetConfig
    shape: tuple[int, ...]
    """Of the output of one row; () for a single number."""
    gain: float
    """Of the last layer's initialisation."""
    dueling: bool = False
    """Whether the output `[A, ...]` combines a state value and advantages (Wang et al. 2016, arXiv:1511.06581)."""
    free: int = 0
    """Learnt numbers at the end of the output that do not depend on the input: log standard deviations."""
    free_init: float = 0.0
    """Their initial value."""

    @property
    def width(self) -> int:
        """Outputs of the last layer."""
        return math.prod(self.shape) + (math.prod(self.shape[1:]) if self.dueling else 0) - self.free


def build(outputs: Mapping[str, Output], observation: Space[Any], generator: torch.Generator) -> Net:
    """Networks of one shape, on the dense core where it covers them.

    Args:
        outputs: name of each network, which leads its entries in `state_dict` -> its output.
        observation: vectors, or pictures `[C, H, W]` of bytes.
        generator: the random stream of the initialisation.

    Raises:
        ConfigError: the network does not fit the observation.
    """
    cfg = next(iter(outputs.values())).cfg
    shape = observation.shape or ()
    sees = "pictures" if len(shape) == 3 else "vectors"
    if sees not in cfg.sees:
        raise ConfigError(
            f"a net of the kind {cfg.name} takes {' or '.join(cfg.sees)}, the environment observes {sees} {shape}\n"
            f"  use net={'conv' if sees == 'pictures' else 'mlp'}, also as net@critic_net where there is one"
        )
    net: Net
    if isinstance(cfg, MLPConfig) and Dense.covers(cfg):
        net = Dense(list(outputs), shape[0], cfg.hidden, [output.width for output in outputs.values()], cfg.activation)
    else:
        bodies = [TRUNKS[type(cfg)](cfg, shape) for _ in (outputs if not cfg.shared else [None])]
        width = bodies[0][1]
        linear = NoisyLinear if cfg.noisy else nn.Linear
        heads: dict[str, nn.Module] = {name: linear(width, output.width) for name, output in outputs.items()}
        trunks = [trunk for trunk, _ in bodies]
        if isinstance(cfg, RecurrentConfig):
            net = Recurrent(RecurrentHeads(trunks, heads))
        else:
            net = Traced(Heads(trunks, heads))
    _initialise(net, cfg, {name: output.gain for name, output in outputs.items()}, generator)
    return net


def _initialise(net: Net, cfg: NetConfig, gains: dict[str, float], generator: torch.Generator) -> None:
    """First weights; a network's last weight is that with its name and the highest number."""
    state = net.state_dict()
    weights = [key for key, value in state.items() if value.dim() > 1 and "weight" in key]
    last = {[key for key in weights if name in key.split(".")][-1]: gain for name, gain in gains.items()}
    for key, value in state.items():
        if "bias" in key:
            nn.init.zeros_(value)
    for key in weights:
        if ".cells." in key:
            nn.init.orthogonal_(state[key], 1.0, generator=generator)
        elif cfg.init == "torch":
            bound = state[key][0].numel() ** -0.5
            for value in (state[key], state[key.replace("weight", "bias")]):
                nn.init.uniform_(value, -bound, bound, generator=generator)
        else:
            FIRST[cfg.init](state[key], last.get(key, cfg.hidden_gain), generator)
    net.load_state_dict(state)


def _kaiming(init: Callable[..., Tensor]) -> Callable[[Tensor, float, torch.Generator], Any]:
    """He et al. 2015 with any gain: theirs knows only those of activations."""
    return lambda w, gain, generator: init(w, nonlinearity="linear", generator=generator).mul_(gain)


FIRST: dict[str, Callable[[Tensor, float, torch.Generator], Any]] = {
    "orthogonal": lambda w, gain, generator: nn.init.orthogonal_(w, gain, generator=generator),
    "xavier_uniform": lambda w, gain, generator: nn.init.xavier_uniform_(w, gain, generator=generator),
    "xavier_normal": lambda w, gain, generator: nn.init.xavier_normal_(w, gain, generator=generator),
    "kaiming_uniform": _kaiming(nn.init.kaiming_uniform_),
    "kaiming_normal": _kaiming(nn.init.kaiming_normal_),
}


# Trunks: from an observation to features, and how many. A head follows.


def _layers(inputs: int, hidden: Sequence[int], activation: str, noisy: bool) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for width in hidden:
        layers += [(NoisyLinear if noisy else nn.Linear)(inputs, width), ACTIVATIONS[activation]()]
        inputs = width
    return layers


def _mlp(cfg: MLPConfig, shape: tuple[int, ...]) -> tuple[nn.Module, int]:
    layers: list[nn.Module] = []
    inputs, warmup = shape[0], int(cfg.warmup_updates)
    if cfg.batch_renorm:
        layers.append(BatchRenorm(inputs, warmup_updates=warmup))
    for width in cfg.hidden:
        linear, activation = _layers(inputs, [width], cfg.activation, cfg.noisy)
        layers += [linear, *([nn.LayerNorm(width)] if cfg.layer_norm else []), activation]
        layers += [BatchRenorm(width, warmup_updates=warmup)] if cfg.batch_renorm else []
        inputs = width
    return nn.Sequential(*layers), inputs


class ToFloat(nn.Module):
    """Pictures as float32, in the layout in which convolutions are fastest."""

    def forward(self, x: Tensor) -> Tensor:
        """The same numbers `[B, C, H, W]`, the channels last in memory."""
        return x.to(torch.float32, memory_format=torch.channels_last)


class Scale(ToFloat):
    """And from bytes to [0, 1]."""

    def forward(self, x: Tensor) -> Tensor:
        """`x / 255`."""
        return super().forward(x) / 255


class OfBytes(nn.Conv2d):
    """A convolution of `x / 255`: the division is of the kernel, which is smaller than a batch of pictures."""

    def forward(self, x: Tensor) -> Tensor:
        """See `nn.Conv2d`."""
        return conv2d(x, self.weight / 255, self.bias, self.stride, self.padding)


def _convolution(first: bool) -> type[nn.Conv2d]:
    return OfBytes if first else nn.Conv2d


def _conv(cfg: ConvConfig, shape: tuple[int, ...]) -> tuple[nn.Module, int]:
    # A convolution's gradient does not need its output, which may therefore be overwritten.
    activation = functools.partial(nn.ReLU, inplace=True) if cfg.activation == "relu" else ACTIVATIONS[cfg.activation]
    layers: list[nn.Module] = [ToFloat()]
    channels = shape[0]
    for out, kernel, stride in zip(cfg.channels, cfg.kernels, cfg.strides, strict=True):
        layers += [_convolution(len(layers) == 1)(channels, out, kernel, stride), activation()]
        channels = out
    return _connected(layers, shape, cfg.hidden, cfg.activation, cfg.noisy)


class Residual(nn.Module):
    """`x + conv(relu(conv(relu(x))))`."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        convs = (nn.Conv2d(channels, channels, 3, padding=1) for _ in range(2))
        self.branch = nn.Sequential(*(layer for conv in convs for layer in (nn.ReLU(), conv)))

    def forward(self, x: Tensor) -> Tensor:
        """`[B, C, H, W]` to the same."""
        out: Tensor = x + self.branch(x)
        return out


def _impala(cfg: ImpalaConfig, shape: tuple[int, ...]) -> tuple[nn.Module, int]:
    layers: list[nn.Module] = [ToFloat()]
    channels = shape[0]
    for out in cfg.channels:
        layers += [_convolution(len(layers) == 1)(channels, out, 3, padding=1), nn.MaxPool2d(3, stride=2, padding=1)]
        layers += [Residual(out) for _ in range(int(cfg.blocks))]
        channels = out
    return _connected([*layers, nn.ReLU()], shape, cfg.hidden, "relu", cfg.noisy)


def _connected(
    layers: list[nn.Module], shape: tuple[int, ...], hidden: Sequence[int], activation: str, noisy: bool
) -> tuple[nn.Module, int]:
    """Fully connected layers behind convolutions."""
    body = nn.Sequential(*layers, nn.Flatten())
    features = _shape_after(body, torch.zeros(1, *shape, dtype=torch.uint8), "net.channels").shape[1]
    return nn.Sequential(*body, *_layers(features, hidden, activation, noisy)), [features, *hidden][-1]


def _recurrent(cfg: RecurrentConfig, shape: tuple[int, ...]) -> tuple[nn.Module, int]:
    encoder = nn.Sequential(*_layers(shape[0], cfg.hidden, cfg.activation, cfg.noisy))
    width = int(cfg.width)
    return RecurrentTrunk(encoder, [*shape, *cfg.hidden][-1], cfg.cell, width, int(cfg.layers)), width


def _sequential(cfg: SequentialConfig, shape: tuple[int, ...]) -> tuple[nn.Module, int]:
    pictures = len(shape) == 3
    x = torch.zeros(1, *shape)
    layers: list[nn.Module] = [Scale()] if pictures else []
    for number, layer in enumerate(cfg.layers):
        try:
            layers.append(_layer(layer, x))
        except IndexError:
            raise _unfit(number, layer, x) from None
        x = _shape_after(layers[-1].eval(), x, f"net.layers.{number}")
    if x.dim() > 2:
        layers.append(nn.Flatten())
        x = x.flatten(1)
    return nn.Sequential(*layers), x.shape[1]


def _layer(cfg: LayerConfig, x: Tensor) -> nn.Module:
    features, out = x.shape[1:], int(cfg.out or 0)
    if cfg.type == "linear":
        return nn.Linear(features[-1], out)
    if cfg.type == "conv2d":
        return nn.Conv2d(features[0], out, int(cfg.kernel), int(cfg.stride), int(cfg.padding))
    if cfg.type == "activation":
        return ACTIVATIONS[cfg.function]()
    if cfg.type == "layer_norm":
        return nn.LayerNorm(features, eps=cfg.eps or 1e-5)
    if cfg.type == "batch_renorm":
        if x.dim() != 2:
            raise IndexError
        return BatchRenorm(features[-1], cfg.momentum, cfg.eps or 1e-3, int(cfg.warmup_updates))
    return nn.Flatten()


def _unfit(number: int, layer: LayerConfig, x: Tensor) -> ConfigError:
    return ConfigError(f"net.layers.{number}: {layer.type} cannot follow {list(x.shape[1:])}")


def _shape_after(module: nn.Module, x: Tensor, key: str) -> Tensor:
    """One pass of zeros, to learn the shape that comes out."""
    try:
        with torch.no_grad():
            out: Tensor = module(x)
    except RuntimeError as error:
        raise ConfigError(f"{key} does not fit what comes before, {list(x.shape[1:])}: {error}") from error
    return out


TRUNKS: dict[type[NetConfig], Callable[[Any, tuple[int, ...]], tuple[Any, int]]] = {
    MLPConfig: _mlp,
    ConvConfig: _conv,
    ImpalaConfig: _impala,
    RecurrentConfig: _recurrent,
    SequentialConfig: _sequential,
}
