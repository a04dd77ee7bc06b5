"""Linear layers with learnt noise (Fortunato et al. 2018, arXiv:1706.10295)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn.functional import linear

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

SIGMA = 0.5
"""First size of the noise, over the root of the number of inputs (section 3.2)."""


class NoisyLinear(nn.Linear):
    """`y = (W + sigma f(e_out) f(e_in)^T) x + b + sigma_0 f(e_out)`, with `f(e) = sign(e) sqrt|e|` (eq. 9 to 11).

    The noise stays the same until `resample` draws it again; at first there is none.
    """

    noise_in: Tensor
    noise_out: Tensor

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs)
        size = SIGMA * inputs**-0.5
        self.sigma = nn.Parameter(torch.full((outputs, inputs), size))
        self.sigma_0 = nn.Parameter(torch.full((outputs,), size))
        self.register_buffer("noise_in", torch.zeros(inputs), persistent=False)
        self.register_buffer("noise_out", torch.zeros(outputs), persistent=False)

    def resample(self, rng: np.random.Generator | None) -> None:
        """Draw new noise; None removes it."""
        for noise in (self.noise_in, self.noise_out):
            if rng is None:
                noise.zero_()
            else:
                drawn = torch.from_numpy(rng.standard_normal(len(noise), dtype="float32"))
                noise.copy_(drawn.sign() * drawn.abs().sqrt())

    def forward(self, x: Tensor) -> Tensor:
        """`[B, inputs]` to `[B, outputs]`."""
        weight = self.weight + self.sigma * torch.outer(self.noise_out, self.noise_in)
        return linear(x, weight, self.bias + self.sigma_0 * self.noise_out)
