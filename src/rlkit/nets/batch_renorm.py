"""Batch renormalisation (Ioffe 2017, arXiv:1702.03275), as CrossQ uses it (Bhatt et al. 2024, arXiv:1902.05605)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

if TYPE_CHECKING:
    from torch import Tensor

R_MAX, D_MAX = 3.0, 5.0
"""Bounds on the corrections (section 4 of the paper)."""


class BatchRenorm(nn.Module):
    """Normalises features `[B, H]`, in training so that the result agrees with that of the running statistics.

    In training, `y = (x - mean_B) / std_B * r + d` with `r = std_B / std` and `d = (mean_B - mean) / std`, both without
    gradient and clipped to [1/3, 3] and [-5, 5]; during the warm-up r is 1 and d is 0 (batch normalisation). Otherwise
    `y = (x - mean) / std`. Scale and shift follow.

    Args:
        width: H.
        momentum: share of the batch in the running statistics, which move after they were used.
        eps: added to the variance.
        warmup_updates: training passes before the corrections are enabled.
    """

    mean: Tensor
    std: Tensor
    updates: Tensor

    def __init__(self, width: int, momentum: float = 0.01, eps: float = 1e-3, warmup_updates: int = 100_000) -> None:
        super().__init__()
        self.momentum, self.eps, self.warmup_updates = momentum, eps, warmup_updates
        self.scale = nn.Parameter(torch.ones(width))
        self.bias = nn.Parameter(torch.zeros(width))
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("std", torch.ones(width))
        self.register_buffer("updates", torch.zeros((), dtype=torch.int64))

    def forward(self, x: Tensor) -> Tensor:
        """`[B, H]` to `[B, H]`; a training pass moves the running statistics."""
        if not self.training:
            return (x - self.mean) / self.std * self.scale + self.bias
        # One kernel for both moments and the division; `x.var(0)` alone takes ten times as long on a CPU.
        normal, mean, inverse = torch.native_batch_norm(x, None, None, None, None, True, 0.0, self.eps)
        with torch.no_grad():
            std = inverse.reciprocal()
            warm = self.updates >= self.warmup_updates  # a tensor: reading it would make a GPU wait
            r = torch.where(warm, (std / self.std).clamp(1 / R_MAX, R_MAX), 1.0)
            d = torch.where(warm, ((mean - self.mean) / self.std).clamp(-D_MAX, D_MAX), 0.0)
            self.mean.lerp_(mean, self.momentum)
            self.std.lerp_(std, self.momentum)
            self.updates += 1
        return torch.addcmul(self.bias + d * self.scale, normal, r * self.scale)
