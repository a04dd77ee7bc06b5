"""What the page shows of a folder of runs: read from the disk, kept until a file changes, never written."""

from __future__ import annotations

import os
import re
import stat
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from rlkit.errors import RlkitError, RunFolderError
from rlkit.evidence.gather import Run, flat, shown
from rlkit.evidence.report import MARKDOWN, PAGE
from rlkit.evidence.trials import Trial, differences, env_of
from rlkit.reading import plain_file, read_json, read_yaml
from rlkit.redaction import redact, redact_values
from rlkit.runs.folder import RunFolder
from rlkit.runs.lock import held
from rlkit.ui.curves import Curves, seeds_of
from rlkit.ui.search import is_search, table

DEEPEST, MOST_FOLDERS = 8, 50_000
"""How far runs are looked for below the folder."""
LISTING_SECONDS = 0.4
"""After so long a listing is sent as it is; runs that were not read yet follow in the next one."""
TAIL_BYTES = 2**16
"""The end of a file in which its last row is looked for."""
LOG_BYTES = 20_000
"""The end of run.log that the page shows."""
STATES = ("running", "complete", "pruned", "stopped", "diverged", "failed")
VIDEOS = {".mp4": "video/mp4", ".gif": "image/gif"}
STAMP = re.compile(r"\d{8}-\d{6}")


class MissingError(RlkitError):
    """Nothing below the folder of runs has this name."""


@dataclass
class Known:
    """A run as it was read, and the state of its files then."""

    key: tuple[Any, ...]
    row: dict[str, Any]
    config: dict[str, Any]


