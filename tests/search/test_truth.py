"""What a search tells is what it trained: folders of other searches, places that fail, trials that are repeated."""

import errno
import json
import os
import sys
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

from rlkit.cli.app import dispatch
from rlkit.config.schema import compose
from rlkit.errors import ConfigError, RlkitError, RunFolderError
from rlkit.runs.folder import read_json
from rlkit.search import failures, job
from rlkit.search import study as record
from rlkit.search.failures import SearchError, SearchFaultError
from rlkit.search.finished import Finished
from rlkit.search.study import SweepFolder

SMALL = [
    "algo=ppo", "env=gym", "env.id=tests.search.crashing:Crashing-v0", "~tuned", "hydra/launcher=basic", "frames=512",
    "num_envs=4", "algo.n_steps=32", "algo.epochs=1", "net.hidden=[8]", "eval.episodes=1", "eval.periodic_episodes=1",
    "name=t",
]  # fmt: skip


@pytest.fixture(autouse=True)
def _command_line(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "argv", ["rlkit"])
    monkeypatch.setenv("COLUMNS", "120")


def search(*words: str, preset: str = "grid") -> SweepFolder:
    assert dispatch(["-m", f"search={preset}", *SMALL, *words]) == 0
    return folder(preset)


def folder(preset: str = "grid") -> SweepFolder:
    return SweepFolder.open(Path(os.environ["RLKIT_RUNS"]) / "search" / f"t_{preset}")


def check_told_is_trained(sweep: SweepFolder, trials: int) -> None:
    """Every complete trial has the value of a run with its parameters."""
    complete = [t for t in sweep.study().trials if t.state is TrialState.COMPLETE]
    assert len(complete) == trials
    for t in complete:
        run = sweep.run(t.number)
        config = compose(base=run.config)
        for key, value in t.params.items():
            group, _, name = key.partition(".")
            assert getattr(getattr(config, group), name) == value
        assert read_json(run.result)["final_return"]["mean"] == t.value
        assert read_json(run.run)["config_hash"]


def test_more_frames_than_asked_for_are_no_share_of_them(capfd: pytest.CaptureFixture[str]):
    search("algo.gamma=0.9,0.99", "frames=100")
    told = next(line for line in capfd.readouterr().out.splitlines() if " frames " in line and "│" in line)
    assert "%" not in told
    assert "256" in told


def test_a_lost_journal_does_not_give_old_scores_to_new_parameters(capfd: pytest.CaptureFixture[str]):
    first = search("algo.gamma=0.9,0.99,0.95")
    old = {path: path.read_bytes() for path in first.path.glob("trial_*/result.json")}
    (first.path / record.JOURNAL).unlink()
    second = search("algo.learning_rate=1e-9,1e-8")
    check_told_is_trained(second, 2)
    assert "3 trial folders of an earlier search" in capfd.readouterr().err
    assert sorted(p.name for p in second.path.glob("trial_*")) == ["trial_0000", "trial_0001"]
    for path, content in old.items():
        assert (second.path / "earlier" / path.parent.name / path.name).read_bytes() == content


@pytest.mark.parametrize("share", [0.3, 0.8])
def test_a_journal_cut_anywhere_goes_on_to_the_same_total(share: float):
    sweep = search("algo.gamma=interval(0.9,0.99)", "search.trials=2", preset="random")
    journal = sweep.path / record.JOURNAL
    journal.write_bytes(journal.read_bytes()[: int(share * journal.stat().st_size)])
    check_told_is_trained(search("algo.gamma=interval(0.9,0.99)", "search.trials=2", preset="random"), 2)


def test_a_study_in_another_storage_does_not_share_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    words = ["algo.gamma=0.9,0.99", "hydra.sweeper.storage=sqlite:///studies.db"]
    sweep = search(*words)
    with pytest.raises(RunFolderError, match=r"whose study is in sqlite:///.*studies\.db, not in journal:"):
        search("algo.gamma=0.9,0.99")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert len(Finished.open(sweep.path).trials) == 2, "found from another working directory"
    assert not list(Path().glob("*.db"))
    (tmp_path / "studies.db").unlink()
    with pytest.raises(RunFolderError, match=r"studies\.db, which holds the study, does not exist"):
        Finished.open(sweep.path)


