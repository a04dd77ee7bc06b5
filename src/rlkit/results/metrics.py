"""SLM-Lab's measures of an agent, from the evaluations during training.

`s_i = R_i - b` is the strength of the `i`-th evaluation: its mean return above that of a random policy.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Curve:
    """The evaluations of one session."""

    frames: Sequence[int]
    updates: Sequence[int]
    returns: Sequence[float]


def curve_metrics(curve: Curve, random_return: float) -> dict[str, float]:
    """The measures of one session; NaN where a measure has no meaning (no evaluation, or strengths that sum to <= 0).

    | measure | formula |
    |---|---|
    | strength | mean of `s_i` |
    | max_strength, final_strength | largest, last |
    | sample_efficiency | `sum(s_i / f_i) / sum(s_i)`, `f` frames: near 1/f of when strength was gained |
    | training_efficiency | the same with updates |
    | stability | `1 - sum of falls / sum of s_i but the last`: 1 never falls |
    """
    names = ("strength", "max_strength", "final_strength", "sample_efficiency", "training_efficiency", "stability")
    if not len(curve.returns):
        return dict.fromkeys(names, math.nan)
    s = np.asarray(curve.returns, np.float64) - random_return
    total = s.sum()
    falls = -np.minimum(np.diff(s), 0).sum()

    def efficiency(cost: Sequence[int]) -> float:
        return float((s / np.maximum(np.asarray(cost, np.float64), 1)).sum() / total) if total > 0 else math.nan

    values = (
        float(s.mean()),
        float(s.max()),
        float(s[-1]),
        efficiency(curve.frames),
        efficiency(curve.updates),
        float(1 - falls / s[:-1].sum()) if len(s) > 1 and s[:-1].sum() > 0 else math.nan,
    )
    return dict(zip(names, values, strict=True))


def consistency(curves: Sequence[Curve], random_returns: Sequence[float]) -> float:
    """`1 - 2 sum_i std_j(s_ij) / sum_i mean_j(s_ij)` over seeds j: 1 if all seeds learn alike; NaN for one seed."""
    if len(curves) < 2:
        return math.nan
    length = min(len(c.returns) for c in curves)
    s = np.array([np.asarray(c.returns[:length]) - b for c, b in zip(curves, random_returns, strict=True)])
    total = s.mean(0).sum() if length else 0
    return float(1 - 2 * s.std(0).sum() / total) if total > 0 else math.nan
