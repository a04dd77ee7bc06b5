"""The memory of self-imitation: the steps of whole episodes with their returns, drawn by priority."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from rlkit.maths.returns import reverse_scan
from rlkit.memory.priorities import Priorities

if TYPE_CHECKING:
    from rlkit.types import Array, Rollout, State


class Trail:
    """The steps of unfinished episodes, `[t, N]`, across rollouts."""

    def __init__(self, num_envs: int) -> None:
        self.fields: dict[str, Array] = {}
        self.length = 0
        self.start = np.zeros(num_envs, np.int64)
        """`[N]`: where each environment's current episode begins."""

    def extend(self, arrays: dict[str, Array]) -> None:
        """Append arrays `[T, N, ...]`; steps that belong to no current episode are dropped."""
        begin, steps = int(self.start.min()), len(next(iter(arrays.values())))
        kept = self.length - begin
        for name, new in arrays.items():
            held = self.fields.get(name, new[:0])
            if len(held) < kept + steps:
                held = np.concatenate([held, np.zeros((kept + steps, *new.shape[1:]), new.dtype)])
            held[:kept] = held[begin : self.length].copy()
            held[kept : kept + steps] = new
            self.fields[name] = held
        self.start -= begin
        self.length = kept + steps

    def take(self, env: int, end: int) -> dict[str, Array]:
        """The episode of one environment that ended before step `end`; the next one begins there."""
        episode = {name: held[self.start[env] : end, env] for name, held in self.fields.items()}
        self.start[env] = end
        return episode

    def state_dict(self) -> State:
        """The steps and where the episodes begin."""
        return {"fields": {n: held[: self.length] for n, held in self.fields.items()}, "start": self.start}

    def load_state_dict(self, state: State) -> None:
        """Restore the state of `state_dict`."""
        self.fields = {name: held.copy() for name, held in state["fields"].items()}
        self.length = len(next(iter(self.fields.values()), ()))
        if self.fields and "terminated" not in self.fields:  # older checkpoints
            self.fields["terminated"] = np.zeros(self.fields["reward"].shape, np.bool_)
        self.start = state["start"].copy()


class EpisodeMemory:
    """Steps of finished episodes: observation, action, and the discounted return of what followed.

    Args:
        capacity: steps held; the oldest make room.
        num_envs: N.
        gamma: discount of the returns.
        alpha: exponent of the priorities.
        beta: exponent of the importance weights.
    """

    def __init__(self, capacity: int, num_envs: int, *, gamma: float, alpha: float, beta: float) -> None:
        self.capacity, self.gamma, self.beta = capacity, gamma, beta
        self.trail = Trail(num_envs)
        self.priorities = Priorities(capacity, alpha)
        self.fields: dict[str, Array] = {}
        self.rows = self.next = 0

    def add(self, rollout: Rollout) -> None:
        """Take in a rollout: the episodes that end in it become steps to learn from.

        A step that terminated without ending the episode, as a lost life does, ends the return of the steps before it.
        A truncated episode's return is bootstrapped with `next_value [T, N]`, V of the true successors.
        """
        names = ("action", "reward", "terminated")
        self.trail.extend({"obs": rollout.obs[:-1], **{name: rollout.fields[name] for name in names}})
        offset = self.trail.length - rollout.steps
        for t, n in zip(rollout.cut_t.tolist(), rollout.cut_n.tolist(), strict=True):
            episode = self.trail.take(n, offset + t + 1)
            reward, terminated = episode.pop("reward")[:, None].copy(), episode.pop("terminated")[:, None]
            if not terminated[-1]:
                reward[-1] += self.gamma * rollout.fields["next_value"][t, n]
            episode["ret"] = reverse_scan(reward, np.float32(self.gamma) * ~terminated)[:, 0]
            self._store(episode)

    def interrupt(self) -> None:
        """Drop the steps of unfinished episodes: new ones begin."""
        self.trail.start[:] = self.trail.length

    def _store(self, episode: dict[str, Array]) -> None:
        episode = {name: x[-self.capacity :] for name, x in episode.items()}
        index = (self.next + np.arange(len(episode["ret"]))) % self.capacity
        for name, x in episode.items():
            if name not in self.fields:
                self.fields[name] = np.zeros((self.capacity, *x.shape[1:]), x.dtype)
            self.fields[name][index] = x
        self.priorities.new(index)
        self.rows = min(self.capacity, self.rows + len(index))
        self.next = int(index[-1] + 1) % self.capacity

    def sample(self, size: int, rng: np.random.Generator) -> dict[str, Array]:
        """Steps `[size]` by priority: `obs`, `action`, `ret`, `weight`, and `index` for new priorities."""
        index = self.priorities.draw(size, rng)
        drawn = {name: held[index] for name, held in self.fields.items()}
        return {**drawn, "weight": self.priorities.weight(index, self.rows, self.beta), "index": index}

    def state_dict(self) -> State:
        """Everything that is held."""
        return {
            "trail": self.trail.state_dict(),
            "fields": {name: held[: self.rows] for name, held in self.fields.items()},
            "priorities": self.priorities.state_dict(self.rows),
            "next": self.next,
        }

    def load_state_dict(self, state: State) -> None:
        """Restore the state of `state_dict`."""
        self.trail.load_state_dict(state["trail"])
        self.rows = len(state["priorities"]["leaves"])
        for name, held in state["fields"].items():
            self.fields[name] = np.zeros((self.capacity, *held.shape[1:]), held.dtype)
            self.fields[name][: self.rows] = held
        self.priorities.load_state_dict(state["priorities"])
        self.next = state["next"]
