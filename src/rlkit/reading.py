"""Reading what a stranger may have written: plain files of bounded size, whose content has the form that is expected.

A run folder may come from somebody else. Nothing in it may hold up this process or fill its memory: a pipe or a device
in place of a file, a file of endless size, a document nested without end.
"""

from __future__ import annotations

import contextlib
import json
import os
import stat
from collections.abc import Iterator, Mapping
from io import BufferedReader
from pathlib import Path
from typing import Any

import yaml

from rlkit.errors import RunFolderError

MAX_DOCUMENT_BYTES = 64 * 2**20
"""Of a JSON file, which is read whole; manifests of large runs have some hundred thousand bytes."""
MAX_YAML_BYTES = 256 * 2**10
"""Of a YAML file; a configuration has about five thousand."""
MAX_YAML_NODES = 20_000
"""Values of a YAML file once its aliases are written out."""


@contextlib.contextmanager
def plain_file(path: Path) -> Iterator[BufferedReader]:
    """A plain file, open for reading.

    Raises:
        RunFolderError: it is missing, unreadable, or a folder, a pipe or a device.
    """
    try:
        # Without waiting: opening a pipe would wait for somebody to write to it.
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        with os.fdopen(handle, "rb") as file:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                raise RunFolderError(f"{path} is no plain file\n  accepted: a file, not a folder, pipe or device")
            yield file
    except (OSError, ValueError) as error:  # ValueError: a null character in the path
        raise RunFolderError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from error


def read_plain(path: Path, limit: int = MAX_DOCUMENT_BYTES) -> bytes:
    """The bytes of a plain file.

    Raises:
        RunFolderError: it is missing, unreadable, no plain file, or larger than `limit` bytes.
    """
    with plain_file(path) as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise RunFolderError(f"{path} is larger than {limit:,} bytes\n  rlkit writes no such file; move it away")
    return data


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file.

    Raises:
        RunFolderError: it is missing or not JSON.
    """
    try:
        value = json.loads(read_plain(path))
    except (ValueError, RecursionError) as error:
        raise RunFolderError(f"{path} is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise RunFolderError(f"{path} holds no JSON object")
    return value


NUMBER = (int, float, type(None))
RESULT: dict[str, Any] = {
    "status": str,
    "algo": str,
    "env_id": str,
    "frames": int,
    "seeds": list,
    "final_return": {"mean": NUMBER, "std": NUMBER, "iqm": NUMBER, "per_seed": list, "episodes": int},
    "train_return_100": {"mean": NUMBER},
    "best_return": {"mean": NUMBER},
    "metrics": dict,
    "random_return": NUMBER,
    **dict.fromkeys(("fps", "train_seconds", "wall_seconds", "startup_seconds", "peak_rss_mb"), NUMBER),
    "time_split": dict,
}
"""The form of a result.json, as far as it is read again."""


def read_result(path: Path) -> dict[str, Any]:
    """The result of a trial or of a session.

    Raises:
        RunFolderError: it is missing, not JSON, or has another form than rlkit writes.
    """
    result = read_json(path)
    if wrong := misfit(result, RESULT):
        raise RunFolderError(f"{path} is no result of rlkit: {wrong}\n  move it away, then resume the run")
    return result


def misfit(value: Mapping[str, Any], form: Mapping[str, Any], above: str = "") -> str | None:
    """What of a document does not have its form: a key -> its type, types, or the form of an object in it."""
    for key, wanted in form.items():
        if key not in value:
            return f"{above}{key} is missing"
        found = value[key]
        if isinstance(wanted, Mapping):
            if not isinstance(found, Mapping):
                return f"{above}{key} is a {type(found).__name__}"
            if deeper := misfit(found, wanted, f"{above}{key}."):
                return deeper
        elif isinstance(found, bool) or not isinstance(found, wanted):
            return f"{above}{key} is a {type(found).__name__}"
    return None


def read_yaml(path: Path) -> Any:
    """The content of a YAML file. No tag builds an object, and aliases cannot multiply it.

    Raises:
        RunFolderError: it cannot be read, is no YAML, or is too large or too deep.
    """
    try:
        text = read_plain(path, MAX_YAML_BYTES).decode("utf-8-sig")
        value = yaml.safe_load(text)
        _count(value, 0)
    except UnicodeDecodeError as error:
        raise RunFolderError(f"{path} is not text in UTF-8 (byte {error.start})") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f":{mark.line + 1}" if mark is not None else ""
        what = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise RunFolderError(f"{path}{where} is not valid YAML: {what}") from error
    except (ValueError, TypeError, RecursionError) as error:  # a date or a key that is none, or too deep
        what = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise RunFolderError(f"{path} is not valid YAML: {what}") from error
    return value


def _count(value: Any, so_far: int) -> int:
    """Values in a document, an alias counted each time; stops where there are too many."""
    so_far += 1
    if so_far > MAX_YAML_NODES:
        raise ValueError(f"it holds more than {MAX_YAML_NODES:,} values")
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        so_far = _count(item, so_far)
    return so_far
