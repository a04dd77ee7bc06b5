"""Policies over action values `Q [N, A]` that try out what they do not think best."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from rlkit.types import Array, Floats


def epsilon_greedy(q: Floats, epsilon: float, rng: np.random.Generator) -> Array:
    """The best action, but with probability `epsilon` any, evenly: each environment draws for itself.

    Returns:
        Actions `[N]`. An action other than the best has probability `epsilon / A`.
    """
    rows, choices = q.shape
    tries = rng.random(rows) < epsilon
    return np.where(tries, rng.integers(choices, size=rows), q.argmax(-1))


def boltzmann(q: Floats, temperature: float, rng: np.random.Generator) -> Array:
    """Actions `[N]` with probability `softmax(Q / temperature)`, drawn by the Gumbel-max trick (arXiv:1411.0030).

    A temperature of 0 is the best action.
    """
    return np.asarray((q + temperature * rng.gumbel(size=q.shape)).argmax(-1))
