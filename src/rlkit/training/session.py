"""One session: one config, one seed, one folder. The one loop of rlkit is `Session.run`."""

from __future__ import annotations

import contextlib
import functools
import math
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from loguru import logger

from rlkit import seeding
from rlkit.cores import available_cores
from rlkit.envs.make import make
from rlkit.envs.vector import VectorEnv
from rlkit.errors import CheckpointError, DivergedError, EnvError, RunFolderError
from rlkit.memory import build as memory
from rlkit.reading import read_result
from rlkit.results.folder import JsonLines, SessionFolder, write_json, writing
from rlkit.results.lines import read_evals
from rlkit.results.lock import alone
from rlkit.results.summary import session_result
from rlkit.results.tensorboard import EventLog
from rlkit.training import agent, checkpoint
from rlkit.training.allocator import keep_freed_memory
from rlkit.training.collect import EPISODE_STEPS, Collector
from rlkit.training.evaluate import Evaluator, Score
from rlkit.training.interrupt import StopSignal
from rlkit.training.progress import Judge, Phases, Progress, Watcher
from rlkit.training.room import check_envs, check_memory, check_nets
from rlkit.types import Update

if TYPE_CHECKING:
    from rlkit.config.run import RunConfig
    from rlkit.types import Rollout, State

WATCH_SECONDS = 0.2
WAIT_SECONDS = 60.0
"""How long a session waits for another process that still writes to its folder: one whose parent was killed, which
saves and ends."""


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
        begin = functools.partial(
            Session, config, seed, folder, watcher, judge, stop or StopSignal(), started or time.perf_counter()
        )
        session = checkpoint.restored(folder.checkpoints, begin)
        try:
            with np.errstate(over="ignore", invalid="ignore"):  # what diverges is noticed and named below
                result = session.run()
        except BaseException as error:
            with contextlib.suppress(RunFolderError):  # the disk may be what failed
                if isinstance(error, Exception):
                    session.finish("diverged" if isinstance(error, DivergedError) else "failed")
            with contextlib.suppress(RunFolderError):
                session.close()
            raise
        session.close()
        return result


