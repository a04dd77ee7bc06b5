"""Distributions over actions, as functions of a network's outputs.

A distribution turns `params [B, P]` into log-probabilities and entropies. It samples in NumPy, where acting is
fastest, and is differentiated in torch, where learning happens: by autograd through `log_prob` and `entropy`, or in
closed form through `tape`, whose `back` gives the gradient of any loss that depends on the two.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from gymnasium import spaces

from rlkit.errors import ConfigError

if TYPE_CHECKING:
    from gymnasium import Space
    from torch import Tensor

    from rlkit.types import Array, Floats

    Pull = Callable[[Tensor, float], Tensor]

LOG_2PI = math.log(2 * math.pi)


class Distribution(Protocol):
    """What an algorithm needs of a distribution."""

    outputs: int
    """Outputs that the network owes: logits, or means."""
    free: int
    """Parameters that do not depend on the state (log standard deviations); `P = outputs + free`."""

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


class Categorical:
    """One of `A` choices, from logits `[B, A]`."""

    free = 0

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


class Gaussian:
    """Independent normals over `A` dimensions, from means `[B, A]` and log standard deviations `[B, A]`."""

    def __init__(self, dims: int) -> None:
        self.outputs = self.free = dims

    def sample(self, params: Floats, rng: np.random.Generator) -> Array:
        """`mean + std * noise`."""
        mean, log_std = params[:, : self.outputs], params[:, self.outputs :]
        return mean + np.exp(log_std) * rng.standard_normal(mean.shape, dtype=np.float32)

    def mode(self, params: Floats) -> Array:
        """The mean."""
        return params[:, : self.outputs].copy()

    def log_prob(self, params: Tensor, action: Tensor) -> Tensor:
        """`sum -(a - mean)^2 / (2 std^2) - log std - log(2 pi) / 2`."""
        mean, log_std = params.chunk(2, -1)
        noise = (action - mean) * (-log_std).exp()
        return -(0.5 * noise * noise + log_std).sum(-1) - 0.5 * LOG_2PI * self.outputs

    def entropy(self, params: Tensor) -> Tensor:
        """`sum log std + (1 + log 2 pi) / 2`."""
        return params[..., self.outputs :].sum(-1) + 0.5 * (1 + LOG_2PI) * self.outputs

    def tape(self, params: Tensor, action: Tensor) -> tuple[Tensor, Pull]:
        """With `z = (a - mean) / std`: `d / d mean = z / std`, `d / d log std = z^2 - 1`; entropy: 0 and 1."""
        mean, log_std = params.chunk(2, -1)
        inverse = (-log_std).exp()
        noise = (action - mean) * inverse
        log_prob = -(0.5 * noise * noise + log_std).sum(-1) - 0.5 * LOG_2PI * self.outputs

        def back(d_log_prob: Tensor, d_entropy: float) -> Tensor:
            d = d_log_prob.unsqueeze(-1)
            return torch.cat([d * noise * inverse, d * (noise * noise - 1) + d_entropy], -1)

        return log_prob, back


def for_space(space: Space[Any]) -> Distribution:
    """The distribution over the actions of a space.

    Raises:
        ConfigError: no distribution covers this space.
    """
    if isinstance(space, spaces.Discrete):
        return Categorical(int(space.n))
    if isinstance(space, spaces.Box):
        return Gaussian(math.prod(space.shape))
    raise ConfigError(
        f"the action space {space} is not supported\n  accepted: Discrete (a choice) and Box (real numbers)"
    )
