"""Stacked pictures, each picture held once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from rlkit.types import Array, State

SPARE = 0.02
"""Room for the pictures of first stacks, as a share of the transitions."""


def frame_capacity(rows: int, num_envs: int, stack: int) -> int:
    """Number of pictures held for a number of transitions."""
    return int(rows * (1 + SPARE)) + (stack + 1) * num_envs


class Frames:
    """A ring of pictures `[f, H, W]` of bytes; an observation `[stack * f, H, W]` is a list of their numbers.

    The successor of a step shares all pictures but the newest with the observation before. Numbers count on; a picture
    is at `number % capacity`, and gone once `capacity` newer ones were added.

    Args:
        held: the array `[capacity, f, H, W]` to use.
        num_envs: N.
        stack: pictures an observation.
    """

    def __init__(self, held: Array, num_envs: int, stack: int) -> None:
        self.held, self.stack = held, stack
        self.count = 0
        self.current = np.zeros((num_envs, stack), np.int64)  # the numbers of each environment's observation
        self.begun = np.zeros(num_envs, np.bool_)

    def _append(self, pictures: Array) -> Array:
        numbers = self.count + np.arange(len(pictures))
        self.held[numbers % len(self.held)] = pictures
        self.count += len(pictures)
        return numbers

    def _begin(self, env: int, obs: Array) -> None:
        """A first stack; pictures that are repeated in it are held once."""
        pictures = obs.reshape(self.stack, *self.held.shape[1:])
        number = self._append(pictures[:1])[0]
        for i, picture in enumerate(pictures):
            if i and not np.array_equal(picture, pictures[i - 1]):
                number = self._append(picture[None])[0]
            self.current[env, i] = number
        self.begun[env] = True

    def add(self, obs: Array, successor: Array) -> Array:
        """Take in one step of all environments.

        Args:
            obs: `[N, C, H, W]`.
            successor: `[N, C, H, W]`, the true successors.

        Returns:
            Numbers `[N, stack + 1]`: all but the last are the observation, all but the first the successor.
        """
        for env in np.flatnonzero(~self.begun).tolist():
            self._begin(env, obs[env])
        newest = self._append(successor[:, -self.held.shape[1] :])
        numbers = np.concatenate([self.current, newest[:, None]], 1)
        self.current = numbers[:, 1:].copy()
        return numbers

    def end(self, envs: Array) -> None:
        """The episodes of some environments ended: their next observation is a first one."""
        self.begun[envs] = False

    @property
    def oldest(self) -> int:
        """The lowest number that is still held."""
        return self.count - len(self.held)

    def stacks(self, numbers: Array) -> Array:
        """Observations `[B, C, H, W]` of numbers `[B, stack]`."""
        pictures = self.held[numbers % len(self.held)]
        stacks: Array = pictures.reshape(len(numbers), -1, *pictures.shape[3:])
        return stacks

    def state_dict(self) -> State:
        """The pictures and the current stacks."""
        filled = min(self.count, len(self.held))
        return {"held": self.held[:filled], "count": self.count, "current": self.current, "begun": self.begun}

    def load_state_dict(self, state: State) -> None:
        """Restore the state of `state_dict`."""
        self.held[: len(state["held"])] = state["held"]
        self.count = state["count"]
        self.current, self.begun = state["current"].copy(), state["begun"].copy()
