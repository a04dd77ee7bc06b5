"""The policy that draws every action uniformly: the baseline that any learning has to beat."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from rlkit.algos.base import Algorithm, Setting
from rlkit.maths.exploration import uniform
from rlkit.types import Action, Batch, State, Update

if TYPE_CHECKING:
    import torch

    from rlkit.config.algo import RandomConfig
    from rlkit.memory.rollout import RolloutMemory
    from rlkit.types import Array


class Random(Algorithm):
    """The uniform policy. Continuous actions are uniform over their bounds, and over [-1, 1] where they have none."""

    def __init__(self, cfg: RandomConfig, setting: Setting) -> None:
        super().__init__(cfg, setting)
        self.cfg = cfg

    @property
    def rollout_steps(self) -> int:
        return self.cfg.n_steps

    def act(self, obs: Array, state: Any = None, *, frames: int, explore: bool) -> Action:
        """Uniform, also where the mode is asked for: every action is as likely as any other."""
        return Action(uniform(self.spec.action, len(obs), self.rng))

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
