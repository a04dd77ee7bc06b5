"""Signals to a session: stop with a checkpoint, save and continue, or make room on a cluster."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator
from types import FrameType
from typing import Any, Self

ECHO_SECONDS = 1.0
"""One Ctrl-C may arrive more than once: from the terminal, and from the process that started the job."""
HANG_UP = getattr(signal, "SIGHUP", None)
MAKE_ROOM = getattr(signal, "SIGUSR2", None)
"""What submitit has SLURM send before the time limit: its own handler queues the job again and ends it."""


class StoppedError(Exception):
    """Work was left unfinished because a stop was requested; a checkpoint of the state before it can be written."""


class StopSignal:
    """Flags that signals raise while the context is entered.

    | signal | on a workstation | in a job of SLURM |
    |---|---|---|
    | SIGINT | stop with a checkpoint; a second time at once | the same |
    | SIGHUP: the terminal has gone | stop with a checkpoint, unless it is ignored, as under nohup | the same |
    | SIGTERM | the same | save and continue until SLURM kills the job: one that ends by itself is not queued again |
    | SIGUSR2 | - | stop with a checkpoint, then `make_room` |
    """

    def __init__(self) -> None:
        self.requested = False
        self.asked_at = 0.0
        self.saving = False
        self.before: dict[int, Any] = {}

    def request(self) -> None:
        """Ask for a clean stop."""
        self.requested = True

    def save_due(self) -> bool:
        """Whether a checkpoint was asked for since the last time."""
        due, self.saving = self.saving, False
        return due

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._install(signal.SIGINT, self._stop)
            if HANG_UP is not None and signal.getsignal(HANG_UP) is not signal.SIG_IGN:
                self._install(HANG_UP, self._stop)
            self._install(signal.SIGTERM, self._save if "SLURM_JOB_ID" in os.environ else self._stop)
            if MAKE_ROOM is not None and callable(signal.getsignal(MAKE_ROOM)):
                self._install(MAKE_ROOM, self._leave)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)

    def _install(self, number: int, handler: Any) -> None:
        self.before[number] = signal.signal(number, handler)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        if not self.requested:
            self.asked_at = time.monotonic()
        elif time.monotonic() - self.asked_at > ECHO_SECONDS:
            raise KeyboardInterrupt
        self.requested = True

    def _save(self, number: int, frame: FrameType | None) -> None:
        self.saving = True

    def _leave(self, number: int, frame: FrameType | None) -> None:
        self.requested = True
        _waiting.append(self.before[number])


class Interrupts:
    """SIGINT, SIGTERM and SIGHUP raise KeyboardInterrupt, but not between the start of a job and the note that it runs.

    SIGINT does so also where a shell had it ignored, as for `command &`; SIGHUP does not where nohup has. Use as a
    context.
    """

    def __init__(self) -> None:
        self.held = self.heard = False
        self.before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            numbers = [signal.SIGINT, signal.SIGTERM]
            if HANG_UP is not None and signal.getsignal(HANG_UP) is not signal.SIG_IGN:
                numbers.append(HANG_UP)
            self.before = {number: signal.signal(number, self._hear) for number in numbers}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)

    def _hear(self, number: int, frame: FrameType | None) -> None:
        if not self.held:
            raise KeyboardInterrupt
        self.heard = True

    @contextlib.contextmanager
    def later(self) -> Iterator[None]:
        """A signal that comes in here is raised at the end."""
        self.held = True
        try:
            yield
        finally:
            self.held = False
        if self.heard:
            self.heard = False
            raise KeyboardInterrupt


_waiting: list[Any] = []


def make_room() -> None:
    """Where a job was asked to make room, queue it again and end this process; else nothing.

    To be called when everything is saved. The job starts again with the same command, in the same folder.
    """
    if _waiting:
        _waiting.pop()(MAKE_ROOM, None)
