"""Reparametrised actions `tanh(u)` (Haarnoja et al. 2018, arXiv:1801.01290, appendix C)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, TypeAlias

import torch
from torch.nn.functional import softplus

if TYPE_CHECKING:
    from torch import Tensor

LOG_STD = (-20.0, 2.0)
"""Bounds on the log standard deviation."""


Sampled: TypeAlias = "tuple[Tensor, Tensor]"
"""Actions `[B, A]` and their log-probabilities `[B]`."""


def tanh_gaussian(params: Tensor, noise: Tensor) -> Sampled:
    """Actions `a = tanh(u)`, `u = mean + std noise`, and `log pi(a) = log N(u) - sum log(1 - a^2)`.

    Both are differentiable by `params`, with a gradient in closed form.

    Args:
        params: `[B, 2A]`, means and log standard deviations; the latter are clipped to [-20, 2].
        noise: `[B, A]`, standard normal.

    Returns:
        Actions `[B, A]` and log-probabilities `[B]`.
    """
    action, log_prob = _TanhGaussian.apply(params, noise, None)[:2]
    return action, log_prob


def tanh_gaussians(params: Tensor, constant: Tensor, noise: Tensor) -> tuple[Sampled, Sampled]:
    """`tanh_gaussian(params, ...)`, and `tanh_gaussian(constant, ...)` without a gradient, in one pass.

    Args:
        params: `[B, 2A]`.
        constant: `[B', 2A]`.
        noise: `[B + B', A]`, standard normal.
    """
    action, log_prob, *others = _TanhGaussian.apply(params, noise, constant)
    return (action, log_prob), (others[0], others[1])


class _TanhGaussian(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, params: Tensor, noise: Tensor, constant: Tensor | None) -> tuple[Tensor, ...]:
        rows = len(params)
        mean, raw = (params if constant is None else torch.cat([params, constant])).chunk(2, -1)
        log_std = raw.clamp(*LOG_STD)
        away = log_std.exp() * noise
        u = mean + away
        action = u.tanh()
        # log N(u) = -noise^2 / 2 - log_std - log(2 pi) / 2, and log(1 - tanh(u)^2) = 2 (log 2 - u - softplus(-2 u))
        slope = u + softplus(-2 * u)
        each = torch.add(log_std, noise.square(), alpha=0.5).sub_(slope, alpha=2)
        log_prob = -noise.shape[-1] * (0.5 * math.log(2 * math.pi) + 2 * math.log(2)) - each.sum(-1)
        inside = raw == log_std
        ctx.set_materialize_grads(False)
        if constant is None:
            ctx.save_for_backward(action, away, inside)
            return action, log_prob
        learnt = action[:rows]
        ctx.save_for_backward(learnt, away[:rows], inside[:rows])
        others = action[rows:], log_prob[rows:]
        ctx.mark_non_differentiable(*others)
        return learnt, log_prob[:rows], *others

    @staticmethod
    def backward(
        ctx: Any, d_action: Tensor | None, d_log_prob: Tensor | None = None, *_: None
    ) -> tuple[Tensor, None, None]:
        action, away, inside = ctx.saved_tensors
        d_action = torch.zeros_like(action) if d_action is None else d_action
        d_log_prob = (d_action.new_zeros(len(action)) if d_log_prob is None else d_log_prob).unsqueeze(-1)
        d_u = torch.ops.aten.tanh_backward(d_action, action) + action * (2 * d_log_prob)
        return torch.cat([d_u, (d_u * away - d_log_prob) * inside], -1), None, None
