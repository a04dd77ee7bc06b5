"""Statistics over seeds: intervals, robust means, comparisons of two algorithms, and how many seeds a claim needs.

The seeds of a task are independent draws of one distribution of scores. docs/statistics.md shows by simulation how
often each interval holds the true mean.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

KIND = "Student's t over seeds"
"""The interval of every `ci95`."""
EARLIER_KIND = "percentile bootstrap over seeds"
"""That of a `ci95` without a `ci95_kind`, as earlier versions wrote it."""
LEVEL = 0.95

Interval = tuple[float, float]
Floats = NDArray[np.float64]


def iqm(values: Sequence[float]) -> float:
    """Interquartile mean (Agarwal et al. 2021, arXiv:2108.13264): the mean of the middle half.

    The two values at its ends count by the share of them that lies within. For fewer than four values it is still
    defined, and for one it is the value.
    """
    x = np.sort(np.asarray(values, np.float64))
    n = len(x)
    # Row i covers [i, i + 1] of n; what of it lies within the middle half is its weight.
    left, right = n / 4, 3 * n / 4
    edges = np.arange(n)
    weight = np.clip(np.minimum(edges + 1, right) - np.maximum(edges, left), 0, None)
    return float((x * weight).sum() / weight.sum())


def optimality_gap(values: Sequence[float], target: float) -> float:
    """By how much the scores miss a target on average; scores above it count as the target (arXiv:2108.13264)."""
    return float(np.maximum(target - np.asarray(values, np.float64), 0).mean())


def performance_profile(values: Sequence[float], thresholds: Sequence[float]) -> Floats:
    """The share of scores above each threshold (arXiv:2108.13264, eq. 4)."""
    above: Floats = np.mean(np.asarray(values, np.float64)[:, None] > np.asarray(thresholds, np.float64), 0)
    return above


def probability_of_improvement(x: Sequence[float], y: Sequence[float]) -> float:
    """The probability that a run of X scores higher than one of Y, ties counted half (arXiv:2108.13264, section 4.3).

    It is the statistic of the Mann-Whitney test over the product of the two numbers of seeds.
    """
    above = np.asarray(x, np.float64)[:, None] - np.asarray(y, np.float64)
    return float((above > 0).mean() + 0.5 * (above == 0).mean())


def student_interval(values: Sequence[float], level: float = LEVEL) -> Interval | None:
    """Student's t interval of the mean; None for a single value."""
    x = np.asarray(values, np.float64)
    if len(x) < 2:
        return None
    half = _t_quantile(len(x) - 1, level) * float(x.std(ddof=1)) / math.sqrt(len(x))
    return float(x.mean()) - half, float(x.mean()) + half


def welch_interval(x: Sequence[float], y: Sequence[float], level: float = LEVEL) -> Interval | None:
    """Welch's t interval of `mean X - mean Y`, whose spreads may differ (Welch 1947); None where one has one value."""
    return stratified_interval([x, [-value for value in y]], level=level, total=2.0)


def stratified_interval(tasks: Sequence[Sequence[float]], level: float = LEVEL, total: float = 1.0) -> Interval | None:
    """The t interval of the mean over tasks of the mean over seeds, with the degrees of freedom of Satterthwaite 1946.

    Args:
        tasks: the scores of each task.
        level: of confidence.
        total: the sum of the weights of the tasks, which are equal.

    Returns:
        The interval; None where a task has a single score.
    """
    scores = [np.asarray(task, np.float64) for task in tasks]
    if min(len(x) for x in scores) < 2:
        return None
    weight = total / len(scores)
    mean = weight * sum(float(x.mean()) for x in scores)
    parts = [weight**2 * float(x.var(ddof=1)) / len(x) for x in scores]
    variance = sum(parts)
    if variance == 0:
        return mean, mean
    freedom = variance**2 / sum(part**2 / (len(x) - 1) for part, x in zip(parts, scores, strict=True))
    half = _t_quantile(freedom, level) * math.sqrt(variance)
    return mean - half, mean + half


