"""Curves of a run: files of rows read as they grow, and thinned to what a plot can show."""

from __future__ import annotations

import json
import math
import os
from array import array
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from rlkit.evidence.gather import LARGEST
from rlkit.reading import plain_file
from rlkit.runs.folder import RunFolder
from rlkit.runs.lines import LONGEST_LINE

RETURN = "return"
"""The curve of evaluations: the mean return of each."""
MOST_POINTS = 2000
"""Points of a line."""
MOST_BYTES = 2**28
"""Of a file that is read; rows behind are left out."""
MOST_COLUMNS = 300
MOST_FILES = 200
"""Files whose rows are kept in memory."""


class Columns:
    """The numbers of a JSON-lines file by their names, NaN where a row has none. `update` reads what is new in it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._restart((0, 0))

    def _restart(self, identity: tuple[int, int]) -> None:
        self.identity, self.offset = identity, 0
        self.frames = array("d")
        self.values: dict[str, array[float]] = {}

    def update(self) -> None:
        """Read the rows that were appended; everything again where the file was replaced or cut.

        Raises:
            RunFolderError: it cannot be read.
        """
        if not self.path.exists():
            self._restart((0, 0))
            return
        with plain_file(self.path) as file:
            found = os.fstat(file.fileno())
            identity = (found.st_dev, found.st_ino)
            if identity != self.identity or found.st_size < self.offset:
                self._restart(identity)
            file.seek(self.offset)
            while self.offset < MOST_BYTES and (line := file.readline(LONGEST_LINE)).endswith(b"\n"):
                self.offset += len(line)
                self._append(line)

    def _append(self, line: bytes) -> None:
        try:
            row = json.loads(line)
            frames = row.pop("frames")
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            return
        if type(frames) is not int or not (self.frames[-1] if self.frames else -1) < frames < LARGEST:
            return
        rows = len(self.frames)
        self.frames.append(frames)
        for name, value in row.items():
            if type(value) in (int, float) and abs(value) < LARGEST:
                if name not in self.values and len(self.values) < MOST_COLUMNS:
                    self.values[name] = array("d", [math.nan]) * rows
                if name in self.values:
                    self.values[name].append(value)
        for column in self.values.values():
            if len(column) == rows:
                column.append(math.nan)

    def column(self, name: str) -> np.ndarray:
        """The values of a column, one for each row."""
        missing = array("d", [math.nan]) * len(self.frames)
        return np.array(self.values.get(name, missing))


class Curves:
    """The curves of runs. Rows that were read once are kept, so that a look at a growing run is cheap."""

    def __init__(self) -> None:
        self._files: dict[Path, Columns] = {}

    def of(self, run: RunFolder, metric: str, after: Mapping[int, int], points: int) -> dict[str, Any]:
        """The curve of each session of a run.

        Args:
            run: the folder.
            metric: `RETURN`, or a column of metrics.jsonl.
            after: seed -> frames; earlier points are left out.
            points: at most this many for each line.

        Raises:
            RunFolderError: a file cannot be read.
        """
        sessions, names = [], set()
        for seed in seeds_of(run):
            session = run.session(seed)
            rows = self._columns(session.metrics)
            names |= set(rows.values)
            column = "mean" if metric == RETURN else metric
            rows = self._columns(session.eval) if metric == RETURN else rows
            sessions.append(self._line(seed, rows, column, self._columns(session.timing), after.get(seed, -1), points))
        return {"sessions": sessions, "metrics": sorted(names)}

    def _columns(self, path: Path) -> Columns:
        columns = self._files.pop(path, None) or Columns(path)
        self._files[path] = columns  # the last one is the one used last
        if len(self._files) > MOST_FILES:
            del self._files[next(iter(self._files))]
        columns.update()
        return columns

    def _line(self, seed: int, rows: Columns, name: str, timing: Columns, after: int, points: int) -> dict[str, Any]:
        frames, values = np.array(rows.frames), rows.column(name)
        last = int(frames[-1]) if len(frames) else -1
        kept = np.isfinite(values) & (frames > after)
        frames, values = thin(frames[kept], values[kept], points)
        seconds, at = timing.column("train_seconds"), np.array(timing.frames)
        known = np.isfinite(seconds)
        spent = (
            np.interp(frames, [0, *at[known]], [0, *seconds[known]]) if known.any() else np.full(len(frames), np.nan)
        )
        return {
            "seed": seed,
            "last": last,
            "frames": [int(x) for x in frames],
            "values": values.tolist(),
            "seconds": [round(x, 3) for x in spent.tolist()],
        }


def seeds_of(run: RunFolder) -> list[int]:
    """The seeds of the sessions that a run has."""
    names = (path.name.removeprefix("session_") for path in run.path.glob("session_*"))
    return sorted(int(name) for name in names if name.isdecimal() and len(name) < 16)


def thin(x: np.ndarray, y: np.ndarray, points: int) -> tuple[np.ndarray, np.ndarray]:
    """A curve of at most `points` points: the least and the largest value of equal stretches, and both ends."""
    if len(x) <= points:
        return x, y
    stretches = np.array_split(np.arange(len(x)), max(1, points // 2 - 1))
    chosen = {0, len(x) - 1}
    for part in stretches:
        chosen |= {int(part[y[part].argmin()]), int(part[y[part].argmax()])}
    kept = np.array(sorted(chosen))
    return x[kept], y[kept]
