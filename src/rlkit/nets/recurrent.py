"""Recurrent networks over sequences that may contain the ends of episodes."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import nn

from rlkit.nets.traced import Traced

if TYPE_CHECKING:
    from torch import Tensor

    from rlkit.nets.net import Back
    from rlkit.types import Array, Floats


class RecurrentTrunk(nn.Module):
    """An encoder and recurrent layers behind it.

    The state of a row is one vector, the layers' hidden values (and an LSTM's cells) one after the other; zeros are the
    state at the beginning of an episode.

    Args:
        encoder: `[B, I]` to `[B, inputs]`.
        inputs: width of its output.
        cell: `gru` or `lstm`.
        width: of the recurrent layers.
        layers: how many.
    """

    def __init__(self, encoder: nn.Module, inputs: int, cell: str, width: int, layers: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.cells = (nn.LSTM if cell == "lstm" else nn.GRU)(inputs, width, layers)
        self.parts = 2 if cell == "lstm" else 1
        self.layers, self.width = layers, width
        self.state_size = self.parts * layers * width

    def forward(self, x: Tensor, state: Tensor, boundary: Tensor) -> tuple[Tensor, Tensor]:
        """Sequences of `L` steps for `B` rows, laid out step by step.

        Args:
            x: `[L * B, I]`.
            state: `[B, S]`, before the first step.
            boundary: `[L * B]`, true where the episode ended with that step: the next one begins from zeros.

        Returns:
            Hidden values `[L * B, width]`, and the state `[B, S]` after the last step, before any reset.
        """
        rows = len(state)
        h = self.encoder(x).view(-1, rows, self.cells.input_size)
        ended = boundary.view(-1, rows)
        # Between two steps at which no episode ends, the whole stretch is one call.
        ends = (ended[:-1].any(1).nonzero()[:, 0] + 1).tolist()
        outs = []
        for start, stop in itertools.pairwise([0, *ends, len(h)]):
            if start:
                state = state * (~ended[start - 1]).unsqueeze(-1)
            out, state = self._run(h[start:stop], state)
            outs.append(out)
        return torch.cat(outs).flatten(0, 1), state

    def _run(self, h: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        parts = state.view(len(state), self.parts, self.layers, self.width).permute(1, 2, 0, 3).contiguous()
        out, after = self.cells(h, (parts[0], parts[1]) if self.parts == 2 else parts[0])
        stacked = torch.stack(after) if self.parts == 2 else after.unsqueeze(0)
        return out, stacked.permute(2, 0, 1, 3).reshape(len(state), -1)


class RecurrentHeads(nn.Module):
    """Heads over one `RecurrentTrunk`, or over one each, whose states then lie side by side."""

    def __init__(self, memories: Sequence[RecurrentTrunk], heads: dict[str, nn.Module]) -> None:
        super().__init__()
        self.shared = len(memories) == 1 < len(heads)
        names = ["trunk"] if self.shared else list(heads)
        self.memories = nn.ModuleDict(dict(zip(names, memories, strict=True)))
        self.heads = nn.ModuleDict(heads)
        self.sizes = [memory.state_size for memory in memories]

    def forward(self, x: Tensor, state: Tensor, boundary: Tensor) -> tuple[list[Tensor], Tensor]:
        """The outputs of the heads, each `[L * B, O_k]`, and the state after; see `RecurrentTrunk`."""
        parts = torch.split_with_sizes(state, self.sizes, -1)
        runs = [memory(x, part, boundary) for memory, part in zip(self.memories.values(), parts, strict=True)]
        hs = [h for h, _ in runs] if len(runs) > 1 else [runs[0][0]] * len(self.heads)
        outs = [head(h) for head, h in zip(self.heads.values(), hs, strict=True)]
        return outs, torch.cat([after for _, after in runs], -1)


class Recurrent(Traced):
    """A `RecurrentHeads` module as a net: its tape and its acting take the state along."""

    def __init__(self, module: RecurrentHeads) -> None:
        super().__init__(module)
        self.state_size = sum(module.sizes)

    def tape_sequence(self, x: Tensor, state: Tensor, boundary: Tensor) -> tuple[Sequence[Tensor], Tensor, Back]:
        """As `Net.tape`, for sequences, with the state after them; see `RecurrentTrunk` for the arguments."""
        leaf = x.detach().requires_grad_()
        self.module.train()
        with torch.enable_grad():
            outs, after = self.module(leaf, state, boundary)
        self.module.eval()
        return [out.detach() for out in outs], after.detach(), self.pull(outs, leaf)

    def advance(self, x: Array, state: Array) -> tuple[list[Floats], Floats]:
        """One step: the outputs `[B, O_k]` of all networks for `x [B, I]`, and the states `[B, S]` after it."""
        device = self.slot.weight.device
        with torch.no_grad():
            rows, before = torch.as_tensor(x, device=device), torch.as_tensor(state, device=device)
            outs, after = self.module(rows, before, torch.zeros(len(x), dtype=torch.bool, device=device))
        return [out.cpu().numpy() for out in outs], after.cpu().numpy()