def test_several_objectives_train_beyond_their_first_evaluation():
    sweep = search(
        "algo.gamma=0.9,0.99", "search.metric=[final_return,fps]", "search.direction=[maximize,maximize]",
        "eval.every_frames=128",
    )  # fmt: skip
    results = [read_json(sweep.run(t.number).result) for t in sweep.study().trials]
    values = [[r["final_return"]["mean"], r["fps"]] for r in results]
    assert [t.values for t in sweep.study().trials] == values


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EACCES])
def test_a_place_that_fails_stops_the_search_and_leaves_its_trials_open(code: int, monkeypatch: pytest.MonkeyPatch):
    train, calls = job.train, []

    def run_trial(*args, **kwargs):
        calls.append(1)
        if len(calls) == 2:
            raise OSError(code, os.strerror(code))
        return train(*args, **kwargs)

    monkeypatch.setattr(job, "train", run_trial)
    with pytest.raises(SearchError, match=r"(?s)trial 1: .*the same command continues"):
        search("algo.gamma=0.9,0.99,0.95")
    assert len(calls) == 2
    assert [t.state.name for t in folder().study().trials] == ["COMPLETE", "RUNNING"]
    check_told_is_trained(search("algo.gamma=0.9,0.99,0.95"), 3)
    assert [t.number for t in folder().study().trials] == [0, 1, 2]


def test_what_is_of_the_place_and_what_is_not():
    def raised(error: Exception, cause: BaseException | None) -> Exception:
        error.__cause__ = cause
        return error

    full, denied = OSError(errno.ENOSPC, "full"), PermissionError(errno.EACCES, "denied")
    from rlkit.errors import EnvError
    from rlkit.runs.lock import BusyError
    from rlkit.training.trial import TrialError

    assert failures.of_place(raised(RunFolderError("x"), denied))
    assert failures.of_place(raised(RuntimeError("x"), raised(ValueError("y"), full)))
    assert failures.of_place(TrialError("1 of 2 seeds failed\n  seed 1: cannot write a/b: the disk is full"))
    assert failures.of_place(raised(EnvError("x"), full))
    assert not failures.of_place(raised(EnvError("x"), denied)), "a file of the environment's own"
    assert not failures.of_place(raised(BusyError("x"), BlockingIOError(errno.EAGAIN, "busy")))
    assert not failures.of_place(FileNotFoundError(errno.ENOENT, "none"))
    assert not failures.of_place(RunFolderError("result.json is not JSON"))


