"""Configuration of the networks, mirrored by conf/net."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from rlkit.config.checks import Checked

Activation = Literal["tanh", "relu", "elu", "gelu", "leaky_relu", "selu", "sigmoid", "silu"]


@dataclass(kw_only=True)
class NetConfig(Checked):
    """What every network has."""

    prefix = "net."

    name: str


@dataclass(kw_only=True)
class ConvConfig(NetConfig):
    """Convolutions over pictures `[C, H, W]` of bytes, then fully connected layers (Mnih et al. 2015's by default)."""

    name: str = "conv"
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
    shared: bool = True
    """One trunk for actor and critic, with a linear head each; false: a network each."""

    def __post_init__(self) -> None:
        if not self.channels or len({len(self.channels), len(self.kernels), len(self.strides)}) > 1:
            raise self.reject("channels", "as many as net.kernels and net.strides, and at least one")
        if min([*self.channels, *self.kernels, *self.strides, *self.hidden]) < 1:
            raise self.reject("channels", "net.channels, kernels, strides and hidden of at least 1")


@dataclass(kw_only=True)
class MLPConfig(NetConfig):
    """A multi-layer perceptron; actor and critic have one each."""

    name: str = "mlp"
    hidden: list[int] = field(default_factory=lambda: [64, 64])
    """Widths of the hidden layers, from the observation on; [] is a linear map."""
    activation: Activation = "tanh"
    """After each hidden layer. tanh and relu without layer norm run on the fast dense core."""
    layer_norm: bool = False
    """Normalise each hidden layer before its activation (Ba et al. 2016, arXiv:1607.06450)."""

    def __post_init__(self) -> None:
        if any(width < 1 for width in self.hidden):
            raise self.reject("hidden", "a list of widths of at least 1, such as [64,64]")
