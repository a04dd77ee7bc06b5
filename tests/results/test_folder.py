import json
import math
from pathlib import Path

import pytest

from rlkit.errors import RunFolderError
from rlkit.runs import folder as folder_module
from rlkit.runs.folder import JsonLines, RunFolder, finite, read_json, read_rows, write_json


def test_two_runs_of_one_second_have_two_folders():
    folders = [RunFolder.create("ppo_x").path for _ in range(3)]
    assert len(set(folders)) == 3
    assert {f.parent.name for f in folders} == {"ppo_x"}


def test_a_folder_that_is_no_run_names_the_newest_below(tmp_path: Path):
    with pytest.raises(RunFolderError, match="does not exist"):
        RunFolder.open(tmp_path / "nothing")
    for name in ("20260101-000000", "20260102-000000"):
        (tmp_path / "runs" / "a" / name).mkdir(parents=True)
        (tmp_path / "runs" / "a" / name / "config.yaml").write_text("")
    with pytest.raises(RunFolderError, match=r"the newest run below it: .*20260102-000000"):
        RunFolder.open(tmp_path / "runs")
    run = tmp_path / "runs" / "a" / "20260101-000000"
    assert RunFolder.open(run / "session_3").path == run


def test_rows_are_appended_and_cut_at_the_checkpoint(tmp_path: Path):
    path = tmp_path / "metrics.jsonl"
    file = JsonLines(path)
    for frames in (10, 20, 30):
        file.write({"frames": frames, "x": math.nan})
    file.close()
    with path.open("a") as torn:
        torn.write('{"frames": 40, "x')
    assert [r["frames"] for r in read_rows(path)] == [10, 20, 30]
    assert read_rows(path)[0]["x"] is None
    again = JsonLines(path, keep_until=20)
    again.write({"frames": 25})
    again.close()
    assert [r["frames"] for r in read_rows(path)] == [10, 20, 25]
    JsonLines(path).close()
    assert path.read_text() == ""


def test_json_has_no_nan(tmp_path: Path):
    assert finite({"a": [math.inf, 1.0, {"b": math.nan}], "c": "x"}) == {"a": [None, 1.0, {"b": None}], "c": "x"}
    write_json(tmp_path / "x.json", {"a": math.nan})
    assert json.loads((tmp_path / "x.json").read_text()) == {"a": None}


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "result.json"
    write_json(path, {"a": 1})

    def full(fd: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(folder_module.os, "fsync", full)
    with pytest.raises(RunFolderError, match="the disk is full"):
        write_json(path, {"a": 2})
    assert read_json(path) == {"a": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["result.json"]


def test_an_unreadable_file_is_named(tmp_path: Path):
    with pytest.raises(RunFolderError, match="cannot be read"):
        read_json(tmp_path / "x.json")
    (tmp_path / "x.json").write_text("{")
    with pytest.raises(RunFolderError, match="is not JSON"):
        read_json(tmp_path / "x.json")


def test_a_place_that_cannot_be_written_is_one_clear_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("RLKIT_RUNS", str(tmp_path / "file"))
    with pytest.raises(RunFolderError, match=r"(?s)cannot write .*a part of the path is a file.*RLKIT_RUNS"):
        RunFolder.create("x")
