"""Values that change with the frames."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rlkit.config.learning import ScheduleConfig


def scheduled(start: float, schedule: ScheduleConfig, frames: int, total_frames: int) -> float:
    """The value after `frames` of `total_frames`, of one that begins at `start`; `ScheduleConfig` says the rest."""
    if schedule.kind == "constant":
        return start
    if schedule.kind == "piecewise":
        return piecewise([(0, start), *schedule.points], frames)
    first, last = int(schedule.start_frames), schedule.end_frames or total_frames
    passed = min(1.0, max(0.0, (frames - first) / max(1, last - first)))
    if schedule.kind == "linear":
        return start * (1 - passed) + schedule.end * passed
    if schedule.kind == "cosine":
        return schedule.end + (start - schedule.end) * (1 + math.cos(math.pi * passed)) / 2
    return float(start * (schedule.end / start) ** passed)


def piecewise(points: Sequence[Sequence[float]], frames: int) -> float:
    """The value at `frames` of straight lines through (frames, value); that of the last point from there on."""
    for (a, low), (b, high) in itertools.pairwise(points):
        if frames < b:
            return low + (high - low) * (frames - a) / (b - a)
    return float(points[-1][1])
