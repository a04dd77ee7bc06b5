"""Acting with an algorithm: in an evaluation, for a video, for a user."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rlkit.algos.base import Algorithm
    from rlkit.types import Array


class Actor:
    """Carries an algorithm's recurrent state from step to step.

    Args:
        algo: who acts.
        frames: so far, for its exploration schedules.
        explore: sample from the policy; false: its mode.
    """

    def __init__(self, algo: Algorithm, frames: int, explore: bool) -> None:
        self.algo, self.frames, self.explore = algo, frames, explore
        self.state: Any = None

    def __call__(self, obs: Array) -> Array:
        """Actions `[N, ...]` for observations `[N, ...]`."""
        action = self.algo.act(obs, self.state, frames=self.frames, explore=self.explore)
        self.state = action.state
        return action.action

    def forget(self, rows: Sequence[int] | None = None) -> None:
        """Begin new episodes in some rows, or in all."""
        if rows is None:
            self.state = None
        elif self.state is not None:
            self.state[rows] = 0
