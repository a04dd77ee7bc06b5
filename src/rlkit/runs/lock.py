"""One writer at a time: the lock of the folder of a run, a session or a search. It ends with its process."""

from __future__ import annotations

import contextlib
import errno
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from filelock import BaseFileLock, FileLock, Timeout
from loguru import logger

from rlkit.errors import RunFolderError
from rlkit.runs.writing import writing

LOCK = ".lock"


class BusyError(RunFolderError):
    """Another process writes to the folder."""


@contextlib.contextmanager
def alone(folder: Path, what: str, *, wait_seconds: float = 0.0) -> Iterator[None]:
    """Hold the lock of a folder.

    Args:
        folder: there already.
        what: another process may be doing with it, for the message.
        wait_seconds: how long to wait for a process that holds it.

    Raises:
        BusyError: another process holds it.
        RunFolderError: the folder cannot be written to.
    """
    lock = FileLock(folder / LOCK, timeout=0)
    end = time.monotonic() + wait_seconds
    told = False
    while not _acquired(lock):
        if time.monotonic() >= end:
            raise BusyError(f"{folder} is being {what} by another process\n  wait for it, or stop it")
        if not told:
            told = True
            logger.info("{} is still being {} by another process; waiting up to {:.0f} s", folder, what, wait_seconds)
        time.sleep(0.1)
    try:
        yield
    finally:
        lock.release()


def _acquired(lock: BaseFileLock) -> bool:
    """Whether the lock is held now, or the file system has no locks."""
    with writing(Path(lock.lock_file)):
        try:
            lock.acquire()
        except Timeout:
            return False
        except OSError as error:
            if error.errno not in (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP):
                raise
    return True


def held(folder: Path) -> bool:
    """Whether a process holds the lock. Only looks: the folder stays as it is."""
    path = folder / LOCK
    if not path.is_file():
        return False
    if sys.platform == "win32":
        lock = FileLock(path, timeout=0)
        free = _acquired(lock)
        lock.release()
        return not free
    import fcntl

    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False
