"""Playing the policy in the training environments, into preallocated arrays."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np

from rlkit.types import Rollout

if TYPE_CHECKING:
    from rlkit.algos.base import Algorithm
    from rlkit.envs.vector import VectorEnv
    from rlkit.types import Array


class Collector:
    """Collects rollouts of `T` steps; a rollout's arrays are reused by the next."""

    def __init__(self, envs: VectorEnv, algo: Algorithm) -> None:
        self.envs, self.algo = envs, algo
        self.steps = algo.rollout_steps
        T, N = self.steps, envs.num_envs
        self.obs = np.zeros((T + 1, *envs.obs.shape), np.float32)
        self.fields: dict[str, Array] = {
            "reward": np.zeros((T, N), np.float32),
            "terminated": np.zeros((T, N), np.bool_),
            "boundary": np.zeros((T, N), np.bool_),
        }
        self.env_seconds = 0.0  # of the latest rollout

    def collect(self, frames: int) -> Rollout:
        """The next rollout; `frames` is the count before it."""
        envs, algo, obs, fields = self.envs, self.algo, self.obs, self.fields
        reward, terminated, boundary = fields["reward"], fields["terminated"], fields["boundary"]
        cut_t: list[int] = []
        cut_n: list[Any] = []
        cut_obs: list[Array] = []
        state: Any = None
        clock = time.perf_counter
        self.env_seconds = 0.0
        for t in range(self.steps):
            obs[t] = envs.obs
            action = algo.act(obs[t], state, frames=frames + t * envs.num_envs, explore=True)
            state = action.state
            for name, value in (("action", action.action), *action.extra.items()):
                self._field(name, value)[t] = value
            began = clock()
            step = envs.step(action.action)
            self.env_seconds += clock() - began
            reward[t], terminated[t], boundary[t] = step.reward, step.terminated, step.boundary
            if len(step.cut):
                cut_t += [t] * len(step.cut)
                cut_n.append(step.cut)
                cut_obs.append(step.cut_obs)
        obs[self.steps] = envs.obs
        envs.check(obs, reward)
        return Rollout(
            obs=obs,
            fields={name: fields[name] for name in fields},
            cut_t=np.array(cut_t, np.int64),
            cut_n=np.concatenate(cut_n) if cut_n else np.zeros(0, np.int64),
            cut_obs=np.concatenate(cut_obs).astype(np.float32)
            if cut_obs
            else np.zeros((0, *obs.shape[2:]), np.float32),
            frames=frames,
        )

    def _field(self, name: str, value: Array) -> Array:
        if name not in self.fields:
            self.fields[name] = np.zeros((self.steps, *value.shape), value.dtype)
        return self.fields[name]
