"""Standard output and error of the command, which never fail: work continues when their reader goes away."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import sys
from typing import TextIO


class Lenient(io.RawIOBase):
    """A file descriptor that takes everything: from the first write that fails on, what is written is dropped.

    Whoever reads our output may go away (`| head -1`, a terminal that is closed), and the disk behind it may be full.
    """

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self.lost: OSError | None = None
        """Why something could not be written."""

    def write(self, data: object) -> int:
        """Write all of it, or drop what cannot be written."""
        rest = memoryview(data).cast("B")  # type: ignore[arg-type]
        whole = len(rest)
        while len(rest) and self.lost is None:
            try:
                rest = rest[os.write(self.descriptor, rest) :]
            except BlockingIOError:  # somebody made it non-blocking, and its reader is slow
                with contextlib.suppress(OSError):
                    os.set_blocking(self.descriptor, True)
            except OSError as error:
                self.lost = error
        return whole

    def writable(self) -> bool:
        """True."""
        return True

    def fileno(self) -> int:
        """The descriptor."""
        return self.descriptor

    def isatty(self) -> bool:
        """Whether it is a terminal."""
        return os.isatty(self.descriptor)


class Outlet(io.TextIOWrapper):
    """Text for a `Lenient`; an environment that closes it closes it for itself only."""

    def close(self) -> None:
        """Write what is waiting, and stay open."""
        with contextlib.suppress(OSError, ValueError):
            self.flush()


_outlets: list[Lenient] = []


def make_lenient() -> None:
    """Have this process's own output never fail: characters that it cannot show are replaced, lost readers ignored.

    Streams that somebody else has put in the place of standard output or error, as a notebook does, stay as they are.
    """
    for descriptor in range(3):  # one that is closed would be given to the next file that is opened
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    if sys.stdin is None:
        sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
    for name, original in (("stdout", sys.__stdout__), ("stderr", sys.__stderr__)):
        if getattr(sys, name) is original:
            setattr(sys, name, _outlet(2 if name == "stderr" else 1, original))


def _outlet(descriptor: int, before: TextIO | None) -> TextIO:
    if before is not None:
        with contextlib.suppress(OSError, ValueError):
            before.flush()
    raw = Lenient(descriptor)
    _outlets.append(raw)
    return Outlet(
        io.BufferedWriter(raw),
        encoding=getattr(before, "encoding", None) or "utf-8",
        errors="replace",
        line_buffering=descriptor == 2 or raw.isatty(),
        write_through=bool(getattr(before, "write_through", False)),
    )


def lost_output() -> OSError | None:
    """Why standard output did not take everything; None also where its reader has only gone away, as `head` does."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    lost = next((outlet.lost for outlet in _outlets if outlet.descriptor == 1), None)
    return None if lost is None or lost.errno in (errno.EPIPE, errno.EBADF, errno.EIO) else lost
