"""What bench_core.py times: pieces of rlkit, and the same piece with modules, autograd and torch.optim."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from rlkit import seeding
from rlkit.config.memory import ReplayConfig
from rlkit.config.schema import compose
from rlkit.envs.make import make
from rlkit.envs.vector import VectorEnv
from rlkit.memory import build as memory
from rlkit.memory.replay import ReplayMemory
from rlkit.training import agent
from rlkit.training.collect import Collector
from rlkit.training.process import device_for, threads_of
from rlkit.types import Batch
from speed import eager, tasks
from speed.products import PASSES, Pass


@dataclass(frozen=True, kw_only=True)
class Case:
    """One thing that is timed: a call of `ours` does `units` of it, one of `theirs` `their_units`."""

    name: str
    ours: Callable[[], Any]
    theirs: Callable[[], Any]
    units: int = 1
    their_units: int = 1
    passes: tuple[Pass, ...] = ()


class Parts:
    """The parts of a session of one task, without the session."""

    def __init__(self, task: tasks.Task, buffer_size: int = 20_000) -> None:
        config = compose(task.overrides())
        if isinstance(config.memory, ReplayConfig):
            config = dataclasses.replace(config, memory=dataclasses.replace(config.memory, buffer_size=buffer_size))
        process = contextlib.ExitStack()  # for as long as the process lives
        process.enter_context(threads_of(config))
        device = process.enter_context(device_for(config))
        made = make(config.env, config.num_envs, seed=0)
        self.spec = made.spec
        self.envs = VectorEnv(made.backend, config.env, 0, config.algo.gamma)
        self.algo: Any = agent.build(config, 0, made.spec, device)
        self.memory: Any = memory.build(
            config.memory, made.spec, total_frames=task.frames, rng=seeding.stream(0, "minibatches"), device=device
        )
        self.collector = Collector(self.envs, self.algo)
        self.rows = task.num_envs * (self.algo.rollout_steps or 1)
        self.frames = 0

    def collect(self) -> None:
        """One rollout into the memory."""
        rollout = self.collector.collect(self.frames)
        self.memory.add(self.algo.prepare(rollout))
        self.frames += self.rows

    def draw(self) -> Sequence[Batch]:
        """One batch of a replay memory, whose successors the update itself rates."""
        drawn: Sequence[Batch] = self.algo.draw(self.memory, 1)
        return drawn

    def batches(self) -> list[Batch]:
        """Some batches to update on, none of them the last of its rollout, which alone gives statistics."""
        if isinstance(self.memory, ReplayMemory):
            while self.memory.rows < 2000:
                self.collect()
            return [batch for _ in range(16) for batch in self.draw()]
        self.collect()
        found = list(itertools.islice(self.algo.batches(self.memory), 16))
        self.algo.last_of_rollout = False
        return found


def every_case() -> Iterator[Case]:
    """All cases, one after the other; each builds what it needs."""
    known = tasks.load()
    for name in (
        "ppo_cartpole",
        "ppo_cartpole_long",
        "ppo_half_cheetah",
        "a2c_cartpole",
        "dqn_cartpole",
        "sac_half_cheetah",
    ):
        parts = Parts(known[name])
        twin = _twin(name, parts)
        batches = parts.batches()
        mine, others = itertools.cycle(batches), itertools.cycle(batches)
        update = _eager_update(name, twin)
        yield Case(
            name=f"{name}: update of {len(batches[0])}",
            ours=lambda parts=parts, mine=mine: parts.algo.update(next(mine)),
            theirs=lambda update=update, others=others: update(next(others)),
            passes=tuple(PASSES[name]),
        )
        if name in ("ppo_cartpole_long", "a2c_cartpole"):
            continue
        obs = parts.envs.obs.copy()
        frames = parts.frames + 10**6  # beyond the warm-up, and where exploration has ended
        yield Case(
            name=f"{name}: act once, {len(obs)} environments",
            ours=lambda parts=parts, obs=obs, frames=frames: parts.algo.act(obs, frames=frames, explore=True),
            theirs=lambda twin=twin, obs=obs: twin.act(obs),
        )
        if name.startswith("ppo"):
            loop = PlainLoop(parts.spec.id, len(obs), min(256, parts.algo.rollout_steps), twin)
            yield Case(
                name=f"{name}: collect a frame, {len(obs)} environments",
                units=parts.rows,
                ours=lambda parts=parts: parts.collector.collect(0),
                their_units=loop.steps * len(obs),
                theirs=loop.collect,
            )
        else:
            space = parts.spec.action
            discrete = isinstance(space, spaces.Discrete)
            arrays = eager.Replay(20_000, obs.shape[1], () if discrete else (math.prod(space.shape or ()),), discrete)
            size = len(batches[0])
            yield Case(
                name=f"{name}: sample {size}",
                ours=lambda parts=parts: parts.draw(),
                theirs=lambda arrays=arrays, size=size: arrays.sample(size),
            )


class PlainLoop:
    """Collecting as everybody writes it: Gymnasium's vector environment, modules, arrays."""

    def __init__(self, env_id: str, num_envs: int, steps: int, net: eager.ActorCritic) -> None:
        self.envs = SyncVectorEnv([lambda: gym.make(env_id)] * num_envs, autoreset_mode=AutoresetMode.SAME_STEP)
        self.obs, _ = self.envs.reset(seed=0)
        self.net, self.steps = net, steps
        self.stored = np.zeros((steps, *self.obs.shape), np.float32)

    def collect(self) -> None:
        """One rollout."""
        for step in range(self.steps):
            self.stored[step] = self.obs
            action = self.net.act(self.stored[step])
            if self.net.log_std is not None:
                action = action.clip(-1, 1)
            self.obs, *_ = self.envs.step(action)


def _twin(name: str, parts: Parts) -> Any:
    torch.manual_seed(0)
    space = parts.spec.action
    continuous = isinstance(space, spaces.Box)
    inputs, outputs = parts.envs.obs.shape[1], math.prod(space.shape or ()) if continuous else int(space.n)
    if name.startswith("dqn"):
        return eager.Values(inputs, outputs)
    if name.startswith("sac"):
        return eager.SoftActorCritic(inputs, outputs)
    return eager.ActorCritic(inputs, outputs, continuous)


def _eager_update(name: str, twin: Any) -> Callable[[Batch], None]:
    if name.startswith(("dqn", "sac")):
        found: Callable[[Batch], None] = twin.update
        return found
    return eager.a2c(twin) if name.startswith("a2c") else eager.ppo(twin)
