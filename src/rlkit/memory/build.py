"""The memory that a config asks for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rlkit.config.memory import MemoryConfig, ReplayConfig
from rlkit.memory.replay import ReplayMemory
from rlkit.memory.rollout import RolloutMemory

if TYPE_CHECKING:
    import numpy as np
    import torch

    from rlkit.types import EnvSpec

RecurrentTrunk = RolloutMemory | ReplayMemory


def build(
    cfg: MemoryConfig,
    spec: EnvSpec,
    *,
    total_frames: int,
    rng: np.random.Generator,
    device: torch.device,
    folder: Path | None = None,
) -> RecurrentTrunk:
    """See `RolloutMemory` and `ReplayMemory` for the arguments."""
    if isinstance(cfg, ReplayConfig):
        return ReplayMemory(cfg, spec, total_frames=total_frames, rng=rng, device=device, folder=folder)
    return RolloutMemory(rng, device)
