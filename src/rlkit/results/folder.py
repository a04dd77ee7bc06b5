"""The run folder: its files, how they are written so that a crash leaves them whole, and how they are read."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, Any

from rlkit.errors import RunFolderError
from rlkit.redaction import redact

SCHEMA = 1
"""Version of run.json, result.json and of checkpoints; raised when a reader would have to change."""


@dataclass(frozen=True)
class RunFolder:
    """`runs/<name>/<date-time>`: a trial's folder, with a folder below for each session."""

    path: Path

    @classmethod
    def create(cls, name: str) -> RunFolder:
        """A new folder below `runs/` (or `RLKIT_RUNS`); never one that exists.

        Raises:
            RunFolderError: the place cannot be written to.
        """
        root = runs_root() / name
        stamp = datetime.now().strftime("%Y%m%d-%H%M%S")
        with writing(root):
            root.mkdir(parents=True, exist_ok=True)
            for n in range(1000):
                path = root / (stamp if n == 0 else f"{stamp}_{n}")
                with contextlib.suppress(FileExistsError):
                    path.mkdir()
                    return cls(path)
        raise RunFolderError(f"{root} holds a thousand runs of this second")

    @classmethod
    def open(cls, path: str | Path) -> RunFolder:
        """An existing run, given by its folder or by that of one of its sessions.

        Raises:
            RunFolderError: there is none.
        """
        folder = Path(path)
        if folder.name.startswith("session_"):
            folder = folder.parent
        if not (folder / "config.yaml").is_file():
            what = "is not a run folder: it has no config.yaml" if folder.is_dir() else "does not exist"
            raise RunFolderError(f"{path} {what}{_nearby(folder)}")
        return cls(folder)

    @property
    def config(self) -> Path:
        """config.yaml."""
        return self.path / "config.yaml"

    @property
    def result(self) -> Path:
        """result.json of the trial."""
        return self.path / "result.json"

    @property
    def run(self) -> Path:
        """run.json."""
        return self.path / "run.json"

    @property
    def log(self) -> Path:
        """run.log."""
        return self.path / "run.log"

    def session(self, seed: int) -> SessionFolder:
        """The folder of one seed."""
        return SessionFolder(self.path / f"session_{seed}")


@dataclass(frozen=True)
class SessionFolder:
    """`session_<seed>/` of a run."""

    path: Path

    @property
    def metrics(self) -> Path:
        """metrics.jsonl: what a run with the same seed writes byte for byte."""
        return self.path / "metrics.jsonl"

    @property
    def eval(self) -> Path:
        """eval.jsonl."""
        return self.path / "eval.jsonl"

    @property
    def timing(self) -> Path:
        """timing.jsonl: the columns that differ between two runs of one seed."""
        return self.path / "timing.jsonl"

    @property
    def result(self) -> Path:
        """result.json of the session."""
        return self.path / "result.json"

    @property
    def checkpoints(self) -> Path:
        """checkpoints/."""
        return self.path / "checkpoints"


def runs_root() -> Path:
    """The folder of all runs: `RLKIT_RUNS`, by default `runs` in the working directory."""
    return Path(os.environ.get("RLKIT_RUNS", "runs"))


class JsonLines:
    """An append-only file of one JSON object a line, `frames` strictly rising."""

    def __init__(self, path: Path, *, keep_until: int | None = None) -> None:
        """Open for appending; rows after `keep_until` frames, and a torn last line, are cut off first."""
        self.path = path
        with writing(path):
            if path.exists():
                rows = [row for row in read_rows(path) if keep_until is not None and row["frames"] <= keep_until]
                write_text(path, "".join(dumps(row) + "\n" for row in rows))
            self.file: IO[str] = path.open("a", encoding="utf-8")

    def write(self, row: dict[str, Any]) -> None:
        """Append one row."""
        with writing(self.path):
            self.file.write(dumps(row) + "\n")
            self.file.flush()

    def sync(self) -> None:
        """Have the rows on disk, before a checkpoint that counts on them."""
        with writing(self.path):
            os.fsync(self.file.fileno())

    def close(self) -> None:
        """Close the file."""
        self.file.close()


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The rows of a JSON-lines file; a last line that was cut short is left out."""
    rows = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return rows


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file.

    Raises:
        RunFolderError: it is missing or not JSON.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RunFolderError(f"{path} cannot be read: {error.strerror}") from error
    except json.JSONDecodeError as error:
        raise RunFolderError(f"{path} is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise RunFolderError(f"{path} holds no JSON object")
    return value


def write_json(path: Path, value: dict[str, Any]) -> None:
    """Write a JSON object, indented, whole or not at all."""
    write_text(path, json.dumps(finite(value), indent=2, ensure_ascii=False) + "\n")


ELSEWHERE = "RLKIT_RUNS=/another/folder"


def write_text(path: Path, text: str, *, elsewhere: str = ELSEWHERE) -> None:
    """Write a file whole or not at all: beside it first, then in its place. Secrets in it are hidden.

    Args:
        path: the file.
        text: all of it.
        elsewhere: what to give to write into another place, for the error.

    Raises:
        RunFolderError: the disk is full or read-only.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    with writing(path, elsewhere=elsewhere):
        try:
            with beside.open("w", encoding="utf-8") as file:
                file.write(redact(text))
                file.flush()
                os.fsync(file.fileno())
            beside.replace(path)
        finally:
            beside.unlink(missing_ok=True)


def dumps(row: dict[str, Any]) -> str:
    """One line of JSON, without NaN or infinities."""
    return json.dumps(finite(row), ensure_ascii=False)


def finite(value: Any) -> Any:
    """The value with null for every number that is not finite, since JSON has none."""
    if isinstance(value, dict):
        return {key: finite(v) for key, v in value.items()}
    if isinstance(value, list | tuple):
        return [finite(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def config_hash(config: dict[str, Any]) -> str:
    """A fingerprint of a configuration, the same for any order of its keys."""
    return hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()[:16]


@contextlib.contextmanager
def writing(path: Path, *, elsewhere: str = ELSEWHERE) -> Iterator[None]:
    """Say what could not be written, why, and what gives it another place, when the system refuses.

    Raises:
        RunFolderError: in place of the OSError.
    """
    try:
        yield
    except OSError as error:
        remedy = {
            errno.ENOSPC: "the disk is full; free some space",
            errno.EDQUOT: "your disk quota is used up; free some space",
            errno.EROFS: "the file system is read-only",
            errno.EACCES: "permission denied",
            errno.EPERM: "permission denied",
            errno.ENOTDIR: "a part of the path is a file",
        }.get(error.errno or 0, str(error.strerror or error))
        raise RunFolderError(
            f"cannot write {error.filename or path}: {remedy}\n"
            f"  write elsewhere with {elsewhere}; what was already written is kept"
        ) from error


def _nearby(folder: Path) -> str:
    """The newest run below a folder, to name it in an error."""
    found = [p for p in folder.glob("**/config.yaml") if p.parent != folder and p.is_file()] if folder.is_dir() else []
    newest = max(found, key=lambda p: p.stat().st_mtime, default=None)
    return f"\n  the newest run below it: {newest.parent}" if newest else ""
