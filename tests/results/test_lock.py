"""One writer at a time."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from rlkit import compose
from rlkit.runs.folder import SessionFolder
from rlkit.runs.lock import BusyError, alone, held
from rlkit.training import session as sessions

HOLDER = """
import sys, time
from pathlib import Path
from rlkit.runs.lock import alone
with alone(Path(sys.argv[1]), "trained"):
    print("held", flush=True)
    time.sleep(float(sys.argv[2]))
"""


def holder(folder: Path, seconds: float) -> subprocess.Popen[bytes]:
    process = subprocess.Popen([sys.executable, "-c", HOLDER, str(folder), str(seconds)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"held\n"
    return process


def test_a_second_writer_is_refused_and_a_look_changes_nothing(tmp_path: Path):
    assert not held(tmp_path)
    assert not (tmp_path / ".lock").exists()
    with holder(tmp_path, 60) as process:
        assert held(tmp_path)
        with pytest.raises(BusyError, match="is being trained by another process"), alone(tmp_path, "trained"):
            pass
        process.kill()
        process.wait()
        assert not held(tmp_path)
        with alone(tmp_path, "trained"):
            assert held(tmp_path)
    assert not held(tmp_path)


def test_one_waits_for_a_writer_that_is_about_to_end(tmp_path: Path):
    with holder(tmp_path, 1.0):
        began = time.monotonic()
        with alone(tmp_path, "trained", wait_seconds=30):
            assert time.monotonic() - began > 0.2


def test_a_session_is_not_written_by_two(tmp_path: Path, tiny: list[str], monkeypatch: pytest.MonkeyPatch):
    """As where a parent was killed, and its worker writes on while a new process has begun."""
    monkeypatch.setattr(sessions, "WAIT_SECONDS", 0.2)
    with holder(tmp_path, 60) as process:
        with pytest.raises(BusyError):
            sessions.run_session(compose(tiny), 0, SessionFolder(tmp_path))
        assert [path.name for path in tmp_path.iterdir()] == [".lock"]
        process.kill()
