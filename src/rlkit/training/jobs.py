"""The jobs of a sweep: which run each has, so that a job that a cluster queues again continues in the same folder."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rlkit.errors import RunFolderError
from rlkit.runs.folder import RunFolder, read_json, write_json, writing

JOBS, LIST = ".jobs", "jobs.json"
SUBMITTED = ".submitit"
"""Where submitit keeps a folder for each job that it has submitted (conf/hydra/launcher/slurm.yaml)."""

CANCELLED = "it was cancelled or killed before it began"
"""Why a job has neither a run nor an error."""


def run_of_job(sweep: Path, number: int, create: Callable[[], RunFolder]) -> RunFolder:
    """The run folder of a job: the one that it had before it was queued again, else a new one, which is noted.

    Args:
        sweep: the folder of the sweep.
        number: of the job in it.
        create: makes a new run folder.
    """
    note = sweep / JOBS / f"{number}.json"
    slurm = os.environ.get("SLURM_JOB_ID")
    if note.exists() and slurm and (before := read_json(note))["slurm"] == slurm:
        return RunFolder.open(before["run"])
    folder = create()
    with writing(note.parent):
        note.parent.mkdir(parents=True, exist_ok=True)
    write_json(note, {"run": str(folder.path.absolute()), "slurm": slurm, "host": socket.gethostname()})
    return folder


def note_plan(sweep: Path, jobs: Sequence[Sequence[str]], failed: Mapping[int, str]) -> None:
    """Write down what each job of a sweep is started with, and why those failed that did."""
    why = {str(job): text for job, text in failed.items()}
    write_json(sweep / LIST, {"jobs": [list(overrides) for overrides in jobs], "failed": why})


def noted_plan(sweep: Path) -> tuple[list[list[str]], dict[int, str]]:
    """What `note_plan` has written; nothing for a sweep of another version.

    Raises:
        RunFolderError: the file holds something else.
    """
    if not (sweep / LIST).exists():
        return [], {}
    try:
        noted = read_json(sweep / LIST)
        return [list(map(str, job)) for job in noted["jobs"]], {int(n): str(t) for n, t in noted["failed"].items()}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise RunFolderError(f"{sweep / LIST} does not list the jobs of a sweep") from error


def varied(jobs: Sequence[Sequence[str]]) -> list[str]:
    """The overrides of each job that not all jobs share; all of them where there is but one job."""
    shared = set.intersection(*map(set, jobs)) if len(jobs) > 1 else set()
    return [" ".join(override.lstrip("+") for override in job if override not in shared) for job in jobs]


def notes(sweep: Path) -> dict[int, dict[str, Any]]:
    """What the jobs of a sweep that have begun have noted, by their number."""
    return {int(path.stem): read_json(path) for path in sorted((sweep / JOBS).glob("*.json"))}


def submitted(sweep: Path) -> dict[int, str]:
    """What SLURM calls the jobs of a sweep, begun or not, by their number: `<job>`, or `<array>_<index>`.

    Only SLURM's: those that submitit starts on this machine begin at once.
    """
    root = sweep / SUBMITTED
    scripts = {path.parent.name for path in root.glob("*/*_submission.sh")}  # one for an array
    jobs = {path.parent.name for path in root.glob("*/*_submitted.pkl")}
    mine = [job.split("_") for job in jobs if job.partition("_")[0] in scripts]
    return dict(enumerate("_".join(job) for job in sorted(mine, key=lambda job: [int(part) for part in job])))
