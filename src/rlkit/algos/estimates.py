"""What on-policy algorithms compute of a rollout before they learn from it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from rlkit.maths.returns import gae, n_step
from rlkit.maths.running import RunningMoments

if TYPE_CHECKING:
    from rlkit.nets.network import Network
    from rlkit.types import Array, Floats, Rollout, State


class ValueTransform:
    """The map between returns and the units of the critic's output.

    Args:
        kind: `none`: the same. `normalize`: returns less the mean over the deviation of all value targets so far.
            `symlog`: `sign(x) log(1 + |x|)` (Hafner et al. 2023, arXiv:2301.04104, eq. 9).
    """

    def __init__(self, kind: Literal["none", "normalize", "symlog"]) -> None:
        self.kind = kind
        self.moments = RunningMoments(())

    def learn(self, target: Floats) -> None:
        """Update the statistics with value targets."""
        if self.kind == "normalize":
            self.moments.update(target.reshape(-1))

    def encode(self, value: Floats) -> Floats:
        """The critic's target output for these returns."""
        coded: Array = value
        if self.kind == "normalize":
            coded = (value - self.moments.mean) / np.sqrt(self.moments.var + 1e-8)
        elif self.kind == "symlog":
            coded = np.sign(value) * np.log1p(np.abs(value))
        return coded.astype(np.float32, copy=False)

    def decode(self, output: Floats) -> Floats:
        """The returns that outputs of the critic stand for."""
        value: Array = output
        if self.kind == "normalize":
            value = output * np.sqrt(self.moments.var + 1e-8) + self.moments.mean
        elif self.kind == "symlog":
            value = np.sign(output) * np.expm1(np.abs(output))
        return value.astype(np.float32, copy=False)

    def state_dict(self) -> State:
        """The statistics."""
        return self.moments.state_dict()

    def load_state_dict(self, state: State) -> None:
        """Restore the statistics of `state_dict`."""
        self.moments.load_state_dict(state)


def values_along(net: Network, rollout: Rollout) -> tuple[Floats, Floats]:
    """The critic's output at the states and at their true successors, each `[T, N]`, in one pass.

    The pass covers every state of the rollout whose value did not come with acting, its end, and the last states of
    the episodes that ended in it, each with the recurrent state that it was met with.
    """
    N, acted = rollout.num_envs, rollout.fields.get("critic")
    begin = 0 if acted is None else rollout.steps

    def rows(along: Array, at_cuts: Array) -> Array:
        return np.concatenate([along[begin:].reshape(-1, *along.shape[2:]), at_cuts])

    obs = rows(rollout.obs, rollout.cut_obs)
    if rollout.state is None or rollout.cut_state is None:
        values = net.infer(obs, 1)
    else:
        (_, values), _ = net.advance(obs, rows(rollout.state, rollout.cut_state))
    passed = (rollout.steps + 1 - begin) * N
    along, at_cuts = values[:passed].reshape(-1, N), values[passed:]
    if acted is not None:
        along = np.concatenate([acted, along])
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
