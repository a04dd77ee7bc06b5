"""Standard output that fails: the work behind it is done all the same."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from rlkit.display.streams import Lenient

PROGRAM = """
import sys
from rlkit.display.streams import lost_output, make_lenient
make_lenient()
for number in range(2000):
    print(f"line {number} \\xb1 \\u2026 \\udcff", flush=number % 100 == 0)
open("done", "w").write(str(lost_output()))
"""


def run(command: str, **variables: str) -> subprocess.CompletedProcess[bytes]:
    """A shell command, in which PROGRAM prints."""
    script = command.replace("PROGRAM", f"{sys.executable} program.py")
    Path("program.py").write_text(PROGRAM)
    return subprocess.run(["bash", "-c", script], capture_output=True, timeout=60, env={**os.environ, **variables})


@pytest.mark.parametrize(
    ("command", "lost"),
    [
        ("PROGRAM", None),
        ("PROGRAM | head -1", None),
        ("PROGRAM > /dev/full", "No space left"),
        ("PROGRAM >&-", None),
        ("PROGRAM <&- >&- 2>&-", None),
        ("PROGRAM 2>/dev/full | true", None),
    ],
)
def test_printing_never_fails(command: str, lost: str | None):
    done = run(command)
    assert done.stderr == b""
    told = Path("done").read_text()
    assert told == "None" if lost is None else lost in told


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_a_stream_that_an_environment_closes_still_takes_what_others_print(stream: str):
    Path("closing.py").write_text(
        "import sys\nfrom rlkit.display.streams import make_lenient\nmake_lenient()\n"
        f"print('before', file=sys.{stream})\nsys.{stream}.close()\nprint('after', file=sys.{stream})\n"
    )
    done = subprocess.run([sys.executable, "closing.py"], capture_output=True, timeout=60, text=True)
    assert done.returncode == 0
    assert getattr(done, stream).split() == ["before", "after"]


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8", "cp437"])
def test_characters_that_cannot_be_shown_are_replaced(encoding: str):
    done = run("PROGRAM", PYTHONIOENCODING=encoding)
    assert done.returncode == 0
    first = done.stdout.decode(encoding).splitlines()[0]
    assert first.startswith("line 0 ")
    assert ("±" in first) == (encoding != "ascii")


def test_nothing_is_written_after_the_first_failure():
    read, write = os.pipe()
    os.close(read)
    stream = Lenient(write)
    assert stream.write(b"abc") == 3
    assert isinstance(stream.lost, BrokenPipeError)
    assert stream.write(b"abc") == 3
    os.close(write)
