"""An environment whose simulator crashes: `env.id=tests.search.crashing:Crashing-v0`."""

from pathlib import Path
from typing import Any

import gymnasium as gym

from tests.envs.chain import Identity


class Crashing(Identity):
    """`Identity`, which raises at step number `at`; 0: never, -1: where the working directory has a file `broken`."""

    def __init__(self, at: int = 0, label: Any = None, render_mode: str | None = None) -> None:
        super().__init__(render_mode=render_mode)
        self.at, self.label, self.taken = at, label, 0

    def step(self, action: Any):
        self.taken += 1
        if self.taken == self.at or (self.at < 0 and Path("broken").exists()):
            raise RuntimeError("the simulator has crashed")
        return super().step(action)


gym.register("Crashing-v0", Crashing)
