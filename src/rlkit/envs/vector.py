"""`N` environments that rlkit resets itself, with episode statistics and exact resume.

Gymnasium's vector environments reset by themselves and then return, depending on a mode, a filler transition or the
first observation of the next episode. Here `step` gives what happened, and nothing else: the true successor, then a
reset of the rows that ended, each with a seed derived from (root seed, environment, episode). So the state of every
environment is a function of its episode's seed and the actions since, and replaying these brings it back exactly.
"""

from __future__ import annotations

import hashlib
from collections import deque
from typing import TYPE_CHECKING

import numpy as np
from gymnasium import spaces
from loguru import logger

from rlkit.envs.backends import StepError
from rlkit.envs.transforms import ObservationTransform, RewardTransform, bounded
from rlkit.errors import CheckpointError, EnvError
from rlkit.seeding import episode_seed
from rlkit.types import State, Transition

if TYPE_CHECKING:
    from rlkit.config.env import EnvConfig
    from rlkit.envs.backends import Backend
    from rlkit.types import Array

WINDOW = 100
"""Episodes over which training returns are averaged."""


class VectorEnv:
    """The training environments of one session.

    Args:
        backend: steps them.
        cfg: the transforms of observations and rewards.
        root: the session's seed.
        gamma: discount of the running return by which rewards may be scaled.
    """

    def __init__(self, backend: Backend, cfg: EnvConfig, root: int, gamma: float = 0.99) -> None:
        self.backend, self.root = backend, root
        self.num_envs = backend.num_envs
        self.to_env = ActionMap(backend.action)
        self.seen = ObservationTransform(cfg, backend.observation.shape or ())
        self.valued = RewardTransform(cfg, self.num_envs, gamma)
        self.episode = np.zeros(self.num_envs, np.int64)  # [N] number of each environment's current episode
        self.returns = np.zeros(self.num_envs)  # [N] of the current episodes
        self.lengths = np.zeros(self.num_envs, np.int64)
        self.recent_returns: deque[float] = deque(maxlen=WINDOW)
        self.recent_lengths: deque[int] = deque(maxlen=WINDOW)
        self.finished = 0
        self.actions: list[Array] = []  # since the oldest current episode began
        self._show(self._reset(range(self.num_envs)))

    def step(self, action: Array) -> Transition:
        """Step all, reset those that ended; `obs` is then where the next actions are taken.

        Args:
            action: `[N, ...]`, continuous ones in [-1, 1].

        Raises:
            EnvError: an environment failed; the message has its row, seed, step and action.
        """
        env_action = self.to_env(action)
        self.actions.append(env_action)
        try:
            next_obs, reward, terminated, truncated, ended = self.backend.step(env_action)
        except StepError as error:
            raise EnvError(self._failure(error, env_action)) from error
        boundary = terminated | truncated
        self.returns += reward
        self.lengths += 1
        cut = ended.nonzero()[0]
        learnt = self.valued(reward, cut)
        if not len(cut):
            self._show(next_obs)
            return Transition(learnt, terminated, boundary, cut, next_obs[:0])
        cut_obs = self.seen(next_obs[cut])
        self.recent_returns.extend(self.returns[cut].tolist())
        self.recent_lengths.extend(self.lengths[cut].tolist())
        self.finished += len(cut)
        self.episode[cut] += 1
        self.returns[cut] = 0
        self.lengths[cut] = 0
        self._show(self._reset(cut.tolist()))
        if len(self.actions) > 2 * (longest := int(self.lengths.max())) + 1000:
            del self.actions[: len(self.actions) - longest]
        return Transition(learnt, terminated, boundary, cut, cut_obs)

    def restart(self) -> None:
        """Begin a new episode in every environment that is in the middle of one; the old one is not counted."""
        rows = np.flatnonzero(self.lengths)
        if len(rows):
            self.episode[rows] += 1
            self.returns[rows] = 0
            self.lengths[rows] = 0
            self.actions.clear()
            self._show(self._reset(rows.tolist()))

    def _show(self, raw: Array) -> None:
        """Take in what the environments show now: the statistics learn from it, the policy sees it transformed."""
        self.raw = raw
        self.seen.learn(raw)
        self.obs = self.seen(raw)

    def _reset(self, rows: range | list[int]) -> Array:
        try:
            return self.backend.reset(rows, [self._seed(row) for row in rows])
        except StepError as error:
            raise EnvError(self._failure(error, None)) from error

    def _seed(self, row: int) -> int:
        return episode_seed(self.root, row, int(self.episode[row]))

    def _failure(self, error: StepError, action: Array | None) -> str:
        lines = []
        for row, what in error.failures.items():
            when = f"step {self.lengths[row]}, action {action[row]}" if action is not None else "while it was reset"
            lines.append(f"environment {row} of {self.num_envs}: {what}\n  episode's seed {self._seed(row)}, {when}")
        return "\n".join(lines)

    def state_dict(self) -> State:
        """What brings every environment back: episode numbers, and the actions since the oldest of them began."""
        longest = int(self.lengths.max())
        actions = self.actions[len(self.actions) - longest :]
        return {
            "episode": self.episode,
            "lengths": self.lengths,
            "returns": self.returns,
            "actions": np.stack(actions) if actions else np.zeros((0, self.num_envs)),
            "recent_returns": list(self.recent_returns),
            "recent_lengths": list(self.recent_lengths),
            "finished": self.finished,
            "obs_hash": self._hash(),
            "backend": self.backend.name,
            "observations": self.seen.state_dict(),
            "rewards": self.valued.state_dict(),
        }

    def load_state_dict(self, state: State) -> None:
        """Replay every environment to where it was."""
        if len(state["episode"]) != self.num_envs:
            raise CheckpointError(f"the checkpoint has {len(state['episode'])} environments, the run {self.num_envs}")
        self.episode = state["episode"].copy()
        self.lengths, self.returns = state["lengths"].copy(), state["returns"].copy()
        self.recent_returns = deque(state["recent_returns"], maxlen=WINDOW)
        self.recent_lengths = deque(state["recent_lengths"], maxlen=WINDOW)
        self.finished = state["finished"]
        self.actions = list(state["actions"])
        self.seen.load_state_dict(state["observations"])
        self.valued.load_state_dict(state["rewards"])
        self.raw = self._replay()
        if self._hash() != state["obs_hash"]:
            logger.warning(
                "the environment does not repeat itself: after replaying its actions it is elsewhere. "
                "New episodes begin, and this run will not equal an uninterrupted one."
            )
            self.episode += 1
            self.returns[:] = 0
            self.lengths[:] = 0
            self.actions = []
            self.raw = self._reset(range(self.num_envs))
        self.obs = self.seen(self.raw)

    def _replay(self) -> Array:
        """Lock-step: each row joins when the others have its number of steps left; until then it idles."""
        obs = self._reset(range(self.num_envs))
        total = len(self.actions)
        for t, action in enumerate(self.actions):
            result = self.backend.step(action)
            obs, left = result.obs, total - t - 1
            starting = (self.lengths == left) & (self.lengths < total)
            ended_idling = result.ended & (self.lengths <= left)
            if rows := np.flatnonzero(starting | ended_idling).tolist():
                obs = self._reset(rows)
        return obs

    def _hash(self) -> str:
        return hashlib.sha256(np.ascontiguousarray(self.raw).tobytes()).hexdigest()

    def check(self, obs: Array, reward: Array) -> None:
        """Refuse observations `[T + 1, N, ...]` and rewards `[T, N]` that are not finite.

        Raises:
            EnvError: naming the environment and its episode's seed.
        """
        for name, values in (("an observation", obs), ("a reward", reward)):
            if not np.isfinite(values).all():
                bad = np.argwhere(~np.isfinite(values))[0]
                row = int(bad[1])
                raise EnvError(
                    f"environment {row} of {self.num_envs} returned {name} that is not finite, "
                    f"{len(values) - int(bad[0])} steps before now; its current episode's seed is {self._seed(row)}"
                )

    def close(self) -> None:
        """Close the backend."""
        self.backend.close()


