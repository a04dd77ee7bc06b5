"""Distributions over actions, as functions of a network's outputs.

A distribution turns `params [B, P]` into log-probabilities and entropies. It samples in NumPy, where acting is
fastest, and is differentiated in torch, where learning happens: by autograd through `log_prob` and `entropy`, or in
closed form through `tape`, whose `back` gives the gradient of any loss that depends on the two.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch
from torch.nn.functional import softplus

if TYPE_CHECKING:
    from torch import Tensor

    from rlkit.types import Array, Floats

    Pull = Callable[[Tensor, float], Tensor]

LOG_2PI = math.log(2 * math.pi)
LOG_STD = (-5.0, 2.0)
"""Bounds on a log standard deviation that a network gives."""


class Distribution(Protocol):
    """What an algorithm needs of a distribution."""

    outputs: int
    """Number of outputs of the network: logits, or means."""
    free: int
    """Parameters that do not depend on the state (log standard deviations); `P = outputs + free`."""
    free_init: float
    """Their initial value."""

    def sample(self, params: Floats, rng: np.random.Generator) -> Array:
        """Draw actions `[N, ...]` for params `[N, P]`."""

    def mode(self, params: Floats) -> Array:
        """The likeliest actions `[N, ...]`."""

    def log_prob(self, params: Tensor, action: Tensor) -> Tensor:
        """Log-probabilities (densities) `[B]` of actions `[B, ...]`; differentiable."""

    def entropy(self, params: Tensor) -> Tensor:
        """Entropies `[B]` in nats; differentiable."""

    def tape(self, params: Tensor, action: Tensor) -> tuple[Tensor, Pull]:
        """Log-probabilities `[B]`, and `back(d_log_prob [B], d_entropy) -> d_params [B, P]`."""


class Categorical(Distribution):
    """One of `A` choices, from logits `[B, A]`."""

    free = 0
    free_init = 0.0

    def __init__(self, choices: int) -> None:
        self.outputs = choices

    def sample(self, params: Floats, rng: np.random.Generator) -> Array:
        """The Gumbel-max trick: `argmax(logits + g)`, g standard Gumbel (Maddison et al. 2014, arXiv:1411.0030)."""
        return np.asarray((params + rng.gumbel(size=params.shape)).argmax(-1))

    def mode(self, params: Floats) -> Array:
        """The choice with the largest logit."""
        return np.asarray(params.argmax(-1))

    def log_prob(self, params: Tensor, action: Tensor) -> Tensor:
        """`log softmax(logits)[action]`."""
        return torch.log_softmax(params, -1).gather(-1, action.unsqueeze(-1)).squeeze(-1)

    def entropy(self, params: Tensor) -> Tensor:
        """`-sum p log p`."""
        log_p = torch.log_softmax(params, -1)
        return -(log_p.exp() * log_p).sum(-1)

    def tape(self, params: Tensor, action: Tensor) -> tuple[Tensor, Pull]:
        """`d log p_a / d logits = onehot(a) - p` and `d H / d logits = -p (log p + H)`."""
        log_p = torch.log_softmax(params, -1)
        index = action.unsqueeze(-1)

        def back(d_log_prob: Tensor, d_entropy: float) -> Tensor:
            d = d_log_prob.unsqueeze(-1)
            p = log_p.exp()
            d_params = p * -d
            if d_entropy:
                negative_entropy = (p * log_p).sum(-1, keepdim=True)
                d_params.addcmul_(p, log_p - negative_entropy, value=-d_entropy)
            return d_params.scatter_add_(-1, index, d)

        return log_p.gather(-1, index).squeeze(-1), back


class Gaussian(Distribution):
    """Independent normals over `A` dimensions, from means `[B, A]` and log standard deviations `[B, A]`.

    Args:
        dims: A.
        log_std_init: where the log standard deviations begin.
        state_dependent: the network gives the log standard deviations too, as differences from `log_std_init`, and they
            are kept within [-5, 2]; else they are free parameters.
    """

    def __init__(self, dims: int, log_std_init: float = 0.0, state_dependent: bool = False) -> None:
        self.dims = dims
        self.state_dependent = state_dependent
        self.outputs = 2 * dims if state_dependent else dims
        self.free = 0 if state_dependent else dims
        self.free_init = log_std_init

    def split(self, params: Tensor) -> tuple[Tensor, Tensor]:
        """Means and log standard deviations, each `[B, A]`."""
        mean, log_std = params.chunk(2, -1)
        if self.state_dependent:
            log_std = (log_std + self.free_init).clamp(*LOG_STD)
        return mean, log_std

    def sample(self, params: Floats, rng: np.random.Generator) -> Array:
        """`mean + std * noise`."""
        mean, log_std = params[:, : self.dims], params[:, self.dims :]
        if self.state_dependent:
            log_std = np.clip(log_std + self.free_init, *LOG_STD, dtype=np.float32)
        return mean + np.exp(log_std) * rng.standard_normal(mean.shape, dtype=np.float32)

    def mode(self, params: Floats) -> Floats:
        """The mean."""
        return params[:, : self.dims].copy()

    def log_prob(self, params: Tensor, action: Tensor) -> Tensor:
        """`sum -(a - mean)^2 / (2 std^2) - log std - log(2 pi) / 2`."""
        mean, log_std = self.split(params)
        noise = (action - mean) * (-log_std).exp()
        return -(0.5 * noise * noise + log_std).sum(-1) - 0.5 * LOG_2PI * self.dims

    def entropy(self, params: Tensor) -> Tensor:
        """`sum log std + (1 + log 2 pi) / 2`."""
        return self.split(params)[1].sum(-1) + 0.5 * (1 + LOG_2PI) * self.dims

    def tape(self, params: Tensor, action: Tensor) -> tuple[Tensor, Pull]:
        """With `z = (a - mean) / std`: `d / d mean = z / std`, `d / d log std = z^2 - 1`; entropy: 0 and 1."""
        if self.state_dependent:
            return tape_by_autograd(self, params, action)
        mean, log_std = params.chunk(2, -1)
        inverse = (-log_std).exp()
        noise = (action - mean) * inverse
        log_prob = -(0.5 * noise * noise + log_std).sum(-1) - 0.5 * LOG_2PI * self.dims

        def back(d_log_prob: Tensor, d_entropy: float) -> Tensor:
            d = d_log_prob.unsqueeze(-1)
            return torch.cat([d * noise * inverse, d * (noise * noise - 1) + d_entropy], -1)

        return log_prob, back


class MultiCategorical(Distribution):
    """Several independent choices at once, from their logits one after the other `[B, sum of choices]`."""

    free = 0
    free_init = 0.0

    def __init__(self, choices: Sequence[int]) -> None:
        self.parts = [Categorical(n) for n in choices]
        self.outputs = sum(choices)
        edges = np.cumsum([0, *choices]).tolist()
        self.spans = [slice(a, b) for a, b in itertools.pairwise(edges)]

    def sample(self, params: Floats, rng: np.random.Generator) -> Array:
        """Each choice as `Categorical` draws it."""
        return np.stack([p.sample(params[:, s], rng) for p, s in zip(self.parts, self.spans, strict=True)], -1)

    def mode(self, params: Floats) -> Array:
        """The likeliest of each choice."""
        return np.stack([p.mode(params[:, s]) for p, s in zip(self.parts, self.spans, strict=True)], -1)

    def log_prob(self, params: Tensor, action: Tensor) -> Tensor:
        """The sum over the choices."""
        each = [p.log_prob(params[..., s], action[..., i]) for i, (p, s) in self._numbered()]
        return torch.stack(each).sum(0)

    def entropy(self, params: Tensor) -> Tensor:
        """The sum over the choices."""
        return torch.stack([p.entropy(params[..., s]) for _, (p, s) in self._numbered()]).sum(0)

    def tape(self, params: Tensor, action: Tensor) -> tuple[Tensor, Pull]:
        """The choices' tapes side by side."""
        log_probs, backs = zip(*(p.tape(params[:, s], action[:, i]) for i, (p, s) in self._numbered()), strict=True)

        def back(d_log_prob: Tensor, d_entropy: float) -> Tensor:
            return torch.cat([one(d_log_prob, d_entropy) for one in backs], -1)

        return torch.stack(log_probs).sum(0), back

    def _numbered(self) -> Iterator[tuple[int, tuple[Categorical, slice]]]:
        return enumerate(zip(self.parts, self.spans, strict=True))


