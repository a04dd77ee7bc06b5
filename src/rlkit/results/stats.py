"""Statistics over seeds: the interquartile mean and a bootstrap interval (Agarwal et al. 2021, arXiv:2108.13264)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

RESAMPLES = 10_000


def iqm(values: Sequence[float]) -> float:
    """Interquartile mean: the mean of the middle half, with fractional weights at its two ends.

    For fewer than four values that is still defined, and for one it is the value.
    """
    x = np.sort(np.asarray(values, np.float64))
    n = len(x)
    # Row i covers [i, i + 1] of n; what of it lies within the middle half is its weight.
    left, right = n / 4, 3 * n / 4
    edges = np.arange(n)
    weight = np.clip(np.minimum(edges + 1, right) - np.maximum(edges, left), 0, None)
    return float((x * weight).sum() / weight.sum())


def bootstrap_ci95(values: Sequence[float], seed: int = 0) -> tuple[float, float] | None:
    """The 95 % percentile bootstrap interval of the mean over seeds; None for a single seed."""
    x = np.asarray(values, np.float64)
    if len(x) < 2:
        return None
    rows = np.random.default_rng(seed).integers(0, len(x), (RESAMPLES, len(x)))
    low, high = np.percentile(x[rows].mean(1), [2.5, 97.5])
    return float(low), float(high)