def test_failed_trials_are_repeated_when_asked_for(tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    (tmp_path / "broken").touch()
    words = ["env.kwargs.at=0,-1", "algo.gamma=0.9,0.99"]
    sweep = search(*words)
    assert [t.state.name for t in sweep.study().trials].count("FAIL") == 2
    (tmp_path / "broken").unlink()
    search(*words)
    assert "4 of 4 trials are there already" in capfd.readouterr().out
    assert [t.state.name for t in sweep.study().trials].count("FAIL") == 2
    search(*words, "search.retry_failed=true")
    trials = sweep.study().trials
    assert [t.state.name for t in trials].count("COMPLETE") == 4
    repeated = {t.user_attrs[record.REPEATS]: t.params for t in trials if record.REPEATS in t.user_attrs}
    assert repeated == {t.number: t.params for t in trials if t.state is TrialState.FAIL}
    search(*words, "search.retry_failed=true")
    assert len(sweep.study().trials) == 6, "once"
    assert {tuple(t.params.values()) for t in Finished.open(sweep.path).trials} == {
        (at, gamma) for at in (0, -1) for gamma in (0.9, 0.99)
    }


def test_a_search_that_found_nothing_is_no_success():
    with pytest.raises(SearchError, match=r"(?s)all 2 trials failed.*has crashed.*search.retry_failed=true"):
        search("algo.gamma=0.9,0.99", "env.kwargs.at=20")
    with pytest.raises(SearchError, match="all 2 trials failed"):
        search("algo.gamma=0.9,0.99", "env.kwargs.at=20")


def test_a_fault_of_rlkits_in_all_trials_is_told_as_one(monkeypatch: pytest.MonkeyPatch):
    def run_trial(*args, **kwargs):
        raise AssertionError("a fault")

    monkeypatch.setattr(job, "train", run_trial)
    with pytest.raises(SearchFaultError, match="AssertionError: a fault"):
        search("algo.gamma=0.9,0.99")


def test_a_hostile_sampler_state_is_not_unpickled(tmp_path: Path):
    sweep = search("algo.gamma=interval(0.9,0.99)", "hydra/sweeper/sampler=cmaes", "search.trials=3", preset="random")
    bomb = f"cos\nmkdir\n(V{tmp_path / 'executed'}\ntR.".encode().hex()
    study = sweep.study()
    with (sweep.path / record.JOURNAL).open("a") as file:
        for key in ("cma:optimizer:0", "cma:optimizer"):
            lines = (sweep.path / record.JOURNAL).read_text().splitlines()
            before = json.loads(lines[-1])
            attr = {"op_code": 9, "worker_id": before["worker_id"], "trial_id": 3, "system_attr": {key: bomb}}
            made = {"op_code": 4, "worker_id": "x", "study_id": 0, "datetime_start": None}
            value = {"op_code": 6, "worker_id": "x", "trial_id": 3, "state": 1, "values": [1.0]}
            value["datetime_complete"] = "2026-01-01T00:00:00+00:00"
            file.writelines(json.dumps(line) + "\n" for line in (made, attr, value))
    assert len(study.trials) > 3
    search("algo.gamma=interval(0.9,0.99)", "hydra/sweeper/sampler=cmaes", "search.trials=7", preset="random")
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["algo.gamma=0.9,1.5"], r"algo\.gamma=1\.5 is not accepted"),
        (["algo.gamma=0.9,abc"], r"algo\.gamma=abc is not accepted"),
        (["net.hidden=[8],[0]"], r"net\.hidden=\[0\] is not accepted"),
        (["net=mlp,nope"], "unknown choice net=nope"),
        (["algo.gamma=0.9,0.99", "hydra/sweeper/sampler=motpe"], "accepted: tpe, random, cmaes"),
        (["algo.gamma=0.9,0.99", "hydra.sweeper.storage=nosuch://x"], "hydra.sweeper.storage=nosuch://x cannot be"),
        (["algo.gamma=0.9,0.99", "hydra/launcher=slurm"], "this machine has no SLURM"),
    ],
)
def test_what_cannot_work_is_refused_before_the_first_trial(
    words: list[str], said: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigError, match=said):
        search(*words)
    assert not (Path(os.environ["RLKIT_RUNS"]) / "search").exists()


def test_values_that_fit_only_some_others_are_no_mistake():
    from rlkit.search.space import read
    from rlkit.search.sweep import check_values

    def check(point: dict[str, int]) -> None:
        if point["a"] > point["b"]:
            raise ConfigError(f"a={point['a']} is larger than b={point['b']}")

    check_values(read(["a=1,2,3,4", "b=1,2,3,4"]), check)
    with pytest.raises(ConfigError, match="a=5 is larger"):
        check_values(read(["a=1,5", "b=1,2,3,4"]), check)


def test_a_folder_with_any_letters_in_its_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("RLKIT_RUNS", str(tmp_path / r"a\b ${c} %41 'q'"))
    check_told_is_trained(search("algo.gamma=0.9,0.99"), 2)


@pytest.mark.parametrize("text", ["{}", '{"storage": 5}', "[]", "nothing"])
def test_a_broken_sweep_json_is_refused(text: str, tmp_path: Path):
    (tmp_path / "sweep.json").write_text(text)
    for verb in ("status", "narrow", "adopt"):
        with pytest.raises(RlkitError, match=r"sweep\.json"):
            dispatch([verb, str(tmp_path)])


@pytest.mark.parametrize("attribute", [record.JOB, record.PROCESS, record.FRAMES, record.DEATHS, record.OVERRIDES])
@pytest.mark.parametrize("value", [5, "x", [], {"a": 1}, None])
def test_attributes_of_other_types_are_refused_in_words(attribute: str, value: object, tmp_path: Path):
    sweep = SweepFolder(tmp_path / "sweep")
    sweep.make(None)
    storage, name = sweep.place()
    study = optuna.create_study(storage=record.open_storage(storage), study_name=name)
    study.ask().set_user_attr(attribute, value)
    kinds = {record.FRAMES: int, record.OVERRIDES: list}
    if type(value) is kinds.get(attribute):
        dispatch(["status", str(sweep.path)])
        return
    for verb in ("status", "narrow", "adopt"):
        with pytest.raises(RlkitError) as refused:
            dispatch([verb, str(sweep.path)])
        assert len(str(refused.value)) < 300
