"""The tasks of tasks.yaml, and the command that trains one with rlkit."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

SPELLED = {
    "learning_rate_schedule": "learning_rate_schedule.kind",
    "clip_coef_schedule": "clip_coef_schedule.kind",
    "exploration_frames": "exploration.epsilon_schedule.end_frames",
    "exploration_end": "exploration.epsilon_schedule.end",
    "optimizer": "optimizer.name",
}
"""Short names of settings -> rlkit's keys, where they differ."""


@dataclass(kw_only=True)
class Task:
    """One piece of work that rlkit and its peers do alike; see the top of tasks.yaml."""

    title: str
    algo: str
    env: str
    frames: int
    settle_frames: int
    num_envs: int
    threads: int = 1
    settings: dict[str, Any]
    net: dict[str, Any] = field(default_factory=dict)
    other: dict[str, Any] = field(default_factory=dict)
    goals: dict[str, float] = field(default_factory=dict)

    def overrides(self, seed: int = 0) -> list[str]:
        """What is typed behind `python -m rlkit`; everything that is not named keeps its default."""
        keys = {
            "algo": self.algo,
            "env": self.env,
            "tuned": "none",
            "seed": seed,
            "threads": self.threads,
            "frames": self.frames,
            "num_envs": self.num_envs,
            **{f"net.{key}": value for key, value in self.net.items()},
            **{f"algo.{SPELLED.get(key, key)}": value for key, value in self.settings.items()},
            **self.other,
        }
        return [f"{key}={_typed(value)}" for key, value in keys.items()]


def _typed(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))


def load() -> dict[str, Task]:
    """Every task by its name."""
    read = yaml.safe_load(Path(__file__).with_name("tasks.yaml").read_text())
    return {name: Task(**entry) for name, entry in read.items()}