class Runs:
    """The runs below a folder. All methods may be called from several threads."""

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        self._known: dict[Path, Known] = {}
        self._curves = Curves()
        self._lock = threading.Lock()

    def listing(self, seconds: float = LISTING_SECONDS) -> dict[str, Any]:
        """A row for each run, and the names of searches and reports.

        Args:
            seconds: when these are over, runs that have not been read yet have a row with their name alone.
        """
        with self._lock:
            end = time.monotonic() + seconds
            found: dict[str, list[Path]] = {"runs": [], "searches": [], "reports": []}
            for kind, folder in _found(self.root):
                found[kind].append(folder)
            self._known = {folder: known for folder, known in self._known.items() if folder in set(found["runs"])}
            rows, waiting = [], 0
            for folder in found["runs"]:
                if folder not in self._known and time.monotonic() > end:
                    rows.append({"id": self._name(folder), "status": "reading", "version": ""})
                    waiting += 1
                else:
                    rows.append(self._row(folder))
        named = {kind: [self._name(folder) for folder in found[kind]] for kind in ("searches", "reports")}
        return {"root": redact(str(self.root)), "waiting": waiting, "runs": rows, **named}

    def run(self, name: str) -> dict[str, Any]:
        """Everything about one run.

        Raises:
            MissingError: there is none of this name.
            RunFolderError: it cannot be read.
        """
        folder = RunFolder.open(self.place(name))
        about = read_json(folder.run) if folder.run.exists() else {}
        host = about.get("host")
        films = [
            self._name(film)
            for seed in seeds_of(folder)
            for film in sorted((folder.session(seed).path / "videos").glob("*"), key=_number_of)
            if film.suffix in VIDEOS
        ]
        return {
            "id": name,
            "folder": str(folder.path),
            "config": {key: shown(value) for key, value in self._config(folder).items()},
            "videos": films,
            "log": _tail_of_log(folder.log),
            **redact_values(
                {
                    "command": _text(about.get("command")),
                    "revision": _text(about.get("git_sha"))
                    + (" with changes" if about.get("git_dirty") is True else ""),
                    "versions": _pairs(about.get("versions")),
                    "host": _pairs(host),
                    "device": _pairs(about.get("device")),
                    "error": _text(about.get("error")),
                }
            ),
        }

    def curves(self, name: str, metric: str, after: Mapping[int, int], points: int) -> dict[str, Any]:
        """The curves of a run; see `Curves.of`."""
        with self._lock:
            return self._curves.of(RunFolder.open(self.place(name)), metric, after, points)

    def differences(self, names: Sequence[str]) -> dict[str, list[str]]:
        """The keys of the configurations in which runs differ, with the value in each."""
        runs = [Run(folder.path, self._config(folder), []) for folder in map(self._open, names)]
        return differences([Trial({}, [run], []) for run in runs]) if len(runs) > 1 else {}

    def search(self, name: str) -> dict[str, Any]:
        """The trials of a search, or the jobs of a sweep, as a table."""
        folder = self.place(name)
        if not is_search(folder):
            raise MissingError(f"{name} is no search")
        return {"id": name, **table(folder, lambda run: self._name(run.resolve()))}

    def video(self, name: str) -> Path:
        """A film of a run."""
        file = self._file(name)
        if file.suffix not in VIDEOS or file.parent.name != "videos":
            raise MissingError(f"{name} is no video of a run")
        return file

    def report(self, name: str) -> Path:
        """The page that `rlkit report` has written into a folder."""
        if not (self.place(name) / MARKDOWN).is_file():
            raise MissingError(f"{name} is no report")
        return self._file(f"{name}/{PAGE}")

    def place(self, name: str) -> Path:
        """What a name stands for.

        Raises:
            MissingError: nothing, or something outside of the folder of runs.
        """
        try:
            place = (self.root / name).resolve(strict=True)
        except (OSError, ValueError, RuntimeError) as error:
            raise MissingError(f"{name} is not here") from error
        if ".." in Path(name).parts or not place.is_relative_to(self.root):
            raise MissingError(f"{name} is not here")
        return place

    def _file(self, name: str) -> Path:
        file = self.place(name)
        if not stat.S_ISREG(file.stat().st_mode):
            raise MissingError(f"{name} is no file")
        return file

    def _open(self, name: str) -> RunFolder:
        return RunFolder.open(self.place(name))

    def _name(self, path: Path) -> str:
        """How the page names a folder or a file."""
        if not path.is_relative_to(self.root):
            return ""
        return str(path.relative_to(self.root)).encode("utf-8", "backslashreplace").decode()

    def _config(self, folder: RunFolder) -> dict[str, Any]:
        return flat(redact_values(read_yaml(folder.config)))

    def _row(self, folder: Path) -> dict[str, Any]:
        known = self._known.get(folder)
        try:
            key = _state_of(folder)
            if known is not None and known.row["status"] in ("running", "interrupted"):
                key = (*key, held(folder))
            if known is None or known.key != key:
                known = self._read(folder, known)
        except Exception as error:  # a stranger's folder may hold anything, and must not take the list down
            why = (redact(str(error)) or type(error).__name__).splitlines()[0].replace(f"{folder}/", "")
            row = {"id": self._name(folder), "status": "unreadable", "problem": why, "version": why}
            known = Known((), row, {})
        self._known[folder] = known
        return known.row

    def _read(self, folder: Path, before: Known | None) -> Known:
        key = _state_of(folder)
        run = RunFolder.open(folder)
        # A configuration takes the longest to read, and stays as it is.
        same = before is not None and bool(before.key) and before.key[:1] == key[:1]
        config = before.config if same and before is not None else flat(read_yaml(run.config))
        row = _summary(run, config)
        if row["status"] in ("running", "interrupted"):
            key = (*key, row["status"] == "running")
        name = self._name(folder)
        return Known(key, {"id": name, **row, "version": str(abs(hash(key)))}, config)


def _found(root: Path) -> Iterator[tuple[str, Path]]:
    """The runs, searches and reports below a folder. Links are not followed, nor is a run's own folder entered."""
    seen = 0
    for place, below, files in os.walk(root):
        seen += 1
        folder = Path(place)
        if "config.yaml" in files:
            yield "runs", folder
            below.clear()
            continue
        if is_search(folder):
            yield "searches", folder
        if PAGE in files and MARKDOWN in files:
            yield "reports", folder
        deep = len(folder.relative_to(root).parts)
        below[:] = sorted(name for name in below if not name.startswith(".")) if deep < DEEPEST else []
        if seen > MOST_FOLDERS:
            return


