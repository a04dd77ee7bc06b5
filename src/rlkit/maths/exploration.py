"""Exploratory actions: from action values `Q [N, A]`, and uniform over action spaces."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from gymnasium import spaces

from rlkit.maths.schedules import scheduled

if TYPE_CHECKING:
    from gymnasium import Space

    from rlkit.config.off_policy import ValueExploration
    from rlkit.types import Array, Floats, State

MOST_REPEATS = 10_000
"""Steps for which an action is repeated at the most, as in the paper."""


def epsilon_greedy(q: Floats, epsilon: float, rng: np.random.Generator) -> Array:
    """The greedy action, or with probability `epsilon` a uniform one, drawn for each environment.

    Returns:
        Actions `[N]`. An action other than the best has probability `epsilon / A`.
    """
    rows, choices = q.shape
    tries = rng.random(rows) < epsilon
    return np.where(tries, rng.integers(choices, size=rows), q.argmax(-1))


class Repeats:
    """Temporally extended epsilon-greedy (Dabney et al. 2021, arXiv:2006.01782, algorithm 1), in every environment.

    With probability `epsilon` an action is drawn evenly, and taken for as many steps as a zeta distribution says; until
    then nothing else is tried. It may continue in the next episode.

    Args:
        exponent: mu of the distribution, `P(n)` in proportion to `n ** -mu`; more than 1.
        num_envs: N.
    """

    def __init__(self, exponent: float, num_envs: int) -> None:
        self.exponent = exponent
        self.action, self.left = np.zeros((2, num_envs), np.int64)

    def __call__(self, q: Floats, epsilon: float, rng: np.random.Generator) -> Array:
        """Actions `[N]` at values `[N, A]`."""
        rows, choices = q.shape
        begins = (rng.random(rows) < epsilon) & (self.left == 0)
        self.action = np.where(begins, rng.integers(choices, size=rows), self.action)
        self.left = np.where(begins, np.minimum(rng.zipf(self.exponent, rows), MOST_REPEATS), self.left)
        repeated = self.left > 0
        self.left = self.left - repeated
        return np.where(repeated, self.action, q.argmax(-1))

    def state_dict(self) -> State:
        """The actions being repeated."""
        return {"action": self.action, "left": self.left}

    def load_state_dict(self, state: State) -> None:
        """Restore the state of `state_dict`."""
        self.action, self.left = state["action"].copy(), state["left"].copy()


def boltzmann(q: Floats, temperature: float, rng: np.random.Generator) -> Array:
    """Actions `[N]` with probability `softmax(Q / temperature)`, drawn by the Gumbel-max trick (arXiv:1411.0030).

    A temperature of 0 is the best action.
    """
    return np.asarray((q + temperature * rng.gumbel(size=q.shape)).argmax(-1))


def uniform(space: Space[Any], rows: int, rng: np.random.Generator) -> Array:
    """Actions `[rows, ...]` drawn evenly; continuous ones over their bounds, and over [-1, 1] where they have none."""
    if isinstance(space, spaces.Box):
        return rng.uniform(-1, 1, (rows, math.prod(space.shape))).astype(np.float32)
    if isinstance(space, spaces.Discrete):
        return rng.integers(space.n, size=rows)
    if isinstance(space, spaces.MultiDiscrete):
        return rng.integers(space.nvec.reshape(-1), size=(rows, space.nvec.size))
    return rng.integers(2, size=(rows, math.prod(space.shape or ())))


def explore_values(q: Floats, cfg: ValueExploration, frames: int, total_frames: int, rng: np.random.Generator) -> Array:
    """Actions `[N]` by the exploration that a config asks for, where its schedule stands."""
    if cfg.kind == "boltzmann":
        temperature = scheduled(cfg.temperature, cfg.temperature_schedule, frames, total_frames)
        return boltzmann(q, temperature, rng)
    return epsilon_greedy(q, scheduled(cfg.epsilon, cfg.epsilon_schedule, frames, total_frames), rng)


def exploration_metrics(cfg: ValueExploration, frames: int, total_frames: int) -> dict[str, float]:
    """`epsilon` or `temperature`, whichever `explore_values` draws with, where its schedule stands."""
    if cfg.kind == "boltzmann":
        return {"temperature": scheduled(cfg.temperature, cfg.temperature_schedule, frames, total_frames)}
    return {"epsilon": scheduled(cfg.epsilon, cfg.epsilon_schedule, frames, total_frames)}


def policy_over(q: Floats, cfg: ValueExploration, frames: int, total_frames: int) -> Floats:
    """The probabilities `[N, A]` with which `explore_values` draws."""
    best: Floats = np.eye(q.shape[1], dtype=np.float32)[q.argmax(-1)]
    if cfg.kind == "epsilon_greedy":
        epsilon = scheduled(cfg.epsilon, cfg.epsilon_schedule, frames, total_frames)
        mixed: Floats = (1 - epsilon) * best + epsilon / q.shape[1]
        return mixed
    temperature = scheduled(cfg.temperature, cfg.temperature_schedule, frames, total_frames)
    if temperature == 0:
        return best
    weight = np.exp((q - q.max(-1, keepdims=True)) / temperature)
    share: Floats = weight / weight.sum(-1, keepdims=True)
    return share
