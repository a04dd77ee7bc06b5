import pytest

from rlkit.config.learning import ScheduleConfig
from rlkit.errors import ConfigError
from rlkit.maths.schedules import scheduled

CASES = [
    ({"kind": "constant"}, {0: 2.0, 99: 2.0}),
    ({"kind": "linear"}, {0: 2.0, 25: 1.5, 100: 0.0, 130: 0.0}),
    ({"kind": "linear", "end": 4.0}, {0: 2.0, 50: 3.0, 100: 4.0}),
    (
        {"kind": "linear", "start_frames": 20, "end_frames": 40, "end": 1.0},
        {20: 2.0, 30: 1.5, 40: 1.0, 90: 1.0},
    ),
    ({"kind": "cosine"}, {0: 2.0, 50: 1.0, 100: 0.0, 150: 0.0}),
    ({"kind": "exponential", "end": 0.02}, {0: 2.0, 50: 0.2, 100: 0.02, 101: 0.02}),
    ({"kind": "piecewise", "points": [[50, 1.0], [50, 0.5], [100, 0.0]]}, {0: 2.0, 25: 1.5, 50: 0.5, 75: 0.25, 200: 0}),
]


@pytest.mark.parametrize(("given", "expected"), CASES, ids=lambda x: str(x.get("kind", "")))
def test_values_along_the_frames(given: dict, expected: dict[int, float]):
    schedule = ScheduleConfig(**given)
    schedule.check("algo.epsilon", 2.0)
    for frames, value in expected.items():
        assert scheduled(2.0, schedule, frames, 100) == pytest.approx(value, abs=1e-12)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"kind": "exponential"}, "algo.epsilon_schedule.kind=exponential: it cannot go from 2 to 0"),
        ({"kind": "piecewise"}, "algo.epsilon_schedule.points"),
        ({"kind": "piecewise", "points": [[5, 1], [2, 1]]}, "not falling"),
        ({"kind": "piecewise", "points": [[5]]}, "algo.epsilon_schedule.points"),
        ({"points": [[5, 1]]}, "kind=piecewise"),
        ({"kind": "linear", "start_frames": 50, "end_frames": 50}, "more than start_frames=50"),
        ({"kind": "linear", "end": float("nan")}, "algo.epsilon_schedule.end"),
    ],
)
def test_what_cannot_be_followed_is_refused_with_its_key(given: dict, said: str):
    with pytest.raises(ConfigError, match=said.replace("[", r"\[")):
        ScheduleConfig(**given).check("algo.epsilon", 2.0)
