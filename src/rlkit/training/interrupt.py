"""Ctrl-C and SIGTERM: once asks for a clean stop with a checkpoint, a second time stops at once."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any, Self


class StopSignal:
    """A flag that SIGINT and SIGTERM raise while the context is entered."""

    def __init__(self) -> None:
        self.requested = False
        self.before: dict[int, Any] = {}

    def request(self) -> None:
        """Ask for a clean stop."""
        self.requested = True

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self.before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True
