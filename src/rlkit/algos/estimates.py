"""What on-policy algorithms compute of a rollout before they learn from it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from rlkit.maths.returns import gae, n_step

if TYPE_CHECKING:
    from rlkit.nets.actor_critic import ActorCritic
    from rlkit.types import Floats, Rollout


def values_along(net: ActorCritic, rollout: Rollout) -> tuple[Floats, Floats]:
    """V of the states and of their true successors, each `[T, N]`, in one pass of the critic.

    The pass covers every state of the rollout, its end, and the last states of the episodes that ended in it.
    """
    T, N = rollout.steps, rollout.num_envs
    states = rollout.obs.reshape((T + 1) * N, *rollout.obs.shape[2:])
    values = net.value(np.concatenate([states, rollout.cut_obs]))
    along, at_cuts = values[: (T + 1) * N].reshape(T + 1, N), values[(T + 1) * N :]
    value, successor = along[:-1], along[1:].copy()
    successor[rollout.cut_t, rollout.cut_n] = at_cuts
    return value, successor


def advantages(
    rollout: Rollout,
    value: Floats,
    next_value: Floats,
    *,
    returns: Literal["gae", "nstep", "mc"],
    gamma: float,
    lam: float,
    n: int,
) -> Floats:
    """Advantages `[T, N]`: by GAE, by `n`-step returns, or by the rewards up to the episode's or the rollout's end."""
    signals = rollout.fields["terminated"], rollout.fields["boundary"]
    reward = rollout.fields["reward"]
    if returns == "nstep":
        return n_step(reward, next_value, *signals, gamma=gamma, n=n) - value
    return gae(reward, value, next_value, *signals, gamma=gamma, lam=1.0 if returns == "mc" else lam)
