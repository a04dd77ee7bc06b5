"""A journal survives torn ends, NULs and killed writers, and refuses in words what no study has written."""

import json
import os
import resource
import socket
import time
from pathlib import Path

import optuna
import pytest
from loguru import logger

from rlkit.errors import RunFolderError
from rlkit.search import journal as journals
from rlkit.search import study as record
from rlkit.search.journal import Journal, JournalFile, locked, numbered

SPACE = {"x": optuna.distributions.FloatDistribution(0.0, 1.0)}


def study_at(path: Path) -> optuna.Study:
    return optuna.create_study(study_name="s", storage=record.open_storage(f"journal:{path}"), load_if_exists=True)


def grow(path: Path, trials: int) -> None:
    study = study_at(path)
    for _ in range(trials):
        trial = study.ask(SPACE)
        trial.report(0.5, 10)
        study.tell(trial, trial.params["x"])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "study.journal"
    grow(path, 3)
    return path


@pytest.fixture
def said():
    lines: list[str] = []
    sink = logger.add(lambda message: lines.append(str(message)))
    yield lines
    logger.remove(sink)


def test_it_is_optunas_own_format(path: Path):
    theirs = optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(str(path)))
    before = [(t.params, t.values, t.intermediate_values) for t in study_at(path).trials]
    study = optuna.load_study(study_name="s", storage=theirs)
    assert [(t.params, t.values, t.intermediate_values) for t in study.trials] == before
    study.tell(study.ask(SPACE), 1.0)
    assert len(study_at(path).trials) == 4


@pytest.mark.parametrize("share", [i / 16 for i in range(16)])
def test_cut_anywhere_it_is_read_up_to_the_last_whole_record_and_goes_on(path: Path, share: float):
    whole = path.read_bytes()
    cut = whole[: int(share * len(whole))]
    path.write_bytes(cut)
    kept = cut[: cut.rfind(b"\n") + 1]
    read = list(JournalFile(path).read_logs(0))
    assert read == [json.loads(line) for line in kept.splitlines()]
    assert path.read_bytes() == cut, "reading changes nothing"
    grow(path, 2)
    assert path.read_bytes().startswith(kept)
    assert all(json.loads(line) for line in path.read_bytes().splitlines())
    copies = list(path.parent.glob("study.journal.cut*"))
    assert [copy.read_bytes() for copy in copies] == ([cut[len(kept) :]] if len(cut) > len(kept) else [])


@pytest.mark.parametrize(
    "tail",
    [
        b"\0" * 4096,
        b"\0" * 300 + b"\n" + b"\0" * 100 + b"\n",
        b'{"op_code":4,"worker_id":"w"' + b"\0" * 600,
        bytes(range(128, 256)) * 20,
        b"\xff\xfe{\x00\n\n\n",
        b"x" * 2_000_000,
        b"[" * 100_000 + b"\n",
    ],
)
def test_what_a_power_cut_leaves_at_the_end_is_cut_off_and_kept(path: Path, tail: bytes, said: list[str]):
    whole = path.read_bytes()
    path.write_bytes(whole + tail)
    assert len(study_at(path).trials) == 3
    grow(path, 1)
    assert path.read_bytes().startswith(whole + b'{"op_code"')
    assert len(study_at(path).trials) == 4
    assert path.with_name("study.journal.cut").read_bytes() == tail
    assert any("study.journal.cut" in line and len(line) < 1000 for line in said)


