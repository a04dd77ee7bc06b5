"""What a session reports to its watchers: a live panel, a pipe to another process, a pruner, a test."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

if TYPE_CHECKING:
    from rlkit.results.progress import Progress

Verdict: TypeAlias = Literal["pruned", "stopped"]
"""Why a session ends before its budget: it was pruned, or stopped to be continued."""

Judge: TypeAlias = Callable[[int, float], Verdict | None]
"""`(frames, mean return) -> verdict`, asked after every evaluation; None lets the session continue."""


class Watcher(Protocol):
    """Sees a session while it runs."""

    def facts(self, seed: int, facts: dict[str, Any]) -> None:
        """Once, before the first frame."""

    def progress(self, progress: Progress) -> None:
        """A few times a second."""