def _state_of(folder: Path) -> tuple[Any, ...]:
    """What changes when a file that a row is made from does; that of config.yaml comes first."""
    sessions = sorted(name for name in os.listdir(folder) if name.startswith("session_"))  # noqa: PTH208 (names alone)
    files = ["config.yaml", "run.json", "result.json"]
    files += [f"{name}/{file}" for name in sessions for file in ("metrics.jsonl", "eval.jsonl", "result.json")]
    return tuple(_stamp(folder / file) for file in files)


def _stamp(file: Path) -> tuple[int, int, int] | None:
    try:
        found = file.lstat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def _summary(run: RunFolder, config: Mapping[str, Any]) -> dict[str, Any]:
    """The row of a run in the list."""
    about = read_json(run.run) if run.run.exists() else {}
    result = read_json(run.result) if run.result.exists() else {}
    status = about.get("status") if about.get("status") in STATES else result.get("status")
    if status == "running" and not held(run.path):
        status = "interrupted"
    final = result.get("final_return")
    final = final if isinstance(final, Mapping) and status not in ("running", "interrupted") else {}
    sessions = [run.session(seed) for seed in seeds_of(run)]
    evals = [_last_row(session.eval) for session in sessions]
    rows = [*evals, *(_last_row(session.metrics) for session in sessions), result]
    frames = [_number(row.get("frames")) for row in rows]
    speeds = [_number(_last_row(session.timing).get("fps")) for session in sessions]
    return {
        "status": status if status in (*STATES, "interrupted") else "unknown",
        "algo": redact(shown(config.get("algo.name", "-"))),
        "env": redact(env_of(Run(run.path, config, []))),
        "frames": max((f for f in frames if f is not None), default=0),
        "budget": _number(config.get("frames")),
        "seeds": len(sessions),
        "score": _number(final.get("mean")),
        "interval": _numbers(final.get("ci95")),
        "per_seed": _numbers(final.get("per_seed")),
        "latest": _mean([_number(row.get("mean")) for row in evals]),
        "fps": _number(result.get("fps")) or _mean(speeds),
        "started": _started(run),
        "error": redact(_text(about.get("error"))).partition("\n")[0][:200],
    }


def _started(run: RunFolder) -> float:
    """When a run began, in seconds since 1970: what its folder's name says, else the age of its configuration."""
    if match := STAMP.search(run.path.name):
        try:
            return datetime.strptime(match[0], "%Y%m%d-%H%M%S").timestamp()
        except (ValueError, OverflowError):
            pass
    return run.config.stat().st_mtime


def _last_row(path: Path) -> dict[str, Any]:
    """The last whole row of a file, as far as its end has one."""
    import json

    if not path.exists():
        return {}
    with plain_file(path) as file:
        file.seek(max(0, os.fstat(file.fileno()).st_size - TAIL_BYTES))
        lines = file.read(TAIL_BYTES).split(b"\n")[:-1]
    for line in reversed(lines):
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(row, dict):
            return row
    return {}


def _tail_of_log(path: Path) -> str:
    try:
        with plain_file(path) as file:
            size = os.fstat(file.fileno()).st_size
            file.seek(max(0, size - LOG_BYTES))
            text = file.read(LOG_BYTES).decode(errors="replace")
    except RunFolderError:
        return ""
    return redact(text if size <= LOG_BYTES else text.partition("\n")[2])


def _number(value: Any) -> int | float | None:
    """A finite number as it is, else None."""
    return value if type(value) in (int, float) and abs(value) < 2**63 else None


def _numbers(value: Any) -> list[int | float | None] | None:
    return [_number(item) for item in value[:1000]] if isinstance(value, list) else None


def _mean(values: Sequence[int | float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _pairs(value: Any) -> dict[str, str]:
    return {str(key): shown(item) for key, item in value.items()} if isinstance(value, Mapping) else {}


def _number_of(film: Path) -> int:
    return int(film.stem) if film.stem.isdecimal() and len(film.stem) < 16 else -1
