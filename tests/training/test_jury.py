"""Seeds of a trial are judged together, at nominal frames, with their mean or IQM."""

import json
from pathlib import Path

import pytest

from rlkit import compose
from rlkit.results.stats import iqm
from rlkit.runs.folder import RunFolder
from rlkit.training.interrupt import StopSignal
from rlkit.training.jury import Jury


def jury(tmp_path: Path, seeds: int, verdicts: dict[int, str] | None = None) -> tuple[Jury, list, StopSignal]:
    heard: list[tuple[int, float]] = []

    def judge(frames: int, value: float):
        heard.append((frames, value))
        return (verdicts or {}).get(frames)

    stop = StopSignal()
    config = compose([f"seeds={seeds}", "frames=1000", "eval.every_frames=100"])
    return Jury(config, RunFolder(tmp_path), judge, stop), heard, stop


def test_nobody_is_told_before_all_have_been_heard(tmp_path: Path):
    one, heard, _ = jury(tmp_path, 3, {200: "pruned"})
    told: list[tuple[int, str | None]] = []
    for seed, frames in ((0, 104), (2, 128)):
        one.hear(seed, frames, 10.0 * seed, lambda v, seed=seed: told.append((seed, v)))
    assert (heard, told) == ([], [])
    one.hear(1, 112, 40.0, lambda v: told.append((1, v)))
    assert heard == [(100, 20.0)]
    assert told == [(0, None), (2, None), (1, None)]
    for seed in range(3):
        one.hear(seed, 200, 1.0, lambda v, seed=seed: told.append((seed, v)))
    assert told[3:] == [(0, "pruned"), (1, "pruned"), (2, "pruned")]


def test_four_seeds_are_judged_by_their_iqm(tmp_path: Path):
    one, heard, _ = jury(tmp_path, 4)
    values = [0.0, 10.0, 20.0, 1000.0]
    for seed, value in enumerate(values):
        one.hear(seed, 100, value, lambda v: None)
    assert heard == [(100, iqm(values))]
    assert heard[0][1] == pytest.approx(15.0)


def test_evaluations_of_an_interrupted_session_count_as_heard(tmp_path: Path):
    (tmp_path / "session_1").mkdir()
    (tmp_path / "session_1" / "eval.jsonl").write_text(
        json.dumps({"frames": 104, "updates": 2, "mean": 6.0, "returns": [6.0]}) + "\n"
    )
    one, heard, stop = jury(tmp_path, 2, {100: "stopped"})
    told: list[str | None] = []
    one.hear(0, 101, 4.0, told.append)
    assert (heard, told) == ([(100, 5.0)], ["stopped"])
    assert stop.requested
