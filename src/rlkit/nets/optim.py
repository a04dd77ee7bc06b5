"""Parameters in one flat tensor, and optimisers that step it in one call.

The weights of a learner lie in one tensor, its gradients in another, network by network. Modules hold views of both,
so clipping, stepping and polyak averaging are single calls, and `state_dict` still shows ordinary names and shapes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

    from rlkit.types import State


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

    def __init__(self, sizes: Mapping[str, int], device: torch.device) -> None:
        total = sum(sizes.values())
        self.weight = torch.zeros(total, device=device)
        self.grad = torch.zeros(total, device=device)
        self.slots: dict[str, Slot] = {}
        start = 0
        for name, size in sizes.items():
            span = slice(start, start + size)
            self.slots[name] = Slot(self.weight[span], self.grad[span])
            start += size


class Adam:
    """Adam (Kingma & Ba 2015, arXiv:1412.6980, algorithm 1) over a flat tensor, with the gradient clipped by its norm.

    Args:
        flat: the parameters.
        learning_rate: step size; may be set anew before any step.
        betas: decay rates of the first and second moment.
        eps: added to the root of the second moment.
        max_grad_norm: the gradient is scaled down to this norm where it is longer; None leaves it.
    """

    def __init__(
        self,
        flat: Flat,
        *,
        learning_rate: float,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        max_grad_norm: float | None = None,
    ) -> None:
        self.flat = flat
        self.learning_rate = learning_rate
        self.betas, self.eps, self.max_grad_norm = betas, eps, max_grad_norm
        self.first = torch.zeros_like(flat.weight)
        self.second = torch.zeros_like(flat.weight)
        self.steps = torch.zeros((), device=flat.weight.device)
        self.grad_norm = torch.zeros((), device=flat.weight.device)

    def step(self) -> None:
        """One step along the gradient; `grad_norm` is its norm before clipping."""
        flat = self.flat
        self.grad_norm = torch.linalg.vector_norm(flat.grad)
        if self.max_grad_norm is not None:
            flat.grad.mul_((self.max_grad_norm / (self.grad_norm + 1e-6)).clamp_(max=1.0))
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
            beta1=self.betas[0],
            beta2=self.betas[1],
            weight_decay=0.0,
            eps=self.eps,
            amsgrad=False,
            maximize=False,
        )
        for slot in flat.slots.values():
            slot.fresh = True

    def state_dict(self) -> State:
        """Moments and step count."""
        return {"first": self.first, "second": self.second, "steps": self.steps}

    def load_state_dict(self, state: State) -> None:
        """Take up the moments and step count of `state_dict`."""
        for name, mine in self.state_dict().items():
            mine.copy_(state[name].reshape(mine.shape))
