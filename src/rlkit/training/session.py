"""One session: one config, one seed, one folder. The one loop of rlkit is `Session.run`."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from loguru import logger

from rlkit import seeding
from rlkit.envs.make import make
from rlkit.envs.vector import VectorEnv
from rlkit.errors import CheckpointError, DivergedError
from rlkit.memory.rollout import RolloutMemory
from rlkit.results.folder import JsonLines, SessionFolder, read_json, read_rows, write_json
from rlkit.results.summary import session_result
from rlkit.results.tensorboard import EventLog
from rlkit.training import agent, checkpoint
from rlkit.training.collect import Collector
from rlkit.training.evaluate import Evaluator, Score
from rlkit.training.interrupt import StopSignal
from rlkit.training.progress import Progress, Watcher

if TYPE_CHECKING:
    from rlkit.config.run import RunConfig
    from rlkit.types import State

WATCH_SECONDS = 0.2


@dataclass
class Phases:
    """Seconds spent, by what for."""

    env: float = 0.0
    policy: float = 0.0
    learn: float = 0.0
    eval: float = 0.0
    other: float = 0.0

    @property
    def train(self) -> float:
        """All but evaluation."""
        return self.env + self.policy + self.learn + self.other

    def split(self) -> dict[str, float]:
        """Shares of the total."""
        seconds = asdict(self)
        total = sum(seconds.values()) or 1.0
        return {name: s / total for name, s in seconds.items()}


Prune = Callable[[int, float], bool]
"""`(frames, mean return) -> stop?`, asked after every evaluation."""


class Session:
    """Trains one seed in its folder, from its newest checkpoint where there is one.

    Args:
        config: the trial's configuration.
        seed: root of this session's random streams.
        folder: where everything goes.
        watcher: told of progress.
        prune: asked after each evaluation whether to stop here.
        stop: checked after each rollout.
        started: `time.perf_counter()` when the command began, for the start-up time.
    """

    def __init__(
        self,
        config: RunConfig,
        seed: int,
        folder: SessionFolder,
        *,
        watcher: Watcher | None = None,
        prune: Prune | None = None,
        stop: StopSignal | None = None,
        started: float | None = None,
    ) -> None:
        self.config, self.seed, self.folder = config, seed, folder
        self.watcher, self.prune, self.stop = watcher, prune, stop or StopSignal()
        self.started = time.perf_counter() if started is None else started

    def run(self) -> dict[str, Any]:
        """Train to the budget, score the final policy, and write `result.json`.

        Returns:
            The session's result. Its status is `complete`, `pruned`, or `stopped` where the stop signal came.

        Raises:
            DivergedError: a loss or weight is not finite. The checkpoint before remains.
        """
        if self._already_done():
            return read_json(self.folder.result)
        self._open()
        status = "complete"
        try:
            while self.frames < self.config.frames and status == "complete":
                status = self._one_rollout()
            if self.frames != self.checkpoint_frames:
                self._save()
            return self._finish(status)
        finally:
            self._close()

    def _one_rollout(self) -> str:
        began, before = time.perf_counter(), self.frames
        rollout = self.collector.collect(self.frames)
        self.frames += rollout.steps * rollout.num_envs
        collected = time.perf_counter()

        self.memory.add(self.algo.prepare(rollout))
        for batch in self.algo.batches(self.memory):
            update = self.algo.update(batch)
            self.memory.feedback(batch, update)
            self.updates += 1
            if update.metrics:
                self.latest = update.metrics
        learned = time.perf_counter()

        self.phases.env += self.collector.env_seconds
        self.phases.policy += collected - began - self.collector.env_seconds
        self.phases.learn += learned - collected
        pruned = self._scheduled(before)
        if self.stop.requested and self.frames < self.config.frames:
            return "stopped"
        return "pruned" if pruned else "complete"

    def _scheduled(self, before: int) -> bool:
        """What happens every so many frames: a log row, an evaluation, a checkpoint. True: stop here."""
        config, began, evaluating, pruned = self.config, time.perf_counter(), 0.0, False

        def due(every: int) -> bool:
            return self.frames // every > before // every

        if due(config.log_every_frames):
            self._log()
        if due(config.eval_every_frames):
            score = self._evaluate(config.eval.periodic_episodes)
            evaluating = time.perf_counter() - began
            self._record(score)
            pruned = self.prune is not None and self.prune(self.frames, score.mean)
        if due(config.checkpoint.every_frames):
            self._save()
        now = time.perf_counter()
        if self.watcher is not None and now - self.watched > WATCH_SECONDS:
            self.watched = now
            self.watcher.progress(self._progress())
        self.phases.eval += evaluating
        self.phases.other += time.perf_counter() - began - evaluating
        return pruned

    # What the schedule calls.

    def _log(self) -> None:
        row = {
            "frames": self.frames,
            "rollout/episodes": self.envs.finished,
            "rollout/return_100": _mean(self.envs.recent_returns),
            "rollout/length_100": _mean(self.envs.recent_lengths),
            "train/updates": self.updates,
            **{f"train/{name}": None if v is None else float(v) for name, v in self.latest.items()},
        }
        for name, value in row.items():
            if name.startswith("train/") and value is not None and not math.isfinite(value):
                raise DivergedError(
                    f"seed {self.seed} diverged: {name} is {value} after {self.frames} frames\n"
                    "  try a smaller algo.learning_rate or algo.max_grad_norm, or look at the rewards' scale; "
                    f"the last checkpoint is of {self.checkpoint_frames} frames"
                )
        self.row = row
        self.metrics_file.write(row)
        self.events.write(row, time.time())
        timing = {"frames": self.frames, "train_seconds": self.phases.train, "fps": self._fps(), **self.phases.split()}
        self.timing_file.write(timing)

    def _evaluate(self, episodes: int) -> Score:
        return self.evaluator.score(
            self.algo, episodes=episodes, deterministic=self.config.eval.deterministic, frames=self.frames
        )

    def _record(self, score: Score) -> None:
        self.last_eval = score.mean
        self.eval_file.write(score.row(self.frames, self.updates))
        self.events.write({"frames": self.frames, "return": score.mean}, time.time(), prefix="eval/")

    def _save(self) -> None:
        for file in (self.metrics_file, self.eval_file, self.timing_file):
            file.sync()
        checkpoint.save(
            self.folder.checkpoints, self.frames, self.algo.weights(), self._state(), self.config.checkpoint.keep
        )
        self.checkpoint_frames = self.frames

    # Beginning and end.

    def _already_done(self) -> bool:
        if not self.folder.result.exists():
            return False
        result = read_json(self.folder.result)
        if result.get("status") == "pruned":
            return True
        return result.get("status") == "complete" and result.get("frames", 0) >= self.config.frames

    def _open(self) -> None:
        """Build everything, then take up the newest checkpoint where there is one."""
        config, seed = self.config, self.seed
        device = agent.prepare_process(config)
        seeding.seed_globals(seed)
        path = checkpoint.newest(self.folder.checkpoints)
        backend, spec = make(config.env, config.num_envs)
        self.spec = spec
        self.algo = agent.build(config, seed, spec, device)
        self.envs = VectorEnv(backend, seed)
        self.streams = {"acting": self.algo.rng, "minibatches": seeding.stream(seed, "minibatches")}
        self.memory = RolloutMemory(self.streams["minibatches"], device)
        self.collector = Collector(self.envs, self.algo)
        self.evaluator = Evaluator(config.env, seed)
        self.phases, self.frames, self.updates = Phases(), 0, 0
        self.latest: dict[str, Any] = {}
        self.row: dict[str, Any] = {}
        self.last_eval, self.watched, self.checkpoint_frames = math.nan, 0.0, 0
        self.seconds_before = 0.0  # of earlier processes of this session

        self.folder.path.mkdir(parents=True, exist_ok=True)
        self.facts = agent.facts(spec, backend, device, config)
        self.random_return = self._random_return()
        if path is not None:
            self._load(path)
            logger.info("seed {}: continuing from {:,} frames", seed, self.frames)
        keep = self.frames if path is not None else None
        self.metrics_file = JsonLines(self.folder.metrics, keep_until=keep)
        self.eval_file = JsonLines(self.folder.eval, keep_until=keep)
        self.timing_file = JsonLines(self.folder.timing, keep_until=keep)
        self.events = EventLog(self.folder.path, resumed_at=keep)
        if self.watcher is not None:
            self.watcher.facts(seed, self.facts)
        self.startup_seconds = time.perf_counter() - self.started

    def _random_return(self) -> float:
        """The zero of strength; the same number for every process of a session."""
        return self.evaluator.random(self.config.eval.periodic_episodes).mean

    def _finish(self, status: str) -> dict[str, Any]:
        began = time.perf_counter()
        final = None if status == "stopped" else self._evaluate(self.config.eval.episodes)
        self.phases.eval += time.perf_counter() - began
        result = session_result(
            config=self.config,
            seed=self.seed,
            status=status,
            env_id=self.spec.id,
            frames=self.frames,
            final=final,
            evals=read_rows(self.folder.eval),
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

    def _close(self) -> None:
        for name in ("metrics_file", "eval_file", "timing_file", "events", "envs", "evaluator"):
            if hasattr(self, name):
                getattr(self, name).close()

    # State.

    def _state(self) -> dict[str, State]:
        return {
            "algo": self.algo.state_dict(),
            "memory": self.memory.state_dict(),
            "envs": self.envs.state_dict(),
            "streams": {
                **{name: seeding.generator_state(g) for name, g in self.streams.items()},
                "python": list(random.getstate()[1]),
                "numpy": _plain_numpy_state(),
                "torch": torch.get_rng_state(),
            },
            "session": {
                "frames": self.frames,
                "updates": self.updates,
                "last_eval": None if math.isnan(self.last_eval) else self.last_eval,
                "phases": asdict(self.phases),
                "wall_seconds": self._wall_seconds(),
                "total_frames": self.config.frames,
            },
        }

    def _load(self, path: Any) -> None:
        state = checkpoint.load_parts(path)
        missing = {"algo", "memory", "envs", "streams", "session"} - set(state)
        if missing:
            raise CheckpointError(f"{path} lacks {', '.join(sorted(missing))}: it is no checkpoint of a session")
        mine = state["session"]
        self.frames, self.updates = mine["frames"], mine["updates"]
        self.checkpoint_frames = self.frames
        self.last_eval = math.nan if mine["last_eval"] is None else mine["last_eval"]
        self.phases, self.seconds_before = Phases(**mine["phases"]), mine["wall_seconds"]
        self.algo.load_weights(checkpoint.load_weights(path))
        self.algo.load_state_dict(state["algo"])
        self.memory.load_state_dict(state["memory"])
        self.envs.load_state_dict(state["envs"])
        streams = state["streams"]
        for name, generator in self.streams.items():
            seeding.set_generator_state(generator, streams[name])
        random.setstate((3, tuple(streams["python"]), None))
        np.random.set_state(("MT19937", streams["numpy"]["key"], streams["numpy"]["pos"], 0, 0.0))  # noqa: NPY002
        torch.set_rng_state(streams["torch"])

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


def _mean(values: Any) -> float:
    return float(np.mean(values)) if len(values) else math.nan


def _plain_numpy_state() -> State:
    state = np.random.get_state(legacy=False)  # noqa: NPY002 - the global generator is part of the state
    return {"key": state["state"]["key"], "pos": state["state"]["pos"]}
