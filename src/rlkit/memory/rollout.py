"""The memory of on-policy algorithms: one rollout, given back in shuffled minibatches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from rlkit.types import Batch, Rollout, Update

if TYPE_CHECKING:
    from rlkit.types import State


class RolloutMemory:
    """Holds the latest rollout as flat tensors `[T * N, ...]`.

    Args:
        rng: the random stream of the shuffles.
        device: where the batches go.
    """

    def __init__(self, rng: np.random.Generator, device: torch.device) -> None:
        self.rng, self.device = rng, device
        self.rows = 0

    def add(self, rollout: Rollout) -> None:
        """Take a prepared rollout; the one before is forgotten."""
        rows = rollout.steps * rollout.num_envs
        arrays = {"obs": rollout.obs[:-1], **rollout.fields}
        flat = {name: a.reshape(rows, *a.shape[2:]) for name, a in arrays.items()}
        if "valid" in flat:  # whole episodes: what lies beyond them is not learnt from
            flat = {name: a[flat["valid"]] for name, a in flat.items()}
        self.fields = {name: torch.from_numpy(a).to(self.device) for name, a in flat.items()}
        self.rows = len(flat["obs"])

    def minibatches(self, size: int, fields: Sequence[str]) -> Iterator[Batch]:
        """One pass over some fields of the rollout in a new random order; the last batch takes what remains."""
        if size >= self.rows:  # the order within a full batch does not matter
            yield Batch({name: self.fields[name] for name in fields})
            return
        order = torch.from_numpy(self.rng.permutation(self.rows)).to(self.device)
        shuffled = {name: self.fields[name][order] for name in fields}
        for start in range(0, self.rows, size):
            yield Batch({name: x[start : start + size] for name, x in shuffled.items()})

    def feedback(self, batch: Batch, update: Update) -> None:
        """A rollout has no priorities."""

    def state_dict(self) -> State:
        """Nothing: a rollout is used up before a checkpoint is taken. The random stream is the session's."""
        return {}

    def load_state_dict(self, state: State) -> None:
        """See `state_dict`."""
