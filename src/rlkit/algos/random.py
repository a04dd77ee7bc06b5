"""The policy that draws every action uniformly: the baseline that any learning has to beat."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from gymnasium import spaces

from rlkit.algos.base import Algorithm, Setting
from rlkit.types import Action, Batch, State, Update

if TYPE_CHECKING:
    import torch

    from rlkit.config.algo import RandomConfig
    from rlkit.memory.rollout import RolloutMemory
    from rlkit.types import Array


class Random(Algorithm):
    """Learns nothing. Continuous actions are uniform over their bounds, and over [-1, 1] where they have none."""

    def __init__(self, cfg: RandomConfig, setting: Setting) -> None:
        super().__init__(cfg, setting)
        self.cfg = cfg
        self.space = setting.spec.action

    @property
    def rollout_steps(self) -> int:
        """See `Algorithm`."""
        return self.cfg.n_steps

    def act(self, obs: Array, state: Any = None, *, frames: int, explore: bool) -> Action:
        """Uniform, also where the mode is asked for: every action is as likely as any other."""
        space, rows = self.space, len(obs)
        if isinstance(space, spaces.Box):
            shape = (rows, int(np.prod(space.shape)))
            return Action(self.rng.uniform(-1, 1, shape).astype(np.float32))
        if isinstance(space, spaces.Discrete):
            return Action(self.rng.integers(space.n, size=rows))
        if isinstance(space, spaces.MultiDiscrete):
            return Action(self.rng.integers(space.nvec.reshape(-1), size=(rows, space.nvec.size)))
        return Action(self.rng.integers(2, size=(rows, int(np.prod(space.shape or ())))))

    def batches(self, memory: RolloutMemory) -> Iterator[Batch]:
        """None."""
        return iter(())

    def update(self, batch: Batch) -> Update:
        """Nothing to learn from."""
        return Update()

    def weights(self) -> dict[str, torch.Tensor]:
        """See `Algorithm`; none."""
        return {}

    def load_weights(self, weights: dict[str, torch.Tensor]) -> None:
        """See `Algorithm`."""

    def state_dict(self) -> State:
        """See `Algorithm`; nothing."""
        return {}

    def load_state_dict(self, state: State) -> None:
        """See `Algorithm`."""
