"""Parameters in one flat tensor, and optimisers that step it in few calls.

The weights of a learner lie in one tensor, its gradients in another, network by network. Modules hold views of both,
so clipping, stepping and polyak averaging are single calls, and `state_dict` still shows ordinary names and shapes.
"""

from __future__ import annotations

import difflib
import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import torch

from rlkit.config.learning import OPTIMIZERS, OptimizerConfig
from rlkit.errors import ConfigError

if TYPE_CHECKING:
    from torch import Tensor

    from rlkit.maths.loss import Loss
    from rlkit.types import State

    Views = Callable[[Tensor], Mapping[str, Tensor]]


class Slot:
    """The part of a flat tensor that belongs to one network.

    `fresh` is true after a step of the optimiser: the next gradient overwrites, later ones add.
    """

    def __init__(self, weight: Tensor, grad: Tensor) -> None:
        self.weight, self.grad = weight, grad
        self.fresh = True


class Flat:
    """Weights and gradients `[P]` of several networks, each network contiguous.

    Args:
        sizes: name -> number of parameters, in the order of the layout.
        device: where the two tensors live.
    """

    stepped: ClassVar[Flat | None] = None
    """The parameters that an optimiser is about to step."""

    def __init__(self, sizes: Mapping[str, int], device: torch.device) -> None:
        total = sum(sizes.values())
        self.weight = torch.zeros(total, device=device)
        self.grad = torch.zeros(total, device=device)
        self.leaf = torch.zeros(0, requires_grad=True)
        """What outputs depend on in the graph of autograd, in place of the parameters; empty: it gets no gradient."""
        self.slots: dict[str, Slot] = {}
        self.spans: dict[str, slice] = {}
        start = 0
        for name, size in sizes.items():
            self.spans[name] = span = slice(start, start + size)
            self.slots[name] = Slot(self.weight[span], self.grad[span])
            start += size

    def wanted(self) -> bool:
        """Whether a backward pass shall compute these parameters' gradients: not while others are stepped."""
        return Flat.stepped is None or Flat.stepped is self


class Optimizer(ABC):
    """Clips the gradient by its norm, and steps a flat tensor along it.

    Args:
        flat: the parameters.
        cfg: which optimiser, with its arguments.
        learning_rate: step size; may be changed between steps.
        max_grad_norm: the gradient is scaled down to this norm where it is longer; None leaves it.
        views: the parameters' ordinary names and shapes in a tensor laid out like `flat.weight`.
    """

    keeps_grad = True
    """Whether a step leaves the gradient unchanged, so that its norm can be computed later."""

    def __init__(
        self,
        flat: Flat,
        cfg: OptimizerConfig,
        *,
        learning_rate: float,
        max_grad_norm: float | None = None,
        views: Views | None = None,
    ) -> None:
        self.flat, self.cfg = flat, cfg
        self.learning_rate, self.max_grad_norm = learning_rate, max_grad_norm
        self.norm: Tensor | None = None
        self.host = flat.weight.device.type == "cpu"  # elsewhere looking at the norm would wait for it
        self.decay: Tensor | None = None
        """`[P]`: the weight decay of each parameter."""
        if cfg.weight_decay:
            self.decay = torch.full_like(flat.weight, cfg.weight_decay)
            if views is not None and not cfg.decay_biases:
                for view in views(self.decay).values():
                    if view.dim() < 2:
                        view.zero_()

    def step(self, loss: Loss | Tensor) -> None:
        """One step along the gradient of a loss by these parameters; all others that it depends on stay as they are."""
        flat, limit = self.flat, self.max_grad_norm
        Flat.stepped = flat
        try:
            loss.backward()
        finally:
            Flat.stepped = None
        self.norm = None
        if limit is not None or self.decay is not None or not self.keeps_grad:
            self.norm = norm = torch.linalg.vector_norm(flat.grad)
            if limit is not None and not (self.host and norm.item() <= limit):
                flat.grad.mul_((limit / norm).clamp_(max=1.0))
        self.move()
        for slot in flat.slots.values():
            slot.fresh = True

    @property
    def grad_norm(self) -> Tensor:
        """The norm of the last step's gradient before clipping."""
        return torch.linalg.vector_norm(self.flat.grad) if self.norm is None else self.norm

    @abstractmethod
    def move(self) -> None:
        """Change the weights by the clipped gradient."""

    @abstractmethod
    def state_dict(self) -> State:
        """What the next step needs beside weights and gradient."""

    def load_state_dict(self, state: State) -> None:
        """Restore the state of `state_dict`."""
        for name, mine in self.state_dict().items():
            mine.copy_(state[name].reshape(mine.shape))


class Adam(Optimizer):
    """Adam (Kingma & Ba 2015, arXiv:1412.6980, algorithm 1), and AdamW (Loshchilov & Hutter 2019, arXiv:1711.05101)."""

    def __init__(self, flat: Flat, cfg: OptimizerConfig, **rest: Any) -> None:
        super().__init__(flat, cfg, **rest)
        self.first = torch.zeros_like(flat.weight)
        self.second = torch.zeros_like(flat.weight)
        self.steps = torch.zeros((), device=flat.weight.device)

    def move(self) -> None:
        flat, cfg = self.flat, self.cfg
        if self.decay is not None and cfg.name == "adamw":
            flat.weight.addcmul_(flat.weight, self.decay, value=-self.learning_rate)
        elif self.decay is not None:
            flat.grad.addcmul_(flat.weight, self.decay)
        self.steps += 1
        # The kernel behind torch.optim.Adam(fused=True). Constructing an optimiser of torch.optim imports
        # torch._dynamo, which takes as long as a whole short run.
        torch._fused_adam_(
            [flat.weight],
            [flat.grad],
            [self.first],
            [self.second],
            [],
            [self.steps],
            lr=self.learning_rate,
            beta1=cfg.betas[0],
            beta2=cfg.betas[1],
            weight_decay=0.0,
            eps=cfg.eps,
            amsgrad=False,
            maximize=False,
        )

    def state_dict(self) -> State:
        """Moments and step count."""
        return {"first": self.first, "second": self.second, "steps": self.steps}


