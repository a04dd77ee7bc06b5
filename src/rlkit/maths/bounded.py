"""Distributions over actions that stay within [-1, 1] by themselves."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn.functional import softplus

from rlkit.maths.distributions import Distribution, Gaussian, tape_by_autograd

if TYPE_CHECKING:
    from torch import Tensor

    from rlkit.maths.distributions import Pull
    from rlkit.types import Array, Floats

EDGE = 1e-6
"""Actions keep this distance from the bounds, at which the densities are not defined."""
NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(32)


class TanhGaussian(Gaussian):
    """`tanh(u)` of normal `u`, over `A` dimensions (Haarnoja et al. 2018, arXiv:1801.01290, appendix C)."""

    def sample(self, params: Floats, rng: np.random.Generator) -> Floats:
        """`tanh(mean + std * noise)`."""
        return _inside(np.tanh(super().sample(params, rng)))

    def mode(self, params: Floats) -> Floats:
        """`tanh(mean)`, the median; the density's own peak may lie at a bound."""
        return _inside(np.tanh(super().mode(params)))

    def log_prob(self, params: Tensor, action: Tensor) -> Tensor:
        """`log N(u) - sum log(1 - tanh(u)^2)` with `u = atanh(action)`."""
        u = torch.atanh(action.clamp(EDGE - 1, 1 - EDGE))
        return super().log_prob(params, u) - _log_slope(u).sum(-1)

    def entropy(self, params: Tensor) -> Tensor:
        """That of the normal plus `E[sum log(1 - tanh(u)^2)]`, the expectation by Gauss-Hermite quadrature."""
        mean, log_std = self.split(params)
        nodes, weights = (torch.as_tensor(x, dtype=params.dtype, device=params.device) for x in (NODES, WEIGHTS))
        u = mean.unsqueeze(-1) + log_std.exp().unsqueeze(-1) * nodes
        return super().entropy(params) + (_log_slope(u) @ weights).sum(-1) / math.sqrt(2 * math.pi)

    def tape(self, params: Tensor, action: Tensor) -> tuple[Tensor, Pull]:
        """By autograd."""
        return tape_by_autograd(self, params, action)


def _log_slope(u: Tensor) -> Tensor:
    """`log(1 - tanh(u)^2)`, exact also where tanh is 1 in floating point."""
    return 2 * (math.log(2) - u - softplus(-2 * u))


class Beta(Distribution):
    """Independent betas over `A` dimensions, stretched to [-1, 1] (Chou et al. 2017, PMLR 70:834).

    `alpha` and `beta` are `1 + softplus` of the outputs, so that the density has one peak.
    """

    free = 0
    free_init = 0.0

    def __init__(self, dims: int) -> None:
        self.dims = dims
        self.outputs = 2 * dims

    def sample(self, params: Floats, rng: np.random.Generator) -> Floats:
        """A beta draw, stretched."""
        alpha, beta = self._shape(params)
        return _inside(2 * rng.beta(alpha, beta) - 1)

    def mode(self, params: Floats) -> Floats:
        """`(alpha - 1) / (alpha + beta - 2)`, stretched."""
        alpha, beta = self._shape(params)
        return _inside(2 * (alpha - 1) / np.maximum(alpha + beta - 2, 1e-30) - 1)

    def _shape(self, params: Floats) -> tuple[Array, Array]:
        positive = 1 + np.logaddexp(0, params.astype(np.float64))
        return positive[:, : self.dims], positive[:, self.dims :]

    def _torch(self, params: Tensor) -> tuple[Tensor, Tensor]:
        alpha, beta = (1 + softplus(params)).chunk(2, -1)
        return alpha, beta

    def log_prob(self, params: Tensor, action: Tensor) -> Tensor:
        """`sum log Beta((a + 1) / 2) - log 2`."""
        share = (action.clamp(EDGE - 1, 1 - EDGE) + 1) / 2
        alpha, beta = self._torch(params)
        log_density = (alpha - 1) * share.log() + (beta - 1) * (1 - share).log() - _log_beta(alpha, beta)
        return log_density.sum(-1) - self.dims * math.log(2)

    def entropy(self, params: Tensor) -> Tensor:
        """`sum H(Beta) + log 2`."""
        alpha, beta = self._torch(params)
        both = alpha + beta
        entropy = _log_beta(alpha, beta) + (both - 2) * both.digamma()
        entropy = entropy - (alpha - 1) * alpha.digamma() - (beta - 1) * beta.digamma()
        return entropy.sum(-1) + self.dims * math.log(2)

    def tape(self, params: Tensor, action: Tensor) -> tuple[Tensor, Pull]:
        """By autograd."""
        return tape_by_autograd(self, params, action)


def _log_beta(alpha: Tensor, beta: Tensor) -> Tensor:
    return alpha.lgamma() + beta.lgamma() - (alpha + beta).lgamma()


def _inside(action: Array) -> Floats:
    return np.clip(action, EDGE - 1, 1 - EDGE).astype(np.float32)
