"""A run that cannot be resumed is refused with the way out, and stays as it is."""

import os
import shutil
from pathlib import Path

import pytest

from rlkit.cli.app import dispatch
from rlkit.config.schema import compose
from rlkit.errors import CheckpointError, ConfigError, RlkitError, RunFolderError
from rlkit.runs.folder import RunFolder, read_json, write_json
from rlkit.runs.lock import BusyError, alone
from rlkit.training.trial import create, run_trial


@pytest.fixture
def run(tiny: list[str]) -> RunFolder:
    words = [*tiny, "algo=ppo", "env=cartpole", "~tuned", "seeds=1"]
    folder = create(compose(words), words)
    run_trial(compose(words), folder, started=0.0, quiet=True)
    return folder


def state(run: RunFolder) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in run.path.rglob("*") if path.is_file() and path.name != ".lock"}


def test_a_busy_run_keeps_its_configuration(run: RunFolder):
    before = state(run)
    with alone(run.path, "trained"), pytest.raises(BusyError, match="is being trained by another process"):
        dispatch(["resume", str(run.path), "frames=4096"])
    assert state(run) == before


def test_a_run_none_of_whose_checkpoints_verifies_is_left_as_it_is(run: RunFolder):
    for file in run.path.glob("session_*/checkpoints/*/weights.safetensors"):
        file.write_bytes(file.read_bytes()[:-1])
    before = state(run)
    with pytest.raises(CheckpointError, match="no checkpoint verifies; nothing was changed"):
        dispatch(["resume", str(run.path), "frames=4096"])
    assert state(run) == before


@pytest.mark.parametrize("words", [["device=cuda:7"], ["frames=0"], ["algo.gamma=0.5"], ["seeds=0"], ["nonsense=1"]])
def test_what_is_wrong_with_the_overrides_is_found_first(run: RunFolder, words: list[str]):
    before = state(run)
    with pytest.raises(RlkitError):
        dispatch(["resume", str(run.path), "frames=4096", *words])
    assert state(run) == before


@pytest.mark.parametrize("status", ["complete", "stopped", "failed"])
def test_a_run_without_checkpoints_does_not_begin_anew_over_its_results(run: RunFolder, status: str):
    shutil.rmtree(run.session(0).checkpoints)
    for path in (run.result, run.session(0).result):
        write_json(path, {**read_json(path), "status": status})
    before = state(run)
    with pytest.raises(
        CheckpointError, match=r"(?s)its checkpoints were removed.*train it from the start: rlkit .*frames=1024"
    ):
        dispatch(["resume", str(run.path), "frames=4096"])
    assert state(run) == before


def test_a_trial_of_a_search_names_retrain_and_what_keeps_checkpoints(run: RunFolder, tmp_path: Path):
    trial = run.path.rename(tmp_path / "trial_0003")
    write_json(tmp_path / "sweep.json", {"storage": None})
    shutil.rmtree(trial / "session_0" / "checkpoints")
    with pytest.raises(CheckpointError, match=r"(?s)rlkit retrain \S+ --trial 3\n.*search\.keep"):
        dispatch(["resume", str(trial), "frames=4096"])
    write_json(trial / "result.json", {**read_json(trial / "result.json"), "status": "pruned"})
    with pytest.raises(ConfigError, match=r"(?s)was ended by its search.*rlkit retrain"):
        dispatch(["resume", str(trial), "frames=4096"])


def test_a_seed_that_is_new_has_nothing_to_lose(run: RunFolder):
    assert dispatch(["resume", str(run.path), "seeds=2"]) == 0
    assert read_json(run.result)["seeds"] == [0, 1]


def test_the_newest_run_below_a_folder_is_the_last_written_whatever_its_name(tmp_path: Path):
    for age, name in enumerate(("trial_0009", "20260101-000000", "a")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.yaml").touch()
        os.utime(tmp_path / name / "config.yaml", (1e9 - age, 1e9 - age))
    os.utime(tmp_path / "20260101-000000" / "config.yaml", (2e9, 2e9))
    with pytest.raises(RunFolderError, match=r"the newest run below it: \S+/20260101-000000$"):
        RunFolder.open(tmp_path)
    (tmp_path / "a" / "config.yaml").unlink()
    with pytest.raises(RunFolderError) as refused:
        RunFolder.open(tmp_path / "a")
    assert "the newest run below" not in str(refused.value)
