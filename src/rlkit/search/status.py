"""`rlkit status`: how the jobs of a sweep or a search stand, from any machine that sees its folder."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from rlkit.errors import RunFolderError
from rlkit.runs.folder import RunFolder, read_json, read_rows
from rlkit.runs.lock import held
from rlkit.search import failures
from rlkit.search import study as record
from rlkit.search.display import number, short, shown, state
from rlkit.search.study import SWEEP, SweepFolder
from rlkit.training.jobs import CANCELLED, JOBS, LIST, SUBMITTED, noted_plan, notes, submitted, varied

WAITING = {None: "never begun", "pending": "queued", "unknown": "unknown"}
"""What a job is that has noted nothing yet, by its state in SLURM; in any other it is starting."""


FEW = 3
"""Parameters of a trial that a table has room for."""


@dataclass(frozen=True)
class Standing:
    """One job."""

    job: int
    state: str
    """starting, running, queued, interrupted, never begun, unknown, or how it ended."""
    cluster: str
    """Its number and state in SLURM; empty where it has none."""
    frames: int
    score: float | None
    """The final score; the latest evaluation where there is none yet."""
    run: Path
    """Its folder; the one of its submission where it has not begun."""
    overrides: str = ""
    """Those of the job that not all jobs share, or a trial's parameters."""
    why: str = ""
    """Why it failed."""


def standing(path: str | Path) -> list[Standing]:
    """The jobs of a sweep or search, by their number.

    Raises:
        RunFolderError: there is neither, or the study of the search cannot be read.
    """
    folder = Path(path)
    if (folder / SWEEP).is_file():
        with record.understood(folder):
            return _of_search(SweepFolder(folder))
    if (folder / JOBS).is_dir() or (folder / LIST).is_file() or submitted(folder):
        return _of_sweep(folder)
    what = "does not exist"
    if folder.exists():
        what = f"is {'the folder of neither a sweep nor a search' if folder.is_dir() else 'a file, not a folder'}"
    raise RunFolderError(f"{path} {what}\n  sweeps are below runs/multirun, searches below runs/search")


def _of_search(folder: SweepFolder) -> list[Standing]:
    study = folder.study()
    record.check_attributes(study)
    trials = study.get_trials()
    ids = {t.number: job["id"] for t in trials if (job := t.user_attrs.get(record.JOB)) and job["slurm"]}
    cluster = in_slurm(ids.values())
    repeats = {t.user_attrs[record.REPEATS]: t.number for t in trials if record.REPEATS in t.user_attrs}
    found = []
    for trial in trials:
        run, slurm = folder.run(trial.number), ids.get(trial.number)
        word = state(trial)
        if word == "running" and slurm and cluster.get(slurm) == "pending":
            word = "queued"
        elif word == "running" and slurm not in cluster and not record.at_work(trial, run):
            word = "interrupted"
        why = str(trial.user_attrs.get(record.ERROR, ""))
        if trial.number in repeats:
            why = f"repeated as {repeats[trial.number]}; {why}"
        words = [f"{short(key)}={number(value)}" for key, value in trial.params.items()]
        params = " ".join(words) if len(words) <= FEW else ""
        found.append(Standing(trial.number, word, _named(slurm, cluster), *reached(run), run.path, params, why))
    return found


def _of_sweep(folder: Path) -> list[Standing]:
    begun, waiting = notes(folder), submitted(folder)
    planned, failed = noted_plan(folder)
    overrides = dict(enumerate(varied(planned)))
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
        why = failed.get(job) or (failure(run) if word in ("failed", "diverged") else "")
        found.append(Standing(job, word, _named(slurm, cluster), *reached(run), run.path, overrides.get(job, ""), why))
    for job in sorted({*waiting, *overrides} - set(begun)):
        slurm = waiting.get(job)
        word = "never begun" if slurm is None else WAITING.get(cluster.get(slurm), "starting")
        if job in failed:
            word = "never begun" if failed[job] == CANCELLED else "failed"
        place = folder if slurm is None else folder / SUBMITTED / slurm
        why = failed.get(job, "")
        found.append(Standing(job, word, _named(slurm, cluster), 0, None, place, overrides.get(job, ""), why))
    return sorted(found, key=lambda one: one.job)


def reached(run: RunFolder) -> tuple[int, float | None]:
    """The frames of the latest row of any session, and the score or the mean of the sessions' latest evaluations."""
    frames, evaluated = 0, []
    for session in sorted(run.path.glob("session_*")):
        rows, evals = read_rows(session / "metrics.jsonl"), read_rows(session / "eval.jsonl")
        frames = max(frames, rows[-1]["frames"] if rows else 0, evals[-1]["frames"] if evals else 0)
        evaluated += [evals[-1]["mean"]] if evals else []
    result = read_json(run.result) if run.result.exists() else {}
    frames = max(frames, result.get("frames") or 0)
    if (final := result.get("final_return") or {}).get("mean") is not None:
        return frames, float(final["mean"])
    return frames, sum(evaluated) / len(evaluated) if evaluated else None


def failure(run: RunFolder) -> str:
    """What the record of a run says of why it failed; empty where it says nothing."""
    for path in (run.result, run.run):
        if path.exists() and isinstance(why := read_json(path).get("error"), str) and why:
            return why
    return ""


def in_slurm(jobs: Iterable[str]) -> dict[str, str]:
    """The states of those jobs that SLURM still has, by number: a job's own, or `<array>_<index>`.

    Issues a single `squeue` call. Where SLURM is not on this machine or does not answer, all are unknown.
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
    """Print a table of them; folders are given once as far as all share them, and are never cut."""
    jobs = standing(path)
    console = console or Console(highlight=False)
    begun = [one.run.absolute() for one in jobs if one.run.absolute() != Path(path).absolute()]
    shared = Path(os.path.commonpath([run.parent for run in begun])) if begun else Path()
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    slurm, varied = any(one.cluster for one in jobs), any(one.overrides for one in jobs)
    for name in ("job", "state", *["slurm"] * slurm, "frames", "score", *["overrides"] * varied, "folder"):
        right = name in ("job", "frames", "score")
        table.add_column(name, justify="right" if right else "left", overflow="fold", no_wrap=right or name == "state")
    for one in jobs:
        folder = str(one.run.absolute().relative_to(shared)) if one.run.absolute() in begun else ""
        cells = [str(one.job), one.state, *[one.cluster] * slurm, f"{one.frames:,}", number(one.score)]
        table.add_row(*(Text(cell) for cell in [*cells, *[one.overrides] * varied, folder]))
    if begun:
        console.print(Text(f"folders below {shown(shared)}"), soft_wrap=True)
    console.print(table)
    for one in jobs:
        if one.why:
            console.print(Text(f"job {one.job}: {failures.brief(one.why)}"), soft_wrap=True)
    counts = {word: sum(one.state == word for one in jobs) for word in dict.fromkeys(one.state for one in jobs)}
    console.print(", ".join(f"{n} {word}" for word, n in counts.items()) or "no job has begun")
