"""Configuration of an environment, mirrored by conf/env."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from rlkit.config.checks import Checked


@dataclass(kw_only=True)
class EnvConfig(Checked):
    """A Gymnasium environment; nothing in the package has to change for a new one."""

    prefix = "env."

    name: str = "gym"
    id: str | None = None
    """Gymnasium's id, `CartPole-v1`, or `package.module:EnvId` for one of your own."""
    kwargs: dict[str, Any] = field(default_factory=dict)
    """Passed to the environment's constructor."""
    vectorization: Literal["auto", "native", "sync"] = "auto"
    """`native`: one vectorised implementation (CartPole-v1); `sync`: Gymnasium's, one after the other."""

    def __post_init__(self) -> None:
        if not self.id:
            raise self.reject(
                "id", "a Gymnasium id: env=gym env.id=LunarLander-v3, or env=gym env.id=my_package:MyEnv-v0"
            )
