"""Writing files so that a crash or a full disk leaves the old ones whole, and says in words what went wrong."""

from __future__ import annotations

import contextlib
import errno
import json
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rlkit.errors import RunFolderError
from rlkit.redaction import redact

REASONS = {
    errno.ENOSPC: "the disk is full; free some space",
    errno.EDQUOT: "your disk quota is used up; free some space",
    errno.EROFS: "the file system is read-only",
    errno.EACCES: "permission denied",
    errno.EPERM: "permission denied",
    errno.ENOTDIR: "a part of the path is a file",
    errno.ENAMETOOLONG: "the name is too long",
    errno.EIO: "the disk reports an error",
}


@contextlib.contextmanager
def writing(path: Path, *, elsewhere: str | None = None) -> Iterator[None]:
    """Say what could not be written and why, when the system refuses.

    Args:
        path: what is written, for errors that do not name a file.
        elsewhere: what to give to write into another place, where that helps.

    Raises:
        RunFolderError: in place of the OSError.
    """
    try:
        yield
    except OSError as error:
        lines = [f"cannot write {_place(error, path)}: {reason(error)}"]
        lines += [f"write elsewhere with {elsewhere}"] if elsewhere else []
        raise RunFolderError("\n  ".join([*lines, "what was already written is kept"])) from error


def reason(error: OSError) -> str:
    """Why the system refused, in words."""
    return REASONS.get(error.errno or 0, str(error.strerror or error))


def _place(error: OSError, path: Path) -> str:
    name = error.filename
    return os.fsdecode(name) if isinstance(name, str | bytes) and name else str(path)


def write_json(path: Path, value: dict[str, Any]) -> None:
    """Write a JSON object, indented, whole or not at all."""
    write_text(path, json.dumps(finite(value), indent=2, ensure_ascii=False) + "\n")


def write_text(path: Path, text: str, *, elsewhere: str | None = None) -> None:
    """Write a text as `write_bytes` does. Secrets in it are hidden."""
    write_bytes(path, redact(text).encode("utf-8", "backslashreplace"), elsewhere=elsewhere)


def write_bytes(path: Path, data: bytes, *, elsewhere: str | None = None) -> None:
    """Write a file whole or not at all: beside it first, then in its place.

    Args:
        path: the file.
        data: all of it.
        elsewhere: what to give to write into another place, for the error.

    Raises:
        RunFolderError: the disk is full or read-only.
    """
    beside = path.with_name(f".{path.name}.partial")  # what a kill leaves of it, the next write replaces
    with writing(path, elsewhere=elsewhere):
        try:
            beside.unlink(missing_ok=True)  # nothing is written through a link that somebody has put there
            with beside.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            beside.replace(path)
        finally:
            with contextlib.suppress(OSError):  # what went wrong before is the error to tell
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
