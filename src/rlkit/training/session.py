"""One session: one config, one seed, one folder. The one loop of rlkit is `Session.run`."""

from __future__ import annotations

import contextlib
import copy
import math
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from loguru import logger

from rlkit.config.algorithms import row_of
from rlkit.errors import CheckpointError, DivergedError, EnvError, RlkitError, RunFolderError
from rlkit.reading import read_result
from rlkit.results.summary import failed_result
from rlkit.runs.folder import SessionFolder, write_json, writing
from rlkit.runs.lock import alone
from rlkit.training import agent, checkpoint, parts, state
from rlkit.training.interrupt import StoppedError, StopSignal
from rlkit.training.logbook import Counts, Logbook
from rlkit.training.profile import profiled

if TYPE_CHECKING:
    from rlkit.config.run import RunConfig
    from rlkit.results.score import Score
    from rlkit.training.progress import Judge, Watcher
    from rlkit.types import Batch, Rollout, State, Update

WAIT_SECONDS = 60.0
"""How long a session waits for another process that still writes to its folder: one whose parent was killed, which
saves and ends."""
LONG_ROLLOUT_SECONDS = 0.5
"""A rollout after one that took this long can be left unfinished at Ctrl-C."""


def run_session(
    config: RunConfig,
    seed: int,
    folder: SessionFolder,
    *,
    watcher: Watcher | None = None,
    judge: Judge | None = None,
    stop: StopSignal | None = None,
    started: float | None = None,
) -> dict[str, Any]:
    """Train one seed to its budget, from its newest checkpoint where there is one; nothing if it is done already.

    Args:
        config: the trial's configuration.
        seed: root of this session's random streams.
        folder: where everything goes.
        watcher: told of progress.
        judge: asked after each evaluation whether to continue.
        stop: checked after each rollout.
        started: `time.perf_counter()` when the command began, for the start-up time.

    Returns:
        The session's result. Its status is `complete`, `pruned` (without a final score), or `stopped` where the stop
        signal came.

    Raises:
        DivergedError: a loss or a weight is not finite. The checkpoint before remains.
        EnvError: the environment cannot be made, or breaks its contract.
        RunFolderError: the folder cannot be written.
    """
    with writing(folder.path):
        folder.path.mkdir(parents=True, exist_ok=True)
    with alone(folder.path, "trained", wait_seconds=WAIT_SECONDS):
        if folder.result.exists():
            result = read_result(folder.result)
            if result["status"] == "pruned" or (result["status"] == "complete" and result["frames"] >= config.frames):
                return result
        begun: list[Session] = []
        stop, started = stop or StopSignal(), started or time.perf_counter()

        def begin(newest: Path | None) -> Session:
            return Session(config, seed, folder, watcher, judge, stop, started, newest)

        try:
            with np.errstate(over="ignore", invalid="ignore"):  # what diverges is noticed and named below
                begun.append(checkpoint.restored(folder.checkpoints, begin))
                result = begun[0].run()
        except BaseException as error:
            with contextlib.suppress(RunFolderError):  # the disk may be what failed
                if isinstance(error, Exception):
                    _fail(begun, config, seed, folder, error)
            with contextlib.suppress(RunFolderError):
                for session in begun:
                    session.close()
            raise
        begun[0].close()
        return result


def _fail(begun: list[Session], config: RunConfig, seed: int, folder: SessionFolder, error: Exception) -> None:
    """Write the result of a session that failed, with the reason; one that had not begun has no more than that."""
    why = str(error) if isinstance(error, RlkitError) else f"{type(error).__name__}: {error}"
    if begun:
        begun[0].finish("diverged" if isinstance(error, DivergedError) else "failed", why)
    elif not folder.result.exists() and not isinstance(error, CheckpointError):
        write_json(folder.result, failed_result(config, seed, why))


