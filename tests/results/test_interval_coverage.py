"""The choice of the interval over seeds, by simulation: `scripts/interval_coverage.py`."""

import json

import numpy as np
import pytest

import interval_coverage as script
from rlkit.results.stats import student_interval

ROWS = json.loads(script.STORED.read_text())


def test_the_table_of_the_page_is_that_of_the_figures():
    page = script.PAGE.read_text()
    assert script.written(page, ROWS) == page


def test_the_interval_that_is_printed_holds_as_often_as_asked():
    found = {(row["scores"], row["seeds"]): row["kinds"]["Student's t"]["coverage"] for row in ROWS}
    assert min(found["normal", n] for n in script.SEEDS if n >= 4) >= 0.93
    for ceiling in ("500 - Exp(10)", "min(500, N(495, 15))"):
        assert min(found[ceiling, n] for n in script.SEEDS if n >= 5) >= 0.88


def test_the_script_measures_the_interval_of_the_library():
    x = np.random.default_rng(0).normal(3, 2, (5, 4))
    low, high = script.student(x, np.random.default_rng(0))
    for i, row in enumerate(x):
        assert student_interval(list(row)) == pytest.approx((low[i], high[i]))


@pytest.mark.parametrize("name", script.DISTRIBUTIONS)
def test_each_distribution_has_the_mean_that_is_asked_for(name: str):
    draw, mean = script.DISTRIBUTIONS[name]
    x = draw(np.random.default_rng(1), (200_000, 1))
    assert float(x.mean()) == pytest.approx(mean, abs=4 * float(x.std()) / 200_000**0.5)
