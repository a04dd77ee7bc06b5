import csv
import io
import json
import math
from pathlib import Path

import pytest

from rlkit.cli.app import dispatch
from rlkit.errors import ConfigError, RunFolderError
from rlkit.evidence.compare import FORMS, as_text, compare
from rlkit.evidence.gather import gather, read_run
from rlkit.evidence.trials import differences, trials_of
from tests.evidence.runs import write_run


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two settings of PPO and one of DQN on CartPole."""
    write_run(tmp_path / "a" / "1", {0: 100.0, 1: 80.0, 2: 90.0})
    slow = ((100, 10.0), (200, 20.0), (300, 60.0))
    write_run(tmp_path / "b" / "1", {0: 50.0, 1: 70.0, 2: 90.0}, algo_gamma=0.9, curve=slow, fps=500)
    write_run(tmp_path / "c" / "1", {0: 20.0, 1: 40.0}, algo="dqn", algo_double=True, curve=slow)
    return tmp_path


def test_the_numbers_by_hand(root: Path):
    first, second, third = compare(trials_of(gather([root])))
    assert [dict(row.trial.label) for row in (first, second, third)] == [
        {"algo": "ppo", "env": "cartpole", "algo.gamma": "0.99"},
        {"algo": "ppo", "env": "cartpole", "algo.gamma": "0.9"},
        {"algo": "dqn", "env": "cartpole", "algo.gamma": "0.99"},
    ]
    # mean 90, deviation 10: t(0.975, 2) = 4.302653
    assert first.mean == 90
    assert first.interval == pytest.approx((90 - 4.302653 * 10 / 3**0.5, 90 + 4.302653 * 10 / 3**0.5), abs=1e-4)
    assert (first.iqm, first.worst, first.best) == (90, 80, True)
    # Of nine pairs of (100, 80, 90) and (50, 70, 90): above in 3 + 2 + 2, equal in one.
    assert second.p_best_better == pytest.approx((7 + 0.5) / 9)
    # Difference 20, variances 100 / 3 and 400 / 3; Satterthwaite: (500 / 3)^2 / ((100/3)^2 / 2 + (400/3)^2 / 2) = 2.941
    # t(0.975, 2.941) = 3.2186
    half = 3.2186 * (500 / 3) ** 0.5
    assert second.difference == pytest.approx((20 - half, 20 + half), abs=0.05)
    assert third.p_best_better == 1
    # 90 % of the way from 0 to 90 is 81: reached at 300 frames by the first, whose seconds are frames / 1000.
    assert first.threshold == pytest.approx(81)
    assert (first.frames_to, first.seconds_to, first.reached) == (300, 0.3, 3)
    assert (second.frames_to, second.reached) == (math.inf, 0)
    assert first.fps == 1000


def test_a_threshold_of_the_users(root: Path):
    first, second, _ = compare(trials_of(gather([root])), threshold=15)
    assert (first.frames_to, second.frames_to) == (200, 200)
    assert second.seconds_to == pytest.approx(200 / 500)


def test_seeds_of_several_runs_are_one_trial_and_a_repeated_one_counts_once(tmp_path: Path):
    write_run(tmp_path / "20260101-000000", {0: 1.0, 1: 2.0}, algo_name="ppo")
    write_run(tmp_path / "20260102-000000", {1: 5.0, 2: 3.0, 3: None})
    (trial,) = trials_of(gather([tmp_path]))
    assert [s.seed for s in trial.sessions] == [0, 1, 2, 3]
    assert trial.scores == [1, 5, 3]
    assert trial.repeated == 1
    text = as_text(compare([trial]), 80)
    assert "3/4" in text
    assert "seed 3 unfinished" in text
    assert "a newer one has their seed: 1" in text.replace("\n  ", " ")


def test_a_seed_that_fails_again_does_not_hide_its_score(tmp_path: Path):
    write_run(tmp_path / "20260101-000000", {0: 1.0})
    write_run(tmp_path / "20260102-000000", {0: None})
    (trial,) = trials_of(gather([tmp_path]))
    assert trial.scores == [1]


def test_grouped_by_keys(root: Path):
    rows = compare(trials_of(gather([root]), by=["algo"]))
    assert [(row.trial.label["algo"], len(row.trial.scores)) for row in rows] == [("ppo", 6), ("dqn", 2)]
    with pytest.raises(ConfigError, match=r"--by algo\.gama: no run has this key"):
        trials_of(gather([root]), by=["algo.gama"])


def test_what_differs(root: Path):
    found = differences(trials_of(gather([root / "a", root / "b", root / "c"])))
    assert found["algo.gamma"] == ["0.99", "0.9", "0.99"]
    assert found["algo.double"] == ["-", "-", "true"]
    assert "name" not in found
    assert "seeds" not in found


def test_runs_are_found_by_folder_session_pattern_and_name(root: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("RLKIT_RUNS", str(root))
    one = root / "a" / "1"
    for word in (one, one / "session_1", f"{root}/a*", "a", f"{root}/[a]/1"):
        assert [run.folder for run in gather([word])] == [one]
    assert len(gather([root, one, "b"])) == 3
    for word in ("nothing", f"{root}/x*", root / "a" / "1" / "session_0" / "eval.jsonl"):
        with pytest.raises(RunFolderError):
            gather([word])


def test_the_runs_of_a_multirun_are_found_by_its_notes(root: Path, tmp_path: Path):
    sweep = tmp_path / "sweep"
    (sweep / ".jobs").mkdir(parents=True)
    for number, name in enumerate("ab"):
        (sweep / ".jobs" / f"{number}.json").write_text(json.dumps({"run": str(root / name / "1")}))
    (sweep / ".hydra").mkdir()
    (sweep / ".hydra" / "config.yaml").write_text("{}")
    assert [run.folder for run in gather([sweep])] == [root / "a" / "1", root / "b" / "1"]


def test_each_form_has_each_trial(root: Path):
    rows = compare(trials_of(gather([root])))
    found = json.loads(FORMS["json"](rows))
    assert [trial["mean"] for trial in found["trials"]] == [90, 70, 30]
    assert found["trials"][1]["frames_to"] is None
    lines = list(csv.DictReader(io.StringIO(FORMS["csv"](rows))))
    assert [line["scores"] for line in lines] == ["100.0 80.0 90.0", "50.0 70.0 90.0", "20.0 40.0"]
    assert FORMS["markdown"](rows).count("| ppo | cartpole |") == 2
    latex = FORMS["latex"](rows)
    assert latex.count(r" \\") == 4
    assert r"95 \% interval" in latex


@pytest.mark.parametrize("width", [60, 80, 200])
def test_the_table_fits_the_terminal(root: Path, width: int):
    text = as_text(compare(trials_of(gather([root]))), width)
    assert "90.0" in text
    assert max(map(len, text.splitlines())) <= max(width, 80)


def test_names_that_mean_something_elsewhere_are_text(tmp_path: Path):
    write_run(tmp_path / "1", {0: 1.0, 1: 2.0}, env_name="a|b_{}")
    rows = compare(trials_of(gather([tmp_path])))
    assert r"a\|b_{}" in FORMS["markdown"](rows)
    assert r"a|b\_\{\}" in FORMS["latex"](rows)


def test_a_curve_with_a_nan_and_a_seed_without_files(tmp_path: Path):
    run = write_run(tmp_path / "1", {0: 1.0, 1: None}, curve=[(100, math.nan), (200, 2.0)])
    (run / "session_1" / "eval.jsonl").unlink()
    (run / "session_1" / "timing.jsonl").unlink()
    first, second = read_run(run).sessions
    assert list(first.returns) == [2.0]
    assert (second.status, list(second.frames)) == ("unfinished", [])
    (row,) = compare(trials_of(gather([tmp_path])), threshold=1)
    assert (row.frames_to, row.reached) == (200, 1)


def test_the_commands(root: Path, capsys: pytest.CaptureFixture[str]):
    assert dispatch(["compare", str(root), "--by", "algo,algo.gamma"]) == 0
    assert "P(best)" in capsys.readouterr().out
    assert dispatch(["power", str(root / "b"), "--effect", "10"]) == 0
    out = capsys.readouterr().out
    # deviation 20, effect 10: half a deviation, for which Cohen has 64 seeds
    assert "64 seeds each see it with probability 0.8" in out
    for words in (["power", str(root / "b"), "--effect", "-3"], ["power", str(root / "b"), "--effect", "0%"]):
        with pytest.raises(ConfigError, match="accepted: a number above 0"):
            dispatch(words)


def test_environments_are_never_pooled(tmp_path: Path):
    """Environments of `env=gym` have one name, and different ids."""
    for env_id in ("A-v0", "B-v0"):
        write_run(tmp_path / env_id, {0: 1.0, 1: 2.0}, env="gym", env_id=env_id)
    for by in (["env"], ["algo"], ["algo", "env"]):
        rows = compare(trials_of(gather([tmp_path]), by=by))
        assert [(row.trial.label["env"], len(row.trial.scores)) for row in rows] == [("A-v0", 2), ("B-v0", 2)]


def test_numbers_that_no_float_holds_are_none(tmp_path: Path):
    run = write_run(tmp_path / "1", {0: 1.0}, curve=[(100, 1.0)])
    result = run / "session_0" / "result.json"
    result.write_text(result.read_text().replace('"fps": 1000.0', f'"fps": {10**400}'))
    huge = {"updates": 1, "mean": 10**400, "returns": [], "train_seconds": 1.0}
    for name in ("eval.jsonl", "timing.jsonl"):
        with (run / "session_0" / name).open("a") as file:
            file.write(
                json.dumps({"frames": 200, **huge}) + "\n" + json.dumps({**huge, "frames": 10**400, "mean": 1.0})
            )
    (session,) = read_run(run).sessions
    assert (list(session.frames), len(session.timing), math.isnan(session.fps)) == ([100], 2, True)
