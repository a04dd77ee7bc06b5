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
    """One trunk for actor and critic with a linear head each; false: separate networks."""
    init: Literal["orthogonal", "xavier_uniform", "xavier_normal", "kaiming_uniform", "kaiming_normal", "torch"] = (
        "orthogonal"
    )
    """Weight initialisation; biases are 0. torch: uniform within 1 / sqrt(fan in), biases too, without gains.
    Recurrent layers are always orthogonal with gain 1."""
    hidden_gain: float = math.sqrt(2)
    """Initialisation gain of hidden layers (Huang et al. 2022, detail 2)."""
    policy_gain: float = 0.01
    """Initialisation gain of the policy's last layer; 0.01 makes the first policy nearly uniform."""
    value_gain: float = 1.0
    """Initialisation gain of the last layer of values."""
    noisy: Flag = False
    """Noisy linear layers (Fortunato et al. 2018, arXiv:1706.10295), for algorithms of action values."""

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
    """Widths of the hidden layers; [] makes the network linear."""
    activation: Activation = "tanh"
    """Activation after each hidden layer. tanh and relu without layer norm or a shared trunk run on the fast
    dense core."""
    layer_norm: Flag = False
    """Layer normalisation before each activation (Ba et al. 2016, arXiv:1607.06450)."""
    batch_renorm: Flag = False
    """Batch renormalisation of the input and after each activation (Ioffe 2017), as in CrossQ."""
    warmup_updates: Whole = 100_000
    """Updates with plain batch normalisation before the corrections of batch renormalisation are enabled."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.widths("hidden")
        self.whole("warmup_updates", low=0)


@dataclass(kw_only=True)
class AutoConfig(MLPConfig):
    """The net where none was chosen: these layers for vectors, the convolutions of `net=conv` for pictures."""

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
    """Kernel sizes of the convolutions."""
    strides: list[int] = field(default_factory=lambda: [4, 2, 1])
    """Strides of the convolutions."""
    hidden: list[int] = field(default_factory=lambda: [512])
    """Widths of the fully connected layers after the convolutions."""
    activation: Activation = "relu"
    """Activation after each layer but the last."""

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
    """Channels of the stages; each has a convolution, a pooling that halves the picture, and residual blocks."""
    blocks: Whole = 2
    """Residual blocks per stage, of two convolutions each."""
    hidden: list[int] = field(default_factory=lambda: [256])
    """Widths of the fully connected layers after the convolutions."""

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
    """Recurrent cell: gru (Cho et al. 2014) or lstm (Hochreiter & Schmidhuber 1997)."""
    hidden: list[int] = field(default_factory=lambda: [64])
    """Widths of the layers before the recurrent one."""
    activation: Activation = "tanh"
    """Activation after each of these layers."""
    width: Whole = 64
    """Width of the recurrent layers."""
    layers: Whole = 1
    """Number of recurrent layers."""
    sequence_length: Whole = 32
    """Steps through which gradients are propagated."""
    burn_in: Whole = 0
    """Steps that warm up the recurrent state from zeros before a sequence of a replay memory (R2D2, Kapturowski
    et al. 2019). Sequences of a rollout start from the state that they had."""

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
    """Of batch renormalisation: updates as plain batch normalisation, before the corrections are enabled."""

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
    """Layers in order: [{type: linear, out: 64}, {type: activation, function: tanh}, ...]."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.plain()
        if len(self.layers) > MOST_LAYERS:
            raise ConfigError(f"net.layers: {len(self.layers):,} layers\n  accepted: up to {MOST_LAYERS}")
