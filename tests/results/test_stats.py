import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from rlkit.results.metrics import Curve, consistency, curve_metrics
from rlkit.results.stats import (
    EARLIER_KIND,
    KIND,
    interval_text,
    iqm,
    optimality_gap,
    performance_profile,
    power_of,
    probability_of_improvement,
    seeds_needed,
    share_below_worst,
    std_bound,
    stratified_bootstrap,
    stratified_interval,
    student_interval,
    tolerance_interval,
    welch_interval,
)

scores = st.lists(st.floats(-1e3, 1e3).map(lambda x: round(x, 3)), min_size=2, max_size=12)


def test_the_interquartile_mean():
    assert iqm([1, 2, 3, 4]) == 2.5
    assert iqm([0, 1, 2, 100]) == 1.5
    assert iqm([7]) == 7
    assert iqm([1, 3]) == 2
    assert iqm(list(range(100))) == pytest.approx(49.5)
    # 5 values: half is 2.5 rows, a quarter of row 1 and 3 falls outside: (0.75 * 1 + 2 + 0.75 * 30) / 2.5
    assert iqm([0, 1, 2, 30, 1000]) == pytest.approx((0.75 * 1 + 2 + 0.75 * 30) / 2.5)


@settings(deadline=None, max_examples=50)
@given(st.integers(1, 6).flatmap(lambda n: st.lists(st.floats(-100, 100), min_size=4 * n, max_size=4 * n)))
def test_where_a_quarter_is_a_whole_number_it_is_the_trimmed_mean(values: list[float]):
    assert iqm(values) == pytest.approx(stats.trim_mean(values, 0.25), abs=1e-9)


def test_students_interval_by_hand():
    # mean 3, deviation sqrt(2.5), t(0.975, 4) = 2.776445
    half = 2.776445 * math.sqrt(2.5 / 5)
    assert student_interval([1, 2, 3, 4, 5]) == pytest.approx((3 - half, 3 + half), abs=1e-5)
    assert student_interval([3.0]) is None
    assert student_interval([3.0, 3.0]) == (3.0, 3.0)


@settings(deadline=None, max_examples=50)
@given(scores, scores)
def test_intervals_are_those_of_scipy(x: list[float], y: list[float]):
    if np.std(x) > 1e-3 and np.std(y) > 1e-3:
        assert student_interval(x) == pytest.approx(stats.ttest_1samp(x, 0).confidence_interval(), abs=1e-6)
        theirs = stats.ttest_ind(x, y, equal_var=False).confidence_interval()
        assert welch_interval(x, y) == pytest.approx(theirs, abs=1e-6)
    assert probability_of_improvement(x, y) == pytest.approx(stats.mannwhitneyu(x, y).statistic / len(x) / len(y))


def test_an_interval_over_tasks():
    # One task: Student's. Two with equal spread and number: means 2 and 12, variance of the mean (1/3 + 1/3) / 4,
    # 4 degrees of freedom, t(0.975, 4) = 2.776445.
    assert stratified_interval([[1, 2, 3]]) == pytest.approx(student_interval([1, 2, 3]))
    half = 2.776445 * math.sqrt((1 / 3 + 1 / 3) / 4)
    assert stratified_interval([[1, 2, 3], [11, 12, 13]]) == pytest.approx((7 - half, 7 + half), abs=1e-5)
    assert stratified_interval([[1, 2, 3], [4]]) is None
    assert stratified_interval([[2, 2], [4, 4]]) == (3, 3)
    assert welch_interval([1, 2], [1]) is None


def test_the_bootstrap_draws_within_each_task():
    tasks = [[0.0] * 3, [100.0] * 5]
    assert stratified_bootstrap(tasks, lambda row: float(row.mean())) == (62.5, 62.5)
    x = np.random.default_rng(0).normal(10, 2, 200)
    low, high = stratified_bootstrap([list(x)], lambda row: float(row.mean()))
    error = x.std() / math.sqrt(200)
    assert low == pytest.approx(x.mean() - 1.96 * error, abs=0.05)
    assert high == pytest.approx(x.mean() + 1.96 * error, abs=0.05)
    assert stratified_bootstrap([list(x)], lambda row: float(row.mean())) == (low, high)


def test_profile_gap_and_improvement_by_hand():
    assert list(performance_profile([1, 2, 3, 4], [0, 2, 4])) == [1, 0.5, 0]
    assert optimality_gap([400, 500, 600], 500) == pytest.approx(100 / 3)
    assert probability_of_improvement([1, 3], [2, 3]) == (0 + 0 + 1 + 0.5) / 4


def test_between_what_further_runs_end():
    # Howe's factor for 10 values, 90 % of runs with 95 %: 2.839 in tables of the exact one; Howe has 2.856.
    x = np.arange(10.0)
    low, high = tolerance_interval(x) or (0, 0)
    assert (high - low) / 2 / x.std(ddof=1) == pytest.approx(2.85, abs=0.02)
    assert tolerance_interval([1.0]) is None


def test_what_seeds_cannot_tell():
    assert share_below_worst(4) == pytest.approx(1 - 0.05**0.25)
    # Of a distribution whose lowest 30 % are failures, 8 seeds show none with probability 0.7 ** 8 = 0.058
    assert 0.29 < share_below_worst(8, confidence=1 - 0.7**8) < 0.31


def test_seeds_for_a_claim():
    """Cohen 1988, table 2.4.1: 64 each for half a deviation, 17 for one, at a power of 0.8."""
    assert seeds_needed(0.5, 1.0) == 64
    assert seeds_needed(-10, 10) == 17
    assert power_of(64, 0.5, 1.0) == pytest.approx(0.8015, abs=2e-4)
    assert seeds_needed(1e-9, 1.0) is None
    assert seeds_needed(5, 0.0) == 2
    assert power_of(9, 0.0, 0.0) == 0


@pytest.mark.parametrize("seeds", [2, 3, 5, 50])
def test_power_is_a_probability_that_rises_with_the_effect(seeds: int):
    values = [power_of(seeds, effect, 1.0) for effect in np.logspace(-6, 6, 200)]
    assert all(0 <= p <= 1 for p in values)
    assert all(b >= a - 1e-9 for a, b in itertools.pairwise(values))


def test_a_bound_on_the_deviation():
    # chi-squared(0.2, 4) = 1.648777
    assert std_bound([1, 2, 3, 4, 5]) == pytest.approx(math.sqrt(2.5 * 4 / 1.648777), abs=1e-5)


def test_an_interval_says_its_kind():
    assert interval_text({"ci95": [1, 2], "ci95_kind": KIND}) == "95 % interval 1.0 to 2.0 (Student's t over seeds)"
    assert EARLIER_KIND in interval_text({"ci95": [1, 2]})
    assert "does not know" in interval_text({"ci95": [1, 2], "ci95_kind": "| of | a | stranger"})
    assert interval_text({"ci95": None}) == ""


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
