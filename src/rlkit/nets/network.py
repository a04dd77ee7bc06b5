"""Networks as algorithms see them: differentiable when called on tensors, and fast on arrays, for acting."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from rlkit.maths.q_learning import back_dueling, dueling
from rlkit.nets.build import Output, build
from rlkit.nets.optim import Flat
from rlkit.nets.recurrent import Recurrent

if TYPE_CHECKING:
    from gymnasium import Space
    from torch import Tensor

    from rlkit.nets.net import Net
    from rlkit.types import Array, Floats

    Pull = Callable[..., "Tensor | None"]
    Forward = Callable[[Tensor], "tuple[list[Tensor], Pull]"]


class Network:
    """`K` networks over the same input and their parameters: policy and value, action values, an ensemble of critics.

    Networks of the same shape are stacked, which costs little more than one of them. Losses of the outputs of
    `network(x)` can be differentiated; `Optimizer.step` takes such a loss.

    Args:
        outputs: name -> shape and output of each network. The names lead the entries of `state_dict`.
        inputs: the space of the input.
        generator: the random stream of the initialisation.
        device: where parameters and updates live.
        stack: return the outputs as one tensor `[K, B, ...]` instead of a tuple of K.
    """

    def __init__(
        self,
        outputs: Mapping[str, Output],
        inputs: Space[Any],
        generator: torch.Generator,
        device: torch.device,
        stack: bool = False,
    ) -> None:
        self.outputs, self.device, self.stack = list(outputs.values()), device, stack
        groups: list[dict[str, Output]] = []
        for name, output in outputs.items():
            if groups and next(iter(groups[-1].values())).cfg == output.cfg:
                groups[-1][name] = output
            else:
                groups.append({name: output})
        self.nets: list[Net] = [build(group, inputs, generator) for group in groups]
        self.counts = [len(group) for group in groups]
        self.where = [(net, k) for net, count in zip(self.nets, self.counts, strict=True) for k in range(count)]
        self.state_sizes = [net.state_size for net in self.nets]
        self.state_size = sum(self.state_sizes)
        """Width of the recurrent state, 0 without one."""
        vectors = all((stack or len(o.shape) == 1) and not o.free and not o.dueling for o in self.outputs)
        self.plain = vectors and len(self.nets) == 1  # the last layers' outputs are the final ones, their shape aside
        self.shared = len(self.nets) == 1 and self.nets[0].shared
        """Whether the networks share a trunk, so that all outputs cost little more than one."""
        self._bind()
        for output in self.outputs:
            if output.free:
                self.free.weight.fill_(output.free_init)

    def _bind(self) -> None:
        sizes = {f"net{i}": net.size for i, net in enumerate(self.nets)}
        self.flat = Flat({**sizes, "free": sum(output.free for output in self.outputs)}, self.device)
        self.free = self.flat.slots["free"]
        for i, net in enumerate(self.nets):
            net.bind(self.flat.slots[f"net{i}"])

    # Learning

    def __call__(self, *inputs: Tensor, frozen: bool = False) -> Any:
        """The outputs, each `[B, *shape]`, differentiable by the parameters and by the inputs.

        The inputs `[B, ...]` are concatenated along the last axis. Normalisation layers use the batch's statistics and
        update the running ones; with `frozen` they use the running statistics and leave them.

        The pass of a batch size is kept until the next one of that size, so its gradient has to be taken before.
        """
        return self._pass(lambda x: self._forward(x, frozen), *inputs)

    def both(self, x: Tensor, other: Tensor) -> tuple[Any, Any]:
        """The outputs at `x`, differentiable by the parameters, and `predict(other)`; in one pass where possible."""
        if not all(net.rowwise for net in self.nets):
            constant = self.predict(other)
            return self(x), constant
        count = len(x)
        constants: list[Tensor] = []

        def forward(rows: Tensor) -> tuple[list[Tensor], Pull]:
            outs, pull = self._forward(rows, False)
            constants.extend(out[count:] for out in outs)
            return [out[:count] for out in outs], pull

        return self._pass(forward, torch.cat([x, other])), self._given(constants)

    def predict(self, *inputs: Tensor) -> Any:
        """The outputs at inputs `[B, ...]` as constants, normalised with the running statistics."""
        x = _beside(inputs)
        outs = self._finish([out for net in self.nets for out in net.predict(x)])
        # Stacking copies; the memory of the outputs is the next pass's of this batch size.
        return self._given(outs) if self.stack else tuple(out.clone() for out in outs)

    def sequence(
        self, x: Tensor, state: Tensor, boundary: Tensor, rows: Tensor | None = None, *, constant: bool = False
    ) -> tuple[Any, Tensor]:
        """The outputs of recurrent networks over sequences, differentiable by the parameters, and the state after them.

        Args:
            x: `[L * B, ...]`, step by step.
            state: `[B, S]`, before the first step.
            boundary: `[L * B]`, true where an episode ends with that step.
            rows: `[R]`, the rows whose outputs are wanted; None: all.
            constant: nothing is learnt from the outputs.
        """
        after: list[Tensor] = []

        def forward(steps: Tensor) -> tuple[list[Tensor], Pull]:
            outs: list[Tensor] = []
            pulls = []
            for net, part in zip(self.nets, torch.split_with_sizes(state, self.state_sizes, -1), strict=True):
                if isinstance(net, Recurrent):
                    own, part, pull = net.tape_sequence(steps, part, boundary)
                else:
                    own, pull = net.tape(steps)
                outs += own
                pulls.append(pull)
                after.append(part)
            if rows is not None:
                outs = [out[rows] for out in outs]
            return self._finish(outs), self._pull(pulls, rows, len(steps))

        outs = self._given(forward(x)[0]) if constant else self._pass(forward, x)
        return outs, torch.cat(after, -1)

    def _forward(self, x: Tensor, frozen: bool) -> tuple[list[Tensor], Pull]:
        taped = [net.tape(x, frozen=frozen) for net in self.nets]
        outs = [out for own, _ in taped for out in own]
        return self._finish(outs), self._pull([pull for _, pull in taped])

    def _finish(self, outs: Sequence[Tensor]) -> list[Tensor]:
        """The last layers' outputs `[B, width]` in their final shapes."""
        if self.plain:
            return list(outs)
        final = []
        for output, out in zip(self.outputs, outs, strict=True):
            if output.dueling:
                out = dueling(out.view(len(out), output.shape[0] + 1, -1)).flatten(1)
            if output.free:
                out = torch.cat([out, self.free.weight.expand(len(out), -1)], -1)
            elif len(output.shape) != 1:
                out = out.view(len(out), *output.shape)
            final.append(out)
        return final

    def _pull(self, pulls: Sequence[Pull], rows: Tensor | None = None, length: int = 0) -> Pull:
        """The backward pass from gradients at the outputs in their final shapes; see `Net.tape`."""
        if self.plain and rows is None:
            (pull_net,) = pulls
            if not self.stack:
                return pull_net
            return lambda d, params, inputs: pull_net(d.reshape(*d.shape[:2], -1), params, inputs)

        def pull(d_outs: Tensor | Sequence[Tensor], params: bool, inputs: bool) -> Tensor | None:
            gradients = []
            for output, d in zip(self.outputs, d_outs, strict=True):
                if len(output.shape) != 1:
                    d = d.flatten(1) if output.shape else d.unsqueeze(-1)
                if output.free:
                    if params:
                        d_free = d[:, -output.free :].sum(0)
                        self.free.grad.copy_(d_free if self.free.fresh else self.free.grad + d_free)
                        self.free.fresh = False
                    d = d[:, : -output.free]
                if output.dueling:
                    d = back_dueling(d.reshape(len(d), output.shape[0], -1)).flatten(1)
                gradients.append(d if rows is None else _spread(d, rows, length))
            total: Tensor | None = None
            for one, count in zip(pulls, self.counts, strict=True):
                d_input = one(gradients[:count], params, inputs)
                gradients = gradients[count:]
                total = d_input if total is None or d_input is None else total + d_input
            return total

        return pull

    def _given(self, outs: Sequence[Tensor]) -> Any:
        """The outputs as the caller gets them; they hold until the next pass of this batch size."""
        if not self.stack:
            return tuple(out.detach() for out in outs)
        block = torch.stack(list(outs))
        return block.view(*block.shape[:2], *self.outputs[0].shape)

    def _pass(self, forward: Forward, *inputs: Tensor) -> Any:
        return _Pass.apply(self, forward, self.flat.leaf, *inputs)

    # Acting

    def infer(self, x: Array, k: int = 0) -> Floats:
        """The output `[B, *shape]` of network `k` at an array `x [B, ...]`."""
        net, place = self.where[k]
        return self._array(net.infer(x, place), self.outputs[k])

    def infer_all(self, x: Array) -> list[Floats]:
        """The outputs of all networks at an array `x [B, ...]`."""
        outs = [out for net in self.nets for out in net.infer_all(x)]
        return [self._array(out, output) for out, output in zip(outs, self.outputs, strict=True)]

    def advance(self, x: Array, state: Array | None) -> tuple[list[Floats], Floats]:
        """One step of recurrent networks: their outputs, and the state `[B, S]` after it.

        Args:
            x: `[B, ...]`.
            state: `[B, S]` before the step; None: that at the beginning of an episode.
        """
        if state is None:
            state = np.zeros((len(x), self.state_size), np.float32)
        outs: list[Floats] = []
        after = []
        for net, part in zip(self.nets, np.split(state, np.cumsum(self.state_sizes)[:-1], -1), strict=True):
            if isinstance(net, Recurrent):
                own, part = net.advance(x, part)
                outs += own
            else:
                outs += net.infer_all(x)
            after.append(part)
        final = [self._array(out, output) for out, output in zip(outs, self.outputs, strict=True)]
        return final, np.concatenate(after, -1)

    def _array(self, out: Floats, output: Output) -> Floats:
        if output.dueling:
            out = dueling(torch.from_numpy(out).view(len(out), output.shape[0] + 1, -1)).flatten(1).numpy()
        if output.free:
            full = np.empty((len(out), out.shape[1] + output.free), np.float32)
            full[:, : -output.free] = out
            full[:, -output.free :] = self.free.weight.cpu().numpy()
            return full
        return out.reshape(len(out), *output.shape)

    def resample_noise(self, rng: np.random.Generator | None) -> None:
        """Draw the noise of noisy layers again; None removes it."""
        for net in self.nets:
            net.resample_noise(rng)

    # Parameters

    def target(self) -> Network:
        """A target network: a copy with separate parameters."""
        other = copy.copy(self)
        other.nets = copy.deepcopy(self.nets)
        other.where = [(net, k) for net, count in zip(other.nets, self.counts, strict=True) for k in range(count)]
        other._bind()
        other.free.weight.copy_(self.free.weight)
        return other

    def move_towards(self, other: Network, tau: float) -> None:
        """Polyak averaging: `weight <- (1 - tau) weight + tau other`. Running statistics are copied."""
        if tau < 1:
            self.flat.weight.lerp_(other.flat.weight, tau)
            for mine, theirs in zip(self.nets, other.nets, strict=True):
                buffers = mine.buffers()
                for name, value in theirs.buffers().items():
                    buffers[name].copy_(value)
        else:
            self.load_state_dict(other.state_dict())

    def views(self, flat: Tensor) -> dict[str, Tensor]:
        """The parameters by their names in `state_dict`, in a tensor laid out like `flat.weight`."""
        found: dict[str, Tensor] = {}
        for i, net in enumerate(self.nets):
            found.update(net.views(flat[self.flat.spans[f"net{i}"]]))
        return {**found, "log_std": flat[self.flat.spans["free"]]} if len(self.free.weight) else found

    def state_dict(self) -> dict[str, Tensor]:
        """Weights by ordinary names: `actor.0.weight`, `critic.0.weight`, `log_std`; and running statistics."""
        state = {name: w for net in self.nets for name, w in net.state_dict().items()}
        return {**state, "log_std": self.free.weight} if len(self.free.weight) else state

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Copy weights in."""
        for net in self.nets:
            net.load_state_dict({name: state[name] for name in net.state_dict()})
        if len(self.free.weight):
            self.free.weight.copy_(state["log_std"])


class Parameter:
    """One learnt number, such as the logarithm of a temperature; called, it is differentiable.

    Args:
        init: its first value.
        device: where it lives.
    """

    def __init__(self, init: float, device: torch.device) -> None:
        self.flat = Flat({"value": 1}, device)
        self.flat.weight.fill_(init)
        self.stack = False
        self.value: Tensor = _Pass.apply(self, self._forward, self.flat.leaf, self.flat.weight)[0]

    def __call__(self) -> Tensor:
        """Its value, a scalar that changes with it."""
        return self.value

    def _forward(self, weight: Tensor) -> tuple[list[Tensor], Pull]:
        slot = self.flat.slots["value"]

        def pull(d_outs: Sequence[Tensor], params: bool, inputs: bool) -> None:
            if params:
                slot.grad.copy_(d_outs[0] if slot.fresh else slot.grad + d_outs[0])
                slot.fresh = False

        return [weight[0]], pull

    def _given(self, outs: Sequence[Tensor]) -> tuple[Tensor, ...]:
        return tuple(out.detach() for out in outs)

    def views(self, flat: Tensor) -> dict[str, Tensor]:
        """The parameter by its name, in a tensor laid out like `flat.weight`."""
        return {"value": flat}


class _Pass(torch.autograd.Function):
    """A forward pass of a network as one node of the graph of autograd.

    The gradients of parameters are written into the flat gradient by the pass itself. `leaf`, which requires a gradient
    and never gets one, makes the outputs differentiable. The inputs are concatenated here: a separate node for
    that costs as much as a small layer.
    """

    @staticmethod
    def forward(ctx: Any, network: Network | Parameter, forward: Forward, leaf: Tensor, *inputs: Tensor) -> Any:
        outs, ctx.pull = forward(_beside(inputs))
        ctx.network, ctx.outs, ctx.widths = network, outs, [x.shape[-1] for x in inputs] if len(inputs) > 1 else None
        ctx.set_materialize_grads(False)
        return network._given(outs)

    @staticmethod
    def backward(ctx: Any, *d_outs: Tensor | None) -> Any:
        network, wanted = ctx.network, ctx.needs_input_grad[3:]
        if network.stack:
            gradients: Any = d_outs[0]
        else:
            d_given = itertools.zip_longest(d_outs, ctx.outs)
            gradients = [torch.zeros_like(out) if d is None else d for d, out in d_given]
        d_input = ctx.pull(gradients, network.flat.wanted(), any(wanted))
        if d_input is None:
            return None, None, None, *[None] * len(wanted)
        return None, None, None, *(d_input.split_with_sizes(ctx.widths, -1) if ctx.widths else [d_input])


def _beside(inputs: Sequence[Tensor]) -> Tensor:
    return inputs[0] if len(inputs) == 1 else torch.cat(list(inputs), -1)


def _spread(d: Tensor, rows: Tensor, length: int) -> Tensor:
    """Gradients of some rows, with zeros for the others."""
    out = d.new_zeros(length, *d.shape[1:])
    out[rows] = d
    return out
