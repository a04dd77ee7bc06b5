"""The state of a session: what a checkpoint of it holds, and how it is restored. It is the sum of its parts' states."""

from __future__ import annotations

import math
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from rlkit import seeding
from rlkit.errors import CheckpointError
from rlkit.results.progress import Phases
from rlkit.training import checkpoint
from rlkit.types import Update

if TYPE_CHECKING:
    from rlkit.training.logbook import Counts
    from rlkit.training.parts import Parts
    from rlkit.types import State

PARTS = ("algo", "memory", "envs", "collector", "streams", "session")


def collecting(parts: Parts) -> dict[str, State]:
    """The parts that collecting changes; of the algorithm, its exploration noise."""
    return {
        "algo": parts.algo.state_dict(),
        "envs": parts.envs.state_dict(),
        "collector": parts.collector.state_dict(),
        "streams": {
            "acting": seeding.generator_state(parts.algo.rng),
            "minibatches": seeding.generator_state(parts.minibatches),
            "globals": seeding.globals_state(),
        },
    }


def whole(parts: Parts, counts: Counts, wall_seconds: float) -> dict[str, State]:
    """The current state, by parts, without copies."""
    return {
        **collecting(parts),
        "memory": parts.memory.state_dict(),
        "session": {
            "frames": counts.frames,
            "updates": counts.updates,
            "last_eval": None if math.isnan(counts.last_eval) else counts.last_eval,
            "eval_due": counts.eval_due,
            "random_return": None if math.isnan(counts.random_return) else counts.random_return,
            "phases": asdict(counts.phases),
            "wall_seconds": wall_seconds,
            "reporting": counts.reported(),
        },
    }


def read(path: Path) -> dict[str, State]:
    """The parts of a checkpoint, all of them there.

    Raises:
        CheckpointError: it is no checkpoint of a session.
    """
    parts = checkpoint.load_parts(path)
    if missing := set(PARTS) - set(parts):
        raise CheckpointError(f"{path} lacks {', '.join(sorted(missing))}: it is no checkpoint of a session")
    with checkpoint.restoring(path):
        checkpoint.check_form(parts["session"], {"frames": 0, "updates": 0, "wall_seconds": 0.0}, "session")
        checkpoint.check_form(parts["envs"]["backend"], "sync", "envs.backend")
        if parts["session"]["frames"] != int(path.name):
            raise ValueError(f"it is of {parts['session']['frames']} frames")
    return parts


def restore(parts: Parts, counts: Counts, path: Path, saved: dict[str, State]) -> None:
    """Give the parts of a session the state of a checkpoint.

    Raises:
        CheckpointError: it does not have the form of this run's state.
    """
    with checkpoint.restoring(path):
        weights = checkpoint.load_weights(path)
        checkpoint.check_weights(weights, parts.algo.weights())
        checkpoint.check_form(saved["algo"], parts.algo.state_dict(), "algo", rows=True)  # past episodes grow
        checkpoint.check_form(saved["memory"], parts.memory.state_dict(), "memory", rows=True)
        envs = {**parts.envs.state_dict()}
        del envs["actions"]  # there are none yet
        checkpoint.check_form(saved["envs"], envs, "envs")
        parts.algo.load_weights(weights)
        parts.algo.load_state_dict(saved["algo"])
        parts.memory.load_state_dict(saved["memory"])
        parts.envs.load_state_dict(saved["envs"])
        parts.collector.load_state_dict(saved["collector"])
        if parts.envs.interrupted:
            parts.memory.interrupt()
            parts.algo.interrupt()
            parts.collector.interrupt()
        seeding.set_generator_state(parts.algo.rng, saved["streams"]["acting"])
        seeding.set_generator_state(parts.minibatches, saved["streams"]["minibatches"])
        seeding.set_globals_state(saved["streams"]["globals"])
        mine = saved["session"]
        counts.frames = counts.checkpoint_frames = mine["frames"]
        counts.updates = mine["updates"]
        counts.last_eval = math.nan if mine["last_eval"] is None else float(mine["last_eval"])
        counts.phases, counts.seconds_before = Phases(**mine["phases"]), float(mine["wall_seconds"])
        # Checkpoints of version 0.1 have none of these.
        counts.eval_due = bool(mine.get("eval_due", False))
        random_return = mine.get("random_return")
        counts.random_return = math.nan if random_return is None else float(random_return)
        counts.reporting = Update(mine.get("reporting", {}))
