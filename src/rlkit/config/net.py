"""Configuration of the networks, mirrored by conf/net."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from rlkit.config.checks import LARGEST, Checked, Flag, Whole
from rlkit.errors import ConfigError

Activation = Literal["tanh", "relu", "elu", "gelu", "leaky_relu", "selu", "sigmoid", "silu", "softplus", "identity"]


MOST_LAYERS = 200
"""Of a network; one of more takes longer to build than any run should."""


@dataclass(kw_only=True)
class NetConfig(Checked):
    """What every network has."""

    prefix = "net."
    sees: ClassVar[tuple[str, ...]] = ("vectors",)
    """What it takes: vectors, pictures `[C, H, W]` of bytes, or both."""

    name: str
    shared: Flag = False
    """One trunk for actor and critic, with a linear head each; false: a network each."""
    init: Literal["orthogonal", "xavier_uniform", "xavier_normal", "kaiming_uniform", "kaiming_normal", "torch"] = (
        "orthogonal"
    )
    """How weights begin; biases begin at 0. torch: uniform within 1 / sqrt(fan in), biases too, as torch's own linear
    layers and convolutions begin; gains do not count. Recurrent layers are orthogonal with gain 1 in every case."""
    hidden_gain: float = math.sqrt(2)
    """Gain of the first weights of hidden layers (Huang et al. 2022, detail 2)."""
    policy_gain: float = 0.01
    """Gain of the policy's last layer: 0.01 begins nearly uniform."""
    value_gain: float = 1.0
    """Gain of the last layer of values."""
    noisy: Flag = False
    """Learnt noise in the linear layers (Fortunato et al. 2018, arXiv:1706.10295), for algorithms of action values."""

    def __post_init__(self) -> None:
        self.real("hidden_gain", "policy_gain", "value_gain", low=0)

    def plain(self) -> None:
        """Refuse noisy layers where they are not built."""
        if self.noisy:
            raise self.reject("noisy", f"false for {self.name}; true for mlp, conv and impala")

    def widths(self, *keys: str) -> None:
        """Check lists of widths."""
        for key in keys:
            given = getattr(self, key)
            if not all(type(width) is int and 1 <= width <= LARGEST for width in given):
                raise self.reject(key, "a list of whole numbers of at least 1, such as [64,64]")
            if len(given) > MOST_LAYERS:
                raise ConfigError(f"{self.prefix}{key}: {len(given):,} layers\n  accepted: up to {MOST_LAYERS}")


