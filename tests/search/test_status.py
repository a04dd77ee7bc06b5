"""`rlkit status` of folders as sweeps leave them, with a `squeue` that answers what the test says."""

import json
import socket
from pathlib import Path

import pytest

from rlkit.errors import RunFolderError
from rlkit.runs.lock import alone
from rlkit.search.status import standing


def squeue(folder: Path, monkeypatch: pytest.MonkeyPatch, *rows: str) -> None:
    """Put one on PATH that prints rows `<job> <array>_<index> <STATE>` whatever it is asked."""
    folder.mkdir()
    program = folder / "squeue"
    program.write_text("#!/bin/sh\n" + "".join(f"echo {row}\n" for row in rows))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=":")


def submit(sweep: Path, array: str, jobs: int) -> None:
    """The files that submitit keeps of an array of jobs."""
    for n in range(jobs):
        (sweep / ".submitit" / f"{array}_{n}").mkdir(parents=True)
        (sweep / ".submitit" / f"{array}_{n}" / f"{array}_{n}_submitted.pkl").touch()
    (sweep / ".submitit" / array).mkdir()
    (sweep / ".submitit" / array / f"{array}_submission.sh").touch()


def begin(sweep: Path, job: int, slurm: str | None, status: str) -> Path:
    """A job's note and its run's record."""
    run = sweep / f"run_{job}"
    run.mkdir(parents=True)
    (run / "run.json").write_text(json.dumps({"status": status}))
    (sweep / ".jobs").mkdir(exist_ok=True)
    note = {"run": str(run), "slurm": slurm, "host": socket.gethostname()}
    (sweep / ".jobs" / f"{job}.json").write_text(json.dumps(note))
    return run


def test_jobs_that_slurm_has_not_begun_are_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    sweep = tmp_path / "sweep"
    submit(sweep, "9", 12)
    begin(sweep, 0, "10", "complete")
    begin(sweep, 1, "11", "running")
    begin(sweep, 2, "12", "running")  # preempted, and queued again
    begin(sweep, 3, "13", "running")  # killed
    squeue(
        tmp_path / "bin", monkeypatch, "11 9_1 RUNNING", "12 9_2 PENDING", *(f"9 9_{n} PENDING" for n in range(4, 11))
    )
    jobs = standing(sweep)
    assert [one.job for one in jobs] == list(range(12))
    assert [one.state for one in jobs] == ["complete", "running", "queued", "interrupted"] + ["queued"] * 7 + [
        "never begun"
    ]
    assert [one.cluster for one in jobs[:5]] == ["10 gone", "11 running", "12 pending", "13 gone", "9_4 pending"]
    assert jobs[10].run == sweep / ".submitit" / "9_10"


@pytest.mark.parametrize("there", [False, True])
def test_where_slurm_does_not_answer_nothing_is_said_to_be_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: bool
):
    sweep = tmp_path / "sweep"
    submit(sweep, "9", 2)
    begin(sweep, 0, "10", "running")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    if there:
        squeue(tmp_path / "bin", monkeypatch, "down >&2; exit 1")
    assert [(one.state, one.cluster) for one in standing(sweep)] == [
        ("running", "10 unknown"),
        ("unknown", "9_1 unknown"),
    ]


def test_without_slurm_the_lock_tells_whether_a_job_is_at_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", "")
    begin(tmp_path, 0, None, "running")
    with alone(begin(tmp_path, 1, None, "running"), "trained"):
        assert [one.state for one in standing(tmp_path)] == ["interrupted", "running"]


def test_a_folder_of_something_else_is_refused(tmp_path: Path):
    with pytest.raises(RunFolderError, match="neither a sweep nor a search"):
        standing(tmp_path)
    with pytest.raises(RunFolderError, match="does not exist"):
        standing(tmp_path / "none")
