"""Action values, plain, dueling and distributional: from a network's outputs to errors and gradients.

`Z` counts what a network says of one action: 1 number (its value), `Z` logits over fixed values, or `Z` quantiles.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor


def dueling(out: Tensor) -> Tensor:
    """`Q = V + A - mean A` (Wang et al. 2016, arXiv:1511.06581, eq. 9): `[B, 1 + A, Z]` to `[B, A, Z]`."""
    value, advantage = out[:, :1], out[:, 1:]
    return value + advantage - advantage.mean(1, keepdim=True)


def back_dueling(d_q: Tensor) -> Tensor:
    """The gradient of `dueling`: `[B, A, Z]` to `[B, 1 + A, Z]`."""
    return torch.cat([d_q.sum(1, keepdim=True), d_q - d_q.mean(1, keepdim=True)], 1)


def td_error(value: Tensor, target: Tensor, huber: bool) -> tuple[Tensor, Tensor, Tensor]:
    """The loss of temporal-difference errors `value - target`, its gradient at the value, and the errors.

    Half the square; with `huber`, linear beyond an error of 1. All `[B]`.
    """
    error = value - target
    if not huber:
        return 0.5 * error.square(), error, error
    bounded = error.clamp(-1, 1)
    return bounded * (error - 0.5 * bounded), bounded, error


def project(probability: Tensor, support: Tensor, reward: Tensor, discount: Tensor) -> Tensor:
    """The distribution of `r + discount z` on the fixed values `z` (Bellemare et al. 2017, arXiv:1707.06887, eq. 7).

    Args:
        probability: `[B, Z]`, of the successor.
        support: `[Z]`, evenly spaced, rising.
        reward: `[B]`.
        discount: `[B]`, 0 where the successor is terminal.

    Returns:
        Probabilities `[B, Z]`; mass beyond the ends lies on them.
    """
    low, high, atoms = support[0], support[-1], len(support)
    place = (reward.unsqueeze(-1) + discount.unsqueeze(-1) * support).clamp(low, high)
    place = (place - low) / (high - low) * (atoms - 1)
    # Each mass is shared by its two neighbours in proportion to their nearness.
    share = (1 - (place.unsqueeze(-1) - torch.arange(atoms, device=support.device)).abs()).clamp(min=0)
    return (probability.unsqueeze(-1) * share).sum(1)


def categorical_error(logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Cross entropy `[B]` of the target `[B, Z]` to the softmax of logits `[B, Z]`, and its gradient `[B, Z]`."""
    log_p = torch.log_softmax(logits, -1)
    return -(target * log_p).sum(-1), log_p.exp() - target


def quantile_error(quantile: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """The quantile Huber loss `[B]` (Dabney et al. 2018, arXiv:1710.10044, eq. 10) and its gradient `[B, Z]`.

    Summed over the quantiles `[B, Z]`, averaged over the targets `[B, Z']`, with quantile midpoints `(i + 1/2) / Z`.
    """
    atoms = quantile.shape[1]
    level = (torch.arange(atoms, device=quantile.device, dtype=quantile.dtype) + 0.5) / atoms
    error = target.unsqueeze(1) - quantile.unsqueeze(2)  # [B, Z, Z']
    bounded = error.clamp(-1, 1)
    weight = (level.view(1, -1, 1) - (error < 0).to(quantile.dtype)).abs()
    loss = (weight * bounded * (error - 0.5 * bounded)).mean(2).sum(1)
    return loss, -(weight * bounded).mean(2)
