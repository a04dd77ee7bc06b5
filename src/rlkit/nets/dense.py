"""Stacked multi-layer perceptrons with a backward pass by hand: the fast path of every plain MLP.

`K` networks of the same hidden widths run as one batched matrix product a layer. Each layer's weight is `[K, out, in]`,
its bias `[K, 1, out]`, its hidden values `[K, B, out]`; the last layer is as wide as the widest of the networks'
outputs. The rows of a narrower output are zero, get no gradient, and appear nowhere outside of this file.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import nn

from rlkit.config.net import MLPConfig
from rlkit.nets.kernels import TorchKernels, kernels_for
from rlkit.nets.net import Net
from rlkit.nets.optim import Slot

if TYPE_CHECKING:
    from torch import Tensor

    from rlkit.nets.net import Back
    from rlkit.types import Array, Floats


SIZES = 8
"""Batch sizes whose scratch memory is kept."""


class Layers(NamedTuple):
    """Weights, biases and their gradients, layer by layer, as some kernels take them."""

    weight: list[Any]
    bias: list[Any]
    d_weight: list[Any]
    d_bias: list[Any]


class Scratch:
    """Outputs and gradients of every layer for one batch size, reused by every update of that size."""

    def __init__(
        self, widths: Sequence[int], outputs: Sequence[int], rows: int, like: Tensor, kernels: Any, layers: Layers
    ) -> None:
        self.kernels, self.layers = kernels, layers
        # zeros: the columns of the last layer that a narrower network does not have stay zero
        self.outs = [kernels.view(like.new_zeros(len(outputs), rows, w)) for w in widths]
        self.d_outs = [kernels.view(like.new_zeros(len(outputs), rows, w)) for w in widths]
        self.out_of = [kernels.tensor(self.outs[-1][k, :, :o]) for k, o in enumerate(outputs)]
        self.d_block = kernels.tensor(self.d_outs[-1])
        self.d_out_of = [kernels.tensor(self.d_outs[-1][k, :, :o]) for k, o in enumerate(outputs)]
        self.tapes = 0


class Dense(Net):
    """`K` plain MLPs over the same input; see `nets.build.Net` for the contract.

    Args:
        names: of the networks; they lead the entries of `state_dict`.
        inputs: width of the input.
        hidden: widths of the hidden layers.
        outputs: width of each network's output.
        activation: `tanh` or `relu`.
    """

    state_size = 0
    shared = False
    rowwise = True

    def __init__(
        self, names: Sequence[str], inputs: int, hidden: Sequence[int], outputs: Sequence[int], activation: str
    ) -> None:
        self.names, self.outputs, self.activation = list(names), list(outputs), activation
        self.widths = [inputs, *hidden, max(outputs)]
        self.per_network = sum((i + 1) * o for i, o in zip(self.widths, self.widths[1:], strict=False))
        self.size = len(self.names) * self.per_network
        self.slot = Slot(torch.zeros(self.size), torch.zeros(self.size))
        self.bind(self.slot)

    @staticmethod
    def covers(cfg: MLPConfig) -> bool:
        """Whether the dense core can stand for this config."""
        plain = not (cfg.layer_norm or cfg.batch_renorm or cfg.shared or cfg.noisy)
        return plain and cfg.activation in ("tanh", "relu")

    def bind(self, slot: Slot) -> None:
        slot.weight.copy_(self.slot.weight)
        self.slot = slot
        self.device = slot.weight.device
        self.scratch: dict[int, Scratch] = {}
        acting = kernels_for(self.device, 0)
        self.activate = getattr(acting, self.activation)
        weights, biases, _, _ = self._layers(acting)
        self.acting = [  # [K][layer] -> weight^T [in, out] and bias [1, out] of one network alone
            [
                (w[k, :rows].T, b[k, :, :rows])
                for w, b, rows in zip(weights, biases, [*self.widths[1:-1], self.outputs[k]], strict=True)
            ]
            for k in range(len(self.names))
        ]

    def _layers(self, kernels: Any) -> Layers:
        flat, grad = kernels.view(self.slot.weight), kernels.view(self.slot.grad)
        return Layers(*self._views(flat), *self._views(grad))

    def _views(self, flat: Any) -> tuple[list[Any], list[Any]]:
        rows = flat.reshape(len(self.names), self.per_network)
        weights, biases, start = [], [], 0
        for i, o in zip(self.widths, self.widths[1:], strict=False):
            weights.append(rows[:, start : start + o * i].reshape(-1, o, i))
            biases.append(rows[:, start + o * i : start + o * i + o].reshape(-1, 1, o))
            start += o * i + o
        return weights, biases

    def tape(self, x: Tensor, *, frozen: bool = False) -> tuple[Sequence[Tensor], Back]:
        """See `Net.tape`. One tape a batch size is live at a time; using an older one raises."""
        rows = x.shape[0]
        scratch = self.scratch.get(rows)
        if scratch is None:
            if len(self.scratch) == SIZES:  # rollouts of whole episodes all differ in size
                self.scratch.clear()
            widest = max(i * o for i, o in zip(self.widths, self.widths[1:], strict=False))
            kernels = kernels_for(self.device, rows * widest)
            layers = self._layers(kernels)
            scratch = Scratch(self.widths[1:], self.outputs, rows, self.slot.weight, kernels, layers)
            self.scratch[rows] = scratch
        scratch.tapes += 1
        ticket = scratch.tapes
        kernels, layers = scratch.kernels, scratch.layers
        activate = getattr(kernels, self.activation)
        first = h = kernels.view(x.expand(len(self.names), *x.shape))
        for weight, bias, out in zip(layers.weight, layers.bias, scratch.outs, strict=True):
            kernels.affine(h, weight, bias, out)
            if out is not scratch.outs[-1]:
                activate(out)
            h = out

        def back(d_outs: Tensor | Sequence[Tensor], params: bool = True, inputs: bool = False) -> Tensor | None:
            if scratch.tapes != ticket:
                raise RuntimeError("this tape is spent: another forward of the same batch size has overwritten it")
            part = None if len(d_outs[0]) == rows else slice(len(d_outs[0]))
            if isinstance(d_outs, torch.Tensor):
                block = scratch.d_block if part is None else scratch.d_block[:, part]
                block.copy_(d_outs)
            else:
                for mine, d in zip(scratch.d_out_of, d_outs, strict=True):
                    (mine if part is None else mine[part]).copy_(d)
            return self._pull(first, scratch, part, params, inputs)

        return scratch.out_of, back

    def predict(self, x: Tensor) -> Sequence[Tensor]:
        """See `Net.predict`; on the memory of a tape of the same batch size."""
        return self.tape(x)[0]

    def _pull(self, x: Any, scratch: Scratch, part: slice | None, params: bool, inputs: bool) -> Tensor | None:
        kernels, layers = scratch.kernels, scratch.layers
        xs, d_xs = [x, *scratch.outs[:-1]], scratch.d_outs
        if part is not None:
            xs, d_xs = ([h[:, part] for h in hs] for hs in (xs, d_xs))
        back_activate = getattr(kernels, f"back_{self.activation}")
        if not params and part is None and kernels is TorchKernels and self.device.type == "cpu":
            return self._input_gradient(scratch)
        d = d_xs[-1]
        for layer in range(len(layers.weight) - 1, -1, -1):
            h = xs[layer]
            if params:
                kernels.back_affine(d, h, layers.d_weight[layer], layers.d_bias[layer], self.slot.fresh)
            if layer:
                d = kernels.back_input(d, layers.weight[layer], d_xs[layer - 1])
                back_activate(d, h)
        if params:
            self.slot.fresh = False
        if not inputs:
            return None
        total, *others = kernels.back_input(d, layers.weight[0])
        for one in others:
            total = total + one
        gradient: Tensor = kernels.tensor(total)
        return gradient

    def _input_gradient(self, scratch: Scratch) -> Tensor:
        """The gradient by the input `[B, in]`; each network propagates the rows that have a gradient alone.

        Of two critics, the smaller value of each row has one: half of all rows.
        """
        weights, back_activate = scratch.layers.weight, getattr(scratch.kernels, f"back_{self.activation}")
        total = self.slot.weight.new_zeros(len(scratch.d_block[0]), self.widths[0])
        for k, d in enumerate(scratch.d_block):
            rows = d.any(-1).nonzero()[:, 0]
            d = d.index_select(0, rows)[None]
            for layer in range(len(weights) - 1, -1, -1):
                d = scratch.kernels.back_input(d, weights[layer][k : k + 1])
                if layer:
                    back_activate(d, scratch.outs[layer - 1][k].index_select(0, rows)[None])
            total.index_add_(0, rows, d[0])
        return total

    def infer(self, x: Array, k: int) -> Floats:
        """See `Net.infer`: on the memory of the weights, without a copy on the CPU."""
        h: Any = x if self.device.type == "cpu" else torch.as_tensor(x, device=self.device)
        layers = self.acting[k]
        for layer, (weight, bias) in enumerate(layers):
            h = h @ weight
            h += bias
            if layer < len(layers) - 1:
                self.activate(h)
        floats: Floats = h if self.device.type == "cpu" else h.cpu().numpy()
        return floats

    def infer_all(self, x: Array) -> list[Floats]:
        return [self.infer(x, k) for k in range(len(self.names))]

    def views(self, flat: Tensor) -> dict[str, Tensor]:
        """See `Net.views`; rows that only a wider output has are left out."""
        weights, biases = self._views(flat)
        views: dict[str, Tensor] = {}
        for k, name in enumerate(self.names):
            for layer, rows in enumerate([*self.widths[1:-1], self.outputs[k]]):
                views[f"{name}.{2 * layer}.weight"] = weights[layer][k, :rows]
                views[f"{name}.{2 * layer}.bias"] = biases[layer][k, 0, :rows]
        return views

    def resample_noise(self, rng: object) -> None:
        """See `Net.resample_noise`; there is none."""

    def buffers(self) -> dict[str, Tensor]:
        """See `Net.buffers`; none."""
        return {}

    def state_dict(self) -> dict[str, Tensor]:
        """See `Net.state_dict`; the entries are views of the flat weight."""
        return self.views(self.slot.weight)

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        for name, mine in self.state_dict().items():
            mine.copy_(state[name])

    def twin(self, k: int) -> nn.Sequential:
        """Network `k` as ordinary modules with copies of the weights: for autograd, tests and export."""
        layers: list[nn.Module] = []
        for i, o in zip(self.widths[:-1], [*self.widths[1:-1], self.outputs[k]], strict=True):
            layers += [nn.Linear(i, o), nn.ReLU() if self.activation == "relu" else nn.Tanh()]
        twin = nn.Sequential(*layers[:-1])
        prefix = f"{self.names[k]}."
        twin.load_state_dict({n.removeprefix(prefix): v for n, v in self.state_dict().items() if n.startswith(prefix)})
        return twin
