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
    from rlkit.training.session import Session
    from rlkit.types import State

PARTS = ("algo", "memory", "envs", "collector", "streams", "session")


def collecting(session: Session) -> dict[str, State]:
    """The parts that collecting changes; of the algorithm, its exploration noise."""
    return {
        "algo": session.algo.state_dict(),
        "envs": session.envs.state_dict(),
        "collector": session.collector.state_dict(),
        "streams": {
            "acting": seeding.generator_state(session.algo.rng),
            "minibatches": seeding.generator_state(session.minibatches),
            "globals": seeding.globals_state(),
        },
    }


def parts_of(session: Session) -> dict[str, State]:
    """All parts of the state as it is now, without copies."""
    return {
        **collecting(session),
        "memory": session.memory.state_dict(),
        "session": {
            "frames": session.frames,
            "updates": session.updates,
            "last_eval": None if math.isnan(session.last_eval) else session.last_eval,
            "eval_due": session.eval_due,
            "random_return": None if math.isnan(session.random_return) else session.random_return,
            "phases": asdict(session.phases),
            "wall_seconds": session.wall_seconds(),
            "reporting": session.reported(),
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


def restore(session: Session, path: Path, parts: dict[str, State]) -> None:
    """Give a session the state of a checkpoint.

    Raises:
        CheckpointError: it does not have the form of this run's state.
    """
    with checkpoint.restoring(path):
        weights = checkpoint.load_weights(path)
        checkpoint.check_weights(weights, session.algo.weights())
        checkpoint.check_form(parts["algo"], session.algo.state_dict(), "algo", rows=True)  # past episodes grow
        checkpoint.check_form(parts["memory"], session.memory.state_dict(), "memory", rows=True)
        envs = {**session.envs.state_dict()}
        del envs["actions"]  # there are none yet
        checkpoint.check_form(parts["envs"], envs, "envs")
        session.algo.load_weights(weights)
        session.algo.load_state_dict(parts["algo"])
        session.memory.load_state_dict(parts["memory"])
        session.envs.load_state_dict(parts["envs"])
        session.collector.load_state_dict(parts["collector"])
        if session.envs.interrupted:
            session.memory.interrupt()
            session.algo.interrupt()
            session.collector.interrupt()
        seeding.set_generator_state(session.algo.rng, parts["streams"]["acting"])
        seeding.set_generator_state(session.minibatches, parts["streams"]["minibatches"])
        seeding.set_globals_state(parts["streams"]["globals"])
        mine = parts["session"]
        session.frames = session.checkpoint_frames = mine["frames"]
        session.updates = mine["updates"]
        session.last_eval = math.nan if mine["last_eval"] is None else float(mine["last_eval"])
        session.phases, session.seconds_before = Phases(**mine["phases"]), float(mine["wall_seconds"])
        # Checkpoints of version 0.1 have none of these.
        session.eval_due = bool(mine.get("eval_due", False))
        random_return = mine.get("random_return")
        session.random_return = math.nan if random_return is None else float(random_return)
        session.reporting = Update(mine.get("reporting", {}))