class Session:
    """Everything that one session holds; see `run_session` for the arguments.

    Args:
        newest: the checkpoint to continue from; None starts from the beginning.
    """

    def __init__(self, *given: Any) -> None:
        self.opened = contextlib.ExitStack()
        """What has to be closed or restored, also where a later part cannot be made."""
        try:
            self._begin(*given)
        except BaseException:
            with contextlib.suppress(Exception):
                self.opened.close()
            raise

    def _begin(
        self,
        config: RunConfig,
        seed: int,
        folder: SessionFolder,
        watcher: Watcher | None,
        judge: Judge | None,
        stop: StopSignal,
        started: float,
        newest: Path | None,
    ) -> None:
        self.config, self.seed, self.folder, self.judge, self.stop = config, seed, folder, judge, stop
        saved = None if newest is None else state.read(newest)
        backend = None if saved is None else saved["envs"]["backend"]
        self.parts = parts.build(config, seed, folder.path, stop, backend, self.opened)
        self.envs, self.algo, self.memory = self.parts.envs, self.parts.algo, self.parts.memory
        self.collector, self.evaluator = self.parts.collector, self.parts.evaluator
        if watcher is not None:
            watcher.facts(seed, self.parts.facts)
        self.counts = Counts()
        self.rollout_seconds = math.inf
        self.before_rollout: dict[str, State] | None = None
        self._warn()
        if newest is not None and saved is not None:
            state.restore(self.parts, self.counts, newest, saved)
            del saved  # the arrays of its files
            if getattr(config.memory, "save", True) is False:
                logger.warning(
                    "memory.save=false: the memory begins empty, and this run will not equal an uninterrupted one"
                )
            logger.info("seed {}: continuing from {:,} frames", seed, self.counts.frames)
        self.log = Logbook(
            config,
            seed,
            folder,
            watcher,
            self.counts,
            self.envs,
            started=started,
            opened=self.opened,
            resumed_at=None if newest is None else self.counts.frames,
            networks=self.algo.networks if config.log.norms else {},
        )
        self.evaluator.heard = self.log.evaluating
        if newest is None:
            self._save()  # so that whatever happens there is one to go back to

    def _warn(self) -> None:
        """Warn of a budget in which nothing is learnt."""
        starts = getattr(self.config.algo, "learning_starts", 0)
        if starts >= self.config.frames:
            logger.warning(
                "algo.learning_starts={:,} is not below frames={:,}: nothing will be learnt", starts, self.config.frames
            )

    def run(self) -> dict[str, Any]:
        """The loop; then the final score and `result.json`."""
        try:
            self._measure_baseline()
            with profiled(self.folder.path) if self.config.debug.profile else contextlib.nullcontext():
                status = self._loop()
            if self.counts.frames != self.counts.checkpoint_frames:
                self._save()
            return self.finish(status)
        except StoppedError:
            if self.counts.frames != self.counts.checkpoint_frames or self.counts.eval_due:
                self._save()
            return self.finish("stopped")

    def _measure_baseline(self) -> None:
        """The score of random actions, which is the zero of strength."""
        if math.isnan(self.counts.random_return):
            self.log.doing = "random actions"
            self.counts.random_return = self.evaluator.random(self.config.eval.periodic_episodes).mean
            self.log.doing = ""
        self.log.startup_seconds = time.perf_counter() - self.log.started

    def _loop(self) -> str:
        """Train to the budget; returns the status.

        Raises:
            StoppedError: a stop was requested within a rollout or an evaluation.
        """
        counts, phases = self.counts, self.counts.phases
        status = self._evaluate() if counts.eval_due else "complete"
        while counts.frames < self.config.frames and status == "complete":
            before, began = counts.frames, time.perf_counter()
            rollout = self._collect()
            counts.frames += rollout.steps * rollout.num_envs
            collected = time.perf_counter()

            self.memory.add(self.algo.prepare(rollout))
            for batch in self.algo.batches(self.memory):
                update = self.algo.update(batch)
                self.memory.feedback(batch, update)
                counts.updates += 1
                if update.metrics:
                    counts.reporting = update
                if self.config.debug.check_finite:
                    self._check_update(batch, update)
            learned = time.perf_counter()

            phases.env += self.collector.env_seconds
            phases.policy += collected - began - self.collector.env_seconds
            phases.learn += learned - collected
            self.rollout_seconds = collected - began
            status = self._scheduled(before)
        return status

    def _collect(self) -> Rollout:
        """The next rollout. One that may take long can be left unfinished, by going back to the state before it."""
        long = self.algo.rollout_steps is None or self.rollout_seconds > LONG_ROLLOUT_SECONDS
        self.before_rollout = copy.deepcopy(state.collecting(self.parts)) if long else None
        try:
            rollout = self.collector.collect(self.counts.frames, self.stop if long else None)
        except EnvError as error:
            self._check_weights()  # actions from weights that are not finite are not the environment's fault
            raise EnvError(f"{error}\n  the last checkpoint is of {self.counts.checkpoint_frames:,} frames") from error
        self.before_rollout = None
        return rollout

    def _scheduled(self, before: int) -> str:
        """What is due between two rollouts: a log row, an evaluation, a checkpoint. Returns the status."""
        config, counts, phases = self.config, self.counts, self.counts.phases
        began, evaluated, status = time.perf_counter(), phases.eval, "complete"

        def due(every: int) -> bool:
            return counts.frames // every > before // every

        if due(config.log_every_frames):
            self.log.log()
        if due(config.eval_every_frames):
            status = self._evaluate()
        if due(config.checkpoint.every_frames) or self.stop.save_due():
            self._save()
        self.log.show()
        if self.stop.requested and counts.frames < config.frames and status == "complete":
            status = "stopped"
        phases.other += time.perf_counter() - began - (phases.eval - evaluated)
        return status

    def _evaluate(self) -> str:
        """Score the policy, write the row, and ask the judge; returns the status."""
        config, counts, began = self.config, self.counts, time.perf_counter()
        counts.eval_due = True
        score = self._score(config.eval.periodic_episodes)
        counts.eval_due = False
        self.log.evaluated(score)
        if config.eval.video_every and (counts.frames // config.eval_every_frames) % config.eval.video_every == 0:
            self._film()
        counts.phases.eval += time.perf_counter() - began
        if self.judge is not None and counts.frames < config.frames:
            return self.judge(counts.frames, score.mean) or "complete"
        return "complete"

    def _film(self) -> None:
        """Record an episode. Video failures are logged, not raised."""
        from rlkit.training.play import play

        actor = agent.Agent(self.config, self.seed, self.counts.frames, self.algo, self.envs.seen)
        path = self.folder.path / "videos" / f"{self.counts.frames}.mp4"
        try:
            play(actor, video=path, episodes=1, deterministic=self.config.eval.deterministic)
        except Exception as error:  # drawing goes through drivers and encoders that raise errors of many kinds
            logger.warning("no video at {:,} frames: {}", self.counts.frames, error)

    def _check_update(self, batch: Batch, update: Update) -> None:
        """Check that all numbers of an update are finite; for `debug.check_finite`.

        Raises:
            DivergedError: naming the first that is not.
        """
        named = [(f"the batch's {name}", x) for name, x in batch.fields.items() if x.is_floating_point()]
        named += [(f"train/{name}", torch.as_tensor(x)) for name, x in update.report().items() if x is not None]
        for name, x in named:
            if not bool(torch.isfinite(x).all()):
                raise self.log.diverged(f"{name} is not finite in update {self.counts.updates:,}")
        self._check_weights()

    def _check_weights(self) -> None:
        if (name := agent.not_finite(self.algo)) is not None:
            raise self.log.diverged(f"the weight {name} is not finite")

    def _score(self, episodes: int) -> Score:
        self._check_weights()
        deterministic, frames = self.config.eval.deterministic, self.counts.frames
        score = self.evaluator.score(self.algo, episodes=episodes, deterministic=deterministic, frames=frames)
        self.counts.played += episodes
        return score

    def finish(self, status: str, error: str | None = None) -> dict[str, Any]:
        """Score the policy, if training ended as it should, and write `result.json`.

        Args:
            status: how training ended.
            error: why it failed.

        Raises:
            StoppedError: a stop was requested while the policy was scored.
        """
        began = time.perf_counter()
        final = self._score(self.config.eval.episodes) if status == "complete" else None
        self.counts.phases.eval += time.perf_counter() - began
        if status == "complete" and not self.counts.updates and row_of(self.config.algo).learns:
            logger.warning("seed {}: no update was made; the score is that of the first weights", self.seed)
        return self.log.finish(status, self.parts.spec.id, final, error)

    def close(self) -> None:
        """Close files and environments, all of them even where one of them fails to, and restore the process."""
        self.opened.close()

    def _save(self) -> None:
        self._check_weights()
        self.log.sync()
        whole = state.whole(self.parts, self.counts, self.log.wall_seconds())
        saved, keep = {**whole, **(self.before_rollout or {})}, self.config.checkpoint.keep
        checkpoint.save(self.folder.checkpoints, self.counts.frames, self.algo.weights(), saved, keep)
        self.counts.checkpoint_frames = self.counts.frames
