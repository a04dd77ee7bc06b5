"""Append-only files: rows of JSON, and other data that is appended while a run is trained."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from loguru import logger

from rlkit.reading import plain_file
from rlkit.runs.writing import dumps, write_text, writing

LONGEST_LINE = 2**20
"""Bytes of a row; a longer line is none that rlkit wrote."""


class AppendOnly:
    """A file to which whole pieces are appended; a piece that is written only in part is removed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with writing(path):
            self.file = path.open("ab", buffering=0)

    def append(self, data: bytes) -> None:
        """Write a piece at the end.

        Raises:
            RunFolderError: the disk does not take it; the file is as before.
        """
        with writing(self.path):
            end = self.file.seek(0, os.SEEK_END)
            try:
                rest = memoryview(data)
                while len(rest):
                    rest = rest[self.file.write(rest) :]
            except BaseException:
                with contextlib.suppress(OSError):
                    self.file.truncate(end)
                raise

    def sync(self) -> None:
        """Flush everything to disk, before a checkpoint that depends on it."""
        with writing(self.path):
            os.fsync(self.file.fileno())

    def close(self) -> None:
        """Close the file."""
        with writing(self.path):
            self.file.close()


class JsonLines(AppendOnly):
    """An append-only file of one JSON object a line, `frames` strictly rising."""

    def __init__(self, path: Path, *, keep_until: int | None = None) -> None:
        """Open for appending; rows after `keep_until` frames, and a torn last line, are cut off first.

        Damaged lines are left out too. The log then says so, and the file as it was is kept beside as `<name>.damaged`.
        """
        if path.exists():
            rows, bad = _parsed(path)
            kept = [row for row in rows if keep_until is not None and row["frames"] <= keep_until]
            if bad:
                beside = path.with_name(f"{path.name}.damaged")
                with writing(beside):
                    beside.unlink(missing_ok=True)
                    shutil.copyfile(path, beside)
                logger.warning(
                    "{}: {} left out, {} rows kept; the file as it was: {}",
                    path,
                    f"{bad} damaged line{'s' * (bad > 1)}",
                    len(kept),
                    beside,
                )
            write_text(path, "".join(dumps(row) + "\n" for row in kept))
        super().__init__(path)

    def write(self, row: dict[str, Any]) -> None:
        """Append one row."""
        self.append(f"{dumps(row)}\n".encode(errors="backslashreplace"))


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The rows of a JSON-lines file, by rising frames; damaged lines, and a last one that was cut short, are left out.

    Raises:
        RunFolderError: it cannot be read.
    """
    return _parsed(path)[0] if path.exists() else []


def read_evals(path: Path) -> list[dict[str, Any]]:
    """The rows of an eval.jsonl; those without a mean, its updates and its returns are left out."""
    return [
        row
        for row in read_rows(path)
        if _is_number(row.get("mean")) and isinstance(row.get("updates"), int) and isinstance(row.get("returns"), list)
    ]


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _parsed(path: Path) -> tuple[list[dict[str, Any]], int]:
    """The rows of a file, and how many of its lines are damaged; a torn last line is not counted."""
    rows: list[dict[str, Any]] = []
    bad = 0
    for line, ended in _lines(path):
        try:
            row = json.loads(line)
            if type(row["frames"]) is not int or (rows and row["frames"] <= rows[-1]["frames"]):
                raise ValueError("frames are no rising whole numbers")
        except (ValueError, TypeError, KeyError, RecursionError):
            bad += ended
            continue
        rows.append(row)
    return rows, bad


def _lines(path: Path) -> Iterator[tuple[bytes, bool]]:
    """The lines of a plain file, and whether each has its end; of one that is far too long a part, which is no row."""
    with plain_file(path) as file:
        while line := file.readline(LONGEST_LINE):
            ended = line.endswith(b"\n")
            if not ended and len(line) == LONGEST_LINE:
                yield b"", True
                return
            yield line, ended
