"""The contract of nets: the dense core, and modules through autograd."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from rlkit.nets.optim import Slot
    from rlkit.types import Array, Floats

Back: TypeAlias = "Callable[..., Any]"
"""A backward pass; see `Net.tape`."""


class Net(Protocol):
    """`K` networks over the same input (actor and critic, twin critics), on one slot of the flat parameters."""

    size: int
    state_size: int
    """Width of the recurrent state, 0 for all but `Recurrent`."""
    shared: bool
    """Whether the networks have a trunk in common, so that the outputs of all cost little more than one."""
    rowwise: bool
    """Whether a backward pass over some rows costs no more than these, and each has its output to itself."""

    def bind(self, slot: Slot) -> None:
        """Move the parameters, and from now on the gradients, into the slot."""

    def views(self, flat: Tensor) -> Mapping[str, Tensor]:
        """The parameters' ordinary names and shapes in a tensor `[size]` that is laid out like the slot's."""

    def tape(self, x: Tensor, *, frozen: bool = False) -> tuple[Sequence[Tensor], Back]:
        """Forward of `x [B, I]`: each network's output `[B, O_k]` without gradient, and `back`.

        Normalisations use the batch and move their running statistics, unless `frozen`: then they use these.

        `back(d_outs, params=True, inputs=False)` takes the gradient at each output, or where these are equally wide one
        tensor `[K, B, O]`. It adds to the flat gradient (the first one after a step overwrites), and returns the
        gradient at `x` where `inputs` asks for it. One call a tape.
        Where `d_outs` have fewer rows than `x`, these are the first ones; the others get no gradient, and what is
        returned for them, if anything, is 0.
        """

    def predict(self, x: Tensor) -> Sequence[Tensor]:
        """As `tape` with `frozen`, without a backward pass; valid until the next tape of the same batch size."""

    def infer(self, x: Array, k: int) -> Floats:
        """Output `[B, O_k]` of network `k`, for acting; `x` is a NumPy array."""

    def infer_all(self, x: Array) -> list[Floats]:
        """The outputs of all networks, in one pass through what they share."""

    def resample_noise(self, rng: np.random.Generator | None) -> None:
        """Draw the noise of noisy layers again; None removes it."""

    def buffers(self) -> dict[str, Tensor]:
        """Running statistics, by name."""

    def state_dict(self) -> dict[str, Tensor]:
        """Ordinary names and shapes, `actor.0.weight [H, I]`; running statistics too."""

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Copy weights in."""
