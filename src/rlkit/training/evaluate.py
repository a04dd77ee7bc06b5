"""Scoring a policy: in one place, on separate environments and seeds, and always with the protocol stated."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from rlkit import seeding
from rlkit.envs.actions import ActionMap
from rlkit.envs.backends import StepError
from rlkit.envs.make import make
from rlkit.envs.vector import log_failure
from rlkit.errors import EnvError
from rlkit.results.score import Protocol, Score
from rlkit.training.acting import Actor
from rlkit.training.interrupt import StoppedError

if TYPE_CHECKING:
    from rlkit.algos.base import Algorithm
    from rlkit.config.env import EnvConfig
    from rlkit.envs.transforms import ObservationTransform
    from rlkit.training.interrupt import StopSignal
    from rlkit.types import Array


PARALLEL = 16
"""Environments of an evaluation. Fixed, so that a sampled evaluation is the same wherever it runs."""

ENDLESS = 10_000
"""Steps after which an evaluation episode is cut where the environment has no limit."""


class Evaluator:
    """Environments for evaluation, kept between evaluations.

    Args:
        cfg: the environment.
        root: the session's seed; sampled actions draw from a separate stream.
        seen: the training's transform of observations; its statistics are used as they are, and not changed.
        threads: that the environments may use.
        backend: how the training environments are stepped; these are in processes where those are.
        stop: an evaluation ends unfinished when a stop is requested.
        heard: called after each step with the episodes played and to play.
    """

    def __init__(
        self,
        cfg: EnvConfig,
        root: int,
        seen: ObservationTransform | None = None,
        threads: int = 1,
        *,
        backend: str = "sync",
        stop: StopSignal | None = None,
        heard: Callable[[int, int], None] = lambda played, episodes: None,
    ) -> None:
        self.cfg, self.root, self.seen, self.threads = cfg, root, seen or (lambda obs: obs), threads
        self.parallel = backend == "async"
        self.stop, self.heard = stop, heard
        self.backend: Any = None

    def score(self, algo: Algorithm, *, episodes: int, deterministic: bool, frames: int) -> Score:
        """Play `episodes` episodes; the training streams are not touched.

        Every episode has its seed, `EVAL_SEEDS + i`, and all are played to their end, so that none counts more
        for being short.
        """
        self._open(episodes)
        actor, to_env = Actor(algo, frames, explore=not deterministic), ActionMap(self.backend.action)
        with lend(algo, seeding.stream(self.root, "evaluation")):
            return self._play(lambda obs: to_env(actor(self.seen(obs))), episodes, deterministic, actor.forget)

    def random(self, episodes: int) -> Score:
        """The same for a policy that draws uniformly from the action space: the zero of strength."""
        self._open(episodes)
        space = self.backend.action
        space.seed(int(seeding.stream(self.root, "random policy").integers(2**31)))
        with untouched():
            return self._play(lambda obs: np.stack([space.sample() for _ in range(len(obs))]), episodes, False)

    def _open(self, episodes: int) -> None:
        wanted = min(PARALLEL, episodes)
        if self.backend is None or self.backend.num_envs < wanted:
            self.close()
            # EnvPool could not be given the seeds.
            kind = "auto" if self.cfg.vectorization in ("async", "envpool") else self.cfg.vectorization
            kind = "async" if self.parallel and wanted > 1 else kind
            cfg = dataclasses.replace(self.cfg, vectorization=kind)
            self.backend, self.spec, _ = make(cfg, wanted, threads=self.threads)

    def _play(
        self,
        act: Callable[[Array], Array],
        episodes: int,
        deterministic: bool,
        forget: Callable[[list[int]], None] = lambda rows: None,
    ) -> Score:
        backend, N = self.backend, self.backend.num_envs
        limit = self.spec.max_episode_steps or ENDLESS
        returns, lengths = np.zeros(episodes), np.zeros(episodes, np.int64)
        playing = np.arange(N)  # [N] the episode that each row plays; rows beyond the last idle
        steps = np.zeros(N, np.int64)
        action: Array | None = None

        def failed(row: int, what: str, when: str | None = None) -> EnvError:
            seed = seeding.EVAL_SEEDS + int(playing[row])
            now = "while it was reset" if action is None else f"step {steps[row]}, action {action[row]}"
            return EnvError(f"{self.spec.id}, in an evaluation: {what}\n  seed {seed}, {when or now}")

        def check(values: Array, what: str, when: Callable[[int], str | None] = lambda row: None) -> None:
            if not np.isfinite(values).all():
                row = int(np.argwhere(~np.isfinite(values))[0][0])
                raise failed(row, f"{what} is no finite float32 number", when(row))

        def after(row: int) -> str:
            return f"after {steps[row]} steps"

        try:
            obs = backend.reset(range(N), [seeding.EVAL_SEEDS + i for i in range(N)])
            following = N
            while (playing < episodes).any():
                if self.stop is not None and self.stop.requested:
                    raise StoppedError
                if obs.dtype == np.float32:
                    check(obs, "an observation", after)
                action = act(obs.copy())
                obs, reward, _, _, over = backend.step(action)
                live = playing < episodes
                check(np.where(live, reward, 0.0), "a reward")
                returns[playing[live]] += reward[live]
                lengths[playing[live]] += 1
                steps[:] += 1
                ended = np.flatnonzero(over | (steps >= limit))
                steps[ended] = 0
                for row in ended.tolist():
                    playing[row] = following if live[row] else episodes
                    following += bool(live[row])
                if len(ended):
                    rows, action = ended.tolist(), None
                    forget(rows)
                    obs = backend.reset(rows, [seeding.EVAL_SEEDS + int(playing[row]) for row in rows])
                self.heard(min(following, episodes) - int((playing < episodes).sum()), episodes)
        except StepError as error:
            row, failure = next(iter(error.failures.items()))
            log_failure(failure)
            raise failed(row, str(failure)) from error
        protocol = Protocol(self.spec.id, episodes, deterministic, limit)
        return Score(returns.tolist(), lengths.tolist(), protocol)

    def close(self) -> None:
        """Close the environments."""
        if self.backend is not None:
            self.backend.close()


@contextlib.contextmanager
def lend(algo: Algorithm, rng: np.random.Generator) -> Iterator[None]:
    """Have an algorithm draw its actions from another stream for a while."""
    own, algo.rng = algo.rng, rng
    try:
        with untouched():
            yield
    finally:
        algo.rng = own


@contextlib.contextmanager
def untouched() -> Iterator[None]:
    """Leave the global random streams as they were: an environment may draw from them."""
    before = seeding.globals_state()
    try:
        yield
    finally:
        seeding.set_globals_state(before)
