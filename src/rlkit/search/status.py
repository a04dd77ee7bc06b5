"""`rlkit status`: how the jobs of a sweep or a search stand, from any machine that sees its folder."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from rlkit.errors import RunFolderError
from rlkit.results.folder import RunFolder, read_json, read_rows
from rlkit.results.lock import held
from rlkit.search import study as record
from rlkit.search.study import SWEEP, SweepFolder
from rlkit.search.table import number, state
from rlkit.training.jobs import JOBS, SUBMITTED, notes, submitted

WAITING = {None: "never begun", "pending": "queued", "unknown": "unknown"}
"""What a job is that has noted nothing yet, by its state in SLURM; in any other it is starting."""


@dataclass(frozen=True)
class Standing:
    """One job."""

    job: int
    state: str
    """starting, running, queued, interrupted, never begun, unknown, or how it ended."""
    cluster: str
    """Its number and state in SLURM; empty where it has none."""
    frames: int
    latest: float | None
    """The latest evaluation."""
    run: Path
    """Its folder; the one of its submission where it has not begun."""


def standing(path: str | Path) -> list[Standing]:
    """The jobs of a sweep or search, by their number.

    Raises:
        RunFolderError: there is neither.
    """
    folder = Path(path)
    if (folder / SWEEP).is_file():
        return _of_search(SweepFolder(folder))
    if (folder / JOBS).is_dir() or submitted(folder):
        return _of_sweep(folder)
    what = "is the folder of neither a sweep nor a search" if folder.is_dir() else "does not exist"
    raise RunFolderError(f"{path} {what}\n  sweeps are below runs/multirun, searches below runs/search")


def _of_search(folder: SweepFolder) -> list[Standing]:
    trials = folder.study().get_trials()
    ids = {t.number: job["id"] for t in trials if (job := t.user_attrs.get(record.JOB)) and job["slurm"]}
    cluster = in_slurm(ids.values())
    found = []
    for trial in trials:
        run, slurm = folder.run(trial.number), ids.get(trial.number)
        word = state(trial)
        if word == "running" and slurm and cluster.get(slurm) == "pending":
            word = "queued"
        elif word == "running" and slurm not in cluster and not record.at_work(trial, run):
            word = "interrupted"
        found.append(Standing(trial.number, word, _named(slurm, cluster), *_progress(run), run.path))
    return found


def _of_sweep(folder: Path) -> list[Standing]:
    begun, waiting = notes(folder), submitted(folder)
    ids = {job: note["slurm"] for job, note in begun.items() if note["slurm"]}
    cluster = in_slurm([*ids.values(), *waiting.values()])
    found = []
    for job, note in begun.items():
        run, slurm = RunFolder(Path(note["run"])), ids.get(job)
        word = read_json(run.run)["status"] if run.run.exists() else "starting"
        if word == "running" and slurm and cluster.get(slurm) == "pending":
            word = "queued"
        elif word == "running" and slurm not in cluster and not held(run.path):
            word = "interrupted"  # run.json keeps what it said before the job was killed
        found.append(Standing(job, word, _named(slurm, cluster), *_progress(run), run.path))
    for job, slurm in waiting.items():
        if job not in begun:
            word = WAITING.get(cluster.get(slurm), "starting")
            found.append(Standing(job, word, _named(slurm, cluster), 0, None, folder / SUBMITTED / slurm))
    return sorted(found, key=lambda one: one.job)


def _progress(run: RunFolder) -> tuple[int, float | None]:
    """The frames of the latest row of any session, and the mean of the sessions' latest evaluations."""
    frames, evaluated = 0, []
    for session in sorted(run.path.glob("session_*")):
        rows, evals = read_rows(session / "metrics.jsonl"), read_rows(session / "eval.jsonl")
        frames = max(frames, rows[-1]["frames"] if rows else 0, evals[-1]["frames"] if evals else 0)
        evaluated += [evals[-1]["mean"]] if evals else []
    return frames, sum(evaluated) / len(evaluated) if evaluated else None


def in_slurm(jobs: Iterable[str]) -> dict[str, str]:
    """The states of those jobs that SLURM still has, by number: a job's own, or `<array>_<index>`. One question.

    Where SLURM is not on this machine or does not answer, all are unknown.
    """
    names = sorted(set(jobs))
    if not names:
        return {}
    command = ["squeue", "-h", "-r", "-j", ",".join(names), "-o", "%A %i %T"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return dict.fromkeys(names, "unknown")
    if answer.returncode and "Invalid job id" not in answer.stderr:
        return dict.fromkeys(names, "unknown")
    rows = [line.split() for line in answer.stdout.splitlines()]
    return {name: word.lower() for own, in_array, word in rows for name in (own, in_array)}


def _named(job: str | None, cluster: dict[str, str]) -> str:
    return f"{job} {cluster.get(job, 'gone')}" if job else ""


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
