"""A score, and the protocol by which it was measured."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from rlkit import seeding
from rlkit.results.stats import iqm


@dataclass(frozen=True)
class Protocol:
    """How a score was measured."""

    env_id: str
    episodes: int
    deterministic: bool
    max_steps: int
    first_seed: int = seeding.EVAL_SEEDS
    eval_seeds: str = "disjoint from training"

    def __str__(self) -> str:
        actions = "deterministic" if self.deterministic else "sampled"
        if self.episodes == 1:
            return f"{self.env_id}, 1 {actions} episode, evaluation seed {self.first_seed} ({self.eval_seeds})"
        return (
            f"{self.env_id}, {self.episodes} {actions} episodes, evaluation seeds "
            f"{self.first_seed} to {self.first_seed + self.episodes - 1} ({self.eval_seeds})"
        )


@dataclass(frozen=True)
class Score:
    """Undiscounted returns of whole episodes, and the protocol that they were played by."""

    returns: list[float]
    lengths: list[int]
    protocol: Protocol

    @property
    def mean(self) -> float:
        """Mean return."""
        return float(np.mean(self.returns))

    @property
    def std(self) -> float:
        """Standard deviation over episodes."""
        return float(np.std(self.returns))

    @property
    def iqm(self) -> float:
        """Interquartile mean over episodes."""
        return iqm(self.returns)

    def row(self, frames: int, updates: int) -> dict[str, Any]:
        """A line of eval.jsonl."""
        return {
            "frames": frames,
            "updates": updates,
            "mean": self.mean,
            "std": self.std,
            "iqm": self.iqm,
            "length": float(np.mean(self.lengths)),
            "returns": self.returns,
            "protocol": asdict(self.protocol),
        }
