"""One session: one config, one seed, one folder. The one loop of rlkit is `Session.run`."""

from __future__ import annotations

import contextlib
import copy
import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from loguru import logger

from rlkit import seeding
from rlkit.config.algorithms import row_of
from rlkit.cores import available_cores
from rlkit.envs.layout import is_picture
from rlkit.envs.make import make
from rlkit.envs.vector import VectorEnv
from rlkit.errors import CheckpointError, DivergedError, EnvError, RlkitError, RunFolderError
from rlkit.memory import build as memory
from rlkit.reading import read_result
from rlkit.results.progress import Phases, Progress
from rlkit.results.score import Score
from rlkit.results.summary import failed_result, session_result
from rlkit.results.tensorboard import EventLog
from rlkit.runs.folder import JsonLines, SessionFolder, write_json, writing
from rlkit.runs.lines import read_evals
from rlkit.runs.lock import alone
from rlkit.training import agent, checkpoint, state
from rlkit.training.allocator import keep_freed_memory
from rlkit.training.budget import check_envs, check_memory, check_nets
from rlkit.training.collect import EPISODE_STEPS, Collector, ending
from rlkit.training.evaluate import Evaluator
from rlkit.training.interrupt import StoppedError, StopSignal
from rlkit.training.process import device_for, threads_of
from rlkit.training.progress import Judge, Watcher
from rlkit.types import Update

if TYPE_CHECKING:
    from rlkit.config.run import RunConfig
    from rlkit.types import Rollout, State

