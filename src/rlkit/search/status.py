"""`rlkit status`: how the jobs of a sweep or a search stand, from any machine that sees its folder."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from rlkit.errors import RunFolderError
from rlkit.results.folder import RunFolder, read_json, read_rows
from rlkit.search import study as record
from rlkit.search.study import SWEEP, SweepFolder
from rlkit.search.table import number, state
from rlkit.training.jobs import JOBS, notes


@dataclass(frozen=True)
class Standing:
    """One job."""

    job: int
    state: str
    cluster: str
    """Its number and state in SLURM; empty where it has none."""
    frames: int
    latest: float | None
    """The latest evaluation."""
    run: Path


def standing(path: str | Path) -> list[Standing]:
    """The jobs of a sweep or search, by their number.

    Raises:
        RunFolderError: there is neither.
    """
    folder = Path(path)
    if (folder / SWEEP).is_file():
        return _of_search(SweepFolder(folder))
    if (folder / JOBS).is_dir():
        return [_of_job(job, note) for job, note in sorted(notes(folder).items())]
    what = "is the folder of neither a sweep nor a search" if folder.is_dir() else "does not exist"
    raise RunFolderError(f"{path} {what}\n  sweeps are below runs/multirun, searches below runs/search")


def _of_search(folder: SweepFolder) -> list[Standing]:
    found = []
    for trial in folder.study().get_trials():
        job = trial.user_attrs.get(record.JOB) or {}
        slurm = job["id"] if job.get("slurm") else None
        word = state(trial)
        if word == "running" and not record.at_work(trial, folder.run(trial.number)):
            word = "interrupted"
        frames, latest = _progress(folder.run(trial.number))
        found.append(Standing(trial.number, word, _in_slurm(slurm), frames, latest, folder.run(trial.number).path))
    return found


def _of_job(job: int, note: dict[str, Any]) -> Standing:
    run = RunFolder(Path(note["run"]))
    word = read_json(run.run)["status"] if run.run.exists() else "starting"
    frames, latest = _progress(run)
    return Standing(job, word, _in_slurm(note["slurm"]), frames, latest, run.path)


def _progress(run: RunFolder) -> tuple[int, float | None]:
    """The frames of the latest row of any session, and the mean of the sessions' latest evaluations."""
    frames, evaluated = 0, []
    for session in sorted(run.path.glob("session_*")):
        rows, evals = read_rows(session / "metrics.jsonl"), read_rows(session / "eval.jsonl")
        frames = max(frames, rows[-1]["frames"] if rows else 0, evals[-1]["frames"] if evals else 0)
        evaluated += [evals[-1]["mean"]] if evals else []
    return frames, sum(evaluated) / len(evaluated) if evaluated else None


def _in_slurm(job: str | None) -> str:
    if job is None:
        return ""
    try:
        asked = subprocess.run(["squeue", "-h", "-j", job, "-o", "%T"], capture_output=True, text=True, check=False)
    except OSError:
        return job
    return f"{job} {asked.stdout.strip().lower() or 'gone'}"


def show(path: str | Path, console: Console | None = None) -> None:
    """Print a table of them."""
    jobs = standing(path)
    table = Table(box=None, padding=(0, 2), header_style="dim")
    for name in ("job", "state", "slurm", "frames", "latest return", "folder"):
        table.add_column(name, justify="left" if name in ("state", "slurm", "folder") else "right")
    for one in jobs:
        table.add_row(str(one.job), one.state, one.cluster, f"{one.frames:,}", number(one.latest), str(one.run))
    console = console or Console(highlight=False)
    console.print(table)
    counts = {word: sum(one.state == word for one in jobs) for word in dict.fromkeys(one.state for one in jobs)}
    console.print(", ".join(f"{n} {word}" for word, n in counts.items()) or "no job has begun")
