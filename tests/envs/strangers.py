"""Environments of strangers: odd spaces, rewards, episodes and failures. `strange("RewardList")` gives an id."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from decimal import Decimal
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
import torch
from gymnasium import spaces

MODULE = __name__


def strange(name: str) -> str:
    """What `env.id` takes."""
    return f"{MODULE}:{name}-v0"


class Stranger(gym.Env[Any, Any]):
    """Rewards action 1, ends after ten steps; its constructor knows no `render_mode`."""

    metadata: ClassVar[dict[str, Any]] = {"render_modes": []}
    observation_space: Any = spaces.Box(-1, 1, (2,))
    action_space: Any = spaces.Discrete(2)

    def __init__(self) -> None:
        self.total = self.t = 0

    def observe(self) -> Any:
        return self.observation_space.sample()

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None):
        super().reset(seed=seed)
        if seed is not None:
            self.observation_space.seed(seed)
        self.t = 0
        return self.observe(), {}

    def step(self, action: Any):
        self.t += 1
        self.total += 1
        reward, terminated, truncated = self.reward(action), self.terminated(), self.truncated()
        return self.observe(), reward, terminated, truncated, self.info()

    def reward(self, action: Any) -> Any:
        return float(np.all(action == 1))

    def terminated(self) -> Any:
        return self.t >= 10

    def truncated(self) -> Any:
        return False

    def info(self) -> Any:
        return {}


def register(name: str, **body: Any) -> None:
    cls = type(name, (Stranger,), body)
    globals()[name] = cls
    gym.register(f"{name}-v0", cls)


def fail(error: BaseException) -> Any:
    raise error


def late(what: Callable[[], Any]) -> Callable[[Any, Any], Any]:
    """A reward that misbehaves at the hundredth step."""
    return lambda env, action: what() if env.total == 100 else 1.0


class TwoWordsError(Exception):
    """Cannot be unpickled: its constructor takes two arguments, its `args` holds one."""

    def __init__(self, code: int, what: str) -> None:
        super().__init__(f"{code}: {what}")


Box = spaces.Box

# Bytes
register("Ram", observation_space=Box(0, 255, (128,), np.uint8))
register("Board", observation_space=Box(0, 255, (9, 9), np.uint8))
register("Tiles", observation_space=Box(0, 255, (7, 7, 3), np.uint8))
register("Grey", observation_space=Box(0, 255, (24, 24), np.uint8))
register("Thumb", observation_space=Box(0, 255, (32, 32, 3), np.uint8))
register("Picture", observation_space=Box(0, 255, (40, 44, 3), np.uint8))
register("Channels", observation_space=Box(0, 255, (3, 40, 44), np.uint8))
register("DictOfRam", observation_space=spaces.Dict({"ram": Box(0, 255, (6,), np.uint8), "x": Box(-1, 1, (2,))}))
register("Wrapped", observation_space=spaces.Dict({"camera": Box(0, 255, (36, 36, 1), np.uint8)}))
MIXED = spaces.Dict({"camera": Box(0, 255, (36, 36, 1), np.uint8), "speed": Box(-5, 5, (2,))})
register("Mixed", observation_space=MIXED)

# Parts that cannot be laid out
register(
    "Mission", observation_space=spaces.Dict({"x": Box(-1, 1, (2,)), "mission": spaces.Sequence(Box(-1, 1, (1,)))})
)
DEEP = spaces.Dict({"a": spaces.Dict({"graph": spaces.Graph(Box(-1, 1, (2,)), None), "y": spaces.Discrete(3)})})
register("Deep", observation_space=DEEP)
register("Pair", observation_space=spaces.Tuple((Box(-1, 1, (2,)), spaces.Sequence(spaces.Discrete(2)))))
register("OnlyWords", observation_space=spaces.Sequence(spaces.Discrete(2)))
register("NoSpace", observation_space=None)
register("Empty", observation_space=spaces.Dict({}))
register("NoWidth", observation_space=Box(-1, 1, (0,)))

# Observations that their space does not hold
register("Above", observation_space=spaces.Discrete(5), observe=lambda env: 5 if env.t == 3 else 0)
register("Below", observation_space=spaces.Discrete(5, start=1), observe=lambda env: 0 if env.t == 3 else 1)
register(
    "DialBeyond",
    observation_space=spaces.MultiDiscrete([3, 3]),
    observe=lambda env: np.array([0, 3]) if env.t == 4 else np.array([2, 2]),
)
register("Bits", observation_space=spaces.MultiBinary(3), observe=lambda env: np.array([0, 2, 1]))
register("Far", observation_space=Box(-1, 1, (3,)), observe=lambda env: np.array([0, 50, 0], np.float32))
register("Unit", observation_space=Box(0, 255, (40, 40, 3), np.uint8), observe=lambda env: np.full((40, 40, 3), 0.5))
register("Beyond", observation_space=Box(0, 255, (6,), np.uint8), observe=lambda env: np.full(6, 300))
register("Longer", observation_space=Box(-1, 1, (3,)), observe=lambda env: np.zeros(4, np.float32))
register("One", observation_space=Box(-1, 1, (3,)), observe=lambda env: np.zeros(1, np.float32))
register("Words", observation_space=Box(-1, 1, (3,)), observe=lambda env: ["a", "b", "c"])
register("Nothing", observation_space=Box(-1, 1, (3,)), observe=lambda env: None)
TWO = spaces.Dict({"a": Box(-1, 1, (2,)), "b": Box(-1, 1, (2,))})
register("Missing", observation_space=TWO, observe=lambda env: {"a": np.zeros(2)})
register("Swapped", observation_space=TWO, observe=lambda env: {"a": np.zeros(3), "b": np.zeros(1)})

# Rewards and flags
for _name, _value in {
    "One1": np.array([1.0]),
    "One2D": np.array([[1.0]]),
    "List": [1.0],
    "Whole": np.int16(1),
    "Tensor": torch.tensor(1.0),
    "Decimal": Decimal("1"),
    "Half": np.float16(1.0),
    "Vector": np.array([1.0, 2.0]),
    "Pair": (1.0, 2.0),
    "None": None,
    "Text": "1.0",
    "Complex": 1 + 0j,
    "Nothing": np.array([]),
}.items():
    register(f"Reward{_name}", reward=lambda env, action, value=_value: value)
register("FlagArray", terminated=lambda env: np.array([env.t >= 10]))
register("FlagInt", terminated=lambda env: int(env.t >= 10), truncated=lambda env: 0)
register("FlagNone", terminated=lambda env: True if env.t >= 10 else None, truncated=lambda env: None)
register("FlagText", terminated=lambda env: "False")
register("FlagTwo", truncated=lambda env: 2)

# Failures
register("Raises", reward=late(lambda: fail(RuntimeError("the simulator was lost"))))
register("RaisesTwoWords", reward=late(lambda: fail(TwoWordsError(7, "the simulator was lost"))))
register("RaisesNothing", reward=late(lambda: fail(AssertionError())))
register("RaisesKey", reward=late(lambda: {}["joint"]))
register("Exits", reward=late(lambda: sys.exit(0)))
register("ExitsWithWords", reward=late(lambda: sys.exit("no licence")))
register("Vanishes", reward=late(lambda: os._exit(5)))
register("ConstructorRaises", __init__=lambda env: fail(FileNotFoundError("level.json")))
register("ConstructorExits", __init__=lambda env: sys.exit(0))
register("CloseRaises", close=lambda env: fail(RuntimeError("the connection was lost")))
register("CloseExits", close=lambda env: sys.exit(0))
register("ResetRaises", reset=lambda env, **kwargs: fail(ConnectionError("busy")))
register("OldReset", reset=lambda env, **kwargs: np.zeros(2, np.float32))
register("OldStep", step=lambda env, action: (np.zeros(2, np.float32), 1.0, False, {}))
register("NoStep", step=lambda env, action: None)
register("Lambda", info=lambda env: {"log": lambda: 0})
register("NoInfo", info=lambda env: None)
register("Chdir", reward=lambda env, action: os.chdir(os.sep) or 1.0)

# Episodes and numbers
register("Endless", terminated=lambda env: False)
register("LastNaN", observe=lambda env: np.full(2, np.nan if env.t == 10 else 0.0, np.float32))
register(
    "LastCutNaN",
    observe=lambda env: np.full(2, np.inf if env.t == 10 else 0.0, np.float32),
    terminated=lambda env: False,
    truncated=lambda env: env.t >= 10,
)
register("NaN", observe=lambda env: np.full(2, np.nan if env.total == 100 else 0.0, np.float32))
register("RewardNaN", reward=late(lambda: float("nan")))
register("RewardInf", reward=late(lambda: float("inf")))
register("RewardNaNPicture", observation_space=Box(0, 255, (36, 36, 3), np.uint8), reward=late(lambda: float("nan")))
register("Counted", reward=late(lambda: 1.0))


class Differs(Stranger):
    """Its observations are of another width each time that one is made."""

    made = 0

    def __init__(self) -> None:
        super().__init__()
        Differs.made += 1
        self.observation_space = Box(-1, 1, (2 + Differs.made % 2,))


gym.register("Differs-v0", Differs)


# Actions; each step refuses what its space does not hold, and notes what it was given
class Acted(Stranger):
    """Checks its actions."""

    given: ClassVar[list[Any]] = []

    def step(self, action: Any):
        if not isinstance(action, np.ndarray | np.generic) or not self.action_space.contains(action):
            raise ValueError(f"{action!r} of type {type(action).__name__} is not in {self.action_space}")
        Acted.given.append(np.asarray(action).tolist())
        return super().step(action)


ACTIONS = {
    "Halves": Box(np.array([0, -np.inf], np.float32), np.array([np.inf, 0], np.float32)),
    "Unbounded": Box(-np.inf, np.inf, (2,)),
    "OneBound": Box(np.array([-1, -np.inf], np.float32), np.array([1, np.inf], np.float32)),
    "Scalar": Box(-2, 2, ()),
    "Matrix": Box(-2, 2, (2, 3)),
    "Double": Box(-1, 1, (2,), np.float64),
    "Whole": Box(-5, 5, (1,), np.int64),
    "Bytes": Box(0, 255, (2,), np.uint8),
    "HalfWhole": Box(0, np.iinfo(np.int32).max, (1,), np.int32),
    "Huge": Box(-3.4e38, 3.4e38, (1,)),
    "HugeDouble": Box(-1e300, 1e300, (1,), np.float64),
    "Fixed": Box(np.array([0.5, -1], np.float32), np.array([0.5, 1], np.float32)),
    "Far": Box(1000000.0, 1000001.0, (1,)),
    "Odd": Box(np.float32(0.1), np.float32(0.4116305410861969), (3,)),
    "Start": spaces.Discrete(3, start=-1),
    "Dials": spaces.MultiDiscrete(np.array([[2, 3], [4, 5]])),
    "ByteDials": spaces.MultiDiscrete([3, 4], dtype=np.uint8),
    "StartedDials": spaces.MultiDiscrete([3, 4], start=[2, -1]),
    "Switches": spaces.MultiBinary((2, 3)),
}
for _name, _value in ACTIONS.items():
    gym.register(f"Act{_name}-v0", type(f"Act{_name}", (Acted,), {"action_space": _value}))
register("ActNothing", action_space=None)
register("ActEmpty", action_space=Box(-1, 1, (0,)))
register("ActWords", action_space=spaces.Text(3))
register("ActDict", action_space=spaces.Dict({"a": spaces.Discrete(2)}))
