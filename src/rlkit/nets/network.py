"""Networks of one shape over one input, with parameters, and if wanted a copy that follows them slowly."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from rlkit.nets.build import Output, build
from rlkit.nets.optim import Flat
from rlkit.nets.recurrent import Recurrent

if TYPE_CHECKING:
    import torch
    from gymnasium import Space
    from torch import Tensor

    from rlkit.config.net import NetConfig
    from rlkit.types import Array, Back, Floats


class Network:
    """`K` networks and their flat parameters: a policy, action values, twin critics.

    Args:
        cfg: the shape.
        outputs: name of each network -> its output.
        inputs: the space of what they take.
        generator: the random stream of the initialisation.
        device: where parameters and updates live.
    """

    def __init__(
        self,
        cfg: NetConfig,
        outputs: Mapping[str, Output],
        inputs: Space[Any],
        generator: torch.Generator,
        device: torch.device,
    ) -> None:
        self.net = build(cfg, outputs, inputs, generator)
        self.device = device
        self._bind()

    def _bind(self) -> None:
        self.flat = Flat({"net": self.net.size}, self.device)
        self.net.bind(self.flat.slots["net"])

    def target(self) -> Network:
        """A copy with parameters of its own."""
        other = copy.copy(self)
        other.net = copy.deepcopy(self.net)
        other._bind()
        return other

    def follow(self, other: Network, tau: float) -> None:
        """`weight <- (1 - tau) weight + tau other`; running statistics are taken over."""
        if tau < 1:
            self.flat.weight.lerp_(other.flat.weight, tau)
            mine, theirs = self.net.buffers(), other.net.buffers()
            for name, value in theirs.items():
                mine[name].copy_(value)
        else:
            self.load_state_dict(other.state_dict())

    def tape(self, x: Tensor, *, frozen: bool = False) -> tuple[list[Tensor], Back]:
        """Outputs `[B, O_k]` and the backward pass, see `Net.tape`; `frozen` leaves running statistics as they are."""
        outs, back = self.net.tape(x, frozen=frozen)
        return list(outs), back

    @property
    def rowwise(self) -> bool:
        """See `Net.rowwise`."""
        return self.net.rowwise

    @property
    def state_size(self) -> int:
        """Width of the recurrent state, 0 without one."""
        return self.net.state_size

    def advance(self, x: Array, state: Array | None) -> tuple[list[Floats], Floats]:
        """One step of recurrent networks; see `Recurrent`. None is the state at the beginning of an episode."""
        assert isinstance(self.net, Recurrent)
        return self.net.advance(x, np.zeros((len(x), self.state_size), np.float32) if state is None else state)

    def tape_sequence(self, x: Tensor, state: Tensor, boundary: Tensor) -> tuple[list[Tensor], Tensor, Back]:
        """Outputs `[L * B, O_k]` over sequences, the state after them, and the backward pass; see `Recurrent`."""
        assert isinstance(self.net, Recurrent)
        outs, after, back = self.net.tape_sequence(x, state, boundary)
        return list(outs), after, back

    def stir(self, rng: np.random.Generator | None) -> None:
        """Draw the noise of noisy layers anew; None takes it away."""
        self.net.stir(rng)

    def predict(self, x: Tensor) -> list[Tensor]:
        """Outputs `[B, O_k]` that nothing is learnt from: running statistics are used, and stay."""
        return list(self.net.predict(x))

    def infer(self, x: Array, k: int = 0) -> Floats:
        """Output `[B, O_k]` of network `k`, outside of any learning."""
        return self.net.infer(x, k)

    def views(self, flat: Tensor) -> Mapping[str, Tensor]:
        """See `Net.views`."""
        return self.net.views(flat)

    def state_dict(self) -> dict[str, Tensor]:
        """Weights by ordinary names."""
        return self.net.state_dict()

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Copy weights in."""
        self.net.load_state_dict({name: state[name] for name in self.net.state_dict()})
