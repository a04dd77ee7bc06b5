"""What happens to observations and rewards between the environment and the learner, with its statistics.

The statistics belong to the training environments and to the checkpoint. Evaluation and a loaded agent use them frozen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from rlkit.maths.running import RunningMoments

if TYPE_CHECKING:
    from rlkit.config.env import EnvConfig
    from rlkit.types import Array, Floats, State

EPSILON = 1e-8
REWARD_PRIOR = 1e-4
"""Rows for which a variance of 1 counts in the statistics of rewards, as in Gymnasium and Stable-Baselines3."""
REWARD_BOUND = 10.0
"""Bound on a normalised reward where the config gives none, as in Stable-Baselines3."""


def bounded(x: Array, bound: float) -> Array:
    """`x` within [-bound, bound]; on the few numbers of a step, half the time of `np.clip`."""
    return np.minimum(np.maximum(x, -bound), bound)


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
        """Update the statistics with observations `[N, ...]` of training."""
        if self.on:
            self.moments.update(obs)
            self._settle()

    def __call__(self, obs: Array) -> Array:
        """Observations `[..., *shape]` as the policy sees them."""
        if not self.on:
            return obs
        return bounded((obs - self.shift) * self.scale, self.clip)

    def state_dict(self) -> State:
        """The statistics."""
        return self.moments.state_dict() if self.on else {}

    def load_state_dict(self, state: State) -> None:
        """Restore the statistics of `state_dict`."""
        if self.on:
            self.moments.load_state_dict(state)
            self._settle()


class RewardTransform:
    """Scales training rewards by the deviation of the running discounted return, then clips or takes the sign.

    The return is that of each environment, `G <- gamma G + r`, restarted with each episode; its variance is over all
    environments and steps. The mean is left where it is: subtracting it would change what is optimal. The variance
    begins at 1, and a normalised reward is clipped: the first returns may be equal, and say nothing about the scale.
    """

    def __init__(self, cfg: EnvConfig, num_envs: int, gamma: float) -> None:
        self.normalize, self.sign, self.gamma = cfg.normalize_reward, cfg.sign_reward, gamma
        self.clip = REWARD_BOUND if cfg.clip_reward is None and cfg.normalize_reward else cfg.clip_reward
        self.on = self.normalize or self.sign or self.clip is not None
        self.moments = RunningMoments((), REWARD_PRIOR)
        self.returns = np.zeros(num_envs)

    def __call__(self, reward: Floats, cut: Array) -> Floats:
        """Rewards `[N]` as the learner sees them; the statistics learn from them first. `cut [K]`: rows that ended."""
        if not self.on:
            return reward
        if self.normalize:
            self.returns = self.gamma * self.returns + reward
            self.moments.update(self.returns)
            reward = (reward / np.sqrt(self.moments.var + EPSILON)).astype(np.float32)
            if len(cut):
                self.returns[cut] = 0
        if self.sign:
            reward = np.sign(reward)
        if self.clip is not None:
            reward = bounded(reward, self.clip)
        return reward

    def restart(self) -> None:
        """Restart the running returns, where new episodes begin before the old ones ended."""
        self.returns[:] = 0

    def state_dict(self) -> State:
        """The statistics and the running returns."""
        return {"moments": self.moments.state_dict(), "returns": self.returns} if self.normalize else {}

    def load_state_dict(self, state: State) -> None:
        """Restore the state of `state_dict`."""
        if self.normalize:
            self.moments.load_state_dict(state["moments"])
            self.returns = state["returns"].copy()
