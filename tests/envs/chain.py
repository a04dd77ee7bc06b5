"""Small environments with known answers, registered on import: `env.id=tests.envs.chain:Chain-v0`."""

from __future__ import annotations

import multiprocessing
import os
import time
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
from gymnasium import spaces

from rlkit.envs.backends import StepResult


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
    """Misbehaves on its fifth step (or after so many) in the way that it is told."""

    metadata: ClassVar[dict[str, Any]] = {"render_modes": []}

    def __init__(self, how: str, after: int = 5, render_mode: str | None = None) -> None:
        self.how, self.after, self.render_mode = how, after, render_mode
        if how == "never starts" and multiprocessing.parent_process() is not None:
            time.sleep(60)
        self.steps = 0
        self.observation_space = spaces.Box(-1, 1, (2,), np.float32)
        self.action_space = spaces.Discrete(2)
        self.rng = np.random.default_rng()  # not seeded: what a careless author writes

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None):
        super().reset(seed=seed)
        self.count = 0
        return np.zeros(2, np.float32), {}

    def step(self, action: Any):
        self.count += 1
        self.steps += 1
        obs, reward = np.zeros(2, np.float32), 0.0
        if self.how == "unseeded":
            obs = self.rng.uniform(-1, 1, 2).astype(np.float32)
        if self.steps == self.after or (self.after == 5 and self.count == 5):
            if self.how == "hangs":
                time.sleep(60)
            if self.how == "dies":
                os._exit(1)
            if self.how == "raises":
                raise ValueError("the simulator fell over")
            if self.how == "nan reward":
                reward = float("nan")
            if self.how == "nan observation":
                obs[1] = np.nan
            if self.how == "shape":
                obs = np.zeros(3, np.float32)
        return obs, reward, False, self.count == 20, {}


class NativeChain:
    """The chain as a vectorised backend of its own."""

    name = "native"
    seed_every = 0
    frames_per_second = 30.0

    def __init__(self, num_envs: int, ending: str) -> None:
        one = Chain(ending)
        self.num_envs, self.ending = num_envs, ending
        self.observation, self.action = one.observation_space, one.action_space
        self.at = np.zeros((num_envs, 1), np.float32)

    def reset(self, rows, seeds):
        self.at[list(rows)] = 0
        return self.at

    def step(self, action):
        self.at += 1
        over = self.at[:, 0] == 3
        terminated, truncated = over & (self.ending != "truncated"), over & (self.ending != "terminated")
        return StepResult(self.at, np.ones(self.num_envs, np.float32), terminated, truncated, over)

    def close(self) -> None:
        pass


class Slow(Chain):
    """Takes a millisecond for a step."""

    def step(self, action: int):
        time.sleep(1e-3)
        return super().step(action)


class Talks(Chain):
    """Prints numbers, without an end of line too."""

    def step(self, action: int):
        print(self.at + 1)
        print("{", end="")
        return super().step(action)


class Speaks(Chain):
    """Wants to be told in words."""

    def __init__(self, render_mode: str | None = None) -> None:
        super().__init__()
        self.action_space = spaces.Text(5)


class Switches(gym.Env[Any, Any]):
    """A Dict observation and switches or dials to set as it says; a perfect policy gets 1 a step."""

    metadata: ClassVar[dict[str, Any]] = {"render_modes": []}

    def __init__(self, dials: bool = False, render_mode: str | None = None) -> None:
        self.render_mode = render_mode
        self.action_space = spaces.MultiDiscrete([2, 3]) if dials else spaces.MultiBinary(2)
        self.observation_space = spaces.Dict({"a": spaces.Discrete(2), "b": spaces.MultiBinary(3)})

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None):
        super().reset(seed=seed)
        self.left = 10
        return self._next(), {}

    def _next(self) -> Any:
        last = 3 if isinstance(self.action_space, spaces.MultiDiscrete) else 2
        self.target = np.array([self.np_random.integers(2), self.np_random.integers(last)])
        b = np.zeros(3, np.int8)
        b[self.target[1]] = 1
        return {"a": int(self.target[0]), "b": b}

    def step(self, action: Any):
        right = float((np.asarray(action) == self.target).mean())
        self.left -= 1
        return self._next(), right, False, self.left == 0, {}


class Recall(gym.Env[Any, Any]):
    """Says at the start which of two actions is right at the end, `delay` steps later; reward 1 for that alone."""

    metadata: ClassVar[dict[str, Any]] = {"render_modes": []}

    def __init__(self, delay: int = 32, render_mode: str | None = None) -> None:
        self.delay, self.render_mode = delay, render_mode
        self.observation_space = spaces.Box(-1, 1, (2,), np.float32)  # the sign, and whether it is time to answer
        self.action_space = spaces.Discrete(2)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None):
        super().reset(seed=seed)
        self.at, self.right = 0, int(self.np_random.integers(2))
        return np.array([2 * self.right - 1, 0], np.float32), {}

    def step(self, action: int):
        over = self.at == self.delay
        reward = float(over and action == self.right)
        self.at += 1
        return np.array([0, float(self.at == self.delay)], np.float32), reward, over, False, {}


class Blindfold(gym.ObservationWrapper[Any, Any, Any]):
    """CartPole without velocities."""

    def __init__(self, render_mode: str | None = None) -> None:
        super().__init__(gym.make("CartPole-v1", render_mode=render_mode).unwrapped)
        low, high = self.env.observation_space.low[[0, 2]], self.env.observation_space.high[[0, 2]]
        self.observation_space = spaces.Box(low, high, dtype=np.float32)

    def observation(self, observation: Any) -> Any:
        return observation[[0, 2]]


gym.register("Recall-v0", Recall)
gym.register("Blindfold-v0", Blindfold, max_episode_steps=500)
gym.register("Chain-v0", Chain)
gym.register("Slow-v0", Slow)
gym.register("Speaks-v0", Speaks)
gym.register("Talks-v0", Talks)
gym.register("Switches-v0", Switches)
gym.register("Identity-v0", Identity)
gym.register("Broken-v0", Broken)
