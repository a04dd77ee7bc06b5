"""Actions `tanh(u)` that a gradient can flow through (Haarnoja et al. 2018, arXiv:1801.01290, appendix C)."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch.nn.functional import softplus

if TYPE_CHECKING:
    from torch import Tensor

    Chain = Callable[[Tensor, float | Tensor], Tensor]

LOG_STD = (-20.0, 2.0)
"""Bounds on the log standard deviation."""


def tanh_gaussian(params: Tensor, noise: Tensor) -> tuple[Tensor, Tensor, Chain]:
    """Reparametrised actions, their log-probabilities, and the way back.

    `u = mean + std noise`, `a = tanh(u)`, `log pi(a) = log N(u) - sum log(1 - a^2)`.

    Args:
        params: `[B, 2A]`, means and log standard deviations, the latter clipped to [-20, 2].
        noise: `[B, A]`, standard normal.

    Returns:
        Actions `[B, A]`, log-probabilities `[B]`, and `chain(d_action, d_log_prob)`, which gives `d_params` of as many
        of the first rows as `d_action` has; `d_log_prob` is a number, or has a column.
    """
    mean, raw = params.chunk(2, -1)
    log_std = raw.clamp(*LOG_STD)
    away = log_std.exp() * noise
    u = mean + away
    action = u.tanh()
    # log N(u) = -noise^2 / 2 - log_std - log(2 pi) / 2, and log(1 - tanh(u)^2) = 2 (log 2 - u - softplus(-2 u))
    slope = u + softplus(-2 * u)
    each = torch.add(log_std, noise.square(), alpha=0.5).sub_(slope, alpha=2)
    log_prob = -noise.shape[-1] * (0.5 * math.log(2 * math.pi) + 2 * math.log(2)) - each.sum(-1)

    def chain(d_action: Tensor, d_log_prob: float | Tensor) -> Tensor:
        rows = slice(len(d_action))
        a, inside = action[rows], raw[rows] == log_std[rows]
        d_u = torch.ops.aten.tanh_backward(d_action, a) + a * (2 * d_log_prob)
        d_log_std = (d_u * away[rows] - d_log_prob) * inside
        return torch.cat([d_u, d_log_std], -1)

    return action, log_prob, chain