class Momentum(Optimizer):
    """Stochastic gradient descent (`sgd`), and with the step divided by the root of the mean square, `rmsprop`.

    RMSprop after Tieleman & Hinton 2012, with eps outside of the root and the mean square beginning at 0, as torch has
    it. Momentum sums steps: `b <- momentum b + d; weight <- weight - learning_rate b`.
    """

    def __init__(self, flat: Flat, cfg: OptimizerConfig, **rest: Any) -> None:
        super().__init__(flat, cfg, **rest)
        self.square = torch.zeros_like(flat.weight) if cfg.name == "rmsprop" else None
        self.sum = torch.zeros_like(flat.weight) if cfg.momentum else None

    def move(self) -> None:
        flat, cfg = self.flat, self.cfg
        if self.decay is not None:
            flat.grad.addcmul_(flat.weight, self.decay)
        direction = flat.grad
        if self.square is not None:
            self.square.mul_(cfg.alpha).addcmul_(direction, direction, value=1 - cfg.alpha)
            direction = direction / (self.square.sqrt() + cfg.eps)
        if self.sum is not None:
            direction = self.sum.mul_(cfg.momentum).add_(direction)
        flat.weight.sub_(direction, alpha=self.learning_rate)

    def state_dict(self) -> State:
        """The mean square and the running sum, if they are in use."""
        held = {"square": self.square, "sum": self.sum}
        return {name: value for name, value in held.items() if value is not None}


class OfTorch(Optimizer):
    """Any optimiser of torch.optim, on the parameters one by one.

    Raises:
        ConfigError: torch has no such optimiser, it takes no such argument, or it needs what rlkit does not give.
    """

    keeps_grad = False
    UNFIT = ("LBFGS", "SparseAdam", "Optimizer")
    """One wants the loss as a function, one sparse gradients, and one is their base."""

    def __init__(self, flat: Flat, cfg: OptimizerConfig, *, views: Views, **rest: Any) -> None:
        super().__init__(flat, cfg, views=views, **rest)
        everything = vars(torch.optim).items()
        theirs: dict[str, Any] = {n: c for n, c in everything if inspect.isclass(c) and n not in self.UNFIT}
        if cfg.name not in theirs:
            near = difflib.get_close_matches(cfg.name, [*OPTIMIZERS, *theirs], n=2, cutoff=0.5)
            hint = f"\n  did you mean {' or '.join(near)}?" if near else ""
            raise ConfigError(
                f"algo.optimizer.name={cfg.name} is not accepted{hint}\n"
                f"  accepted: {', '.join(OPTIMIZERS)}, or of torch.optim: {', '.join(sorted(theirs))}"
            )
        accepted = [k for k in inspect.signature(theirs[cfg.name]).parameters if k not in ("params", "lr")]
        for key in cfg.kwargs:
            if key not in accepted:
                raise ConfigError(
                    f"algo.optimizer.kwargs: {cfg.name} takes no {key!r}\n  accepted: {', '.join(accepted)}"
                )
        self.parameters = list(views(flat.weight).values())
        for parameter, grad in zip(self.parameters, views(flat.grad).values(), strict=True):
            parameter.grad = grad
        kwargs = {k: tuple(v) if isinstance(v, list) else v for k, v in cfg.kwargs.items()}
        try:
            self.inner = theirs[cfg.name](self.parameters, lr=self.learning_rate, **kwargs)
        except (TypeError, ValueError) as error:
            raise ConfigError(f"algo.optimizer.name={cfg.name}: {error}") from error

    def move(self) -> None:
        if self.decay is not None:
            self.flat.grad.addcmul_(self.flat.weight, self.decay)
        for group in self.inner.param_groups:
            group["lr"] = self.learning_rate
        self.inner.step()

    def state_dict(self) -> State:
        """Torch's optimiser state, keyed by parameter index."""
        state: State = self.inner.state_dict()["state"]
        return {str(number): entries for number, entries in state.items()}

    def load_state_dict(self, state: State) -> None:
        groups = self.inner.state_dict()["param_groups"]
        self.inner.load_state_dict({"state": {int(n): e for n, e in state.items()}, "param_groups": groups})


class Parameters(Protocol):
    """What an optimiser steps: a network, or a single parameter."""

    flat: Flat

    def views(self, flat: Tensor) -> Mapping[str, Tensor]:
        """The parameters' names and shapes in a tensor laid out like `flat.weight`."""


def build(
    cfg: OptimizerConfig, parameters: Parameters, *, learning_rate: float, max_grad_norm: float | None = None
) -> Optimizer:
    """The optimiser that a config asks for; see `Optimizer` for the arguments."""
    kind: Any = {"adam": Adam, "adamw": Adam, "rmsprop": Momentum, "sgd": Momentum}.get(cfg.name, OfTorch)
    optimizer: Optimizer = kind(
        parameters.flat, cfg, learning_rate=learning_rate, max_grad_norm=max_grad_norm, views=parameters.views
    )
    return optimizer
