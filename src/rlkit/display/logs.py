"""Logging to the terminal and to a run's `run.log`. Handlers of a host program are left alone."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from loguru import logger

from rlkit.errors import ConfigError, RunFolderError
from rlkit.redaction import redact
from rlkit.runs.lines import AppendOnly
from rlkit.runs.writing import reason
from rlkit.settings import setting

_ours: list[int] = []
"""Handlers that rlkit has added."""
LOGURUS_OWN = 0
"""The handler that loguru begins with: it writes everything to standard error, secrets too."""


LEVELS = ("TRACE", "DEBUG", "INFO", "WARNING", "ERROR")
"""What LOG_LEVEL may be."""


def log_to_stderr() -> None:
    """Send the log to standard error, until a run has a folder; loguru's own handler would show secrets."""
    log_to(None, lambda text: print(text, file=sys.stderr))


def log_to(run_log: Path | None, show: Callable[[str], None]) -> None:
    """Send the log to `show`, and with full detail to the run's `run.log`; secrets in it are hidden.

    It takes the place of what an earlier call gave, and of loguru's own handler; those of others stay.

    What is shown begins at the level that LOG_LEVEL names, INFO by default.

    Raises:
        ConfigError: LOG_LEVEL names no level.
        RunFolderError: `run.log` cannot be opened.
    """
    level = (setting("LOG_LEVEL") or "INFO").upper()
    if level not in LEVELS:
        raise ConfigError(f"LOG_LEVEL={level} is not accepted\n  accepted: {', '.join(LEVELS)}")
    file = None if run_log is None else _RunLog(run_log)
    _forget()
    with contextlib.suppress(ValueError):  # somebody has removed it
        logger.remove(LOGURUS_OWN)
    _ours.append(logger.add(lambda message: show(redact(str(message)).rstrip("\n")), format="{message}", level=level))
    if file is not None:
        form = "{time:YYYY-MM-DD HH:mm:ss.SSS} {level: <7} {message}"
        # Without diagnose: it writes the values of variables beside a traceback.
        _ours.append(logger.add(file, format=form, level=min("DEBUG", level, key=LEVELS.index), diagnose=False))


@contextlib.contextmanager
def borrowed_log() -> Iterator[None]:
    """Leave the log of the program that calls rlkit as it was before, loguru's own handler included."""
    core: Any = getattr(logger, "_core", None)  # loguru has no public way to take a handler out and put it back
    own = None if core is None else core.handlers.get(LOGURUS_OWN)
    if own is not None:
        core.handlers = {number: handler for number, handler in core.handlers.items() if number != LOGURUS_OWN}
    try:
        yield
    finally:
        if own is not None:
            core.handlers = {LOGURUS_OWN: own, **core.handlers}
        _forget()


def _forget() -> None:
    while _ours:
        with contextlib.suppress(ValueError):
            logger.remove(_ours.pop())


class _RunLog:
    """`run.log` as loguru writes to it. A line that the disk does not take is left out, and told once."""

    def __init__(self, path: Path) -> None:
        self.file = AppendOnly(path)
        self.told = False

    def write(self, message: str) -> None:
        """One line, or several."""
        try:
            self.file.append(redact(message).encode(errors="backslashreplace"))
        except RunFolderError as error:
            if not self.told and isinstance(error.__cause__, OSError):
                self.told = True
                print(f"{self.file.path} misses lines from here on: {reason(error.__cause__)}", file=sys.stderr)

    def stop(self) -> None:
        """Close the file."""
        with contextlib.suppress(Exception):
            self.file.close()


def log_failure(seed: int, error: Exception) -> None:
    """Write why a seed failed to run.log: the message, and below it the traceback. The terminal shows neither."""
    logger.opt(exception=True).debug("seed {} failed: {}", seed, error)
