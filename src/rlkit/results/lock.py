"""One writer at a time: the lock of a run's or a search's folder. It goes with the process that holds it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from rlkit.errors import RunFolderError
from rlkit.results.folder import writing

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

LOCK = ".lock"


class BusyError(RunFolderError):
    """Another process writes to the folder."""


@contextlib.contextmanager
def alone(folder: Path, what: str) -> Iterator[None]:
    """Hold the lock of a folder.

    Args:
        folder: there already.
        what: another process may be doing with it, for the message.

    Raises:
        BusyError: another process holds it.
    """
    if fcntl is None:
        yield
        return
    with writing(folder):
        lock = (folder / LOCK).open("a")
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise BusyError(f"{folder} is being {what} by another process\n  wait for it, or stop it") from error
        except OSError:  # a file system without locks
            pass
        yield


def held(folder: Path) -> bool:
    """Whether a process holds the lock. Only looks: the folder stays as it is."""
    lock = folder / LOCK
    if fcntl is None or not lock.exists():
        return False
    with lock.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:
            return False
    return False