class Bernoulli(Distribution):
    """`A` independent switches, from the logits of being on `[B, A]`."""

    free = 0
    free_init = 0.0

    def __init__(self, switches: int) -> None:
        self.outputs = switches

    def sample(self, params: Floats, rng: np.random.Generator) -> Array:
        """On where a logistic draw lies below the logit."""
        return (rng.logistic(size=params.shape) < params).astype(np.int64)

    def mode(self, params: Floats) -> Array:
        """On where the logit is positive."""
        return (params > 0).astype(np.int64)

    def log_prob(self, params: Tensor, action: Tensor) -> Tensor:
        """`sum a log p + (1 - a) log(1 - p)`, with `log p = -softplus(-logit)`."""
        return (action * params - softplus(params)).sum(-1)

    def entropy(self, params: Tensor) -> Tensor:
        """`sum softplus(logit) - p logit`."""
        return (softplus(params) - params.sigmoid() * params).sum(-1)

    def tape(self, params: Tensor, action: Tensor) -> tuple[Tensor, Pull]:
        """`d log prob / d logit = a - p` and `d H / d logit = -p (1 - p) logit`."""
        p = params.sigmoid()

        def back(d_log_prob: Tensor, d_entropy: float) -> Tensor:
            return d_log_prob.unsqueeze(-1) * (action - p) - d_entropy * p * (1 - p) * params

        return self.log_prob(params, action), back


def tape_by_autograd(dist: Distribution, params: Tensor, action: Tensor) -> tuple[Tensor, Pull]:
    """The tape of any distribution."""
    leaf = params.detach().requires_grad_()
    with torch.enable_grad():
        log_prob, entropy = dist.log_prob(leaf, action), dist.entropy(leaf)

    def back(d_log_prob: Tensor, d_entropy: float) -> Tensor:
        gradient = [d_log_prob, torch.full_like(entropy, d_entropy)]
        return torch.autograd.grad([log_prob, entropy], leaf, gradient)[0]

    return log_prob.detach(), back
