"""From a policy's actions to the environment's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from gymnasium import spaces

from rlkit.envs.transforms import bounded

if TYPE_CHECKING:
    from rlkit.types import Array


class ActionMap:
    """Maps the actions of a policy to those of an action space, in the space's own type.

    Dimensions of a Box with two bounds are clipped to [-1, 1] and scaled to the bounds. Of whole numbers each has an
    equal share of [-1, 1]. Other dimensions pass as they are, clipped to the one bound that they may have, and rounded
    where the Box holds whole numbers. Discrete and MultiDiscrete actions are shifted to the space's first.
    """

    def __init__(self, space: spaces.Space[object]) -> None:
        self.space = space
        self.shape: tuple[int, ...] = space.shape or ()
        self.dtype = space.dtype
        self.start: Array | int = 0
        if isinstance(space, spaces.Box):
            self._scale(space)
        elif isinstance(space, spaces.Discrete | spaces.MultiDiscrete):
            self.start = int(space.start) if isinstance(space, spaces.Discrete) else space.start.reshape(-1)

    def _scale(self, space: spaces.Box) -> None:
        self.low: Array = space.low.reshape(-1)
        self.high: Array = space.high.reshape(-1)
        low, high = self.low.astype(np.float64), self.high.astype(np.float64)
        self.whole = np.issubdtype(space.dtype, np.integer)
        if self.whole:  # as float64, in which 2^63 - 1 would be 2^63
            self.low, self.high = low, high
            if int(float(top := np.iinfo(str(space.dtype)).max)) > top:
                self.high = np.where(high >= top, np.nextafter(high, 0), high)
        self.bounded = (space.bounded_below & space.bounded_above).reshape(-1)
        self.all_bounded = bool(self.bounded.all())
        if self.whole:
            low, high = low - 0.5, high + 0.5
        low, high = np.where(self.bounded, low, -1.0), np.where(self.bounded, high, 1.0)
        kind: Any = np.float32 if space.dtype == np.float32 else np.float64
        # Halves first: the sum and the difference of two large bounds may be infinite.
        self.middle: Array = (high / 2 + low / 2).astype(kind)
        self.half: Array = (high / 2 - low / 2).astype(kind)
        ends = [self.middle - self.half, self.middle + self.half]
        within = all(((end >= self.low) & (end <= self.high))[self.bounded].all() for end in ends)
        self.exact = self.all_bounded and within and not self.whole
        """Whether scaled actions stay within the bounds; rounding may leave them by one unit in the last place."""

    def __call__(self, action: Array) -> Array:
        """Actions `[N, ...]` of a policy to actions `[N, ...]` of the space; a new array."""
        if not isinstance(self.space, spaces.Box):
            shifted = (action + self.start).reshape(len(action), *self.shape)
            return shifted.astype(self.dtype, copy=False)
        flat = action.reshape(len(action), -1)
        scaled = bounded(flat, 1.0) * self.half + self.middle
        if not self.all_bounded:
            scaled = np.where(self.bounded, scaled, flat)
        if self.whole:
            scaled = np.rint(scaled)
        if not self.exact:
            scaled = np.minimum(np.maximum(scaled, self.low), self.high)
        mapped: Array = scaled.reshape(len(action), *self.shape).astype(self.dtype, copy=False)
        return mapped

    def only(self, actions: Array) -> Any:
        """The only row of actions `[1, ...]` in the type that the space's own `sample` has."""
        return actions[0, ...] if isinstance(self.space, spaces.Box) else actions[0]
