"""One environment as rlkit steps it: observations laid out, rewards and flags checked, failures put into words."""

from __future__ import annotations

import linecache
import traceback
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, SupportsFloat

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from loguru import logger

from rlkit.envs.layout import ObservationError

if TYPE_CHECKING:
    from rlkit.envs.view import View
    from rlkit.types import Array

OFTEN, SELDOM = 20, 1_000
"""The first steps, all of which are compared with the observation space, and the steps between later comparisons."""
NUMBERS = frozenset({float, int, bool, np.float64, np.float32, np.int64, np.int32, np.bool_})
FLAGS = frozenset({bool, np.bool_})


class EnvFailureError(Exception):
    """What an environment did wrong, as text that passes from process to process.

    Args:
        what: one or two lines for the user.
        trace: the traceback, for the log; empty where the environment raised nothing.
    """

    def __init__(self, what: str, trace: str = "") -> None:
        super().__init__(what, trace)
        self.what, self.trace = what, trace

    def __str__(self) -> str:
        return self.what

    @classmethod
    def of(cls, error: BaseException) -> EnvFailureError:
        """From an exception that the environment raised."""
        return cls(told(error), "".join(traceback.format_exception(error)))


def told(error: BaseException) -> str:
    """An exception's type and message, and the line that raised it where that is not part of an installed library."""
    message = " ".join(str(error).split())
    if isinstance(error, SystemExit):
        text = f"the environment called sys.exit({error.code!r})"
    else:
        text = f"{type(error).__name__}: {message[:600]}" if message else f"{type(error).__name__} without a message"
    return text + _place(error.__traceback__, always=not message)


def _place(trace: TracebackType | None, *, always: bool) -> str:
    """Where an exception was raised, in a line below its message."""
    frames = traceback.extract_tb(trace)
    mine = [
        f for f in frames if "site-packages" not in Path(f.filename).parts and "rlkit" not in Path(f.filename).parts
    ]
    frame = mine[-1] if mine else frames[-1] if frames and always else None
    if frame is None or frame.filename.startswith("<"):
        return ""
    line = linecache.getline(frame.filename, frame.lineno or 0).strip()
    return f"\n  raised in {frame.filename}, line {frame.lineno}, in {frame.name}" + (f": {line[:120]}" if line else "")


class Adapter(gym.Wrapper[Any, Any, Any, Any]):
    """Steps one environment. Whatever goes wrong in it raises an `EnvFailureError`, `sys.exit` included.

    Observations come as `view.space` says. Rewards and flags of one element become plain numbers. The infos are left
    behind: rlkit reads none, and some of them cannot pass to another process.

    Args:
        env: the environment.
        view: what is seen of it.
    """

    def __init__(self, env: gym.Env[Any, Any], view: View) -> None:
        super().__init__(env)
        self.view = view
        self.observation_space = view.space
        self.scalar_box = isinstance(env.action_space, spaces.Box) and not env.action_space.shape
        # The shape of arrays that pass as they are: a plain vector costs no call on the way.
        self.shape = view.space.shape if view.plain else None
        self.steps, self.look_at = 0, 0
        self.warned = False

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Array, dict[str, Any]]:
        """The first observation of an episode, as `view.space` says."""
        try:
            result = self.env.reset(seed=seed, options=options)
        except (Exception, SystemExit) as error:
            raise EnvFailureError.of(error) from error
        if not isinstance(result, tuple) or len(result) != 2:
            raise EnvFailureError(f"reset returned {_brief(result)}; Gymnasium's reset returns (observation, info)")
        self.steps += 1
        return self._seen(result[0], first=True), {}

    def step(self, action: Any) -> tuple[Array, SupportsFloat, bool, bool, dict[str, Any]]:
        if self.scalar_box:
            action = np.asarray(action)
        try:
            result = self.env.step(action)
        except (Exception, SystemExit) as error:
            raise EnvFailureError.of(error) from error
        if not isinstance(result, tuple) or len(result) != 5:
            five = "(observation, reward, terminated, truncated, info)"
            raise EnvFailureError(f"step returned {_brief(result)}; Gymnasium's step returns {five}")
        obs, reward, terminated, truncated, _ = result
        if type(reward) not in NUMBERS:
            reward = _number(reward)
        if type(terminated) not in FLAGS or type(truncated) not in FLAGS:
            terminated, truncated = _flag("terminated", terminated), _flag("truncated", truncated)
        self.steps += 1
        if type(obs) is not np.ndarray or obs.shape != self.shape or self.steps >= self.look_at:
            obs = self._seen(obs, first=False)
        return obs, reward, terminated, truncated, {}

    def _seen(self, obs: Any, *, first: bool) -> Array:
        try:
            seen = self.view.first(obs) if first else self.view.next(obs)
            if self.steps >= self.look_at:
                self.look_at = self.steps + (1 if self.steps < OFTEN else SELDOM)
                self._look(obs, seen)
        except ObservationError as error:
            raise EnvFailureError(str(error)) from error
        except (Exception, SystemExit) as error:  # objects of the environment's own may fail in any way
            raise EnvFailureError(f"an observation that cannot be read: {told(error)}") from error
        return seen

    def _look(self, obs: Any, seen: Array) -> None:
        """Compare an observation with its space: refuse what is not a number, warn once of values out of bounds."""
        if seen.dtype == object or not np.can_cast(seen.dtype, np.float64, "same_kind"):
            raise ObservationError(f"its observation is {_brief(obs)}; its space says {self.env.observation_space}")
        if not self.warned and (wrong := self.view.layout.outside(obs)) is not None:
            self.warned = True
            logger.warning("{}: {}; training continues", getattr(self.env.spec, "id", "the environment"), wrong)

    def close(self) -> None:
        """Close the environment; a failure is logged, since its work is done."""
        try:
            self.env.close()
        except (Exception, SystemExit) as error:
            logger.warning("an environment failed while it was closed: {}", told(error))


def _number(reward: Any) -> float:
    """A reward of one element as a number.

    Raises:
        EnvFailureError: it is none.
    """
    if reward is not None and not isinstance(reward, str | bytes | complex):
        try:
            return float(reward) if np.ndim(reward) == 0 else float(np.asarray(reward, np.float64).reshape(()))
        except (TypeError, ValueError, RuntimeError):
            pass
        if (size := _elements(reward)) > 1:
            raise EnvFailureError(
                f"its reward has {size} elements ({_brief(reward)}); rlkit learns from one number\n"
                "  wrap the environment so that it returns one, such as a weighted sum"
            )
    raise EnvFailureError(f"its reward is {_brief(reward)}; a number is needed")


def _elements(value: Any) -> int:
    try:
        return int(np.asarray(value).size)
    except (TypeError, ValueError, RuntimeError):
        return 0


def _flag(name: str, value: Any) -> bool:
    """`terminated` or `truncated` as a truth value; None is false, as it was in older environments.

    Raises:
        EnvFailureError: it is none.
    """
    if value is None:
        return False
    if not isinstance(value, str | bytes) and np.size(value) == 1:
        number = np.asarray(value).reshape(())
        if number.dtype.kind in "biuf" and number in (0, 1):
            return bool(number)
    raise EnvFailureError(f"{name} is {_brief(value)}; true or false is needed")


def _brief(value: Any) -> str:
    """A value and its type, in a few words."""
    if isinstance(value, tuple):
        return f"{len(value)} values"
    if isinstance(value, np.ndarray):
        return f"an array of {value.dtype} and shape {value.shape}"
    text = " ".join(repr(value).split())
    return text if value is None else f"{text[:80]} of type {type(value).__name__}"