WATCH_SECONDS = 0.2
WAIT_SECONDS = 60.0
"""How long a session waits for another process that still writes to its folder: one whose parent was killed, which
saves and ends."""
LONG_ROLLOUT_SECONDS = 0.5
"""A rollout after one that took so long can be left unfinished at Ctrl-C."""


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
        judge: asked after each evaluation whether to go on.
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
        newest: the checkpoint to continue from; None begins anew.
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
        self.config, self.seed, self.folder = config, seed, folder
        self.watcher, self.judge, self.stop, self.started = watcher, judge, stop, started
        opened = self.opened

        keep_freed_memory()
        opened.enter_context(threads_of(config))
        # Threads of a native backend do not change a number, so a session that is alone may use every core.
        shared = config.seeds > 1 or config.trial.storage is not None  # with other seeds, or with other trials
        env_threads = config.threads if shared else available_cores()
        seeding.seed_globals(seed)
        check_envs(config)
        saved = None if newest is None else state.read(newest)
        env = ending(config)
        made = make(
            env,
            config.num_envs,
            threads=env_threads,
            seed=seed,
            chosen=None if saved is None else saved["envs"]["backend"],
            probe=True,
        )
        opened.callback(made.backend.close)
        config = config.settled(is_picture(made.spec.observation))
        device = opened.enter_context(device_for(config))
        self.spec = made.spec
        check_nets(config, self.spec)
        self.envs = VectorEnv(made.backend, env, seed, config.algo.gamma)
        self.algo = agent.build(config, seed, self.spec, device)
        self.minibatches = seeding.stream(seed, "minibatches")
        steps = self.algo.rollout_steps or self.spec.max_episode_steps or EPISODE_STEPS
        sil = getattr(config.algo, "sil", None)
        forecast = check_memory(self.spec, steps, config.memory, int(sil.buffer_size) if sil else 0, folder.path)
        if watcher is not None:
            watcher.facts(seed, {**agent.facts(made, device, config), "memory_mb": forecast / 2**20})
        self.memory = memory.build(
            config.memory,
            self.spec,
            total_frames=int(config.frames),
            rng=self.minibatches,
            device=device,
            folder=folder.path,
        )
        self.collector = Collector(self.envs, self.algo)
        self.evaluator = Evaluator(
            config.env,
            seed,
            self.envs.seen,
            env_threads,
            backend=made.backend.name,
            stop=stop,
            heard=self._evaluating,
        )
        opened.callback(self.evaluator.close)

        self.frames = self.updates = self.checkpoint_frames = 0
        self.phases = Phases()
        self.seconds_before = 0.0  # of earlier processes of this session
        self.last_eval = math.nan
        self.random_return = math.nan
        self.eval_due = False  # an evaluation that was left unfinished
        self.played = 0  # evaluation episodes so far, for the time that is left
        self.reporting = Update()  # the latest that has something to report
        self.row: dict[str, Any] = {}
        self.watched_at = 0.0
        self.doing = ""
        self.rollout_seconds = math.inf
        self.before_rollout: dict[str, State] | None = None

        if getattr(config.algo, "learning_starts", 0) >= config.frames:
            logger.warning(
                "algo.learning_starts={:,} is not below frames={:,}: nothing will be learnt",
                config.algo.learning_starts,  # type: ignore[attr-defined]
                config.frames,
            )
        if newest is not None and saved is not None:
            state.restore(self, newest, saved)
            del saved  # the arrays of its files
            if getattr(config.memory, "save", True) is False:
                logger.warning(
                    "memory.save=false: the memory begins empty, and this run will not equal an uninterrupted one"
                )
            logger.info("seed {}: continuing from {:,} frames", seed, self.frames)
        keep = None if newest is None else self.frames
        self.metrics_file = self._rows(folder.metrics, keep)
        self.eval_file = self._rows(folder.eval, keep)
        self.timing_file = self._rows(folder.timing, keep)
        self.events = EventLog(folder.path, resumed_at=keep)
        opened.callback(self.events.close)
        if newest is None:
            self._save()  # so that whatever happens there is one to go back to
        self.startup_seconds = time.perf_counter() - started  # until the random baseline is there

    def _rows(self, path: Path, keep: int | None) -> JsonLines:
        """A file of rows, which is closed with the session."""
        file = JsonLines(path, keep_until=keep)
        self.opened.callback(file.close)
        return file

    def run(self) -> dict[str, Any]:
        """The loop; then the final score and `result.json`."""
        try:
            self._measure_baseline()
            status = self._loop()
            if self.frames != self.checkpoint_frames:
                self._save()
            return self.finish(status)
        except StoppedError:
            if self.frames != self.checkpoint_frames or self.eval_due:
                self._save()
            return self.finish("stopped")

    def _measure_baseline(self) -> None:
        """The score of random actions, which is the zero of strength."""
        if math.isnan(self.random_return):
            self.doing = "random actions"
            self.random_return = self.evaluator.random(self.config.eval.periodic_episodes).mean
            self.doing = ""
        self.startup_seconds = time.perf_counter() - self.started

    def _loop(self) -> str:
        """Train to the budget; returns the status.

        Raises:
            StoppedError: a stop was requested within a rollout or an evaluation.
        """
        status = self._evaluate() if self.eval_due else "complete"
        while self.frames < self.config.frames and status == "complete":
            before, began = self.frames, time.perf_counter()
            rollout = self._collect()
            self.frames += rollout.steps * rollout.num_envs
            collected = time.perf_counter()

            self.memory.add(self.algo.prepare(rollout))
            for batch in self.algo.batches(self.memory):
                update = self.algo.update(batch)
                self.memory.feedback(batch, update)
                self.updates += 1
                if update.metrics:
                    self.reporting = update
            learned = time.perf_counter()

            self.phases.env += self.collector.env_seconds
            self.phases.policy += collected - began - self.collector.env_seconds
            self.phases.learn += learned - collected
            self.rollout_seconds = collected - began
            status = self._scheduled(before)
        return status

    def _collect(self) -> Rollout:
        """The next rollout. One that may take long can be left unfinished, by going back to the state before it."""
        long = self.algo.rollout_steps is None or self.rollout_seconds > LONG_ROLLOUT_SECONDS
        self.before_rollout = copy.deepcopy(state.collecting(self)) if long else None
        try:
            rollout = self.collector.collect(self.frames, self.stop if long else None)
        except EnvError as error:
            self._check_weights()  # actions from weights that are not finite are not the environment's fault
            raise EnvError(f"{error}\n  the last checkpoint is of {self.checkpoint_frames:,} frames") from error
        self.before_rollout = None
        return rollout

    def _scheduled(self, before: int) -> str:
        """What is due between two rollouts: a log row, an evaluation, a checkpoint. Returns the status."""
        config, began, status = self.config, time.perf_counter(), "complete"
        evaluated = self.phases.eval

        def due(every: int) -> bool:
            return self.frames // every > before // every

        if due(config.log_every_frames):
            self._log()
        if due(config.eval_every_frames):
            status = self._evaluate()
        if due(config.checkpoint.every_frames) or self.stop.save_due():
            self._save()
        self._show()
        if self.stop.requested and self.frames < config.frames and status == "complete":
            status = "stopped"
        self.phases.other += time.perf_counter() - began - (self.phases.eval - evaluated)
        return status

    def _evaluate(self) -> str:
        """Score the policy, write the row, and ask the judge; returns the status."""
        config, began = self.config, time.perf_counter()
        self.eval_due = True
        score = self._score(config.eval.periodic_episodes)
        self.eval_due = False
        self.last_eval = score.mean
        self.eval_file.write(score.row(self.frames, self.updates))
        self.events.write({"frames": self.frames, "eval/return": score.mean}, time.time())
        if config.eval.video_every and (self.frames // config.eval_every_frames) % config.eval.video_every == 0:
            self._film()
        self.phases.eval += time.perf_counter() - began
        if self.judge is not None and self.frames < config.frames:
            return self.judge(self.frames, score.mean) or "complete"
        return "complete"

    def _evaluating(self, played: int, episodes: int) -> None:
        """A sign of life from an evaluation."""
        if self.watcher is not None and time.perf_counter() - self.watched_at > WATCH_SECONDS:
            doing, self.doing = self.doing, f"{self.doing or 'evaluation'}: {played} of {episodes} episodes"
            self._show()
            self.doing = doing

    def _show(self) -> None:
        """Tell the watcher where the session stands, a few times a second."""
        if self.watcher is not None and time.perf_counter() - self.watched_at > WATCH_SECONDS:
            self.watched_at = time.perf_counter()
            self.watcher.progress(self._progress())

    def _log(self) -> None:
        learning = {f"train/{name}": value for name, value in self.reported().items()}
        for name, value in learning.items():
            if value is not None and not math.isfinite(value):
                raise self._diverged(f"{name} is {value}")
        self.row = {
            "frames": self.frames,
            "rollout/episodes": self.envs.finished,
            "rollout/return_100": _mean(self.envs.recent_returns),
            "rollout/length_100": _mean(self.envs.recent_lengths),
            "train/updates": self.updates,
            **learning,
        }
        self.metrics_file.write(self.row)
        self.events.write(self.row, time.time())
        self.timing_file.write(
            {
                "frames": self.frames,
                "train_seconds": self.phases.train,
                "fps": self._fps(),
                "split": self.phases.split(),
            }
        )

    def reported(self) -> dict[str, float | None]:
        """The metrics of the latest update that has any."""
        return {name: None if v is None else float(v) for name, v in self.reporting.report().items()}

    def _film(self) -> None:
        """Record an episode. Video failures are logged, not raised."""
        from rlkit.training.play import play

        actor = agent.Agent(self.config, self.seed, self.frames, self.algo, self.envs.seen)
        path = self.folder.path / "videos" / f"{self.frames}.mp4"
        try:
            play(actor, video=path, episodes=1, deterministic=self.config.eval.deterministic)
        except Exception as error:  # drawing goes through drivers and encoders that fail in ways of their own
            logger.warning("no video at {:,} frames: {}", self.frames, error)

    def _check_weights(self) -> None:
        if (name := agent.not_finite(self.algo)) is not None:
            raise self._diverged(f"the weight {name} is not finite")

    def _diverged(self, what: str) -> DivergedError:
        return DivergedError(
            f"seed {self.seed} diverged: {what} after {self.frames:,} frames\n"
            f"  the last checkpoint is of {self.checkpoint_frames:,} frames\n"
            "  try a smaller algo.learning_rate or algo.max_grad_norm, and look at the scale of the rewards"
        )

    def _score(self, episodes: int) -> Score:
        self._check_weights()
        deterministic = self.config.eval.deterministic
        score = self.evaluator.score(self.algo, episodes=episodes, deterministic=deterministic, frames=self.frames)
        self.played += episodes
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
        self.phases.eval += time.perf_counter() - began
        if status == "complete" and not self.updates and row_of(self.config.algo).learns:
            logger.warning("seed {}: no update was made; the score is that of the first weights", self.seed)
        result = session_result(
            config=self.config,
            seed=self.seed,
            status=status,
            error=error,
            env_id=self.spec.id,
            frames=self.frames,
            updates=self.updates,
            final=final,
            evals=read_evals(self.folder.eval),
            train_return=_mean(self.envs.recent_returns),
            random_return=self.random_return,
            fps=self._fps(),
            train_seconds=self.phases.train,
            wall_seconds=self.wall_seconds(),
            startup_seconds=self.startup_seconds,
            time_split=self.phases.split(),
        )
        write_json(self.folder.result, result)
        if self.watcher is not None:
            self.watcher.progress(self._progress())
        return result

    def close(self) -> None:
        """Close files and environments, all of them even where one of them fails to, and restore the process."""
        self.opened.close()

    def _save(self) -> None:
        self._check_weights()
        for file in (self.metrics_file, self.eval_file, self.timing_file):
            file.sync()
        weights, parts = self.algo.weights(), {**state.parts_of(self), **(self.before_rollout or {})}
        checkpoint.save(self.folder.checkpoints, self.frames, weights, parts, self.config.checkpoint.keep)
        self.checkpoint_frames = self.frames

    # What is told of it.

    def wall_seconds(self) -> float:
        """Since the first start, over all processes of this session."""
        return self.seconds_before + time.perf_counter() - self.started

    def _fps(self) -> float:
        return self.frames / self.phases.train if self.phases.train else 0.0

    def _progress(self) -> Progress:
        fps = self._fps()
        return Progress(
            seed=self.seed,
            frames=self.frames,
            total_frames=self.config.frames,
            fps=fps,
            seconds_left=self._seconds_left(),
            return_100=_mean(self.envs.recent_returns),
            eval_return=self.last_eval,
            checkpoint_frames=self.checkpoint_frames,
            split=self.phases.split(),
            metrics={name: value for name, value in self.row.items() if name.startswith("train/")},
            doing=self.doing,
        )

    def _seconds_left(self) -> float:
        """Of training at its rate so far, and of the evaluations that are due at theirs."""
        config, fps = self.config, self._fps()
        if not fps:
            return math.nan
        every = config.eval_every_frames
        due = max(0, config.frames // every - self.frames // every)
        episodes = due * int(config.eval.periodic_episodes) + int(config.eval.episodes)
        evaluating = self.phases.eval / self.played * episodes if self.played else 0.0
        return max(0, config.frames - self.frames) / fps + evaluating


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if len(values) else math.nan
