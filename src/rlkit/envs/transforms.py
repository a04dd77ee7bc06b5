"""What happens to observations and rewards between the environment and the learner, with its statistics.

The statistics belong to the training environments and to the checkpoint. Evaluation and a loaded agent use them frozen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from rlkit.config.env import EnvConfig
    from rlkit.types import Array, Bools, Floats, State

EPSILON = 1e-8


class RunningMoments:
    """Mean and variance of all rows seen so far, merged batch by batch in float64 (Chan et al. 1979)."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.count = 0
        self.mean: Array = np.zeros(shape)
        self.squares: Array = np.zeros(shape)  # sum of squared deviations from the mean

    def update(self, rows: Array) -> None:
        """Take in rows `[B, *shape]`."""
        rows = rows.astype(np.float64)
        n, mean = len(rows), rows.mean(0)
        shift, total = mean - self.mean, self.count + n
        self.squares += np.square(rows - mean).sum(0) + np.square(shift) * (self.count * n / total)
        self.mean = self.mean + shift * (n / total)
        self.count = total

    @property
    def var(self) -> Array:
        """The population variance; 1 before anything was seen."""
        if not self.count:
            return np.ones(self.squares.shape)
        var: Array = self.squares / self.count
        return var

    def state_dict(self) -> State:
        """Count, mean and squared deviations."""
        return {"count": self.count, "mean": np.asarray(self.mean), "squares": np.asarray(self.squares)}

    def load_state_dict(self, state: State) -> None:
        """Take up the state of `state_dict`."""
        self.count = state["count"]
        self.mean, self.squares = state["mean"].copy(), state["squares"].copy()


class ObservationTransform:
    """Standardises and clips observations, where the config asks for it."""

    def __init__(self, cfg: EnvConfig, shape: tuple[int, ...]) -> None:
        self.on, self.clip = cfg.normalize_obs, cfg.clip_obs
        self.moments = RunningMoments(shape)
        self._settle()

    def _settle(self) -> None:
        self.shift = self.moments.mean.astype(np.float32)
        self.scale = (1 / np.sqrt(self.moments.var + EPSILON)).astype(np.float32)

    def learn(self, obs: Array) -> None:
        """Take observations `[N, ...]` of training into the statistics."""
        if self.on:
            self.moments.update(obs)
            self._settle()

    def __call__(self, obs: Array) -> Array:
        """Observations `[..., *shape]` as the policy sees them."""
        if not self.on:
            return obs
        seen: Array = np.clip((obs - self.shift) * self.scale, -self.clip, self.clip, dtype=np.float32)
        return seen

    def state_dict(self) -> State:
        """The statistics."""
        return self.moments.state_dict() if self.on else {}

    def load_state_dict(self, state: State) -> None:
        """Take up the statistics of `state_dict`."""
        if self.on:
            self.moments.load_state_dict(state)
            self._settle()


class RewardTransform:
    """Scales training rewards by the deviation of the running discounted return, then clips or takes the sign.

    The return is that of each environment, `G <- gamma G + r`, begun anew with each episode; its variance is over all
    environments and steps. The mean is left where it is: subtracting it would change what is optimal.
    """

    def __init__(self, cfg: EnvConfig, num_envs: int, gamma: float) -> None:
        self.normalize, self.clip, self.sign, self.gamma = cfg.normalize_reward, cfg.clip_reward, cfg.sign_reward, gamma
        self.on = self.normalize or self.sign or self.clip is not None
        self.moments = RunningMoments(())
        self.returns = np.zeros(num_envs)

    def __call__(self, reward: Floats, ended: Bools) -> Floats:
        """Rewards `[N]` as the learner sees them; the statistics learn from them first."""
        if not self.on:
            return reward
        if self.normalize:
            self.returns = self.gamma * self.returns + reward
            self.moments.update(self.returns)
            reward = (reward / np.sqrt(self.moments.var + EPSILON)).astype(np.float32)
            self.returns[ended] = 0
        if self.sign:
            reward = np.sign(reward)
        if self.clip is not None:
            reward = np.clip(reward, -self.clip, self.clip)
        return reward

    def state_dict(self) -> State:
        """The statistics and the running returns."""
        return {"moments": self.moments.state_dict(), "returns": self.returns} if self.normalize else {}

    def load_state_dict(self, state: State) -> None:
        """Take up the state of `state_dict`."""
        if self.normalize:
            self.moments.load_state_dict(state["moments"])
            self.returns = state["returns"].copy()
