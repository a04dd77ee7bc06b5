"""Runs as evidence: found by folder, name, pattern or address, and read without training anything."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from rlkit.errors import RunFolderError
from rlkit.reading import read_json, read_yaml
from rlkit.runs.folder import RunFolder, runs_root
from rlkit.runs.lines import read_evals, read_rows
from rlkit.sharing.hub import local

LARGEST = 2**53
"""Counts from here on are not rlkit's, and have no exact value as a float."""


@dataclass(frozen=True)
class Session:
    """The results of one seed of a run; NaN where one is missing."""

    seed: int
    folder: Path
    status: str
    score: float
    """Mean return of the final policy."""
    random_return: float
    fps: float
    train_seconds: float
    time_split: Mapping[str, float]
    frames: Sequence[int]
    """Of the evaluations during training."""
    updates: Sequence[int]
    returns: Sequence[float]
    """Their mean returns; rows that are not finite are left out."""
    timing: Sequence[tuple[int, float]] = ()
    """Frames, and the seconds of training that they took."""

    def frames_to(self, threshold: float) -> float:
        """Frames of the first evaluation that reaches a return; infinite if none does."""
        reached = (at for at, value in zip(self.frames, self.returns, strict=True) if value >= threshold)
        return float(next(reached, math.inf))

    def seconds_at(self, frames: float) -> float:
        """Seconds of training that some frames took, in a straight line between the rows that say so."""
        if not self.timing or not math.isfinite(frames):
            return math.inf if frames == math.inf else math.nan
        at, seconds = zip(*self.timing, strict=True)
        return float(np.interp(frames, [0, *at], [0.0, *seconds]))


@dataclass(frozen=True)
class Run:
    """A run folder: its configuration key by key, and its sessions."""

    folder: Path
    config: Mapping[str, Any]
    """`algo.gamma` -> its value; lists as they are."""
    sessions: Sequence[Session]
    command: str | None = None
    about: Mapping[str, Any] = field(default_factory=dict)
    """run.json: versions, machine and revision."""


def gather(words: Iterable[str | Path]) -> list[Run]:
    """The runs that the arguments name, each once, in the order of the arguments.

    Args:
        words: each a run's folder or that of a session of it; a folder with runs below it, such as that of a sweep or a
            search; a name of runs below `runs/`; a pattern with `*`; an address `hf://...`.

    Raises:
        RunFolderError: a word means no run, or a run cannot be read.
        SharingError: an address cannot be fetched.
    """
    folders: dict[Path, None] = {}
    for word in words:
        folders.update(dict.fromkeys(_folders(word)))
    return [read_run(folder) for folder in folders]


def _folders(word: str | Path) -> Iterator[Path]:
    given = Path(local(word))
    if not given.exists() and any(sign in str(word) for sign in "*?["):
        matches = sorted(Path(given.anchor).glob(str(given.relative_to(given.anchor))))
        found = [folder for match in matches if match.is_dir() for folder in _below(match)]
    else:
        place = given if given.exists() or given.is_absolute() else runs_root() / given
        found = _below(place if place.exists() else given)
    if not found:
        raise RunFolderError(
            f"{word}: no run is there\n"
            "  accepted: a run's folder, a folder with runs below it (a sweep, a search), the name of runs below\n"
            "  runs/, a quoted pattern with *, or hf://user/repo/run"
        )
    yield from found


def _below(place: Path) -> list[Path]:
    if (place / "config.yaml").is_file() or place.name.startswith("session_"):
        return [RunFolder.open(place).path]
    noted = [Path(str(read_json(note).get("run"))) for note in sorted(place.glob(".jobs/*.json"))]
    inside = []
    for folder, below, files in os.walk(place):
        below[:] = sorted(name for name in below if not name.startswith("."))
        if "config.yaml" in files:
            inside.append(Path(folder))
            below.clear()
    return [RunFolder.open(path).path for path in [*noted, *inside] if (path / "config.yaml").is_file()]


def read_run(path: Path) -> Run:
    """A run and its sessions, as far as they are there.

    Raises:
        RunFolderError: the configuration cannot be read.
    """
    folder = RunFolder.open(path)
    config = flat(read_yaml(folder.config))
    about = read_json(folder.run) if folder.run.exists() else {}
    sessions = [_session(folder.path / name) for name in _session_names(folder.path)]
    command = about.get("command")
    return Run(folder.path, config, sessions, command if isinstance(command, str) else None, about)


def _session_names(folder: Path) -> list[str]:
    seeds = [path.name.removeprefix("session_") for path in folder.glob("session_*")]
    return [f"session_{seed}" for seed in sorted(int(seed) for seed in seeds if seed.isdecimal())]


def _session(path: Path) -> Session:
    result = _read(path / "result.json")
    evals = read_evals(path / "eval.jsonl")
    rows = [r for r in evals if math.isfinite(_number(r["mean"])) and max(r["frames"], r["updates"]) < LARGEST]
    timing = [(int(row["frames"]), _number(row.get("train_seconds"))) for row in read_rows(path / "timing.jsonl")]
    final = result.get("final_return")
    split = result.get("time_split")
    return Session(
        seed=int(path.name.removeprefix("session_")),
        folder=path,
        status=str(result.get("status", "unfinished")),
        score=_number(final.get("mean")) if isinstance(final, Mapping) else math.nan,
        random_return=_number(result.get("random_return")),
        fps=_number(result.get("fps")),
        train_seconds=_number(result.get("train_seconds")),
        time_split={str(k): _number(v) for k, v in split.items()} if isinstance(split, Mapping) else {},
        frames=[row["frames"] for row in rows],
        updates=[row["updates"] for row in rows],
        returns=[float(row["mean"]) for row in rows],
        timing=[(frames, seconds) for frames, seconds in timing if math.isfinite(seconds) and frames < LARGEST],
    )


def _read(path: Path) -> dict[str, Any]:
    return read_json(path) if path.exists() else {}


def _number(value: Any) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return math.nan
    try:
        return float(value)
    except OverflowError:  # a whole number of hundreds of figures, which JSON allows
        return math.nan


def flat(config: Any, above: str = "") -> dict[str, Any]:
    """A configuration's values by their dotted keys."""
    if not isinstance(config, Mapping):
        return {}
    found: dict[str, Any] = {}
    for key, value in config.items():
        if isinstance(value, Mapping) and value:
            found.update(flat(value, f"{above}{key}."))
        else:
            found[f"{above}{key}"] = value
    return found


def shown(value: Any) -> str:
    """A value of a configuration as it is typed."""
    if isinstance(value, str):
        return value
    return json.dumps(value, separators=(",", ":"), default=str)  # YAML has dates and bytes too
