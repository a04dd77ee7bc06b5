import pytest

from rlkit.maths.schedules import scheduled


@pytest.mark.parametrize(("frames", "expected"), [(0, 2.0), (25, 1.5), (100, 0.0), (130, 0.0)])
def test_linear_falls_to_zero_at_the_budget_and_stays(frames: int, expected: float):
    assert scheduled("linear", 2.0, frames, 100) == expected


def test_constant_stays():
    assert scheduled("constant", 2.0, 99, 100) == 2.0
