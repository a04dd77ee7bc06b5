"""Losses: functions of networks' outputs that an optimiser can step along, by autograd or by a closed gradient."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import torch
from torch.autograd.function import BackwardCFunction

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
        """See `Loss`."""
        with torch.no_grad():
            gradients = self.gradient(*self.args, **self.kwargs)
            propagate(self.args[: len(gradients)], gradients)


def propagate(outputs: Sequence[Tensor], gradients: Sequence[Tensor]) -> None:
    """Propagate gradients at outputs back into the parameters, as `torch.autograd.backward` does.

    Where the graph has only nodes written in Python, as passes of networks and samples of a policy are, the nodes are
    called here: to start the engine of autograd costs as much as the backward pass of a small network. Hooks of tensors
    are not called then. A node is given None for an output without a gradient, and nothing for the last ones.
    """
    held: dict[Any, dict[int, Tensor]] = {}  # node -> gradients at its outputs, by their number
    for out, d in zip(outputs, gradients, strict=True):
        held.setdefault(out.grad_fn, {})[out.output_nr] = d
    if not all(map(_in_python, held)):
        torch.autograd.backward(list(outputs), list(gradients))
        return
    while held:
        # Whatever uses a node's outputs was made after it.
        node = max(held, key=lambda node: node._sequence_nr()) if len(held) > 1 else next(iter(held))
        at = held.pop(node)
        parts = node.apply(*[at.get(number) for number in range(max(at) + 1)])
        needed = itertools.compress(parts, node.needs_input_grad)
        for d, (parent, number) in zip(needed, _parents(node), strict=True):
            if d is not None:
                sums = held.setdefault(parent, {})
                sums[number] = sums[number] + d if number in sums else d


def _in_python(node: Any) -> bool:
    """Whether a node and all that it depends on are written in Python; empty leaves, which get no gradient, aside."""
    if not isinstance(node, BackwardCFunction):
        leaf = getattr(node, "variable", None)
        return leaf is not None and not len(leaf)
    return all(_in_python(parent) for parent, _ in _parents(node))


def _parents(node: Any) -> list[tuple[Any, int]]:
    return [parent for parent in node.next_functions if parent[0] is not None]


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
