"""What a session tells those who watch it: a live panel, a pipe to another process, a test."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol


@dataclass
class Progress:
    """Where a session stands, for those who watch."""

    seed: int
    frames: int
    total_frames: int
    fps: float
    seconds_left: float
    return_100: float
    eval_return: float
    checkpoint_frames: int
    split: dict[str, float]
    metrics: dict[str, float | None] = field(default_factory=dict)


class Watcher(Protocol):
    """Sees a session while it runs: a live panel, a pipe to another process, a test."""

    def facts(self, seed: int, facts: dict[str, Any]) -> None:
        """Once, before the first frame."""

    def progress(self, progress: Progress) -> None:
        """A few times a second."""
