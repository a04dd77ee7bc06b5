"""Values that change with the frames."""

from __future__ import annotations


def scheduled(kind: str, start: float, frames: int, total_frames: int) -> float:
    """The value after `frames` of `total_frames`: `constant` keeps `start`, `linear` falls to 0 at the end."""
    if kind == "constant":
        return start
    return start * max(0.0, 1.0 - frames / total_frames)
