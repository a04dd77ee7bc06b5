"""Configuration of the memories, mirrored by conf/memory."""

from __future__ import annotations

from dataclasses import dataclass

from rlkit.config.checks import Checked


@dataclass(kw_only=True)
class MemoryConfig(Checked):
    """What every memory has."""

    prefix = "memory."

    name: str


@dataclass(kw_only=True)
class RolloutConfig(MemoryConfig):
    """Holds one rollout, the data of the policy that is about to be updated."""

    name: str = "rollout"
