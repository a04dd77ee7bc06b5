"""Modules as a net, through autograd."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import nn

from rlkit.nets.net import Net
from rlkit.nets.noisy import NoisyLinear

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from rlkit.nets.net import Back
    from rlkit.nets.optim import Slot
    from rlkit.types import Array, Floats

CHUNK = 512
"""Rows that acting puts through a module at once, so that a rollout of pictures does not fill the memory."""


class Heads(nn.Module):
    """A linear head for each output, over one trunk or over a trunk each.

    Args:
        trunks: one, or one for each head.
        heads: name -> the module that gives that output.
    """

    def __init__(self, trunks: Sequence[nn.Sequential], heads: dict[str, nn.Module]) -> None:
        super().__init__()
        self.shared = len(trunks) == 1 < len(heads)
        if self.shared:
            self.trunk = trunks[0]
        else:
            heads = {
                name: nn.Sequential(*trunk, head) for trunk, (name, head) in zip(trunks, heads.items(), strict=True)
            }
        self.heads = nn.ModuleDict(heads)

    def forward(self, x: Tensor, only: int | None = None) -> list[Tensor]:
        """The output of each head, or of one."""
        h = self.trunk(x) if self.shared else x
        return [head(h) for k, head in enumerate(self.heads.values()) if only is None or k == only]


def _plain(key: str) -> str:
    """A parameter's name without the container above."""
    return key.removeprefix("heads.")


def _view(flat: Tensor, shape: torch.Size) -> Tensor:
    """A parameter's part of a flat tensor in its shape; kernels of convolutions lie there with their channels last.

    Pictures do too (`ToFloat`), and a convolution would otherwise change the layout of its kernel in every call.
    """
    if len(shape) != 4:
        return flat.view(shape)
    out, channels, height, width = shape
    return flat.view(out, height, width, channels).permute(0, 3, 1, 2)


class Traced(Net):
    """Heads over any modules, through autograd."""

    state_size = 0
    rowwise = False

    def __init__(self, module: nn.Module) -> None:
        self.module = module.eval()
        self.shared = bool(module.shared)
        self.size = sum(p.numel() for p in module.parameters())
        self.learnt = {name for name, _ in module.named_parameters()}
        self.noisy = [layer for layer in module.modules() if isinstance(layer, NoisyLinear)]

    def bind(self, slot: Slot) -> None:
        self.slot = slot
        self.module.to(slot.weight.device)
        weights, grads = self.views(slot.weight), self.views(slot.grad)
        for key, p in self.module.named_parameters():
            weight = weights[_plain(key)]
            weight.copy_(p.data)
            p.data, p.grad = weight, grads[_plain(key)]

    def views(self, flat: Tensor) -> dict[str, Tensor]:
        views: dict[str, Tensor] = {}
        start = 0
        for key, p in self.module.named_parameters():
            views[_plain(key)] = _view(flat[start : start + p.numel()], p.shape)
            start += p.numel()
        return views

    def tape(self, x: Tensor, *, frozen: bool = False) -> tuple[Sequence[Tensor], Back]:
        leaf = x.detach()
        if leaf.is_floating_point():
            leaf.requires_grad_()
        self.module.train(not frozen)
        with torch.enable_grad():
            outs: list[Tensor] = self.module(leaf)
        self.module.eval()
        return [out.detach() for out in outs], self.pull(outs, leaf)

    def predict(self, x: Tensor) -> Sequence[Tensor]:
        with torch.no_grad():
            outs: list[Tensor] = self.module(x)
        return outs

    def pull(self, outs: Sequence[Tensor], leaf: Tensor) -> Back:
        """The backward pass from traced outputs; see `Net.tape`."""

        def back(d_outs: Tensor | Sequence[Tensor], params: bool = True, inputs: bool = False) -> Tensor | None:
            rows = len(d_outs[0])
            ends = outs
            if rows < len(outs[0]):
                with torch.enable_grad():
                    ends = [out[:rows] for out in outs]
            if params:
                if self.slot.fresh:
                    self.slot.grad.zero_()
                    self.slot.fresh = False
                wanted = [*self.module.parameters(), *([leaf] if inputs else [])]
                torch.autograd.backward(ends, list(d_outs), inputs=wanted)
                return leaf.grad
            return torch.autograd.grad(ends, leaf, list(d_outs))[0] if inputs else None

        return back

    def infer(self, x: Array, k: int) -> Floats:
        return self._infer(x, k)[0]

    def infer_all(self, x: Array) -> list[Floats]:
        return self._infer(x, None)

    def _infer(self, x: Array, only: int | None) -> list[Floats]:
        with torch.no_grad():
            rows = torch.as_tensor(x, device=self.slot.weight.device)
            parts = [self.module(rows[i : i + CHUNK], only) for i in range(0, len(rows), CHUNK)]
            return [torch.cat(outs).cpu().numpy() for outs in zip(*parts, strict=True)]

    def resample_noise(self, rng: np.random.Generator | None) -> None:
        for layer in self.noisy:
            layer.resample(rng)

    def buffers(self) -> dict[str, Tensor]:
        return {name: value for name, value in self.module.state_dict().items() if name not in self.learnt}

    def state_dict(self) -> dict[str, Tensor]:
        return {_plain(key): value for key, value in self.module.state_dict().items()}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        self.module.load_state_dict({key: state[_plain(key)] for key in self.module.state_dict()})
