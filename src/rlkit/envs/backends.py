"""Ways to step `N` environments at once. None resets by itself: `envs/vector.py` says what and when."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from rlkit.errors import EnvError

if TYPE_CHECKING:
    from gymnasium import Env, Space

    from rlkit.types import Array, Bools, Floats

    StepResult = tuple[Array, Floats, Bools, Bools]


class Backend(Protocol):
    """`N` environments of one kind. The arrays that it returns are its own, valid until the next call."""

    name: str
    num_envs: int
    observation: Space[Any]
    action: Space[Any]

    def reset(self, rows: Sequence[int], seeds: Sequence[int]) -> Array:
        """Reset some rows, each with its own seed; returns the observations `[N, ...]` of all."""

    def step(self, action: Array) -> StepResult:
        """Step every row: true successors `[N, ...]`, rewards, terminated, truncated `[N]`."""

    def render(self) -> Any:
        """A picture `[H, W, 3]` uint8 of row 0, where the environment was made to give one."""

    def close(self) -> None:
        """Free what the environments hold."""


class Sync:
    """Gymnasium environments in this process, one after the other."""

    name = "sync"

    def __init__(self, makers: Sequence[Callable[[], Env[Any, Any]]]) -> None:
        self.envs = [make() for make in makers]
        self.num_envs = len(self.envs)
        self.observation = self.envs[0].observation_space
        self.action = self.envs[0].action_space
        self.discrete = not self.action.shape
        shape = (self.num_envs, *(self.observation.shape or ()))
        self.obs = np.zeros(shape, self.observation.dtype)
        self.reward = np.zeros(self.num_envs, np.float32)
        self.terminated = np.zeros(self.num_envs, np.bool_)
        self.truncated = np.zeros(self.num_envs, np.bool_)

    def reset(self, rows: Sequence[int], seeds: Sequence[int]) -> Array:
        """See `Backend.reset`."""
        for row, seed in zip(rows, seeds, strict=True):
            self._store(row, self.envs[row].reset(seed=seed)[0])
        return self.obs

    def step(self, action: Array) -> StepResult:
        """See `Backend.step`."""
        choices = action.tolist() if self.discrete else action
        for row, env in enumerate(self.envs):
            obs, self.reward[row], self.terminated[row], self.truncated[row], _ = env.step(choices[row])
            self._store(row, obs)
        return self.obs, self.reward, self.terminated, self.truncated

    def _store(self, row: int, obs: Any) -> None:
        try:
            self.obs[row] = obs
        except (ValueError, TypeError) as error:
            given, accepted = getattr(obs, "shape", type(obs).__name__), self.observation.shape
            raise EnvError(
                f"environment {row} returned an observation of shape {given}, its space says {accepted}"
            ) from error

    def render(self) -> Any:
        """See `Backend.render`."""
        return self.envs[0].render()

    def close(self) -> None:
        """See `Backend.close`."""
        for env in self.envs:
            env.close()
