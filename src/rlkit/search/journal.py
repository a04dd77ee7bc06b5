"""The journal of a study: Optuna's storage in one file, which survives full disks, power cuts and killed processes.

Each line of the file is one record of Optuna's. Optuna's own backend appends to whatever ends the file, so half a line
left by a full disk makes the file unreadable for good. Here a tail that is no record is ignored by readers, and cut off
under the lock before the next append; a copy of it stays beside the journal.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
from loguru import logger
from optuna.exceptions import DuplicatedStudyError, UpdateFinishedTrialError
from optuna.storages import JournalStorage
from optuna.storages.journal import BaseJournalBackend

from rlkit.errors import RlkitError, RunFolderError
from rlkit.runs.folder import writing

FIRST = b'{"op_code"'
"""How every record begins."""
STALE_SECONDS = 30.0
"""A lock held for this many seconds belongs to a process that has died, as in Optuna."""
DEAD_SECONDS = 1.0
"""The same where the process is known to be dead. An append takes milliseconds."""
WORD_SECONDS = 2.0
"""A wait for the lock is explained after this many seconds."""


class Journal(JournalStorage):
    """Optuna's journal storage over a `JournalFile`. What no search writes is refused with the file's name."""

    def __init__(self, path: Path) -> None:
        self.path = path
        super().__init__(JournalFile(path))

    def _sync_with_backend(self) -> None:
        try:
            super()._sync_with_backend()
        except (RlkitError, UpdateFinishedTrialError, DuplicatedStudyError):
            raise
        except Exception as error:  # a record with other keys, other types, or of trials that do not exist
            read = self._replay_result.log_number_read
            raise damaged(self.path, f"record {read} is none of a study ({type(error).__name__})") from error


class JournalFile(BaseJournalBackend):
    """The records of a file.

    Args:
        path: the file; the first append makes it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.offsets = [0]
        """Where each record begins, and where the last one ends."""

    def read_logs(self, log_number_from: int) -> Iterator[dict[str, Any]]:
        """The records from a number on.

        Raises:
            RunFolderError: a record is damaged and others follow it, or the file is no regular one or cannot be read.
        """
        start = min(log_number_from, len(self.offsets) - 1)
        del self.offsets[start + 1 :]
        found, rest = records(self._read(self.offsets[start]))
        if rest and not _tail(rest, alone=self.offsets[start] == 0 and not found):
            raise damaged(self.path, f"line {start + len(found) + 1} is no record of a study")
        for number, (record, size) in enumerate(found, start=start):
            self.offsets.append(self.offsets[number] + size)
            if number >= log_number_from:
                yield record

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Append records, whole or not at all.

        Raises:
            RunFolderError: the disk is full or read-only.
        """
        data = b"".join(json.dumps(log, separators=(",", ":")).encode() + b"\n" for log in logs)
        with writing(self.path), locked(self.path):
            self._mend()
            with os.fdopen(os.open(self.path, os.O_RDWR | os.O_CREAT, 0o666), "r+b", buffering=0) as file:
                end = file.seek(0, os.SEEK_END)
                try:
                    written = 0
                    while written < len(data):
                        written += file.write(data[written:])
                    os.fsync(file.fileno())
                except BaseException:
                    with contextlib.suppress(OSError):
                        file.truncate(end)
                    raise

    def _mend(self) -> None:
        """Cut off a tail that is no record, which a killed process or a full disk has left; keep a copy of it."""
        end = self.offsets[-1]
        found, rest = records(self._read(end))
        if not rest:
            return
        end += sum(size for _, size in found)
        if not _tail(rest, alone=end == 0):
            raise damaged(self.path, f"what follows byte {end} is no record of a study")
        copy = numbered(self.path.with_name(f"{self.path.name}.cut"))
        copy.write_bytes(rest)
        with self.path.open("r+b") as file:
            file.truncate(end)
            os.fsync(file.fileno())
        logger.warning("{}: the last {:,} bytes were no whole record; cut off, kept in {}", self.path, len(rest), copy)

    def _read(self, start: int) -> bytes:
        """The bytes from a place on; a pipe or a device in the place of the file is not waited for."""
        try:
            handle = os.open(self.path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
            with os.fdopen(handle, "rb") as file:
                if not stat.S_ISREG(os.fstat(handle).st_mode):
                    raise RunFolderError(f"{self.path} is not a regular file, so it holds no study")
                file.seek(start)
                return file.read()
        except FileNotFoundError:
            return b""
        except OSError as error:
            raise RunFolderError(f"{self.path} cannot be read: {error.strerror}") from error


def records(data: bytes) -> tuple[list[tuple[dict[str, Any], int]], bytes]:
    """The leading records with their sizes in bytes, and what is left: nothing, or the first line that is none on."""
    found = []
    start = 0
    while (end := data.find(b"\n", start) + 1) and (record := _record(data[start:end])) is not None:
        found.append((record, end - start))
        start = end
    return found, data[start:]


def _record(line: bytes) -> dict[str, Any] | None:
    if not line.startswith(FIRST):
        return None
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):  # JSONDecodeError and UnicodeDecodeError are ValueErrors
        return None
    return record if isinstance(record, dict) and type(record["op_code"]) is int and "worker_id" in record else None


def _tail(rest: bytes, *, alone: bool) -> bool:
    """Whether bytes that begin with no record are the remains of an append: no record follows them.

    Args:
        rest: the bytes.
        alone: they are all that the file holds; then they have to look like the beginning of a study.
    """
    begun = rest.rstrip(b"\0")[: len(FIRST)]
    if alone and (b"\n" in rest or not FIRST.startswith(begun)):
        return False
    return not any(_record(line + b"\n") is not None for line in rest.split(b"\n")[1:])


def damaged(path: Path, what: str) -> RunFolderError:
    """The error of a journal that cannot be read."""
    return RunFolderError(
        f"{path} is damaged: {what}\n"
        "  put a copy of it in its place; or move the folder away, or give the search another name=..., and start over"
    )


def numbered(path: Path) -> Path:
    """The path, or the first of `<path>.2`, `<path>.3`, ... that does not exist."""
    n = 1
    found = path
    while found.exists() or found.is_symlink():
        n += 1
        found = path.with_name(f"{path.name}.{n}")
    return found


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold `<path>.lock`, Optuna's lock of a journal, which also works where a file system knows no other locks.

    What a killed process has left is removed: after a second where it was one of this machine, else after 30.
    """
    lock = path.with_name(f"{path.name}.lock")
    began = time.monotonic()
    holder, since, told, pause = b"", began, False, 0.001
    while not _acquired(lock):
        now = time.monotonic()
        if (seen := _holder(lock)) != holder:
            holder, since = seen, now
        if now - since > STALE_SECONDS or (now - since > DEAD_SECONDS and _dead(holder)):
            _remove(lock, holder)
        elif not told and now - began > WORD_SECONDS:
            told = True
            logger.info(
                "waiting for {}: what a killed process has left is removed after {:.0f} seconds", lock, STALE_SECONDS
            )
        time.sleep(pause)
        pause = min(2 * pause, 0.25)
    try:
        yield
    finally:
        with contextlib.suppress(FileNotFoundError):
            lock.unlink()


def _acquired(lock: Path) -> bool:
    try:
        handle = os.open(lock, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
    except FileExistsError:
        return False
    try:
        os.write(handle, f"{socket.gethostname()} {os.getpid()} {time.time_ns()}".encode())
    except OSError:  # a full disk, of which the append will tell
        pass
    finally:
        os.close(handle)
    return True


def _holder(lock: Path) -> bytes:
    """What tells one lock from the next."""
    try:
        about = lock.lstat()
        text = lock.read_bytes() if stat.S_ISREG(about.st_mode) else b""  # optuna-dashboard's is a link to the journal
    except OSError:
        return b""
    return text or str(about.st_mtime_ns).encode()


def _dead(holder: bytes) -> bool:
    """Whether the holder was a process of this machine that has ended."""
    words = holder.decode(errors="replace").split()
    return len(words) == 3 and words[0] == socket.gethostname() and words[1].isdecimal() and not _alive(int(words[1]))


def _alive(pid: int) -> bool:
    with contextlib.suppress(psutil.Error, OverflowError):
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    return False


def _remove(lock: Path, holder: bytes) -> None:
    if _holder(lock) == holder:
        with contextlib.suppress(FileNotFoundError):
            lock.unlink()
