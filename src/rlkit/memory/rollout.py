"""The memory of on-policy algorithms: one rollout, given back in shuffled minibatches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from rlkit.maths.losses import standardise
from rlkit.types import Batch, Rollout, Update

if TYPE_CHECKING:
    from torch import Tensor

    from rlkit.types import Array, State


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
        """Store a prepared rollout in place of the one before."""
        self.rollout = rollout
        rows = rollout.steps * rollout.num_envs
        arrays = {"obs": rollout.obs[:-1], **rollout.fields}
        flat = {name: a.reshape(rows, *a.shape[2:]) for name, a in arrays.items()}
        if "valid" in flat:  # whole episodes: what lies beyond them is not learnt from
            flat = {name: a[flat["valid"]] for name, a in flat.items()}
        self.fields = {name: torch.from_numpy(a).to(self.device) for name, a in flat.items()}
        self.rows = len(flat["obs"])

    def minibatches(self, size: int, fields: Sequence[str], standard: Sequence[str] = ()) -> Iterator[Batch]:
        """One pass over some fields of the rollout in a new random order; the last batch takes what remains.

        Fields that are in `standard` too are standardised within each batch.
        """
        shuffled = {name: self.fields[name] for name in fields}
        if size < self.rows:  # the order within a full batch does not matter
            order = torch.from_numpy(self.rng.permutation(self.rows)).to(self.device)
            shuffled = {name: x.index_select(0, order) for name, x in shuffled.items()}
            del order
        each = min(size, self.rows)
        for name in standard:  # all full batches in one go, each by itself
            whole, rest = shuffled[name].tensor_split([self.rows // each * each])
            shuffled[name] = torch.cat([standardise(whole.view(-1, each)).flatten(), standardise(rest)])
        for start in range(0, self.rows, size):
            yield Batch({name: x[start : start + size] for name, x in shuffled.items()})

    def sequences(self, size: int, length: int, fields: Sequence[str], standard: Sequence[str] = ()) -> Iterator[Batch]:
        """One pass in a random order over sequences of `length` steps, for recurrent networks.

        `obs` and `boundary` are `[length * B, ...]`, step by step, and `state [B, S]` is the recurrent state before the
        first step. A sequence may hold the end of an episode; what is missing at the end of the rollout, or not learnt
        from, is named by its absence in `rows [R]`. All other fields are `[R, ...]`.

        Args:
            size: rows of a batch; as many sequences as fit, at least one.
            length: of a sequence.
            fields: of the batches.
            standard: those of them that are standardised within each batch.
        """
        rollout, T, N = self.rollout, self.rollout.steps, self.rollout.num_envs
        assert rollout.state is not None
        chunks = -(-T // length)

        def cut(x: Array) -> Tensor:
            """`[T, N, ...]` to `[length, chunks * N, ...]`, zeros behind the end."""
            padded = np.zeros((chunks * length, *x.shape[1:]), x.dtype)
            padded[:T] = x
            parts = padded.reshape(chunks, length, *x.shape[1:]).swapaxes(0, 1)
            return torch.from_numpy(parts.reshape(length, chunks * N, *x.shape[2:])).to(self.device)

        valid = cut(rollout.fields.get("valid", np.ones((T, N), np.bool_)))
        state = torch.from_numpy(rollout.state[:T:length].reshape(chunks * N, -1)).to(self.device)
        own = {name: cut(rollout.obs[:-1] if name == "obs" else rollout.fields[name]) for name in fields}
        along = {"obs": own.pop("obs"), "boundary": cut(rollout.fields["boundary"])}
        order = self.rng.permutation(np.flatnonzero(valid.any(0).cpu().numpy()))
        together = max(1, size // length) if size < self.rows else len(order)
        for start in range(0, len(order), together):
            columns = torch.from_numpy(order[start : start + together]).to(self.device)
            rows = valid[:, columns].flatten().nonzero()[:, 0]
            batch = {name: x[:, columns].flatten(0, 1)[rows] for name, x in own.items()}
            batch.update({name: standardise(batch[name]) for name in standard})
            batch.update({name: x[:, columns].flatten(0, 1) for name, x in along.items()})
            yield Batch({**batch, "state": state[columns], "rows": rows})

    def feedback(self, batch: Batch, update: Update) -> None:
        """A rollout has no priorities."""

    def interrupt(self) -> None:
        """A rollout is used up before episodes can be interrupted."""

    def state_dict(self) -> State:
        """Nothing: a rollout is used up before a checkpoint is taken. The random stream is the session's."""
        return {}

    def load_state_dict(self, state: State) -> None:
        """See `state_dict`."""
