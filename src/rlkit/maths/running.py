"""Statistics that follow a stream of numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from rlkit.types import Array, State


class RunningMoments:
    """Mean and variance of all rows seen so far, merged batch by batch in float64 (Chan et al. 1979).

    Args:
        shape: of a row.
        prior: weight of a mean of 0 and a variance of 1 that were seen before anything else, in rows.
    """

    def __init__(self, shape: tuple[int, ...], prior: float = 0) -> None:
        self.count: float = prior
        self.mean: Array = np.zeros(shape)
        self.squares: Array = np.full(shape, float(prior))  # sum of squared deviations from the mean

    def update(self, rows: Array) -> None:
        """Update with rows `[B, *shape]`."""
        n, rows = len(rows), rows.astype(np.float64)
        alone = n == 1  # as every step of a single environment is: a row that does not deviate from its mean
        mean = rows[0] if alone else rows.mean(0)
        shift, total = mean - self.mean, self.count + n
        between = np.square(shift) * (self.count * n / total)
        self.squares += between if alone else np.square(rows - mean).sum(0) + between
        self.mean = self.mean + shift * (n / total)
        self.count = total

    @property
    def var(self) -> Array:
        """The population variance; 1 before anything was seen."""
        if not self.count:
            return np.ones(self.squares.shape)
        var: Array = self.squares / self.count
        return var

    def state_dict(self) -> State:
        """Count, mean and squared deviations."""
        return {"count": self.count, "mean": np.asarray(self.mean), "squares": np.asarray(self.squares)}

    def load_state_dict(self, state: State) -> None:
        """Restore the state of `state_dict`."""
        self.count = state["count"]
        self.mean, self.squares = state["mean"].copy(), state["squares"].copy()


class RunningRange:
    """The distance from the 5th to the 95th percentile, smoothed over batches.

    After DreamerV3 (Hafner et al. 2023, arXiv:2301.04104, eq. 12): an exponential mean with decay 0.99 of each batch's
    percentiles; unlike a deviation it is not moved by few large returns.
    """

    DECAY = 0.99

    def __init__(self) -> None:
        self.low: float | None = None
        self.high = 0.0

    def update(self, values: Array) -> None:
        """Update with a batch of any shape."""
        low, high = (float(x) for x in np.percentile(values, (5, 95)))
        if self.low is None:
            self.low, self.high = low, high
        else:
            self.low += (1 - self.DECAY) * (low - self.low)
            self.high += (1 - self.DECAY) * (high - self.high)

    @property
    def width(self) -> float:
        """The distance, at least 1, so that small returns are not scaled up."""
        return max(1.0, self.high - (self.low or 0.0))

    def state_dict(self) -> State:
        """The two percentiles."""
        return {"low": self.low, "high": self.high}

    def load_state_dict(self, state: State) -> None:
        """Restore the state of `state_dict`."""
        self.low, self.high = state["low"], state["high"]
