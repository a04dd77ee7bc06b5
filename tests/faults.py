"""Writes that fail: for tests of what a full, read-only or broken disk leaves behind.

```python
with failing(tmp_path, "write", errno.ENOSPC, at=3) as fault:
    ...                     # the third write below tmp_path, and each after it, finds the disk full
assert fault.struck
```
"""

from __future__ import annotations

import builtins
import contextlib
import io
import os
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

CALLS = ("open", "write", "fsync", "rename", "close", "mkdir")
NEVER = 10**9


@dataclass
class Fault:
    """Which call fails, and how; `counts` is how many there were of each kind so far."""

    root: Path
    call: str
    error: int
    at: int = 1
    half: bool = False
    """A write takes the first half before it fails."""
    once: bool = False
    """Only the `at`-th call fails, not those after it."""
    counts: Counter[str] = field(default_factory=Counter)
    struck: list[str] = field(default_factory=list)
    """The files that were being written."""

    def below(self, path: object) -> bool:
        try:
            return Path(os.fsdecode(path)).absolute().is_relative_to(self.root)  # type: ignore[arg-type]
        except TypeError:  # a descriptor
            return False

    def meet(self, call: str, path: object, before: Callable[[], object] = lambda: None) -> None:
        """Count a call, and fail where it is its turn; `before` is what it still does then."""
        if not self.below(path):
            return
        self.counts[call] += 1
        count = self.counts[call]
        if call == self.call and (count == self.at or (count > self.at and not self.once)):
            self.struck.append(str(path))
            if self.half:
                before()
            raise OSError(self.error, os.strerror(self.error), os.fsdecode(path))  # type: ignore[arg-type]


class _File:
    """An open file whose writes and closing may fail."""

    def __init__(self, file: Any, path: object, fault: Fault) -> None:
        self._file, self._path, self._fault = file, path, fault

    def write(self, data: Any) -> int:
        self._fault.meet("write", self._path, lambda: (self._file.write(data[: len(data) // 2]), self._file.flush()))
        written: int = self._file.write(data)
        return written

    def close(self) -> None:
        was_open = not self._file.closed
        self._file.close()
        if was_open:
            self._fault.meet("close", self._path)

    def __enter__(self) -> _File:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


@contextlib.contextmanager
def failing(
    root: Path, call: str, error: int, *, at: int = 1, half: bool = False, once: bool = False
) -> Iterator[Fault]:
    """Have the `at`-th call of a kind on files below `root` fail, and all after it.

    Args:
        root: the folder.
        call: one of `CALLS`.
        error: of `errno`.
        at: which call; `NEVER` only counts them.
        half: a write takes the first half of its data.
        once: the calls after it succeed.
    """
    assert call in CALLS
    fault = Fault(root.absolute(), call, error, at, half, once)
    opened, fsync = io.open, os.fsync

    def open_(path: Any, mode: str = "r", *args: Any, **kwargs: Any) -> Any:
        writes = any(letter in mode for letter in "wax+") and fault.below(path)
        if writes:
            fault.meet("open", path)
        file = opened(path, mode, *args, **kwargs)
        return _File(file, path, fault) if writes else file

    def fsync_(descriptor: int) -> None:
        with contextlib.suppress(OSError):
            fault.meet("fsync", Path(f"/proc/self/fd/{descriptor}").resolve())
            fsync(descriptor)
            return
        raise OSError(error, os.strerror(error))

    def moving(name: str, original: Callable[..., Any]) -> Callable[..., Any]:
        def move(source: Any, *args: Any, **kwargs: Any) -> Any:
            fault.meet(name, source)
            return original(source, *args, **kwargs)

        return move

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(io, "open", open_)
        patch.setattr(builtins, "open", open_)
        patch.setattr(os, "fsync", fsync_)
        patch.setattr(os, "rename", moving("rename", os.rename))
        patch.setattr(os, "replace", moving("rename", os.replace))
        patch.setattr(os, "mkdir", moving("mkdir", os.mkdir))
        yield fault
