"""The progress of a session, and its time by activity."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field


@dataclass
class Phases:
    """Seconds spent, by activity."""

    env: float = 0.0
    policy: float = 0.0
    learn: float = 0.0
    eval: float = 0.0
    other: float = 0.0

    @property
    def train(self) -> float:
        """All but evaluation."""
        return self.env + self.policy + self.learn + self.other

    def split(self) -> dict[str, float]:
        """Shares of the total."""
        seconds = asdict(self)
        total = sum(seconds.values()) or 1.0
        return {name: s / total for name, s in seconds.items()}


@dataclass
class Progress:
    """The progress of a session."""

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
    doing: str = ""
    """What is done beside training, such as an evaluation, and how far it is."""
