"""The memory of off-policy algorithms: the latest transitions, drawn evenly or by priority."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from gymnasium import spaces

from rlkit.config.memory import PrioritizedConfig, ReplayConfig
from rlkit.maths.schedules import scheduled
from rlkit.memory.frames import Frames, frame_capacity
from rlkit.memory.priorities import Priorities
from rlkit.memory.sum_tree import SumTree
from rlkit.types import Batch, Rollout, Update

if TYPE_CHECKING:
    from rlkit.types import Array, EnvSpec, State


class Layout:
    """Which column of a row holds what: everything of a transition but pictures, as float32.

    Whole numbers up to 2^24 are exact in float32, so actions of any space fit.
    """

    def __init__(self, spec: EnvSpec) -> None:
        obs = spec.observation.shape or ()
        self.pictures = len(obs) == 3
        self.obs_width = 0 if self.pictures else math.prod(obs)
        self.discrete = not isinstance(spec.action, spaces.Box)
        self.action_shape = () if isinstance(spec.action, spaces.Discrete) else (math.prod(spec.action.shape or ()),)
        widths = {
            "obs": self.obs_width,
            "action": math.prod(self.action_shape),
            "reward": 1,
            "terminated": 1,
            "boundary": 1,
            "next_obs": self.obs_width,
        }
        self.span: dict[str, slice] = {}
        self.width = 0
        for name, width in widths.items():
            self.span[name] = slice(self.width, self.width + width)
            self.width += width


def replay_bytes(cfg: ReplayConfig, spec: EnvSpec) -> int:
    """The bytes that the arrays of a replay memory will take."""
    layout, N = Layout(spec), spec.num_envs
    rows = _steps(cfg, N) * N
    total = rows * layout.width * 4
    if layout.pictures:
        shape = spec.observation.shape or ()
        total += frame_capacity(rows, N, spec.stack) * math.prod(shape) // spec.stack
        total += rows * (spec.stack + 1) * 8
    if isinstance(cfg, PrioritizedConfig):
        total += SumTree.bytes(rows)
    return total


def _steps(cfg: ReplayConfig, num_envs: int) -> int:
    return max(2, int(cfg.buffer_size) // num_envs)


class ReplayMemory:
    """A ring of `S` steps of `N` environments; row `s * N + n` is a transition.

    Observations that are vectors lie in the row, and their successors too, so that a batch is one gather. Pictures are
    held once each (`memory/frames.py`). `n`-step returns are put together when a batch is drawn.

    Args:
        cfg: size and manner of drawing.
        spec: of the environments.
        total_frames: the budget, which drives beta.
        rng: the random stream of the draws.
        device: where the batches go.
        folder: for the memory-mapped file, where the config asks for one.
    """

    def __init__(
        self,
        cfg: ReplayConfig,
        spec: EnvSpec,
        *,
        total_frames: int,
        rng: np.random.Generator,
        device: torch.device,
        folder: Path | None = None,
    ) -> None:
        self.cfg, self.layout, self.total_frames = cfg, Layout(spec), total_frames
        self.rng, self.device = rng, device
        self.num_envs, self.steps = spec.num_envs, _steps(cfg, spec.num_envs)
        rows = self.steps * self.num_envs
        self.path = folder / "memory.bin" if cfg.on_disk and folder is not None else None
        self.frames: Frames | None = None
        if self.layout.pictures:
            channels, *size = spec.observation.shape or ()
            capacity = frame_capacity(rows, self.num_envs, spec.stack)
            held = self._allocate((capacity, channels // spec.stack, *size), np.uint8)
            self.frames = Frames(held, self.num_envs, spec.stack)
            self.numbers = np.zeros((rows, spec.stack + 1), np.int64)
            self.table: Array = np.zeros((rows, self.layout.width), np.float32)
        else:
            self.table = self._allocate((rows, self.layout.width), np.float32)
        self.priorities = Priorities(rows, cfg.alpha) if isinstance(cfg, PrioritizedConfig) else None
        self.written = 0  # steps so far
        self.first = 0  # the oldest step that can be drawn
        self.newest = 0  # steps of the latest rollout
        self.beta = 1.0

    def _allocate(self, shape: tuple[int, ...], dtype: Any) -> Array:
        if self.path is None:
            return np.zeros(shape, dtype)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        return np.memmap(self.path, dtype, "w+", shape=shape)

    @property
    def taken(self) -> int:
        """Transitions that were added so far, those that have made room for others included."""
        return self.written * self.num_envs

    @property
    def rows(self) -> int:
        """Transitions that can be drawn."""
        return (self.written - self.first) * self.num_envs

    @property
    def even(self) -> bool:
        """Whether rows are drawn evenly and apart from each other, so that several draws may be one larger draw."""
        return self.priorities is None and not self.cfg.combined

    def add(self, rollout: Rollout) -> None:
        """Add the transitions of a rollout; the oldest are overwritten."""
        T, N = rollout.steps, self.num_envs
        successor = rollout.obs[1:]
        if len(rollout.cut_t):
            successor = successor.copy()
            successor[rollout.cut_t, rollout.cut_n] = rollout.cut_obs
        columns = {
            "obs": rollout.obs[:-1],
            "next_obs": successor,
            **{name: rollout.fields[name] for name in ("action", "reward", "terminated", "boundary")},
        }
        index = (self.written * N + np.arange(T * N)) % (self.steps * N)
        block = np.empty((T * N, self.layout.width), np.float32)
        for name, span in self.layout.span.items():
            if span.stop > span.start:
                block[:, span] = columns[name].reshape(T * N, -1)
        keep = slice(-self.steps * N, None)
        self.table[index[keep]] = block[keep]
        if self.frames is not None:
            for t in range(T):
                row = index[t * N : (t + 1) * N]
                self.numbers[row] = self.frames.add(rollout.obs[t], successor[t])
                self.frames.end(np.flatnonzero(rollout.fields["boundary"][t]))
        cfg = self.cfg
        if self.priorities is not None and isinstance(cfg, PrioritizedConfig):
            self.priorities.new(index[keep])
            self.beta = scheduled(cfg.beta, cfg.beta_schedule, rollout.frames, self.total_frames)
        self.written += T
        self.newest = min(T, self.steps)
        self.first = max(self.first, self.written - self.steps)
        self._forget()

    def interrupt(self) -> None:
        """Treat the latest step of every environment as truncated, since new episodes begin."""
        if self.written:
            self.table[self._row(self.written - 1), self.layout.span["boundary"].start] = 1
        if self.frames is not None:
            self.frames.end(np.arange(self.num_envs))

    def _forget(self) -> None:
        """Drop steps whose pictures have been overwritten."""
        if self.frames is None:
            return
        before = self.first
        while self.first < self.written and self.numbers[self._row(self.first), 0].min() < self.frames.oldest:
            self.first += 1
        if self.priorities is not None and self.first > before:
            gone = (np.arange(before, self.first) % self.steps)[:, None] * self.num_envs + np.arange(self.num_envs)
            self.priorities.tree[gone.reshape(-1)] = 0.0

    def _row(self, step: int) -> Array:
        return step % self.steps * self.num_envs + np.arange(self.num_envs)

    def sample(self, size: int, *, gamma: float, n_step: int = 1) -> Batch:
        """Draw transitions.

        Args:
            size: B.
            gamma: discount of the rewards that are summed.
            n_step: rewards summed, fewer where the episode or the data end.

        Returns:
            `obs`, `action`, `reward [B]` (the sum), `next_obs` (after the last of its steps), `discount [B]`
            (`gamma^n`, 0 where that step terminated), `weight [B]` (importance, 1 without priorities), `index [B]`.
        """
        index = self._draw(size)
        last = table = self.table[index]
        span, layout = self.layout.span, self.layout
        reward = table[:, span["reward"].start].copy()
        discount = np.full(size, gamma, np.float32)
        at = index
        if n_step > 1:
            at, reward, discount = self._ahead(index, reward, gamma, n_step)
            last = self.table[at]
        discount = discount * (1 - last[:, span["terminated"].start])
        if self.frames is not None:
            obs: Array = self.frames.stacks(self.numbers[index, :-1])
            next_obs: Array = self.frames.stacks(self.numbers[at, 1:])
        else:
            obs, next_obs = table[:, span["obs"]], last[:, span["next_obs"]]
        action = table[:, span["action"]].reshape(size, *layout.action_shape)
        if self.priorities is None:
            weight = np.ones(size, np.float32)
        else:
            weight = self.priorities.weight(index, self.rows, self.beta)
        arrays = {
            "obs": obs,
            "action": action.astype(np.int64) if layout.discrete else action,
            "reward": reward,
            "next_obs": next_obs,
            "discount": discount,
            "weight": weight,
            "index": index,
        }
        return self._batch(arrays, "replay")

    def sample_sequences(self, size: int, length: int) -> Batch:
        """Draw stretches of `length` steps of one environment each, for recurrent networks.

        They may run over the ends of episodes. Where fewer steps are held, stretches are as long as those.

        Args:
            size: B.
            length: L.

        Returns:
            Laid out step by step: `obs [(L + 1) * B, ...]`, the last of each being the last step's successor, and
            `action`, `reward`, `terminated`, `boundary`, each `[L * B]`.
        """
        length = min(length, self.written - self.first)
        start = self.first + self.rng.integers(self.written - self.first - length + 1, size=size)
        env = self.rng.integers(self.num_envs, size=size)
        step = start + np.arange(length)[:, None]
        index = (step % self.steps * self.num_envs + env).reshape(-1)
        table, span = self.table[index], self.layout.span
        obs, end = table[:, span["obs"]], table[-size:, span["next_obs"]]  # recurrent nets see vectors alone
        action = table[:, span["action"]].reshape(len(index), *self.layout.action_shape)
        arrays = {
            "obs": np.concatenate([obs, end]),
            "action": action.astype(np.int64) if self.layout.discrete else action,
            "reward": table[:, span["reward"].start].copy(),
            "terminated": table[:, span["terminated"].start] > 0,
            "boundary": table[:, span["boundary"].start] > 0,
        }
        return self._batch(arrays, "sequences")

    def _batch(self, arrays: Mapping[str, Array], source: str) -> Batch:
        fields = {name: torch.from_numpy(x) for name, x in arrays.items()}
        if self.device.type != "cpu":
            fields = {name: x.to(self.device) for name, x in fields.items()}
        return Batch(fields, source=source)

    def _draw(self, size: int) -> Array:
        N = self.num_envs
        if self.priorities is not None:
            index = self.priorities.draw(size, self.rng)
        else:
            drawn = self.rng.integers(self.rows, size=size)
            index = (self.first * N + drawn) % (self.steps * N)
        if self.cfg.combined:
            steps = self.written - 1 - np.arange(min(self.newest, -(-size // N)))
            latest = (steps % self.steps)[:, None] * N + np.arange(N)
            latest = latest.reshape(-1)[:size]
            index[size - len(latest) :] = latest
        return index

    def _ahead(self, index: Array, reward: Array, gamma: float, n_step: int) -> tuple[Array, Array, Array]:
        """The rows `[B]` in which n-step returns end, the sums of their rewards, and `gamma^n` for their n."""
        N, span = self.num_envs, self.layout.span
        boundary, column = span["boundary"].start, span["reward"].start
        left = (self.written - 1 - index // N) % self.steps  # steps that follow in the data
        ends, rewards = self.table[:, boundary], self.table[:, column]
        at, discount = index, np.full(len(index), gamma, np.float32)
        going = (ends[at] == 0) & (left > 0)
        for step in range(1, n_step):
            if not going.any():
                break
            at = (at + N * going) % (self.steps * N)
            np.add(reward, gamma**step * rewards[at], out=reward, where=going)
            np.multiply(discount, gamma, out=discount, where=going)
            going &= (ends[at] == 0) & (left > step)
        return at, reward, discount

    def feedback(self, batch: Batch, update: Update) -> None:
        """New priorities, where there are any."""
        if self.priorities is not None and update.priority is not None:
            self.priorities.update(batch.index.cpu().numpy(), update.priority().cpu().numpy())

    def state_dict(self) -> State:
        """Everything that is held, unless the config leaves it out of checkpoints."""
        if not self.cfg.save:
            return {"written": 0}
        filled = min(self.written, self.steps) * self.num_envs
        state: State = {"written": self.written, "first": self.first, "newest": self.newest, "beta": self.beta}
        state["table"] = self.table[:filled]
        if self.frames is not None:
            state.update(frames=self.frames.state_dict(), numbers=self.numbers[:filled])
        if self.priorities is not None:
            state["priorities"] = self.priorities.state_dict(filled)
        return state

    def load_state_dict(self, state: State) -> None:
        """Restore the state of `state_dict`."""
        if not state["written"]:
            return
        self.written, self.first, self.newest = state["written"], state["first"], state["newest"]
        self.beta = state["beta"]
        filled = len(state["table"])
        if filled != min(self.written, self.steps) * self.num_envs or not 0 <= self.first <= self.written:
            raise ValueError(f"a memory of {filled} rows cannot hold steps {self.first} to {self.written}")
        self.table[:filled] = state["table"]
        if self.frames is not None:
            self.numbers[:filled] = state["numbers"]
            self.frames.load_state_dict(state["frames"])
        if self.priorities is not None:
            self.priorities.load_state_dict(state["priorities"])
