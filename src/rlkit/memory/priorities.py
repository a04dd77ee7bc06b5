"""Prioritised sampling of the rows of a memory (Schaul et al. 2016, arXiv:1511.05952)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from rlkit.memory.sum_tree import SumTree

if TYPE_CHECKING:
    from rlkit.types import Array, Floats, State

EPSILON = 1e-6
"""Added to a priority, so that every row can be drawn."""


class Priorities:
    """Priorities of `capacity` rows; rows are drawn with `P(i) = p_i^alpha / sum p^alpha` (eq. 1).

    Args:
        capacity: rows.
        alpha: 0 draws evenly, 1 in proportion to the priority.
    """

    def __init__(self, capacity: int, alpha: float) -> None:
        self.tree, self.alpha = SumTree(capacity), alpha
        self.largest = 1.0

    def new(self, index: Array) -> None:
        """Give rows `[B]` that are new the largest priority so far, so that each is seen once."""
        self.tree[index] = self.largest**self.alpha

    def update(self, index: Array, priority: Array) -> None:
        """Set the priorities `[B]`, at least 0, of rows `[B]`."""
        priority = priority.astype(np.float64) + EPSILON
        self.largest = max(self.largest, float(priority.max()))
        self.tree[index] = priority**self.alpha

    def draw(self, size: int, rng: np.random.Generator) -> Array:
        """Rows `[size]`: one from each of `size` equal parts of the total, as the paper does."""
        return self.tree.find((np.arange(size) + rng.random(size)) * (self.tree.total / size))

    def weight(self, index: Array, rows: int, beta: float) -> Floats:
        """Importance weights `(N P(i))^-beta` over the largest of the batch (section 3.4), for `N` filled rows."""
        weight = (rows * self.tree[index] / self.tree.total) ** -beta
        scaled: Floats = (weight / weight.max()).astype(np.float32)
        return scaled

    def state_dict(self, rows: int) -> State:
        """The first `rows` priorities, as the tree has them."""
        return {"leaves": self.tree[np.arange(rows)], "largest": self.largest}

    def load_state_dict(self, state: State) -> None:
        """Restore the state of `state_dict`."""
        self.largest = state["largest"]
        self.tree[np.arange(len(state["leaves"]))] = state["leaves"]
