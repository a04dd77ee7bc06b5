"""Losses: functions of networks' outputs that an optimiser can step along, by autograd or by a closed gradient."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

import torch

if TYPE_CHECKING:
    from torch import Tensor

Value: TypeAlias = "tuple[Tensor, dict[str, Tensor]]"
"""A loss, which is a scalar, and its statistics."""


class Loss:
    """A loss at the outputs of a network, to be given to `Optimizer.step`.

    Its value and statistics are computed without a graph, when they are first read.
    """

    def __init__(self, function: Callable[..., Value], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        self.function, self.args, self.kwargs = function, args, kwargs

    @functools.cached_property
    def evaluated(self) -> Value:
        """The value and the statistics."""
        with torch.no_grad():
            return self.function(*self.args, **self.kwargs)

    @property
    def value(self) -> Tensor:
        """The loss, a scalar."""
        return self.evaluated[0]

    @property
    def stats(self) -> dict[str, Tensor]:
        """The statistics, by name."""
        return self.evaluated[1]

    def backward(self) -> None:
        """Propagate the gradient into the parameters of the networks that gave the outputs."""
        value, stats = self.function(*self.args, **self.kwargs)
        torch.autograd.backward(value)
        self.evaluated = value.detach(), {name: x.detach() for name, x in stats.items()}


class ClosedLoss(Loss):
    """A loss whose gradient at the outputs is given in closed form."""

    def __init__(self, gradient: Callable[..., tuple[Tensor, ...]], *rest: Any) -> None:
        super().__init__(*rest)
        self.gradient = gradient

    def backward(self) -> None:
        """See `Loss`.

        Where the outputs are all those of one network the engine of autograd is not needed, whose start costs as much
        as the backward pass of a small network.
        """
        with torch.no_grad():
            gradients = self.gradient(*self.args, **self.kwargs)
        outputs = self.args[: len(gradients)]
        node = outputs[0].grad_fn
        together = all(out.grad_fn is node and out.output_nr == i for i, out in enumerate(outputs))
        if together and getattr(node, "count", None) == len(outputs):
            node.pull(gradients)
        else:
            torch.autograd.backward(outputs, gradients)


def by_autograd(function: Callable[..., Value]) -> Callable[..., Loss]:
    """Make a function of outputs a loss, differentiated by autograd."""

    @functools.wraps(function)
    def loss(*args: Any, **kwargs: Any) -> Loss:
        return Loss(function, args, kwargs)

    return loss


def with_gradient(gradient: Callable[..., tuple[Tensor, ...]]) -> Callable[[Callable[..., Value]], Callable[..., Loss]]:
    """Make a function of outputs a loss whose gradient is given in closed form, as JAX's `custom_vjp` does.

    Args:
        gradient: takes the arguments of the loss, without a graph; returns the gradients by the leading ones.
    """

    def attach(function: Callable[..., Value]) -> Callable[..., Loss]:
        @functools.wraps(function)
        def loss(*args: Any, **kwargs: Any) -> Loss:
            return ClosedLoss(gradient, function, args, kwargs)

        return loss

    return attach
