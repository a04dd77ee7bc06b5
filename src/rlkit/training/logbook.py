"""What a session writes and reports: rows, events, progress and its result."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from loguru import logger

from rlkit.errors import DivergedError
from rlkit.results.progress import Phases, Progress
from rlkit.results.summary import session_result
from rlkit.results.tensorboard import EventLog
from rlkit.runs.folder import JsonLines, SessionFolder, write_json
from rlkit.runs.lines import read_evals
from rlkit.settings import flag
from rlkit.types import Update

if TYPE_CHECKING:
    from rlkit.config.run import RunConfig
    from rlkit.envs.vector import VectorEnv
    from rlkit.nets.network import Network
    from rlkit.results.score import Score
    from rlkit.training.progress import Watcher

WATCH_SECONDS = 0.2
"""Between two reports to a watcher."""


@dataclass
class Counts:
    """The counts of a session."""

    frames: int = 0
    updates: int = 0
    checkpoint_frames: int = 0
    """Frames of the latest checkpoint."""
    last_eval: float = math.nan
    """Mean return of the latest evaluation."""
    eval_due: bool = False
    """An evaluation was left unfinished."""
    random_return: float = math.nan
    """Mean return of random actions."""
    played: int = 0
    """Evaluation episodes in this process, for the time that is left."""
    phases: Phases = field(default_factory=Phases)
    seconds_before: float = 0.0
    """Wall time of earlier processes of this session."""
    reporting: Update = field(default_factory=Update)
    """The latest update that has metrics."""

    @property
    def fps(self) -> float:
        """Training frames per second, without the time of evaluations."""
        return self.frames / self.phases.train if self.phases.train else 0.0

    def reported(self) -> dict[str, float | None]:
        """The metrics of the latest update."""
        return {name: None if v is None else float(v) for name, v in self.reporting.report().items()}


class Logbook:
    """Writes a session's rows and result, and tells its watcher.

    Args:
        config: the trial's configuration.
        seed: of the session.
        folder: of the session.
        watcher: told of progress, a few times a second; None: nobody is.
        counts: of the session, which changes them.
        envs: the training environments, for their recent returns.
        started: `time.perf_counter()` when the command began.
        opened: takes the files, to be closed with the session.
        resumed_at: frames of the checkpoint that is continued; later rows are cut off. None: the session is new.
        networks: those whose norms are logged, by name.
    """

    def __init__(
        self,
        config: RunConfig,
        seed: int,
        folder: SessionFolder,
        watcher: Watcher | None,
        counts: Counts,
        envs: VectorEnv,
        *,
        started: float,
        opened: contextlib.ExitStack,
        resumed_at: int | None,
        networks: Mapping[str, Network],
    ) -> None:
        self.config, self.seed, self.folder, self.watcher = config, seed, folder, watcher
        self.counts, self.envs, self.started = counts, envs, started
        self.networks = networks
        self.shows_rows = flag("LOG_METRICS")
        self.row: dict[str, Any] = {}
        self.watched_at = 0.0
        self.doing = ""
        """What the session does beside training."""
        self.startup_seconds = 0.0

        def rows(path: Path) -> JsonLines:
            file = JsonLines(path, keep_until=resumed_at)
            opened.callback(file.close)
            return file

        self.metrics, self.evals, self.timing = rows(folder.metrics), rows(folder.eval), rows(folder.timing)
        self.events = EventLog(folder.path, resumed_at=resumed_at) if config.tracker.tensorboard else None
        if self.events is not None:
            opened.callback(self.events.close)

    def log(self) -> None:
        """Write a row of metrics and of timing.

        Raises:
            DivergedError: a metric of learning is not finite.
        """
        counts = self.counts
        learning = {f"train/{name}": value for name, value in {**counts.reported(), **_norms(self.networks)}.items()}
        for name, value in learning.items():
            if value is not None and not math.isfinite(value):
                raise self.diverged(f"{name} is {value}")
        self.row = {
            "frames": counts.frames,
            "rollout/episodes": self.envs.finished,
            "rollout/return_100": _mean(self.envs.recent_returns),
            "rollout/length_100": _mean(self.envs.recent_lengths),
            "train/updates": counts.updates,
            **learning,
        }
        self.metrics.write(self.row)
        self._event(self.row)
        if self.shows_rows:
            told = ", ".join(f"{name} {value:.4g}" for name, value in self.row.items() if value is not None)
            logger.info("seed {}: {}", self.seed, told)
        phases = counts.phases
        timing = {"train_seconds": phases.train, "fps": counts.fps, "split": phases.split()}
        self.timing.write({"frames": counts.frames, **timing})

    def evaluated(self, score: Score) -> None:
        """Write the row of an evaluation."""
        self.counts.last_eval = score.mean
        self.evals.write(score.row(self.counts.frames, self.counts.updates))
        self._event({"frames": self.counts.frames, "eval/return": score.mean})

    def _event(self, row: dict[str, Any]) -> None:
        if self.events is not None:
            self.events.write(row, time.time())

    def evaluating(self, played: int, episodes: int) -> None:
        """A sign of life from an evaluation."""
        doing, self.doing = self.doing, f"{self.doing or 'evaluation'}: {played} of {episodes} episodes"
        self.show()
        self.doing = doing

    def show(self, *, now: bool = False) -> None:
        """Tell the watcher where the session stands, a few times a second or now."""
        if self.watcher is not None and (now or time.perf_counter() - self.watched_at > WATCH_SECONDS):
            self.watched_at = time.perf_counter()
            self.watcher.progress(self.progress())

    def diverged(self, what: str) -> DivergedError:
        """The error that says what is not finite."""
        return DivergedError(
            f"seed {self.seed} diverged: {what} after {self.counts.frames:,} frames\n"
            f"  the last checkpoint is of {self.counts.checkpoint_frames:,} frames\n"
            "  try a smaller algo.learning_rate or algo.max_grad_norm, and look at the scale of the rewards"
        )

    def sync(self) -> None:
        """Flush the rows to disk."""
        for file in (self.metrics, self.evals, self.timing):
            file.sync()

    def wall_seconds(self) -> float:
        """Seconds since the first start, over all processes of this session."""
        return self.counts.seconds_before + time.perf_counter() - self.started

    def finish(self, status: str, env_id: str, final: Score | None, error: str | None) -> dict[str, Any]:
        """Write `result.json` and return its content.

        Args:
            status: how training ended.
            env_id: of the environment.
            final: the final evaluation; None where there is none.
            error: why the session failed.
        """
        counts = self.counts
        result = session_result(
            config=self.config,
            seed=self.seed,
            status=status,
            error=error,
            env_id=env_id,
            frames=counts.frames,
            updates=counts.updates,
            final=final,
            evals=read_evals(self.folder.eval),
            train_return=_mean(self.envs.recent_returns),
            random_return=counts.random_return,
            fps=counts.fps,
            train_seconds=counts.phases.train,
            wall_seconds=self.wall_seconds(),
            startup_seconds=self.startup_seconds,
            time_split=counts.phases.split(),
        )
        write_json(self.folder.result, result)
        self.show(now=True)
        return result

    def progress(self) -> Progress:
        """The progress of the session."""
        counts = self.counts
        return Progress(
            seed=self.seed,
            frames=counts.frames,
            total_frames=self.config.frames,
            fps=counts.fps,
            seconds_left=self._seconds_left(),
            return_100=_mean(self.envs.recent_returns),
            eval_return=counts.last_eval,
            checkpoint_frames=counts.checkpoint_frames,
            split=counts.phases.split(),
            metrics={name: value for name, value in self.row.items() if name.startswith("train/")},
            doing=self.doing,
        )

    def _seconds_left(self) -> float:
        """Of training at its rate so far, and of the evaluations that are due at theirs."""
        config, counts = self.config, self.counts
        if not counts.fps:
            return math.nan
        every = config.eval_every_frames
        due = max(0, config.frames // every - counts.frames // every)
        episodes = due * int(config.eval.periodic_episodes) + int(config.eval.episodes)
        evaluating = counts.phases.eval / counts.played * episodes if counts.played else 0.0
        return max(0, config.frames - counts.frames) / counts.fps + evaluating


def _norms(networks: Mapping[str, Network]) -> dict[str, float]:
    """The norm of every weight, and of the gradient of the latest update, after it was clipped."""
    return {
        f"{what}_norm/{name}": float(view.norm())
        for network in networks.values()
        for what, flat in (("weight", network.flat.weight), ("gradient", network.flat.grad))
        for name, view in network.views(flat).items()
    }


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if len(values) else math.nan
