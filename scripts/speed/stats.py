"""Small statistics of a few runs."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

STUDENT = (12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26)
"""97.5 % quantiles of Student's t, from 1 degree of freedom on."""


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median, lowest and highest."""
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def interval(values: Sequence[float], within: float) -> tuple[float, float]:
    """Mean over runs and the half-width of its 95 % interval; of a single run, `within` is that over its episodes."""
    count = len(values)
    if count < 2:
        return values[0], within
    quantile = STUDENT[count - 2] if count - 2 < len(STUDENT) else 1.96
    return statistics.fmean(values), quantile * statistics.stdev(values) / count**0.5


def rate_of(peer: str) -> str:
    """Which rate is compared: of a peer that compiles first, that after it has, on both sides."""
    return "steady_fps" if peer == "sbx" else "fps"