def stratified_bootstrap(
    tasks: Sequence[Sequence[float]],
    statistic: Callable[[Floats], float],
    *,
    level: float = LEVEL,
    seed: int = 0,
    resamples: int = 2000,
) -> Interval:
    """A percentile bootstrap interval of a statistic of all scores, which are drawn again within each task.

    For statistics without a closed form, such as the interquartile mean over tasks (arXiv:2108.13264, section 4.2).
    With few seeds it is too narrow; see docs/statistics.md.
    """
    rng = np.random.default_rng(seed)
    drawn = [np.asarray(task, np.float64)[rng.integers(0, len(task), (resamples, len(task)))] for task in tasks]
    found = [statistic(row) for row in np.concatenate(drawn, 1)]
    low, high = np.percentile(found, [50 * (1 - level), 50 * (1 + level)])
    return float(low), float(high)


def tolerance_interval(values: Sequence[float], share: float = 0.9, confidence: float = LEVEL) -> Interval | None:
    """Between what scores a share of further runs ends, if scores are normal (Howe 1969); None for a single value.

    The interval of the mean shrinks with the number of seeds; this one tends to the spread from run to run.
    """
    from scipy.special import chdtri, ndtri

    x = np.asarray(values, np.float64)
    n = len(x)
    if n < 2:
        return None
    factor = ndtri((1 + share) / 2) * math.sqrt((n - 1) * (1 + 1 / n) / chdtri(n - 1, confidence))
    half = float(factor) * float(x.std(ddof=1))
    return float(x.mean()) - half, float(x.mean()) + half


def share_below_worst(seeds: int, confidence: float = LEVEL) -> float:
    """The largest share of further seeds that may end below the worst of some, whatever the distribution.

    `n` seeds would all miss a part of the distribution that holds this share with probability `1 - confidence`.
    """
    return float(1 - (1 - confidence) ** (1 / seeds))


def power_of(seeds: int, effect: float, std: float, level: float = LEVEL) -> float:
    """The probability that a two-sided t test of two algorithms sees a difference of their means, and its sign.

    Args:
        seeds: of each algorithm, at least 2.
        effect: the true difference.
        std: the standard deviation over seeds, the same for both.
        level: one minus the probability of an alarm where there is no difference.
    """
    from scipy.special import nctdtr

    if std == 0:
        return 1.0 if effect else 0.0
    freedom = 2 * seeds - 2
    shift = min(abs(effect) / std * math.sqrt(seeds / 2), 25.0)  # from there on it is 1, and SciPy is not accurate
    return float(1 - nctdtr(freedom, shift, _t_quantile(freedom, level)))


MOST_SEEDS = 100_000


def seeds_needed(effect: float, std: float, *, power: float = 0.8, level: float = LEVEL) -> int | None:
    """The fewest seeds of each algorithm with which `power_of` reaches a power; None: more than `MOST_SEEDS`."""
    low, high = 2, 2
    while power_of(high, effect, std, level) < power:
        low, high = high, 2 * high
        if high > MOST_SEEDS:
            return None
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if power_of(middle, effect, std, level) >= power else (middle + 1, high)
    return high


def std_bound(values: Sequence[float], confidence: float = 0.8) -> float:
    """An upper bound of the standard deviation of normal scores, which few seeds estimate poorly (chi-squared)."""
    from scipy.special import chdtri

    x = np.asarray(values, np.float64)
    return float(x.std(ddof=1) * math.sqrt((len(x) - 1) / chdtri(len(x) - 1, confidence)))


def interval_text(score: Mapping[str, Any]) -> str:
    """The interval of a score, with its kind; empty where there is none.

    Args:
        score: with `ci95` and `ci95_kind`, as `final_return` of `result.json`.
    """
    if not (interval := score.get("ci95")):
        return ""
    kind = score.get("ci95_kind") or EARLIER_KIND
    kind = kind if kind in (KIND, EARLIER_KIND) else "of a kind that this version does not know"
    return f"95 % interval {interval[0]:.1f} to {interval[1]:.1f} ({kind})"


def _t_quantile(freedom: float, level: float) -> float:
    from scipy.special import stdtrit

    return float(stdtrit(freedom, (1 + level) / 2))
