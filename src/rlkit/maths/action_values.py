"""What a Q-network outputs for each action: its value, or the distribution of its return."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import torch

from rlkit.maths.q_learning import categorical_loss, of_action, project, quantile_loss, td_loss

if TYPE_CHECKING:
    from torch import Tensor

    from rlkit.config.off_policy import DQNConfig
    from rlkit.maths.loss import Loss


class ActionValues(Protocol):
    """How outputs `z [B, A]` or `[B, A, Z]` are read, bootstrapped from and learnt."""

    atoms: tuple[int, ...]
    """(Z,), or () where the output is the value."""

    def mean(self, z: Tensor) -> Tensor:
        """Action values `[B, A]`."""

    def greedy(self, z: Tensor, choice: Tensor) -> Tensor:
        """`z` of the action with the largest value in `choice`, which is shaped like `z`: `[B]` or `[B, Z]`."""

    def target(self, reward: Tensor, discount: Tensor, next_z: Tensor) -> Tensor:
        """`r + discount Z'`, `[B]` or `[B, Z]`, for rewards `[B]`, discounts `[B]` and the successors' `next_z`."""

    def loss(self, z: Tensor, action: Tensor, target: Tensor, weight: Tensor) -> Loss:
        """The loss of `z` at the actions `[B]`, with weights `[B]`; its statistics have the `priority [B]`."""


class Scalar(ActionValues):
    """The value itself, `[B, A]`."""

    atoms: tuple[int, ...] = ()

    def __init__(self, huber: bool) -> None:
        self.huber = huber

    def mean(self, z: Tensor) -> Tensor:
        return z

    def greedy(self, z: Tensor, choice: Tensor) -> Tensor:
        return z.amax(-1) if choice is z else of_action(z, choice.argmax(-1))

    def target(self, reward: Tensor, discount: Tensor, next_z: Tensor) -> Tensor:
        return reward + discount * next_z

    def loss(self, z: Tensor, action: Tensor, target: Tensor, weight: Tensor) -> Loss:
        return td_loss(z, action, target, weight, huber=self.huber)


class Categorical(ActionValues):
    """Logits of `atoms` evenly spaced returns (C51, Bellemare et al. 2017, arXiv:1707.06887)."""

    def __init__(self, atoms: int, v_min: float, v_max: float, device: torch.device) -> None:
        self.atoms: tuple[int, ...] = (atoms,)
        self.support = torch.linspace(v_min, v_max, atoms, device=device)

    def mean(self, z: Tensor) -> Tensor:
        return z.softmax(-1) @ self.support.to(z.device)

    def greedy(self, z: Tensor, choice: Tensor) -> Tensor:
        return of_action(z, self.mean(choice).argmax(-1))

    def target(self, reward: Tensor, discount: Tensor, next_z: Tensor) -> Tensor:
        """See `ActionValues`; projected onto the fixed returns."""
        return project(next_z.softmax(-1), self.support, reward, discount)

    def loss(self, z: Tensor, action: Tensor, target: Tensor, weight: Tensor) -> Loss:
        return categorical_loss(z, action, target, weight)


class Quantiles(ActionValues):
    """`atoms` quantiles of the return (QR-DQN, Dabney et al. 2018, arXiv:1710.10044)."""

    def __init__(self, atoms: int) -> None:
        self.atoms: tuple[int, ...] = (atoms,)

    def mean(self, z: Tensor) -> Tensor:
        return z.mean(-1)

    def greedy(self, z: Tensor, choice: Tensor) -> Tensor:
        return of_action(z, self.mean(choice).argmax(-1))

    def target(self, reward: Tensor, discount: Tensor, next_z: Tensor) -> Tensor:
        return reward.unsqueeze(-1) + discount.unsqueeze(-1) * next_z

    def loss(self, z: Tensor, action: Tensor, target: Tensor, weight: Tensor) -> Loss:
        return quantile_loss(z, action, target, weight)


def action_values(cfg: DQNConfig, device: torch.device) -> ActionValues:
    """The kind that the config asks for."""
    if cfg.distribution == "categorical":
        return Categorical(int(cfg.atoms), cfg.v_min, cfg.v_max, device)
    return Quantiles(int(cfg.atoms)) if cfg.distribution == "quantile" else Scalar(cfg.loss == "huber")
