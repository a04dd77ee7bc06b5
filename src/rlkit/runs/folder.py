"""The run folder: where its files are, and whether it is one."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from rlkit.errors import RunFolderError
from rlkit.reading import read_json as read_json
from rlkit.runs.lines import JsonLines as JsonLines
from rlkit.runs.lines import read_rows as read_rows
from rlkit.runs.writing import dumps as dumps
from rlkit.runs.writing import finite as finite
from rlkit.runs.writing import write_json as write_json
from rlkit.runs.writing import write_text as write_text
from rlkit.runs.writing import writing as writing

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
        with writing(root, elsewhere="RLKIT_RUNS=/another/folder"):
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
            RunFolderError: there is none, or what it holds is not to be read or written: a link that leads out of it,
                a pipe or a device.
        """
        folder = Path(path).absolute()  # an environment may change the working directory
        try:
            if folder.name.startswith("session_"):
                folder = folder.parent
            if not (folder / "config.yaml").is_file():
                raise RunFolderError(f"{path} {_no_run(folder)}{_nearby(folder)}")
            _refuse_strange(folder)
        except (OSError, ValueError) as error:  # too long a name, a folder of somebody else's, a null character
            raise RunFolderError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from error
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
    """The folder of all runs, absolute: `RLKIT_RUNS`, by default `runs` in the working directory.

    Raises:
        RunFolderError: it names the home directory of an unknown user.
    """
    root = Path(os.environ.get("RLKIT_RUNS", "").strip() or "runs")
    try:
        return root.expanduser().absolute()
    except RuntimeError as error:
        raise RunFolderError(f"RLKIT_RUNS={root}: {error}") from error


def config_hash(config: dict[str, Any]) -> str:
    """A fingerprint of a configuration, the same for any order of its keys."""
    return hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()[:16]


FILES = (
    *("config.yaml", "overrides.yaml", "run.json", "result.json", "run.log", "tracking.log", ".lock", ".tracking", "plots"),
    *(f"plots/learning_curve.{kind}" for kind in ("png", "svg", "csv")),
)
SESSION_FILES = ("metrics.jsonl", "eval.jsonl", "timing.jsonl", "result.json", "tracking.json", "checkpoints", "videos", ".lock")
"""What rlkit reads and writes in a run's folder, and in that of a session."""


def _refuse_strange(folder: Path) -> None:
    """Refuse a run in which a pipe, a device or a way out of the folder stands in place of a file.

    Raises:
        RunFolderError: naming the first.
    """
    sessions = [path for path in sorted(folder.iterdir()) if path.name.startswith("session_")]
    ours = [folder / name for name in FILES]
    ours += [entry for path in sessions for entry in (path, *(path / name for name in SESSION_FILES))]
    root = folder.resolve()
    for path in ours:
        try:
            found = path.lstat()
        except (FileNotFoundError, NotADirectoryError):
            continue
        if stat.S_ISLNK(found.st_mode):
            target = path.resolve()
            if not target.is_relative_to(root):
                raise RunFolderError(
                    f"{path} is a link that leads out of the run, to {target}\n"
                    "  put what it leads to in its place; rlkit neither reads nor writes through it"
                )
            if not target.exists():
                continue
            found = target.stat()
        if not stat.S_ISREG(found.st_mode) and not stat.S_ISDIR(found.st_mode):
            raise RunFolderError(f"{path} is a pipe, a socket or a device, where a run has a file\n  remove it")


def _no_run(folder: Path) -> str:
    """Why a folder is not that of a run."""
    if folder.is_dir():
        return "is not a run folder: it has no config.yaml"
    return "is a file, and a run is a folder" if folder.exists() else "does not exist"


DEEPEST, MOST_FOLDERS = 4, 2000
"""How far a run is looked for below a folder that is none."""


def _nearby(folder: Path) -> str:
    """The newest run below a folder, to name it in an error."""
    found = [(config.stat().st_mtime, config.parent) for config in _configs(folder)]
    return f"\n  the newest run below it: {max(found)[1]}" if found else ""


def _configs(folder: Path) -> Iterator[Path]:
    """The configurations of runs below a folder, level by level."""
    level, seen = [folder], 0
    for _ in range(DEEPEST):
        below: list[Path] = []
        for place in level:
            with contextlib.suppress(OSError):
                below += [path for path in place.iterdir() if path.is_dir() and not path.is_symlink()]
        seen += len(below)
        if seen > MOST_FOLDERS:
            return
        yield from (config for path in below if (config := path / "config.yaml").is_file())
        level = below