@dataclass(kw_only=True)
class MLPConfig(NetConfig):
    """A multi-layer perceptron; actor and critic have one each."""

    name: str = "mlp"
    hidden: list[int] = field(default_factory=lambda: [64, 64])
    """Widths of the hidden layers, from the observation on; [] is a linear map."""
    activation: Activation = "tanh"
    """After each hidden layer. tanh and relu without layer norm or a shared trunk run on the fast dense core."""
    layer_norm: Flag = False
    """Normalise each hidden layer before its activation (Ba et al. 2016, arXiv:1607.06450)."""
    batch_renorm: Flag = False
    """Batch renormalisation of the input and after each activation (Ioffe 2017; CrossQ has it)."""
    warmup_updates: Whole = 100_000
    """Of batch renormalisation: updates as plain batch normalisation, before the corrections are let in."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.widths("hidden")
        self.whole("warmup_updates", low=0)


@dataclass(kw_only=True)
class AutoConfig(MLPConfig):
    """The net of whoever names none: these layers for vectors, the convolutions of `net=conv` for pictures."""

    sees: ClassVar[tuple[str, ...]] = ("vectors", "pictures")

    name: str = "auto"

    def settled(self, pictures: bool) -> NetConfig:
        """The net for an environment that observes pictures, or vectors."""
        if pictures:
            gains = {key: getattr(self, key) for key in ("hidden_gain", "policy_gain", "value_gain")}
            return ConvConfig(noisy=self.noisy, **gains)
        return MLPConfig(**{**vars(self), "name": "mlp"})


@dataclass(kw_only=True)
class ConvConfig(NetConfig):
    """Convolutions over pictures, then fully connected layers (Mnih et al. 2015's by default)."""

    sees: ClassVar[tuple[str, ...]] = ("pictures",)

    name: str = "conv"
    shared: Flag = True
    channels: list[int] = field(default_factory=lambda: [32, 64, 64])
    """Output channels of the convolutions."""
    kernels: list[int] = field(default_factory=lambda: [8, 4, 3])
    """Their kernels' widths."""
    strides: list[int] = field(default_factory=lambda: [4, 2, 1])
    """Their strides."""
    hidden: list[int] = field(default_factory=lambda: [512])
    """Widths of the fully connected layers behind them."""
    activation: Activation = "relu"
    """After every layer but the last."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.widths("channels", "kernels", "strides", "hidden")
        if not self.channels or len({len(self.channels), len(self.kernels), len(self.strides)}) > 1:
            raise self.reject("channels", "as many as net.kernels and net.strides, and at least one")


@dataclass(kw_only=True)
class ImpalaConfig(NetConfig):
    """The residual convolutions of IMPALA's larger network (Espeholt et al. 2018, arXiv:1802.01561, figure 3)."""

    sees: ClassVar[tuple[str, ...]] = ("pictures",)

    name: str = "impala"
    shared: Flag = True
    channels: list[int] = field(default_factory=lambda: [16, 32, 32])
    """Channels of the stages; each is a convolution, a pooling that halves the picture, and residual blocks."""
    blocks: Whole = 2
    """Residual blocks a stage, of two convolutions each."""
    hidden: list[int] = field(default_factory=lambda: [256])
    """Widths of the fully connected layers behind them."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.widths("channels", "hidden")
        self.whole("blocks", low=0, high=MOST_LAYERS)


@dataclass(kw_only=True)
class RecurrentConfig(NetConfig):
    """A recurrent layer behind an MLP; its state is carried from step to step and forgotten at the end of an episode.

    The gradient flows back through sequences of `sequence_length` steps. Each begins with the state that the rollout
    had there.
    """

    name: str = "recurrent"
    shared: Flag = True
    cell: Literal["gru", "lstm"] = "gru"
    """Gated recurrent unit (Cho et al. 2014) or long short-term memory (Hochreiter & Schmidhuber 1997)."""
    hidden: list[int] = field(default_factory=lambda: [64])
    """Widths of the layers between the observation and the recurrent one."""
    activation: Activation = "tanh"
    """After each of those."""
    width: Whole = 64
    """Width of the recurrent layers."""
    layers: Whole = 1
    """Recurrent layers, one on top of the other."""
    sequence_length: Whole = 32
    """Steps over which gradients flow back."""
    burn_in: Whole = 0
    """Steps before a sequence from a replay memory that only bring the state up, from zeros (Kapturowski et al. 2019,
    R2D2). A rollout's sequences begin with the state that they had."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.plain()
        self.widths("hidden")
        self.whole("width", "sequence_length")
        self.whole("layers", high=MOST_LAYERS)
        self.whole("burn_in", low=0)


LAYERS = ("linear", "conv2d", "activation", "layer_norm", "batch_renorm", "flatten")


@dataclass(kw_only=True)
class LayerConfig(Checked):
    """One layer of a sequential net."""

    prefix = "net.layers."

    type: str
    """linear, conv2d, activation, layer_norm, batch_renorm or flatten."""
    out: Whole | None = None
    """Outputs of a linear layer, channels of a convolution."""
    kernel: Whole = 3
    """Of a convolution."""
    stride: Whole = 1
    """Of a convolution."""
    padding: Whole = 0
    """Of a convolution."""
    function: Activation = "relu"
    """Of an activation."""
    momentum: float = 0.01
    """Of batch renormalisation: how fast the running statistics follow."""
    eps: float | None = None
    """Of a normalisation, added to the variance; null: 1e-5 for layer_norm, 1e-3 for batch_renorm."""
    warmup_updates: Whole = 100_000
    """Of batch renormalisation: updates as plain batch normalisation, before the corrections are let in."""

    def __post_init__(self) -> None:
        self.choice("type", LAYERS)
        self.whole("out", "kernel", "stride")
        self.whole("padding", "warmup_updates", low=0)
        if (self.out is None) == (self.type in ("linear", "conv2d")):
            raise self.reject("out", f"a whole number for linear and conv2d, nothing for others (this is {self.type})")
        if not 0 < self.momentum <= 1:
            raise self.reject("momentum", "a number above 0 and at most 1")
        self.real("eps", above=0)


@dataclass(kw_only=True)
class SequentialConfig(NetConfig):
    """Layers one after the other, as listed; a linear head for each output follows by itself."""

    sees: ClassVar[tuple[str, ...]] = ("vectors", "pictures")

    name: str = "sequential"
    layers: list[LayerConfig] = field(default_factory=list)
    """[{type: linear, out: 64}, {type: activation, function: tanh}, ...]"""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.plain()
        if len(self.layers) > MOST_LAYERS:
            raise ConfigError(f"net.layers: {len(self.layers):,} layers\n  accepted: up to {MOST_LAYERS}")
