"""`N` environments that rlkit resets itself, with episode statistics and exact resume.

Gymnasium's vector environments reset by themselves and then return, depending on a mode, a filler transition or the
first observation of the next episode. Here `step` gives what happened, and nothing else: the true successor, then a
reset of the rows that ended, each with a seed derived from (root seed, environment, episode). So the state of every
environment is a function of its last seed and the actions since, and replaying these brings it back exactly. Where
seeding is dear (`Backend.seed_every`), resets in between continue the row's random stream.
"""

from __future__ import annotations

import hashlib
from collections import deque
from typing import TYPE_CHECKING

import numpy as np
from loguru import logger

from rlkit.envs.actions import ActionMap
from rlkit.envs.adapter import EnvFailureError
from rlkit.envs.backends import CARRY_ON, StepError
from rlkit.envs.transforms import ObservationTransform, RewardTransform
from rlkit.errors import CheckpointError, EnvError
from rlkit.seeding import episode_seed
from rlkit.types import State, Transition

if TYPE_CHECKING:
    from rlkit.config.env import EnvConfig
    from rlkit.envs.backends import Backend
    from rlkit.types import Array, Bools

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
        self.seeded = np.zeros(self.num_envs, np.int64)  # [N] the episode whose seed each environment got last
        self.since = np.zeros(self.num_envs, np.int64)  # [N] steps since then
        self.recent_returns: deque[float] = deque(maxlen=WINDOW)
        self.recent_lengths: deque[int] = deque(maxlen=WINDOW)
        self.finished = 0
        self.interrupted = False  # whether the episodes of the state that was loaded could not be continued
        self.actions: list[Array] = []  # since the oldest of the last seeds
        self._show(self._begin(np.arange(self.num_envs), seeding=True))

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
        self.since += 1
        cut = ended.nonzero()[0]
        learnt = self.valued(reward, cut)
        if not len(cut):
            self._show(next_obs)
            return Transition(learnt, terminated, boundary, cut, next_obs[:0])
        cut_obs = self.seen(self._last(next_obs[cut], cut, terminated))
        self.check_returns(cut)
        self.recent_returns.extend(self.returns[cut].tolist())
        self.recent_lengths.extend(self.lengths[cut].tolist())
        self.finished += len(cut)
        self.episode[cut] += 1
        self.returns[cut] = 0
        self.lengths[cut] = 0
        self._show(self._begin(cut))
        if len(self.actions) > 2 * (longest := int(self.since.max())) + 1000:
            del self.actions[: len(self.actions) - longest]
        return Transition(learnt, terminated, boundary, cut, cut_obs)

    def restart(self) -> None:
        """Begin new episodes, with new seeds, where steps were made since the last seed.

        Those that were under way are not counted.
        """
        self.episode += self.lengths > 0
        self.returns[:] = 0
        self.lengths[:] = 0
        self.valued.restart()
        self.actions.clear()
        if len(rows := self.since.nonzero()[0]):
            self._show(self._begin(rows, seeding=True))

    def _last(self, obs: Array, cut: Array, terminated: Bools) -> Array:
        """Last observations `[K, ...]` of the rows `cut [K]`, finite.

        Nothing is learnt from the last observation of an episode that terminated, so zeros take the place of numbers
        that are not finite. A truncated episode is bootstrapped from it.

        Raises:
            EnvError: that of a truncated episode is not finite.
        """
        if obs.dtype != np.float32 or np.isfinite(obs).all():
            return obs
        for k, row in enumerate(cut.tolist()):
            if not terminated[row] and not np.isfinite(obs[k]).all():
                raise self._not_finite(row, "the last observation of a truncated episode")
        return np.nan_to_num(obs, nan=0.0, posinf=0.0, neginf=0.0)

    def check_returns(self, rows: Array | slice = slice(None)) -> None:
        """Refuse rewards that are not finite, by the running returns of some rows.

        Raises:
            EnvError: naming the environment and its episode.
        """
        returns = self.returns[rows]
        if not np.isfinite(returns).all():
            k = int(np.flatnonzero(~np.isfinite(returns))[0])
            row = k if isinstance(rows, slice) else int(rows[k])
            raise self._not_finite(row, "a reward")

    def _not_finite(self, row: int, what: str) -> EnvError:
        when = f"seed {self._seed(row)}, within the first {self.since[row]:,} steps since that seed"
        return EnvError(
            f"environment {row} of {self.num_envs} returned {what} that is no finite float32 number\n  {when}\n"
            "  the fault is the environment's: mend it, or wrap it so that such values do not reach rlkit"
        )

    def _show(self, raw: Array) -> None:
        """Process new observations: update the statistics, then transform them for the policy."""
        self.raw = raw
        if self.seen.on and not np.isfinite(raw).all():  # the statistics would never be finite again
            raise self._not_finite(int(np.argwhere(~np.isfinite(raw))[0][0]), "an observation")
        self.seen.learn(raw)
        self.obs = self.seen(raw)

    def _begin(self, rows: Array, *, seeding: bool = False) -> Array:
        """Reset rows for their current episodes, those that are due, or all, with the episode's seed."""
        due = rows if seeding else rows[self.since[rows] >= self.backend.seed_every]
        self.seeded[due] = self.episode[due]
        self.since[due] = 0
        return self._reset(rows, due)

    def _reset(self, rows: Array, due: Array) -> Array:
        seeds = dict.fromkeys(rows.tolist(), CARRY_ON)
        seeds.update((row, self._seed(row)) for row in due.tolist())
        try:
            return self.backend.reset(list(seeds), list(seeds.values()))
        except StepError as error:
            raise EnvError(self._failure(error, None)) from error

    def _seed(self, row: int) -> int:
        return episode_seed(self.root, row, int(self.seeded[row]))

    def _failure(self, error: StepError, action: Array | None) -> str:
        lines = []
        for row, failure in error.failures.items():
            when = f"step {self.since[row]}, action {action[row]}" if action is not None else "while it was reset"
            lines.append(f"environment {row} of {self.num_envs}: {failure}\n  seed {self._seed(row)}, {when}")
            log_failure(failure)
        return "\n".join(lines)

    def state_dict(self) -> State:
        """What restores every environment: the episodes of the last seeds, and the actions since the oldest."""
        longest = int(self.since.max())
        actions = self.actions[len(self.actions) - longest :]
        return {
            "episode": self.episode,
            "lengths": self.lengths,
            "seeded": self.seeded,
            "since": self.since,
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
        # In checkpoints without these every reset had a seed.
        self.seeded = state.get("seeded", self.episode).copy()
        self.since = state.get("since", self.lengths).copy()
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
            self.interrupted = True
            self.episode += 1
            self.returns[:] = 0
            self.lengths[:] = 0
            self.valued.restart()
            self.actions = []
            self.raw = self._begin(np.arange(self.num_envs), seeding=True)
        self.obs = self.seen(self.raw)

    def _replay(self) -> Array:
        """Lock-step: each row joins when the others have its number of steps left; until then it idles."""
        everyone = np.arange(self.num_envs)
        obs = self._reset(everyone, everyone)
        total = len(self.actions)
        if total > 1_000 and self.backend.seed_every:
            logger.info("replaying {:,} steps, to bring every environment back to where it was", total)
        for t, action in enumerate(self.actions):
            result = self.backend.step(action)
            obs, left = result.obs, total - t - 1
            joining = (self.since == left) & (self.since < total)
            # Where each reset seeds, a row that has joined does not end, if the environment repeats itself.
            carrying_on = result.ended & ~joining & (self.backend.seed_every > 0)
            if len(rows := (joining | result.ended).nonzero()[0]):
                obs = self._reset(rows, rows[~carrying_on[rows]])
        return obs

    def _hash(self) -> str:
        return hashlib.sha256(np.ascontiguousarray(self.raw).tobytes()).hexdigest()

    def check(self, obs: Array) -> None:
        """Refuse observations `[T + 1, N, ...]`, of which the last are those of now, and rewards that are not finite.

        Raises:
            EnvError: naming the environment and its last seed.
        """
        self.check_returns()
        if obs.dtype == np.float32 and not np.isfinite(obs).all():
            t, row = (int(i) for i in np.argwhere(~np.isfinite(obs))[0][:2])
            raise self._not_finite(row, f"an observation ({len(obs) - 1 - t} steps before now)")

    def close(self) -> None:
        """Close the backend."""
        self.backend.close()


def log_failure(failure: EnvFailureError) -> None:
    """Write the traceback of a failed environment to the log, of which the terminal shows nothing."""
    if failure.trace:
        logger.debug("the environment's traceback:\n{}", failure.trace.rstrip())