class Session:
    """Everything that one session holds; see `run_session` for the arguments.

    Args:
        newest: the checkpoint to continue from; None begins anew.
    """

    def __init__(self, *given: Any) -> None:
        self.open_parts = contextlib.ExitStack()
        """What has to be closed, also where a later part cannot be made."""
        try:
            self._begin(*given)
        except BaseException:
            with contextlib.suppress(Exception):
                self.open_parts.close()
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

        keep_freed_memory()
        device = agent.prepare_process(config)
        # Threads of a native backend do not change a number, so a session that is alone may use every core.
        shared = config.seeds > 1 or config.trial.storage is not None  # with other seeds, or with other trials
        self.env_threads = config.threads if shared else available_cores()
        seeding.seed_globals(seed)
        check_envs(config)
        saved = None if newest is None else self._read(newest)
        made = make(
            config.env,
            config.num_envs,
            threads=self.env_threads,
            seed=seed,
            chosen=None if saved is None else saved["envs"]["backend"],
            probe=True,
        )
        self.open_parts.callback(made.backend.close)
        self.spec = made.spec
        check_nets(config, self.spec)
        self.envs = VectorEnv(made.backend, config.env, seed, config.algo.gamma)
        self.algo = agent.build(config, seed, self.spec, device)
        self.minibatches = seeding.stream(seed, "minibatches")
        steps = self.algo.rollout_steps or self.spec.max_episode_steps or EPISODE_STEPS
        sil = getattr(config.algo, "sil", None)
        forecast = check_memory(self.spec, steps, config.memory, int(sil.buffer_size) if sil else 0, folder.path)
        self.memory = memory.build(
            config.memory,
            self.spec,
            total_frames=int(config.frames),
            rng=self.minibatches,
            device=device,
            folder=folder.path,
        )
        self.collector = Collector(self.envs, self.algo)
        self.evaluator = Evaluator(config.env, seed, self.envs.seen, self.env_threads)
        self.open_parts.callback(self.evaluator.close)
        self.random_return = self.evaluator.random(config.eval.periodic_episodes).mean

        self.frames = self.updates = self.checkpoint_frames = 0
        self.phases = Phases()
        self.seconds_before = 0.0  # of earlier processes of this session
        self.last_eval = math.nan
        self.reporting = Update()  # the latest that has something to report
        self.row: dict[str, Any] = {}
        self.watched_at = 0.0

        if newest is not None and saved is not None:
            self._load(newest, saved)
            del saved  # the arrays of its files
            if getattr(config.memory, "save", True) is False:
                logger.warning(
                    "memory.save=false: the memory begins empty, and this run will not equal an uninterrupted one"
                )
            logger.info("seed {}: continuing from {:,} frames", seed, self.frames)
        keep = None if newest is None else self.frames
        self.metrics_file = self._opened(JsonLines(folder.metrics, keep_until=keep))
        self.eval_file = self._opened(JsonLines(folder.eval, keep_until=keep))
        self.timing_file = self._opened(JsonLines(folder.timing, keep_until=keep))
        self.events = EventLog(folder.path, resumed_at=keep)
        self.open_parts.callback(self.events.close)
        if watcher is not None:
            watcher.facts(seed, {**agent.facts(made, device, config), "memory_mb": forecast / 2**20})
        if newest is None:
            self._save()  # so that whatever happens there is one to go back to
        self.startup_seconds = time.perf_counter() - started

    def run(self) -> dict[str, Any]:
        """The loop; then the final score and `result.json`."""
        status = "complete"
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
            status = self._scheduled(before)
        if self.frames != self.checkpoint_frames:
            self._save()
        return self.finish(status)

    def _collect(self) -> Rollout:
        try:
            return self.collector.collect(self.frames)
        except EnvError:
            self._check_weights()  # actions from weights that are not finite are not the environment's fault
            raise

    def _scheduled(self, before: int) -> str:
        """What is due between two rollouts: a log row, an evaluation, a checkpoint. Returns the status."""
        config, began, status = self.config, time.perf_counter(), "complete"
        evaluating = 0.0

        def due(every: int) -> bool:
            return self.frames // every > before // every

        if due(config.log_every_frames):
            self._log()
        if due(config.eval_every_frames):
            eval_began = time.perf_counter()
            score = self._score(config.eval.periodic_episodes)
            evaluating = time.perf_counter() - eval_began
            self.last_eval = score.mean
            self.eval_file.write(score.row(self.frames, self.updates))
            self.events.write({"frames": self.frames, "eval/return": score.mean}, time.time())
            if config.eval.video_every and (self.frames // config.eval_every_frames) % config.eval.video_every == 0:
                self._film()
                evaluating = time.perf_counter() - eval_began
            if self.judge is not None and self.frames < config.frames:
                status = self.judge(self.frames, score.mean) or status
        if due(config.checkpoint.every_frames) or self.stop.save_due():
            self._save()
        if self.watcher is not None and time.perf_counter() - self.watched_at > WATCH_SECONDS:
            self.watched_at = time.perf_counter()
            self.watcher.progress(self._progress())
        if self.stop.requested and self.frames < config.frames and status == "complete":
            status = "stopped"
        self.phases.eval += evaluating
        self.phases.other += time.perf_counter() - began - evaluating
        return status

    def _log(self) -> None:
        learning = {f"train/{name}": None if v is None else float(v) for name, v in self.reporting.report().items()}
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

    def _film(self) -> None:
        """Record an episode; a video that fails is a pity, and no reason to stop training."""
        from rlkit.training.play import play

        actor = agent.Agent(self.config, self.seed, self.frames, self.algo, self.envs.seen)
        path = self.folder.path / "videos" / f"{self.frames}.mp4"
        try:
            play(actor, video=path, episodes=1, deterministic=self.config.eval.deterministic)
        except Exception as error:  # drawing goes through drivers and encoders that fail in ways of their own
            logger.warning("no video at {:,} frames: {}", self.frames, error)

    def _check_weights(self) -> None:
        for name, weight in self.algo.weights().items():
            if not torch.isfinite(weight).all():
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
        return self.evaluator.score(self.algo, episodes=episodes, deterministic=deterministic, frames=self.frames)

    def finish(self, status: str) -> dict[str, Any]:
        """Score the policy, if training ended as it should, and write `result.json`."""
        began = time.perf_counter()
        final = self._score(self.config.eval.episodes) if status == "complete" else None
        self.phases.eval += time.perf_counter() - began
        result = session_result(
            config=self.config,
            seed=self.seed,
            status=status,
            env_id=self.spec.id,
            frames=self.frames,
            final=final,
            evals=read_evals(self.folder.eval),
            train_return=_mean(self.envs.recent_returns),
            random_return=self.random_return,
            fps=self._fps(),
            train_seconds=self.phases.train,
            wall_seconds=self._wall_seconds(),
            startup_seconds=self.startup_seconds,
            time_split=self.phases.split(),
        )
        write_json(self.folder.result, result)
        if self.watcher is not None:
            self.watcher.progress(self._progress())
        return result

    def close(self) -> None:
        """Close files and environments, all of them even where one of them fails to."""
        self.open_parts.close()

    def _opened(self, file: JsonLines) -> JsonLines:
        self.open_parts.callback(file.close)
        return file

    # State: a checkpoint is the sum of its parts.

    def _save(self) -> None:
        self._check_weights()
        for file in (self.metrics_file, self.eval_file, self.timing_file):
            file.sync()
        parts: dict[str, State] = {
            "algo": self.algo.state_dict(),
            "memory": self.memory.state_dict(),
            "envs": self.envs.state_dict(),
            "collector": self.collector.state_dict(),
            "streams": {
                "acting": seeding.generator_state(self.algo.rng),
                "minibatches": seeding.generator_state(self.minibatches),
                "globals": seeding.globals_state(),
            },
            "session": {
                "frames": self.frames,
                "updates": self.updates,
                "last_eval": None if math.isnan(self.last_eval) else self.last_eval,
                "phases": asdict(self.phases),
                "wall_seconds": self._wall_seconds(),
            },
        }
        checkpoint.save(self.folder.checkpoints, self.frames, self.algo.weights(), parts, self.config.checkpoint.keep)
        self.checkpoint_frames = self.frames

    def _read(self, path: Path) -> dict[str, State]:
        """The parts of a checkpoint, all of them there."""
        parts = checkpoint.load_parts(path)
        if missing := {"algo", "memory", "envs", "collector", "streams", "session"} - set(parts):
            raise CheckpointError(f"{path} lacks {', '.join(sorted(missing))}: it is no checkpoint of a session")
        with checkpoint.restoring(path):
            checkpoint.check_form(parts["session"], {"frames": 0, "updates": 0, "wall_seconds": 0.0}, "session")
            checkpoint.check_form(parts["envs"]["backend"], "sync", "envs.backend")
            if parts["session"]["frames"] != int(path.name):
                raise ValueError(f"it is of {parts['session']['frames']} frames")
        return parts

    def _load(self, path: Path, parts: dict[str, State]) -> None:
        """Restore the state of a checkpoint.

        Raises:
            CheckpointError: it does not have the form of this run's state.
        """
        with checkpoint.restoring(path):
            weights = checkpoint.load_weights(path)
            checkpoint.check_weights(weights, self.algo.weights())
            checkpoint.check_form(parts["algo"], self.algo.state_dict(), "algo")
            checkpoint.check_form(parts["memory"], self.memory.state_dict(), "memory", rows=True)
            mine, envs = parts["session"], {**self.envs.state_dict()}
            del envs["actions"]  # there are none yet
            checkpoint.check_form(parts["envs"], envs, "envs")
            self.algo.load_weights(weights)
            self.algo.load_state_dict(parts["algo"])
            self.memory.load_state_dict(parts["memory"])
            self.envs.load_state_dict(parts["envs"])
            self.collector.load_state_dict(parts["collector"])
            seeding.set_generator_state(self.algo.rng, parts["streams"]["acting"])
            seeding.set_generator_state(self.minibatches, parts["streams"]["minibatches"])
            seeding.set_globals_state(parts["streams"]["globals"])
            self.frames = self.checkpoint_frames = mine["frames"]
            self.updates = mine["updates"]
            self.last_eval = math.nan if mine["last_eval"] is None else float(mine["last_eval"])
            self.phases, self.seconds_before = Phases(**mine["phases"]), float(mine["wall_seconds"])

    # What is told of it.

    def _wall_seconds(self) -> float:
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
            seconds_left=max(0, self.config.frames - self.frames) / fps if fps else math.nan,
            return_100=_mean(self.envs.recent_returns),
            eval_return=self.last_eval,
            checkpoint_frames=self.checkpoint_frames,
            split=self.phases.split(),
            metrics={name: value for name, value in self.row.items() if name.startswith("train/")},
        )


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if len(values) else math.nan
