"""Why trials and jobs fail: by the place, which ends a whole search, by the user's input, or by a fault of rlkit's."""

from __future__ import annotations

import errno
from collections.abc import Iterator

from rlkit.errors import EnvError, RlkitError, RunFolderError
from rlkit.runs.lock import BusyError

DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.ESTALE)
"""Error numbers of a disk that is full, broken or gone."""
PLACE = (*DISK, errno.EACCES, errno.EPERM, errno.ENOTDIR)
"""The same, and where a folder may not be written."""
UNWRITABLE = "cannot write "
"""How the message of a file that could not be written begins; of a session's process nothing else is known."""


class SearchError(RlkitError):
    """A search that was given up."""


class SweepError(RlkitError):
    """Jobs of a sweep failed; the others are done."""


class SearchFaultError(Exception):
    """The same of either, where a fault of rlkit's own was among the causes."""


def of_place(error: BaseException) -> bool:
    """Whether a trial failed because its folder cannot be written: any other trial would fail too.

    What an environment may not read is its own affair, a disk that is full is not.
    """
    codes: tuple[int, ...] = PLACE
    folder = False
    for link in chain(error):
        if isinstance(link, BusyError):
            return False
        if isinstance(link, EnvError):
            codes = DISK
        folder = folder or isinstance(link, RunFolderError)
        if isinstance(link, OSError) and (folder or link.errno in codes):
            return True
        if isinstance(link, RlkitError) and UNWRITABLE in str(link):
            return True
    return False


def of_user(error: BaseException) -> bool:
    """Whether the user can mend it."""
    return isinstance(error, RlkitError)


def chain(error: BaseException) -> Iterator[BaseException]:
    """An error and those that it came from."""
    link: BaseException | None = error
    while link is not None:
        yield link
        link = link.__cause__ or (None if link.__suppress_context__ else link.__context__)


def told(error: BaseException) -> str:
    """An error in words: the message of one that the user can mend, else with its kind."""
    return str(error) if of_user(error) else f"{type(error).__name__}: {error}"


def brief(text: str) -> str:
    """The most informative line of an error, without Hydra's advice."""
    lines = [line.strip() for line in text.splitlines()]
    kept = [line for line in lines if line and not line.startswith(("See http", "Set the environment variable"))]
    return "" if not kept else kept[-1] if "Traceback (most recent call last)" in text else kept[0]


def count(n: int, what: str) -> str:
    """A number with its noun: `1 trial`, `2 trials`."""
    return f"{n:,} {what}{'' if n == 1 else 's'}"
