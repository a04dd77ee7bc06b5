"""Losses as pure functions of tensors, and their heads.

A loss gives a scalar and its statistics. A head gives the loss's gradient at the network's outputs instead:
in closed form where the distribution has one (`ppo_head`), and by autograd for anything else (`by_autograd`). A test
holds the two equal.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import torch

if TYPE_CHECKING:
    from torch import Tensor

    from rlkit.maths.distributions import Distribution
    from rlkit.types import Batch, Floats


Loss: TypeAlias = "Callable[[Distribution, Tensor, Tensor, Batch, Any], tuple[Tensor, dict[str, Tensor]]]"
"""`(distribution, policy [B, P], value [B], batch, coefficients) -> the loss, and what is worth logging`."""


class PPOCoefficients(NamedTuple):
    """The numbers in PPO's loss."""

    clip: float
    vf: float
    ent: float
    clip_value: bool


class Head(NamedTuple):
    """A loss's gradient at the outputs of actor and critic, and what is worth logging of it."""

    d_policy: Tensor  # [B, P]
    d_value: Tensor  # [B]
    stats: dict[str, Tensor]  # scalars


def ppo_loss(
    dist: Distribution, policy: Tensor, value: Tensor, batch: Batch, c: PPOCoefficients
) -> tuple[Tensor, dict[str, Tensor]]:
    """The clipped surrogate objective with value loss and entropy bonus (arXiv:1707.06347, eq. 7 and 9), negated.

    `mean(max(-A r, -A clip(r, 1 - eps, 1 + eps))) + vf mean((V - R)^2) - ent mean(H)`, `r = pi(a) / pi_old(a)`.
    With `clip_value`, the squared error is the larger of that of V and of V clipped to within eps of the old V.

    Args:
        dist: the policy's distribution.
        policy: `[B, P]`, its parameters.
        value: `[B]`.
        batch: `action`, `log_prob` (old), `advantage`, `target`, and with `clip_value` the old `value`.
        c: the coefficients.

    Returns:
        The loss, a scalar with gradient, and the statistics of `ppo_stats`.
    """
    log_ratio = dist.log_prob(policy, batch.action) - batch.log_prob
    ratio = log_ratio.exp()
    clipped = ratio.clamp(1 - c.clip, 1 + c.clip)
    surrogate = -torch.min(batch.advantage * ratio, batch.advantage * clipped).mean()
    squared_error = (value - batch.target).square()
    if c.clip_value:
        near_old = batch.value + (value - batch.value).clamp(-c.clip, c.clip)
        squared_error = torch.max(squared_error, (near_old - batch.target).square())
    value_loss = squared_error.mean()
    entropy = dist.entropy(policy).mean()
    loss = surrogate + c.vf * value_loss - c.ent * entropy
    return loss, ppo_stats(surrogate, value_loss, entropy, log_ratio, ratio, c.clip)


def ppo_head(
    dist: Distribution, policy: Tensor, value: Tensor, batch: Batch, c: PPOCoefficients, *, stats: bool
) -> Head:
    """The gradient of `ppo_loss` at its outputs, in closed form.

    The surrogate's derivative by the log-probability is `-A r / B` where the ratio is not clipped, else 0.

    Args:
        dist: the policy's distribution.
        policy: `[B, P]`, without gradient.
        value: `[B]`, without gradient.
        batch: as for `ppo_loss`.
        c: the coefficients.
        stats: compute the statistics too, which costs as much again.
    """
    rows = len(value)
    log_prob, back = dist.tape(policy, batch.action)
    log_ratio = log_prob - batch.log_prob
    ratio = log_ratio.exp()
    gain = batch.advantage * ratio
    clipped_gain = batch.advantage * ratio.clamp(1 - c.clip, 1 + c.clip)
    d_policy = back(gain * (gain <= clipped_gain) * (-1 / rows), -c.ent / rows)
    error = value - batch.target
    if c.clip_value:
        error_near_old = batch.value + (value - batch.value).clamp(-c.clip, c.clip) - batch.target
        inside = (value - batch.value).abs() <= c.clip
        # The larger square rules; where it is the clipped one, it moves with V only inside the interval.
        d_value = torch.where(error.square() >= error_near_old.square(), error, error_near_old * inside)
        d_value = d_value * (2 * c.vf / rows)
    else:
        error_near_old = error
        d_value = error * (2 * c.vf / rows)
    if not stats:
        return Head(d_policy, d_value, {})
    surrogate = -torch.min(gain, clipped_gain).mean()
    value_loss = torch.max(error.square(), error_near_old.square()).mean()
    entropy = dist.entropy(policy).mean()
    return Head(d_policy, d_value, ppo_stats(surrogate, value_loss, entropy, log_ratio, ratio, c.clip))


class A2CCoefficients(NamedTuple):
    """The numbers in A2C's loss."""

    vf: float
    ent: float


def a2c_loss(
    dist: Distribution, policy: Tensor, value: Tensor, batch: Batch, c: A2CCoefficients
) -> tuple[Tensor, dict[str, Tensor]]:
    """The policy gradient with a baseline (Mnih et al. 2016, arXiv:1602.01783, section 4.3), as a loss.

    `-mean(A log pi(a)) + vf mean((V - R)^2) - ent mean(H)`.

    Args:
        dist: the policy's distribution.
        policy: `[B, P]`, its parameters.
        value: `[B]`.
        batch: `action`, `advantage`, `target`.
        c: the coefficients.

    Returns:
        The loss, a scalar with gradient, and its parts.
    """
    policy_loss = -(batch.advantage * dist.log_prob(policy, batch.action)).mean()
    value_loss = (value - batch.target).square().mean()
    entropy = dist.entropy(policy).mean()
    stats = {"policy_loss": policy_loss, "value_loss": value_loss, "entropy": entropy}
    return policy_loss + c.vf * value_loss - c.ent * entropy, stats


