"""What a part of the campaign found, and processes that may be killed."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

OUTPUT = "output.txt"
FAULT = ("an error in rlkit itself", "Traceback (most recent call last)", "Logging error in Loguru")
"""What no user may ever see."""


@dataclass
class Outcome:
    """How many attacks were made, how many held, and what the others showed."""

    name: str
    what: str
    tried: int = 0
    held: int = 0
    seconds: float = 0.0
    broke: list[str] = field(default_factory=list)

    def add(self, wrong: str | None, case: str) -> None:
        """Count an attack; `wrong` says what went wrong, None that it held."""
        self.tried += 1
        if self.tried % 50 == 0:
            print(f"{self.name}: {self.tried} tried", flush=True)
        if wrong is None:
            self.held += 1
        else:
            self.broke.append(f"{case}: {wrong}")
            print(f"BROKE {self.name}: {case}: {wrong}", flush=True)

    @contextlib.contextmanager
    def timed(self) -> Iterator[Outcome]:
        """Note how long it took."""
        began = time.perf_counter()
        yield self
        self.seconds = time.perf_counter() - began


def forked(work: Callable[[], Any], output: Path) -> int:
    """Start work in a copy of this process, which has everything imported; returns its number.

    What it prints goes to a file. Its exit status is that of rlkit's command line.
    """
    sys.stdout.flush()
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        os.setsid()
        descriptor = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(descriptor, 1)
        os.dup2(descriptor, 2)
        work()
        status = 0
    except SystemExit as leaving:
        status = leaving.code if isinstance(leaving.code, int) else 0
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
        os._exit(status)


def wait(pid: int, seconds: float) -> int | None:
    """The exit status of a process; None where it was killed because it took too long."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    os.killpg(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return None


def command(words: list[str]) -> None:
    """Run rlkit's command line in this process."""
    from rlkit.cli.app import main

    sys.argv = ["rlkit", *words]
    main()


def fault_in(output: Path) -> str | None:
    """The first line that no user may see, if there is one."""
    text = output.read_text(errors="replace")
    lines = [line for line in text.splitlines() if any(words in line for words in FAULT)]
    return lines[0][:200] if lines else None
