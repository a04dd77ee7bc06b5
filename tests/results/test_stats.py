import math

import numpy as np
import pytest

from rlkit.results.metrics import Curve, consistency, curve_metrics
from rlkit.results.stats import bootstrap_ci95, iqm


def test_the_interquartile_mean():
    assert iqm([1, 2, 3, 4]) == 2.5
    assert iqm([0, 1, 2, 100]) == 1.5
    assert iqm([7]) == 7
    assert iqm([1, 3]) == 2
    assert iqm(list(range(100))) == pytest.approx(49.5)
    # 5 values: half is 2.5 rows, a quarter of row 1 and 3 falls outside: (0.75 * 1 + 2 + 0.75 * 30) / 2.5
    assert iqm([0, 1, 2, 30, 1000]) == pytest.approx((0.75 * 1 + 2 + 0.75 * 30) / 2.5)


def test_the_bootstrap_interval_is_as_wide_as_the_standard_error_says():
    x = np.random.default_rng(0).normal(10, 2, 200)
    low, high = bootstrap_ci95(x) or (0, 0)
    error = x.std() / math.sqrt(200)
    assert low == pytest.approx(x.mean() - 1.96 * error, abs=0.05)
    assert high == pytest.approx(x.mean() + 1.96 * error, abs=0.05)
    assert bootstrap_ci95(x) == (low, high)
    assert bootstrap_ci95([3.0]) is None
    assert bootstrap_ci95([3.0, 3.0]) == (3.0, 3.0)


def test_the_measures_of_a_curve():
    m = curve_metrics(Curve([10, 20, 40], [1, 2, 4], [3.0, 5.0, 4.0]), random_return=1.0)
    assert m["strength"] == 3.0  # strengths 2, 4, 3
    assert m["max_strength"] == 4
    assert m["final_strength"] == 3
    assert m["sample_efficiency"] == pytest.approx((2 / 10 + 4 / 20 + 3 / 40) / 9)
    assert m["training_efficiency"] == pytest.approx((2 / 1 + 4 / 2 + 3 / 4) / 9)
    assert m["stability"] == pytest.approx(1 - 1 / 6)


def test_measures_without_a_meaning_are_nan():
    below = curve_metrics(Curve([1, 2], [1, 2], [0.0, 0.0]), random_return=5.0)
    assert math.isnan(below["sample_efficiency"])
    assert math.isnan(below["stability"])
    assert below["strength"] == -5
    assert all(math.isnan(v) for v in curve_metrics(Curve([], [], []), 0).values())


def test_consistency_over_seeds():
    same = Curve([1, 2], [1, 2], [3.0, 4.0])
    assert consistency([same, same], [0, 0]) == 1
    other = Curve([1, 2], [1, 2], [1.0, 2.0])
    # means 2 and 3, deviations 1 and 1
    assert consistency([same, other], [0, 0]) == pytest.approx(1 - 2 * 2 / 5)
    assert math.isnan(consistency([same], [0]))
