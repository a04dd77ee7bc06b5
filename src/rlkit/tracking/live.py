"""Trackers beside training, in a separate process, so that training does not pay for their time or their faults."""

from __future__ import annotations

import contextlib
import shlex
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from typing import IO, TYPE_CHECKING, cast

from loguru import logger

if TYPE_CHECKING:
    from rlkit.config.run import RunConfig
    from rlkit.runs.folder import RunFolder

PATIENCE_SECONDS = 60
"""How long a tracker may take after training to send the rest."""


@contextlib.contextmanager
def tracked(config: RunConfig, folder: RunFolder) -> Iterator[None]:
    """Feed the run's trackers while the block trains it."""
    names = config.tracker.fed
    if not names:
        yield
        return
    command = [sys.executable, "-P", "-m", "rlkit.tracking", str(folder.path)]
    try:
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        stdin, stdout = cast("IO[bytes]", process.stdin), cast("IO[bytes]", process.stdout)
    except OSError as error:
        logger.warning("trackers were not started: {}", error)
        yield
        return
    said = threading.Thread(target=_pass_on, args=(stdout,), daemon=True)
    said.start()
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            stdin.close()
        _finish(process, names, folder)
        said.join(timeout=1)


def _pass_on(stdout: IO[bytes]) -> None:
    """Log the process's complaints."""
    with stdout:
        for line in stdout:
            logger.warning("{}", line.decode(errors="replace").strip())


def _finish(process: subprocess.Popen[bytes], trackers: Sequence[str], folder: RunFolder) -> None:
    names = ", ".join(trackers)
    later = " ".join(["later: rlkit sync", shlex.quote(str(folder.path)), *(f"--to {name}" for name in trackers)])
    try:
        try:
            process.wait(timeout=3)
        except subprocess.TimeoutExpired:
            logger.info("waiting up to {} s for {} to take the last rows", PATIENCE_SECONDS, names)
            process.wait(timeout=PATIENCE_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        logger.warning("{} did not take the last rows in {} s; {}", names, PATIENCE_SECONDS, later)
        return
    if process.returncode:
        logger.warning("the process that feeds {} ended with status {}; {}", names, process.returncode, later)
