"""Temporal-difference learning of action values, plain, in ensembles and distributional; dueling networks.

`A` is the number of actions, `K` that of critics, `Z` that of atoms: probabilities of fixed values, or quantiles.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from rlkit.maths.loss import by_autograd, with_gradient

if TYPE_CHECKING:
    from torch import Tensor

    from rlkit.maths.loss import Value


def dueling(out: Tensor) -> Tensor:
    """`Q = V + A - mean A` (Wang et al. 2016, arXiv:1511.06581, eq. 9): `[B, 1 + A, Z]` to `[B, A, Z]`."""
    value, advantage = out[:, :1], out[:, 1:]
    return value + advantage - advantage.mean(1, keepdim=True)


def back_dueling(d_q: Tensor) -> Tensor:
    """The gradient of `dueling`: `[B, A, Z]` to `[B, 1 + A, Z]`."""
    return torch.cat([d_q.sum(1, keepdim=True), d_q - d_q.mean(1, keepdim=True)], 1)


def of_action(q: Tensor, action: Tensor, axis: int = 1) -> Tensor:
    """The entries of `q [..., B, A, ...]`, whose axis of actions is given, at the actions `[B]`: `[..., B, ...]`."""
    return q.gather(axis, _index(q, action, axis)).squeeze(axis)


def _index(q: Tensor, action: Tensor, axis: int) -> Tensor:
    index = action.view(*[1] * (axis - 1), -1, *[1] * (q.dim() - axis))
    return index.expand(*q.shape[:axis], 1, *q.shape[axis + 1 :])


def _at_action(d: Tensor, q: Tensor, action: Tensor, axis: int = 1) -> Tensor:
    """Gradients `d [..., B, ...]` at the actions, among zeros in the shape of `q`."""
    return torch.zeros_like(q).scatter_(axis, _index(q, action, axis), d.unsqueeze(axis))


def td_gradient(
    q: Tensor, action: Tensor, target: Tensor, weight: Tensor | float = 1.0, *, huber: bool
) -> tuple[Tensor]:
    """The gradient of `td_loss` by `q`."""
    index = action.unsqueeze(1)
    error = q.gather(1, index).squeeze(1) - target
    d = (error.clamp_(-1, 1) if huber else error) * (weight / q.shape[0])
    return (torch.zeros_like(q).scatter_(1, index, d.unsqueeze(1)),)


@with_gradient(td_gradient)
def td_loss(q: Tensor, action: Tensor, target: Tensor, weight: Tensor | float = 1.0, *, huber: bool) -> Value:
    """The loss of Q-learning (Mnih et al. 2015, eq. 2): half the mean square of `Q(s, a) - target`.

    Args:
        q: `[B, A]`.
        action: `[B]`.
        target: `[B]`.
        weight: `[B]`, of each row.
        huber: linear beyond an error of 1, as clipping the error to [-1, 1] is.

    Returns:
        The loss, and the absolute errors `[B]` as `priority`.
    """
    error = of_action(q, action) - target
    bounded = error.clamp(-1, 1) if huber else error
    each = bounded * (error - 0.5 * bounded)
    return (weight * each).mean(), {"priority": error.abs()}


def critics_gradient(q: Tensor, target: Tensor, weight: Tensor, action: Tensor | None = None) -> tuple[Tensor]:
    """The gradient of `critics_loss` by `q`."""
    error = (q if action is None else of_action(q, action, 2)) - target
    d_error = error * (weight * (2 / len(target)))
    return (d_error if action is None else _at_action(d_error, q, action, 2),)


@with_gradient(critics_gradient)
def critics_loss(q: Tensor, target: Tensor, weight: Tensor, action: Tensor | None = None) -> Value:
    """The sum over `K` critics of the mean of `(Q_k(s, a) - target)^2`, as in TD3 (arXiv:1802.09477, algorithm 1).

    Args:
        q: `[K, B]`; with `action`, `[K, B, A]`.
        target: `[B]`, one for all critics.
        weight: `[B]`, of each row.
        action: `[B]`, where the actions are discrete.

    Returns:
        The loss, and the errors `[K, B]` as `error`.
    """
    error = (q if action is None else of_action(q, action, 2)) - target
    return (weight * error.square().sum(0)).mean(), {"error": error}


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


def categorical_gradient(logits: Tensor, action: Tensor, target: Tensor, weight: Tensor) -> tuple[Tensor]:
    """The gradient of `categorical_loss` by `logits`."""
    d = of_action(logits, action).log_softmax(-1).exp() - target
    return (_at_action(d * (weight / len(logits)).unsqueeze(-1), logits, action),)


@with_gradient(categorical_gradient)
def categorical_loss(logits: Tensor, action: Tensor, target: Tensor, weight: Tensor) -> Value:
    """The cross entropy of C51 (Bellemare et al. 2017, arXiv:1707.06887, algorithm 1), the mean over the rows.

    Args:
        logits: `[B, A, Z]`.
        action: `[B]`.
        target: `[B, Z]`, probabilities; see `project`.
        weight: `[B]`, of each row.

    Returns:
        The loss, and the cross entropies `[B]` as `priority`.
    """
    each = -(target * of_action(logits, action).log_softmax(-1)).sum(-1)
    return (weight * each).mean(), {"priority": each}


def quantile_huber(quantile: Tensor, target: Tensor) -> Tensor:
    """The quantile Huber loss `[B]` (Dabney et al. 2018, arXiv:1710.10044, eq. 10), differentiable by the quantiles.

    It is summed over the quantiles `[..., B, Z]`, with midpoints `(i + 1/2) / Z`, and averaged over the targets
    `[B, Z']`.
    """
    error, weight = _quantile_errors(quantile, target)
    bounded = error.clamp(-1, 1)
    return (weight * bounded * (error - 0.5 * bounded)).mean(-1).sum(-1)


def _quantile_errors(quantile: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """The errors `[..., B, Z, Z']` of quantiles `[..., B, Z]`, and their asymmetric weights."""
    atoms = quantile.shape[-1]
    level = (torch.arange(atoms, device=quantile.device, dtype=quantile.dtype) + 0.5) / atoms
    error = target.unsqueeze(-2) - quantile.unsqueeze(-1)
    return error, (level.unsqueeze(-1) - (error < 0).to(quantile.dtype)).abs()


def quantile_gradient(quantile: Tensor, action: Tensor, target: Tensor, weight: Tensor) -> tuple[Tensor]:
    """The gradient of `quantile_loss` by `quantile`."""
    error, asymmetry = _quantile_errors(of_action(quantile, action), target)
    d = -(asymmetry * error.clamp(-1, 1)).mean(-1)
    return (_at_action(d * (weight / len(quantile)).unsqueeze(-1), quantile, action),)


@with_gradient(quantile_gradient)
def quantile_loss(quantile: Tensor, action: Tensor, target: Tensor, weight: Tensor) -> Value:
    """The loss of QR-DQN (Dabney et al. 2018, arXiv:1710.10044, algorithm 1), the mean over the rows.

    Args:
        quantile: `[B, A, Z]`.
        action: `[B]`.
        target: `[B, Z']`, quantiles of the target's distribution.
        weight: `[B]`, of each row.

    Returns:
        The loss, and the absolute errors of the means `[B]` as `priority`.
    """
    taken = of_action(quantile, action)
    loss = (weight * quantile_huber(taken, target)).mean()
    return loss, {"priority": (taken.mean(-1) - target.mean(-1)).abs()}


@by_autograd
def tqc_loss(quantile: Tensor, target: Tensor, weight: Tensor) -> Value:
    """The critics' loss in TQC (Kuznetsov et al. 2020, arXiv:2005.04269, eq. 14), summed over the critics.

    Args:
        quantile: `[K, B, Z]`.
        target: `[B, Z']`, the quantiles that are left of all critics' target quantiles.
        weight: `[B]`, of each row.

    Returns:
        The loss, and the errors of the means `[K, B]` as `error`.
    """
    loss = (weight * quantile_huber(quantile, target) / quantile.shape[-1]).mean(-1).sum()
    return loss, {"error": quantile.mean(-1) - target.mean(-1)}
