"""Small environments with known answers, registered on import: `env.id=tests.envs.chain:Chain-v0`."""

from __future__ import annotations

from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
from gymnasium import spaces


class Chain(gym.Env[np.ndarray, int]):
    """Three states in a row, reward 1 a step; after the third it ends by `ending`: terminated, truncated, or both."""

    metadata: ClassVar[dict[str, Any]] = {"render_modes": []}

    def __init__(self, ending: str = "terminated", render_mode: str | None = None) -> None:
        self.ending, self.render_mode = ending, render_mode
        self.observation_space = spaces.Box(0, 10, (1,), np.float32)
        self.action_space = spaces.Discrete(2)
        self.at = 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None):
        super().reset(seed=seed)
        self.at = 0
        return np.array([0], np.float32), {}

    def step(self, action: int):
        self.at += 1
        over = self.at == 3
        terminated, truncated = over and self.ending != "truncated", over and self.ending != "terminated"
        return np.array([self.at], np.float32), 1.0, terminated, truncated, {}


class Identity(gym.Env[Any, Any]):
    """Reward for doing what the observation says: the reward of a perfect policy is 1 a step."""

    metadata: ClassVar[dict[str, Any]] = {"render_modes": []}

    def __init__(self, continuous: bool = False, render_mode: str | None = None) -> None:
        self.continuous, self.render_mode = continuous, render_mode
        self.observation_space = spaces.Box(-1, 1, (1,), np.float32) if continuous else spaces.Discrete(3)
        self.action_space = spaces.Box(-3, 3, (1,), np.float32) if continuous else spaces.Discrete(3)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None):
        super().reset(seed=seed)
        self.left = 10
        return self._next(), {}

    def _next(self) -> Any:
        if self.continuous:
            self.target = self.np_random.uniform(-1, 1, 1).astype(np.float32)
            return self.target
        self.target = int(self.np_random.integers(3))
        return self.target

    def step(self, action: Any):
        # The continuous task's answer is 3 times the observation: the whole range of the action space.
        error = abs(float(action[0]) / 3 - float(self.target[0])) if self.continuous else float(action != self.target)
        self.left -= 1
        return self._next(), 1.0 - error, False, self.left == 0, {}


class Broken(gym.Env[Any, Any]):
    """Misbehaves on its fifth step in the way that it is told."""

    metadata: ClassVar[dict[str, Any]] = {"render_modes": []}

    def __init__(self, how: str, render_mode: str | None = None) -> None:
        self.how, self.render_mode = how, render_mode
        self.observation_space = spaces.Box(-1, 1, (2,), np.float32)
        self.action_space = spaces.Discrete(2)
        self.rng = np.random.default_rng()  # not seeded: what a careless author writes

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None):
        super().reset(seed=seed)
        self.count = 0
        return np.zeros(2, np.float32), {}

    def step(self, action: Any):
        self.count += 1
        obs, reward = np.zeros(2, np.float32), 0.0
        if self.how == "unseeded":
            obs = self.rng.uniform(-1, 1, 2).astype(np.float32)
        if self.count == 5:
            if self.how == "raises":
                raise ValueError("the simulator fell over")
            if self.how == "nan reward":
                reward = float("nan")
            if self.how == "nan observation":
                obs[1] = np.nan
            if self.how == "shape":
                obs = np.zeros(3, np.float32)
        return obs, reward, False, self.count == 20, {}


gym.register("Chain-v0", Chain)
gym.register("Identity-v0", Identity)
gym.register("Broken-v0", Broken)
