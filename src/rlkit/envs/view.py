"""What a policy sees of one environment: its observation laid out, stacked with those before, and the time."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

import numpy as np
from gymnasium import spaces

from rlkit.envs.layout import Layout
from rlkit.errors import ConfigError

if TYPE_CHECKING:
    from gymnasium import Space

    from rlkit.config.env import EnvConfig
    from rlkit.envs.layout import Obs
    from rlkit.types import Array


class View:
    """Turns the observations of one environment into arrays of `space`, from episode to episode.

    Args:
        cfg: `ignore`, `frame_stack` and `time_aware` say what is seen.
        raw: the environment's observation space.
        limit: steps after which an episode is truncated, for `time_aware`.

    Raises:
        ObservationError: the space cannot be laid out.
        ConfigError: a setting does not fit the space.
    """

    def __init__(self, cfg: EnvConfig, raw: Space[Any] | None, limit: int | None) -> None:
        self.layout = Layout(raw, cfg.ignore)
        self.limit = limit if cfg.time_aware else None
        if cfg.time_aware and self.layout.picture:
            raise ConfigError("env.time_aware=true is for vector observations; this environment observes pictures")
        if cfg.time_aware and limit is None:
            raise ConfigError("env.time_aware=true needs a time limit\n  give one: env.max_episode_steps=1000")
        self.plain = self.layout.plain and cfg.frame_stack == 1 and not cfg.time_aware
        """Whether observations pass as they are."""
        self.stack: deque[Array] = deque(maxlen=int(cfg.frame_stack))
        self.steps = 0
        box = self.layout.space
        low, high = (np.concatenate([bound] * int(cfg.frame_stack)) for bound in (box.low, box.high))
        if cfg.time_aware:
            low, high = np.append(low, np.float32(0)), np.append(high, np.float32(1))
        self.space = spaces.Box(low, high, dtype=box.dtype.type)

    def first(self, obs: Obs) -> Array:
        """The first observation of an episode; a stack is filled with it."""
        self.steps = 0
        x = self.layout(obs)
        if self.plain:
            return x
        self.stack.extend([x.copy()] * (self.stack.maxlen or 1))
        return self._seen()

    def next(self, obs: Obs) -> Array:
        """A further observation of the episode."""
        x = self.layout(obs)
        if self.plain:
            return x
        self.steps += 1
        self.stack.append(x.copy())
        return self._seen()

    def _seen(self) -> Array:
        x = np.concatenate(self.stack) if len(self.stack) > 1 else self.stack[0]
        if self.limit is None:
            return x
        return np.append(x, np.float32(self.steps / self.limit)).astype(np.float32)
