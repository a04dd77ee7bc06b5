"""Where the time goes, function by function."""

from __future__ import annotations

import cProfile
import dataclasses
import pstats
import tempfile
from pathlib import Path
from typing import Any

from rlkit.config.schema import compose
from rlkit.runs.folder import SessionFolder
from rlkit.training.session import run_session
from speed import document, tasks

SHOWN = 12


def profile(name: str, share: float) -> dict[str, Any]:
    """Train a task for a share of its frames under cProfile, without evaluations.

    Python's profiler adds to every call, so that small functions look dearer than they are: the order counts.
    """
    task = tasks.load()[name]
    frames = int(task.frames * share)
    quiet = [f"eval.every_frames={10 * frames}", "eval.episodes=1", "eval.periodic_episodes=1"]
    config = compose([*dataclasses.replace(task, frames=frames).overrides(), *quiet])
    profiler = cProfile.Profile()
    with tempfile.TemporaryDirectory() as folder:
        # A first short session, so that imports and first calls are not in the figures.
        run_session(dataclasses.replace(config, frames=frames // 10), 0, SessionFolder(Path(folder) / "first"))
        profiler.enable()
        result = run_session(config, 0, SessionFolder(Path(folder) / "second"))
        profiler.disable()
    stats: Any = pstats.Stats(profiler)
    found = sorted(stats.stats.items(), key=lambda entry: -entry[1][2])
    total = sum(entry[2] for _, entry in found)
    rows = [
        {"function": _label(*where), "calls": calls, "own_share": own / total, "own_us_per_call": own / calls * 1e6}
        for where, (_, calls, own, *_) in found[:SHOWN]
    ]
    print(document.profile_table(rows))
    return {
        "task": name,
        "title": task.title,
        "frames": result["frames"],
        "time_split": result["time_split"],
        "rows": rows,
    }


def _label(file: str, line: int, function: str) -> str:
    """`rlkit/nets/dense.py: tape`, or a built-in function's own words."""
    if not line:
        return function.strip("<>").replace("built-in method ", "").replace("method ", "")
    parts = Path(file).parts
    for root in ("site-packages", "src", "lib"):
        if root in parts:
            parts = parts[len(parts) - parts[::-1].index(root) :]
            break
    return f"{'/'.join(parts)}: {function}"