class ActionMap:
    """From a policy's actions to the environment's.

    Bounded dimensions of a Box are clipped to [-1, 1] and scaled to the bounds; unbounded ones pass as they are.
    Discrete and MultiDiscrete actions are shifted to the space's first.
    """

    def __init__(self, space: spaces.Space[object]) -> None:
        self.space = space
        self.start: Array | int = 0
        if isinstance(space, spaces.Box):
            self.shape = space.shape
            self.dtype = space.dtype
            bounded = np.isfinite(space.low) & np.isfinite(space.high)
            self.all_bounded = bool(bounded.all())
            self.bounded = bounded.reshape(-1)
            low, high = np.where(bounded, space.low, -1.0), np.where(bounded, space.high, 1.0)
            self.middle = ((high + low) / 2).reshape(-1).astype(np.float32)
            self.half = ((high - low) / 2).reshape(-1).astype(np.float32)
        elif isinstance(space, spaces.Discrete | spaces.MultiDiscrete):
            self.start = int(space.start) if isinstance(space, spaces.Discrete) else space.start.reshape(-1)

    def __call__(self, action: Array) -> Array:
        """`[N, ...]` to `[N, ...]`; a new array."""
        if not isinstance(self.space, spaces.Box):
            return (action + self.start).reshape(len(action), *(self.space.shape or ()))
        flat = action.reshape(len(action), -1)
        scaled = bounded(flat, 1.0) * self.half + self.middle
        if not self.all_bounded:
            scaled = np.where(self.bounded, scaled, flat)
        return scaled.reshape(len(action), *self.shape).astype(self.dtype, copy=False)
