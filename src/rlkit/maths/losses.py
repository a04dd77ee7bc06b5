"""The losses of policies, as pure functions of the networks' outputs.

Each has its gradient at these outputs attached in closed form, which takes half the time of autograd on small networks.
Tests hold every gradient equal to that of autograd through the loss.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import torch

from rlkit.maths.loss import with_gradient

if TYPE_CHECKING:
    from torch import Tensor

    from rlkit.maths.distributions import Distribution
    from rlkit.maths.loss import Value
    from rlkit.types import Batch, Floats


def ppo_gradient(
    policy: Tensor,
    value: Tensor,
    batch: Batch,
    *,
    dist: Distribution,
    clip_coef: float,
    vf_coef: float,
    ent_coef: float,
    clip_value: bool = False,
) -> tuple[Tensor, Tensor]:
    """The gradient of `ppo_loss` by `policy` and `value`.

    The surrogate's derivative by the log-probability is `-A r / B` where the ratio is not clipped, else 0.
    """
    rows = len(value)
    log_prob, log_prob_gradient = dist.tape(policy, batch.action)
    ratio = (log_prob - batch.log_prob).exp()
    gain = batch.advantage * ratio
    clipped_gain = batch.advantage * ratio.clamp(1 - clip_coef, 1 + clip_coef)
    d_policy = log_prob_gradient(gain * (gain <= clipped_gain) * (-1 / rows), -ent_coef / rows)
    error = value - batch.target
    if clip_value:
        error_near_old = batch.value + (value - batch.value).clamp(-clip_coef, clip_coef) - batch.target
        inside = (value - batch.value).abs() <= clip_coef
        # The larger square counts; the clipped one changes with V only inside the interval.
        error = torch.where(error.square() >= error_near_old.square(), error, error_near_old * inside)
    return d_policy, error * (2 * vf_coef / rows)


@with_gradient(ppo_gradient)
def ppo_loss(
    policy: Tensor,
    value: Tensor,
    batch: Batch,
    *,
    dist: Distribution,
    clip_coef: float,
    vf_coef: float,
    ent_coef: float,
    clip_value: bool = False,
) -> Value:
    """PPO's clipped surrogate with value loss and entropy bonus (arXiv:1707.06347, eq. 7 and 9), negated.

    `-mean(min(A r, A clip(r, 1 - eps, 1 + eps))) + vf mean((V - R)^2) - ent mean(H)`, `r = pi(a) / pi_old(a)`.

    Args:
        policy: `[B, P]`, the parameters of the policy's distribution.
        value: `[B]`, V.
        batch: `action`, `log_prob` (old), `advantage` A, `target` R, and with `clip_value` the old `value`.
        dist: the policy's distribution.
        clip_coef: eps.
        vf_coef: weight of the value loss.
        ent_coef: weight of the entropy bonus.
        clip_value: take the larger of the squared errors of V and of V clipped to within eps of the old V.

    Returns:
        The loss, and its statistics. `approx_kl = mean(r - 1 - log r)` is Schulman's low-variance estimate of
        KL(old, new).
    """
    log_ratio = dist.log_prob(policy, batch.action) - batch.log_prob
    ratio = log_ratio.exp()
    clipped = ratio.clamp(1 - clip_coef, 1 + clip_coef)
    surrogate = -torch.min(batch.advantage * ratio, batch.advantage * clipped).mean()
    squared_error = (value - batch.target).square()
    if clip_value:
        near_old = batch.value + (value - batch.value).clamp(-clip_coef, clip_coef)
        squared_error = torch.max(squared_error, (near_old - batch.target).square())
    value_loss = squared_error.mean()
    entropy = dist.entropy(policy).mean()
    stats = {
        "policy_loss": surrogate,
        "value_loss": value_loss,
        "entropy": entropy,
        "approx_kl": (ratio - 1 - log_ratio).mean(),
        "clip_fraction": ((ratio - 1).abs() > clip_coef).float().mean(),
    }
    return surrogate + vf_coef * value_loss - ent_coef * entropy, stats


def a2c_gradient(
    policy: Tensor, value: Tensor, batch: Batch, *, dist: Distribution, vf_coef: float, ent_coef: float
) -> tuple[Tensor, Tensor]:
    """The gradient of `a2c_loss` by `policy` and `value`."""
    rows = len(value)
    _, log_prob_gradient = dist.tape(policy, batch.action)
    d_policy = log_prob_gradient(batch.advantage * (-1 / rows), -ent_coef / rows)
    return d_policy, (value - batch.target) * (2 * vf_coef / rows)


@with_gradient(a2c_gradient)
def a2c_loss(
    policy: Tensor, value: Tensor, batch: Batch, *, dist: Distribution, vf_coef: float, ent_coef: float
) -> Value:
    """The policy gradient with a baseline (Mnih et al. 2016, arXiv:1602.01783, section 4.3), as a loss.

    `-mean(A log pi(a)) + vf mean((V - R)^2) - ent mean(H)`.

    Args:
        policy: `[B, P]`, the parameters of the policy's distribution.
        value: `[B]`, V.
        batch: `action`, `advantage` A, `target` R.
        dist: the policy's distribution.
        vf_coef: weight of the value loss.
        ent_coef: weight of the entropy bonus.

    Returns:
        The loss and its three parts.
    """
    policy_loss = -(batch.advantage * dist.log_prob(policy, batch.action)).mean()
    value_loss = (value - batch.target).square().mean()
    entropy = dist.entropy(policy).mean()
    stats = {"policy_loss": policy_loss, "value_loss": value_loss, "entropy": entropy}
    return policy_loss + vf_coef * value_loss - ent_coef * entropy, stats


def sil_gradient(
    policy: Tensor, value: Tensor, batch: Batch, *, dist: Distribution, coef: float, vf_coef: float, clip: float | None
) -> tuple[Tensor, Tensor]:
    """The gradient of `sil_loss` by `policy` and `value`."""
    _, log_prob_gradient = dist.tape(policy, batch.action)
    weighted = batch.weight * (batch.ret - value).clamp(min=0).clamp(0, clip)
    scale = -coef / len(value)
    return log_prob_gradient(weighted * scale, 0.0), weighted * (scale * vf_coef)


@with_gradient(sil_gradient)
def sil_loss(
    policy: Tensor, value: Tensor, batch: Batch, *, dist: Distribution, coef: float, vf_coef: float, clip: float | None
) -> Value:
    """Self-imitation (Oh et al. 2018, arXiv:1806.05635, eq. 1 to 3).

    `coef mean(w (-log pi(a) (R - V)+ + vf/2 ((R - V)+)^2))`; the policy's part does not change V.

    Args:
        policy: `[B, P]`, the parameters of the policy's distribution.
        value: `[B]`, V.
        batch: `action`, `ret` (the return R) and `weight` (w).
        dist: the policy's distribution.
        coef: weight of the whole.
        vf_coef: weight of the value's part.
        clip: bound on `(R - V)+` in the policy's part and on the gradient of the value's part, whose square becomes
            linear beyond it, as in the authors' code; None: no bound, as in the paper.

    Returns:
        The loss and its statistics; `advantage [B]` is `(R - V)+`, clipped.
    """
    gain = (batch.ret - value).clamp(min=0)
    clipped = gain.detach().clamp(0, clip)
    policy_loss = -(batch.weight * clipped * dist.log_prob(policy, batch.action)).mean()
    value_loss = (batch.weight * clipped * (gain - 0.5 * clipped)).mean()
    stats = {
        "sil_policy_loss": policy_loss,
        "sil_value_loss": value_loss,
        "sil_share": (clipped > 0).float().mean(),
        "advantage": clipped,
    }
    return coef * (policy_loss + vf_coef * value_loss), stats


def soft_actor_gradient(
    q: Tensor, log_prob: Tensor, alpha: Tensor, *, twin: Literal["min", "mean"] = "min"
) -> tuple[Tensor, Tensor]:
    """The gradient of `soft_actor_loss` by `q` and `log_prob`."""
    each = -1 / len(log_prob)
    if twin == "min":
        d_q = torch.zeros_like(q).scatter_(0, q.min(0, keepdim=True).indices, each)  # `argmin` is eight times slower
    else:
        d_q = torch.full_like(q, each / len(q))
    return d_q, (alpha * -each).expand(len(log_prob))


@with_gradient(soft_actor_gradient)
def soft_actor_loss(q: Tensor, log_prob: Tensor, alpha: Tensor, *, twin: Literal["min", "mean"] = "min") -> Value:
    """The policy's loss in SAC (Haarnoja et al. 2018, arXiv:1812.05905, eq. 7): `mean(alpha log pi(a) - min Q(s, a))`.

    Args:
        q: `[K, B]`, of the reparametrised actions.
        log_prob: `[B]`, of the same actions.
        alpha: the temperature, a scalar.
        twin: the smallest of the critics' values, or their mean.

    Returns:
        The loss, without statistics.
    """
    joined = q.amin(0) if twin == "min" else q.mean(0)
    return (alpha * log_prob - joined).mean(), {}


def soft_policy_gradient(logits: Tensor, q: Tensor, alpha: Tensor) -> tuple[Tensor]:
    """The gradient of `soft_policy_loss` by `logits`; `sum p d(log p)` is 0."""
    log_p = logits.log_softmax(-1)
    p = log_p.exp()
    cost = alpha * log_p - q
    return (p * (cost - (p * cost).sum(-1, keepdim=True)) / len(logits),)


@with_gradient(soft_policy_gradient)
def soft_policy_loss(logits: Tensor, q: Tensor, alpha: Tensor) -> Value:
    """The policy's loss in SAC for discrete actions (Christodoulou 2019, arXiv:1910.07207, eq. 12).

    `mean(sum_a p(a) (alpha log p(a) - Q(a)))`.

    Args:
        logits: `[B, A]`, of the policy.
        q: `[B, A]`, action values, constants.
        alpha: the temperature, a scalar.

    Returns:
        The loss, and the entropies `[B]` as `entropy`.
    """
    log_p = logits.log_softmax(-1)
    p = log_p.exp()
    return (p * (alpha * log_p - q)).sum(-1).mean(), {"entropy": -(p * log_p).sum(-1)}


def temperature_gradient(log_alpha: Tensor, entropy: Tensor, target: float, *, plain: bool = False) -> tuple[Tensor]:
    """The gradient of `temperature_loss` by `log_alpha`."""
    excess = (entropy - target).mean()
    return (excess * log_alpha.exp() if plain else excess,)


@with_gradient(temperature_gradient)
def temperature_loss(log_alpha: Tensor, entropy: Tensor, target: float, *, plain: bool = False) -> Value:
    """The temperature's loss in SAC (Haarnoja et al. 2018, arXiv:1812.05905, eq. 18), with log alpha in place of alpha.

    `mean(log alpha (H - target))`: the temperature rises while the policy's entropy is below the target.

    Args:
        log_alpha: a scalar.
        entropy: `[B]`, of the policy, or estimates of it such as `-log pi(a)`.
        target: the entropy aimed at, in nats.
        plain: alpha itself in place of log alpha, as in the paper.

    Returns:
        The loss, without statistics.
    """
    return ((log_alpha.exp() if plain else log_alpha) * (entropy - target)).mean(), {}


def standardise(x: Tensor, eps: float = 1e-8) -> Tensor:
    """`(x - mean) / (std + eps)` with the sample standard deviation, along the last axis; a single value becomes 0."""
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
