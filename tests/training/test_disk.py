"""A disk that fails while a session is trained: one clear error, a checkpoint that verifies, an exact continuation."""

from __future__ import annotations

import errno
from collections import Counter
from pathlib import Path

import pytest

from rlkit.errors import RunFolderError
from rlkit.results.tensorboard import EventLog
from rlkit.runs.lines import read_rows
from rlkit.training import checkpoint
from tests.faults import NEVER, failing
from tests.training.runs import session, traces

TINY = [
    "frames=256", "num_envs=2", "algo.n_steps=32", "algo.epochs=1", "algo.minibatch_size=32", "net.hidden=[8]",
    "eval.episodes=1", "eval.periodic_episodes=1", "eval.every_frames=64", "checkpoint.every_frames=64",
    "log.every_frames=64", "env.max_episode_steps=20",
]  # fmt: skip
KINDS = {
    "full": ("write", 0.4, errno.ENOSPC, {}),
    "full, in part": ("write", 0.6, errno.ENOSPC, {"half": True}),
    "full at once": ("write", 0.0, errno.ENOSPC, {"half": True}),
    "broken for a moment": ("write", 0.7, errno.EIO, {"half": True, "once": True}),
    "not on disk": ("fsync", 0.5, errno.EIO, {}),
    "read-only": ("open", 0.6, errno.EROFS, {}),
    "no place for the new name": ("rename", 0.6, errno.ENOSPC, {}),
    "broken when closed": ("close", 0.3, errno.EIO, {"once": True}),
    "no new folder": ("mkdir", 0.8, errno.EDQUOT, {}),
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, bytes], Counter[str]]:
    """What an undisturbed run leaves, and how often it called what may fail."""
    folder = tmp_path_factory.mktemp("whole") / "s"
    with failing(folder, "write", errno.EIO, at=NEVER) as counted:
        session(folder, TINY)
    return traces(folder), counted.counts


@pytest.mark.parametrize("kind", KINDS)
def test_a_disk_that_fails_is_told_once_and_the_run_continues_exactly(
    kind: str, whole: tuple[dict[str, bytes], Counter[str]], tmp_path: Path
):
    left, counts = whole
    call, share, error, how = KINDS[kind]
    folder = tmp_path / "s"
    with (
        failing(folder, call, error, at=max(1, round(share * counts[call])), **how) as fault,
        pytest.raises(RunFolderError) as told,
    ):
        session(folder, TINY)
    assert "cannot write" in str(told.value)
    assert len(str(told.value).splitlines()) <= 3
    assert fault.struck
    if checkpoint.numbered(folder / "checkpoints"):
        assert checkpoint.newest(folder / "checkpoints") is not None
    assert not list(folder.glob("checkpoints/.partial*"))
    for name in ("metrics.jsonl", "eval.jsonl"):
        if (folder / name).exists():
            assert (folder / name).read_bytes().count(b"\n") == len(read_rows(folder / name)), "no half row"
    session(folder, TINY)
    assert traces(folder) == left


def test_an_event_file_on_a_full_disk_is_no_fault_of_rlkit(tmp_path: Path):
    """The writers of TensorBoard hand an error over from a thread, at the next call."""
    with failing(tmp_path, "write", errno.ENOSPC) as fault, pytest.raises(RunFolderError, match="the disk is full"):
        EventLog(tmp_path)
    assert "tfevents" in fault.struck[0]


def test_a_log_that_the_disk_does_not_take_is_told_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    from loguru import logger

    from rlkit.display.logs import borrowed_log, log_to

    with borrowed_log():
        log_to(tmp_path / "run.log", lambda text: None)
        with failing(tmp_path, "write", errno.ENOSPC):
            log_to(tmp_path / "run.log", lambda text: None)
            for number in range(5):
                logger.info("line {}", number)
    said = capsys.readouterr().err
    assert said.count("misses lines from here on: the disk is full") == 1
    assert "Logging error" not in said


def test_events_of_a_resumed_run_come_last_also_with_a_clock_set_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from rlkit.results import tensorboard

    for now in (2_000_000_000, 1_000_000_000, 1_000_000_001):
        monkeypatch.setattr(tensorboard.time, "time", lambda now=now: float(now))
        tensorboard.EventLog(tmp_path, resumed_at=now).close()
    files = sorted(tmp_path.iterdir())
    assert [p.stat().st_mtime_ns for p in files] == sorted(p.stat().st_mtime_ns for p in files)
    assert len(files) == 3
