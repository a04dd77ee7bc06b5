"""Sampling in proportion to numbers: a binary tree of sums (Schaul et al. 2016, arXiv:1511.05952, B.2.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from rlkit.types import Array


class SumTree:
    """`capacity` non-negative numbers, their sum, and the place where a running sum passes a value.

    Node 1 is the root, node `k` has the children `2k` and `2k + 1`, and the leaves come last; every operation works on
    whole arrays, one level after the other.
    """

    def __init__(self, capacity: int) -> None:
        self.leaves = 1 << max(0, capacity - 1).bit_length()
        self.nodes = np.zeros(2 * self.leaves)

    @staticmethod
    def bytes(capacity: int) -> int:
        """The bytes that a tree takes."""
        return 2 * 8 << max(0, capacity - 1).bit_length()

    @property
    def total(self) -> float:
        """The sum of all."""
        return float(self.nodes[1])

    def __getitem__(self, index: Array) -> Array:
        """The numbers at `index [B]`."""
        values: Array = self.nodes[self.leaves + index]
        return values

    def __setitem__(self, index: Array, value: Array | float) -> None:
        """Set the numbers at `index [B]`; of an index that comes twice the last counts."""
        node = self.leaves + index
        self.nodes[node] = value
        for _ in range(self.leaves.bit_length() - 1):
            node = node >> 1  # parents that come twice get the same sum twice, which is cheaper than to look for them
            self.nodes[node] = self.nodes[2 * node] + self.nodes[2 * node + 1]

    def find(self, mass: Array) -> Array:
        """The indices `[B]` at which the running sum first exceeds `mass [B]`, each from 0 to below the total."""
        node = np.ones(len(mass), np.int64)
        mass = mass.copy()
        while node[0] < self.leaves:
            left = 2 * node
            below = self.nodes[left]
            # Rounding may leave a mass at the edge of an empty half; what is sampled must not be empty.
            right = (mass >= below) & (self.nodes[left + 1] > 0)
            mass -= below * right
            node = left + right
        return node - self.leaves
