"""The table of a search's trials, or of a sweep's jobs, as the page shows it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from rlkit.errors import RunFolderError
from rlkit.reading import read_json
from rlkit.redaction import redact

SWEEP, SWEEPS = "sweep.json", (".jobs", "jobs.json")
"""What a search has in its folder, and what a plain sweep has."""


def is_search(folder: Path) -> bool:
    """Whether a folder is that of a search or a sweep."""
    return any((folder / name).exists() for name in (SWEEP, *SWEEPS))


def table(folder: Path, name: Callable[[Path], str]) -> dict[str, Any]:
    """Heads and lines, the best trial first, with the run of each line and why it failed.

    Args:
        folder: of a search or a sweep.
        name: how the page names a run's folder.

    Raises:
        RunFolderError: its study cannot be read, or is in another place than its folder: a folder that may come from
            somebody else opens no connection.
    """
    if not (folder / SWEEP).is_file():
        return _of_sweep(folder, name)
    if read_json(folder / SWEEP).get("storage") is not None:
        raise RunFolderError("the study of this search is kept in another storage\n  rlkit status shows it")
    if any(path.is_symlink() for path in folder.glob("*.journal")):
        raise RunFolderError("the journal of this search is a link\n  rlkit status shows it")
    from rlkit.search import study as record
    from rlkit.search.display import best_first, latest, number, short, state
    from rlkit.search.study import SweepFolder

    sweep = SweepFolder(folder)
    with record.understood(folder):
        study = sweep.study()
        record.check_attributes(study)
        trials = best_first(study.get_trials(deepcopy=False), study.directions[0].name.lower())
        keys = list(dict.fromkeys(key for trial in trials for key in trial.params))
        lines = [
            [
                str(trial.number),
                state(trial),
                latest(trial),
                f"{trial.user_attrs.get(record.FRAMES, 0):,}",
                *(number(trial.params.get(key)) for key in keys),
            ]
            for trial in trials
        ]
        why = [str(trial.user_attrs.get(record.ERROR, "")) for trial in trials]
    runs = [name(sweep.run(trial.number).path) for trial in trials]
    return _table(["trial", "state", "score", "frames", *map(short, keys)], lines, runs, why)


def _of_sweep(folder: Path, name: Callable[[Path], str]) -> dict[str, Any]:
    from rlkit.search.display import number
    from rlkit.search.status import standing

    try:
        jobs = [job for job in standing(folder) if name(job.run)]  # a note may lead out of the folder of runs
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise RunFolderError(f"the notes of this sweep are damaged: {error!r}") from error
    lines = [[str(job.job), job.state, number(job.score), f"{job.frames:,}", job.overrides] for job in jobs]
    return _table(
        ["job", "state", "score", "frames", "overrides"], lines, [name(job.run) for job in jobs], [j.why for j in jobs]
    )


def _table(heads: list[str], lines: list[list[str]], runs: list[str], why: list[str]) -> dict[str, Any]:
    return {
        "heads": [redact(head) for head in heads],
        "lines": [[redact(cell) for cell in line] for line in lines],
        "runs": runs,
        "why": [redact(text) for text in why],
    }
