"""Configuration of the memories, mirrored by conf/memory."""

from __future__ import annotations

from dataclasses import dataclass, field

from rlkit.config.checks import Checked, Flag, Whole
from rlkit.config.learning import ScheduleConfig


@dataclass(kw_only=True)
class MemoryConfig(Checked):
    """What every memory has."""

    prefix = "memory."

    name: str


@dataclass(kw_only=True)
class RolloutConfig(MemoryConfig):
    """Holds one rollout, the data of the policy that is about to be updated."""

    name: str = "rollout"


@dataclass(kw_only=True)
class ReplayConfig(MemoryConfig):
    """Holds the latest transitions, and draws from them evenly."""

    name: str = "replay"
    buffer_size: Whole = 100_000
    """Capacity in transitions, over all environments; the oldest are overwritten."""
    combined: Flag = False
    """Put the transitions since the last update into every batch, as far as they fit (Zhang & Sutton 2017,
    arXiv:1712.01275)."""
    on_disk: Flag = False
    """Keep the contents in a memory-mapped file in the session's folder; needs `save: false`."""
    save: Flag = True
    """Save the contents with every checkpoint. Without them a resumed run starts with an empty memory, collects
    `algo.learning_starts` frames (at least a batch) with its policy before the next update, and differs from an
    uninterrupted run."""

    def __post_init__(self) -> None:
        self.whole("buffer_size", low=2)
        if self.on_disk and self.save:
            raise self.reject(
                "on_disk", "false, or true together with memory.save=false: a checkpoint would read the whole file"
            )


@dataclass(kw_only=True)
class PrioritizedConfig(ReplayConfig):
    """Draws transitions by the size of their last error (Schaul et al. 2016, arXiv:1511.05952)."""

    name: str = "prioritized"
    alpha: float = 0.6
    """Priority exponent, 0 (uniform) to 1 (proportional)."""
    beta: float = 0.4
    """Exponent of the importance weights at the first frame, 0 to 1 (full correction)."""
    beta_schedule: ScheduleConfig = field(default_factory=lambda: ScheduleConfig(kind="linear", end=1.0))
    """Schedule of beta; by default linear to 1 at the end of the budget."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.real("alpha", "beta", low=0, high=1)
        self.beta_schedule.check("memory.beta", self.beta, low=0, high=1)