HOSTILE = {
    "garbage": b"\x93NUMPY\x01\x00" * 50 + b"\n",
    "text": b"this is no journal\nat all\n",
    "one long line": b"a" * 2_000_000,
    "deep JSON": b'{"op_code":' + b"[" * 200_000 + b"]" * 200_000 + b"}\n",
    "NULs between": b"\0\0\0\n" + b'{"op_code":0,"worker_id":"w","study_name":"s","directions":[1]}\n',
    "UTF-16": '{"op_code":0}'.encode("utf-16"),
    "other operation": b'{"op_code":77,"worker_id":"w"}\n',
    "a list": b"[1,2,3]\n",
    "no fields": b'{"op_code":0,"worker_id":"w"}\n',
    "other types": b'{"op_code":0,"worker_id":"w","study_name":"s","directions":{"a":"b"}}\n',
    "unhashable": b'{"op_code":2,"worker_id":"w","study_id":[],"user_attr":{"a":1}}\n',
    "a date": b'{"op_code":0,"worker_id":"w","study_name":"s","directions":[1]}\n'
    b'{"op_code":4,"worker_id":"w","study_id":0,"datetime_start":"yesterday"}\n',
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_no_study_has_written_is_refused_in_a_line(tmp_path: Path, name: str):
    path = tmp_path / "study.journal"
    path.write_bytes(HOSTILE[name])
    began = time.monotonic()
    with pytest.raises(RunFolderError, match=r"study\.journal is damaged") as refused:
        study_at(path)
    assert len(str(refused.value)) < 600
    assert time.monotonic() - began < 5
    assert path.read_bytes() == HOSTILE[name]


def test_a_damaged_record_between_others_is_refused_and_never_cut(path: Path):
    lines = path.read_bytes().splitlines(keepends=True)
    lines[5] = lines[5][:20] + b"\n"
    path.write_bytes(b"".join(lines))
    with pytest.raises(RunFolderError, match="line 6 is no record"):
        study_at(path)
    with pytest.raises(RunFolderError, match="no record"):
        JournalFile(path).append_logs([{"op_code": 2, "worker_id": "w"}])
    assert path.read_bytes() == b"".join(lines)


@pytest.mark.parametrize("kind", ["pipe", "device", "folder", "link to a device"])
def test_what_is_no_file_is_not_waited_for(tmp_path: Path, kind: str):
    path = tmp_path / "study.journal"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to("/dev/zero" if kind == "device" else "/dev/stdin")
    with pytest.raises(RunFolderError, match=r"regular file|cannot be read"):
        Journal(path)


@pytest.mark.parametrize("room", [0, 1, 40, 100])
def test_a_record_that_the_disk_takes_in_part_leaves_nothing(path: Path, room: int):
    study = study_at(path)
    before, limits = path.read_bytes(), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + room, limits[1]))
    try:
        with pytest.raises(RunFolderError, match=r"cannot write .*study\.journal"):
            study.set_user_attr("a", "b" * 200)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_bytes() == before
    study.set_user_attr("a", "b")
    assert study_at(path).user_attrs["a"] == "b"


def test_a_lock_of_a_dead_process_is_taken_at_once_another_one_is_waited_for_with_a_word(
    path: Path, said: list[str], monkeypatch: pytest.MonkeyPatch
):
    lock = path.with_name("study.journal.lock")
    lock.write_text(f"{socket.gethostname()} 999999999 1")
    began = time.monotonic()
    grow(path, 1)
    assert time.monotonic() - began < 5
    assert not lock.exists()
    monkeypatch.setattr(journals, "STALE_SECONDS", 1.0)
    monkeypatch.setattr(journals, "WORD_SECONDS", 0.1)
    for holder in ("elsewhere 1 1", ""):
        lock.write_text(holder)
        grow(path, 1)
        assert not lock.exists()
    assert sum("study.journal.lock" in line for line in said) == 2


def test_ctrl_c_ends_a_wait_and_leaves_the_lock_of_the_other(path: Path, monkeypatch: pytest.MonkeyPatch):
    lock = path.with_name("study.journal.lock")
    lock.write_text(f"{socket.gethostname()} {os.getpid()} 1")

    def interrupt(seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(journals.time, "sleep", interrupt)
    with pytest.raises(KeyboardInterrupt), locked(path):
        pass
    assert lock.exists()


def test_numbered_never_names_what_is_there(tmp_path: Path):
    for name in ("a.bak", "a.bak.2", "a.bak.3"):
        assert numbered(tmp_path / "a.bak").name == name
        (tmp_path / name).touch()
