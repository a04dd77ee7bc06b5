"""A profile of the training loop, for `debug=profile`."""

from __future__ import annotations

import contextlib
import cProfile
import io
import pstats
from collections.abc import Iterator
from pathlib import Path

from loguru import logger

from rlkit.runs.folder import write_text

LINES = 40
"""Functions in each table."""


@contextlib.contextmanager
def profiled(folder: Path) -> Iterator[None]:
    """Profile a block, and write `profile.txt` (two tables) and `profile.pstats` (for other tools) into a folder."""
    profile = cProfile.Profile()
    profile.enable()
    try:
        yield
    finally:
        profile.disable()
        text = io.StringIO()
        stats = pstats.Stats(profile, stream=text)
        for order, about in (("tottime", "own time"), ("cumulative", "time with the functions called")):
            text.write(f"By {about}, in seconds:\n")
            stats.sort_stats(order).print_stats(LINES)
        write_text(folder / "profile.txt", text.getvalue())
        profile.dump_stats(folder / "profile.pstats")
        logger.info("profile of the training loop: {}", folder / "profile.txt")