def a2c_head(dist: Distribution, policy: Tensor, value: Tensor, batch: Batch, c: A2CCoefficients) -> Head:
    """The gradient of `a2c_loss` at its outputs, in closed form."""
    rows = len(value)
    log_prob, back = dist.tape(policy, batch.action)
    error = value - batch.target
    stats = {
        "policy_loss": -(batch.advantage * log_prob).mean(),
        "value_loss": error.square().mean(),
        "entropy": dist.entropy(policy).mean(),
    }
    return Head(back(batch.advantage * (-1 / rows), -c.ent / rows), error * (2 * c.vf / rows), stats)


class SILCoefficients(NamedTuple):
    """The numbers in self-imitation's loss."""

    whole: float
    vf: float
    bound: float | None = None


def sil_loss(
    dist: Distribution, policy: Tensor, value: Tensor, batch: Batch, c: SILCoefficients
) -> tuple[Tensor, dict[str, Tensor]]:
    """Self-imitation (Oh et al. 2018, arXiv:1806.05635, eq. 1 to 3).

    `whole * mean(w (-log pi(a) (R - V)+ + vf/2 ((R - V)+)^2))`; the policy's part does not move V. With a `bound`,
    `(R - V)+` is at most that in the policy's part, and so is the gradient of the value's part (its square becomes
    linear beyond the bound), as in the authors' code.

    Args:
        dist: the policy's distribution.
        policy: `[B, P]`, its parameters.
        value: `[B]`.
        batch: `action`, `ret` (the return R) and `weight` (w).
        c: the coefficients.

    Returns:
        The loss, a scalar with gradient, and what is worth logging; `advantage [B]` is `(R - V)+`, bounded.
    """
    gain = (batch.ret - value).clamp(min=0)
    bounded = gain.detach().clamp(0, c.bound)
    policy_loss = -(batch.weight * bounded * dist.log_prob(policy, batch.action)).mean()
    value_loss = (batch.weight * bounded * (gain - 0.5 * bounded)).mean()
    return c.whole * (policy_loss + c.vf * value_loss), _sil_stats(policy_loss, value_loss, bounded)


def sil_head(dist: Distribution, policy: Tensor, value: Tensor, batch: Batch, c: SILCoefficients) -> Head:
    """The gradient of `sil_loss` at its outputs, in closed form."""
    log_prob, back = dist.tape(policy, batch.action)
    gain = (batch.ret - value).clamp(min=0)
    bounded = gain.clamp(0, c.bound)
    weighted = batch.weight * bounded
    policy_loss, value_loss = -(weighted * log_prob).mean(), (weighted * (gain - 0.5 * bounded)).mean()
    scale = -c.whole / len(value)
    return Head(back(weighted * scale, 0.0), weighted * (scale * c.vf), _sil_stats(policy_loss, value_loss, bounded))


def _sil_stats(policy_loss: Tensor, value_loss: Tensor, gain: Tensor) -> dict[str, Tensor]:
    return {
        "sil_policy_loss": policy_loss,
        "sil_value_loss": value_loss,
        "sil_share": (gain > 0).float().mean(),
        "advantage": gain,
    }


def by_autograd(loss: Loss, dist: Distribution, policy: Tensor, value: Tensor, batch: Batch, coefficients: Any) -> Head:
    """The head of any loss, through autograd: the oracle of the closed forms."""
    policy, value = policy.detach().requires_grad_(), value.detach().requires_grad_()
    total, stats = loss(dist, policy, value, batch, coefficients)
    d_policy, d_value = torch.autograd.grad(total, (policy, value))
    return Head(d_policy, d_value, {name: s.detach() for name, s in stats.items()})


def ppo_stats(
    surrogate: Tensor, value_loss: Tensor, entropy: Tensor, log_ratio: Tensor, ratio: Tensor, clip: float
) -> dict[str, Tensor]:
    """What PPO logs; `approx_kl = mean(r - 1 - log r)` is Schulman's low-variance estimate of KL(old, new)."""
    return {
        "policy_loss": surrogate,
        "value_loss": value_loss,
        "entropy": entropy,
        "approx_kl": (ratio - 1 - log_ratio).mean(),
        "clip_fraction": ((ratio - 1).abs() > clip).float().mean(),
    }


def standardise(x: Tensor, eps: float = 1e-8) -> Tensor:
    """`(x - mean) / (std + eps)` with the sample's standard deviation, along the last axis; a single one becomes 0."""
    if x.shape[-1] < 2:
        return torch.zeros_like(x)
    var, mean = torch.var_mean(x, -1, keepdim=True)
    return (x - mean) / (var.sqrt() + eps)


def explained_variance(prediction: Floats, target: Floats) -> float | None:
    """`1 - Var(target - prediction) / Var(target)`: 1 is perfect, 0 no better than a constant.

    None where the targets do not vary.
    """
    var = target.var()
    return float(1 - (target - prediction).var() / var) if var > 0 else None
