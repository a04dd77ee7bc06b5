"""How much memory rollouts and replay memories take, beside what rlkit says that they will take."""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import gc
import itertools
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch

from rlkit import seeding
from rlkit.config.memory import PrioritizedConfig, ReplayConfig
from rlkit.config.schema import compose
from rlkit.envs.make import make
from rlkit.memory.replay import ReplayMemory, replay_bytes
from rlkit.training.budget import rollout_bytes
from rlkit.training.collect import Collector
from rlkit.types import EnvSpec, Rollout
from speed import document, tasks
from speed.cases import Parts

MIB = 2**20
EPISODE = 1000
"""Steps between two ends of episodes while a replay memory is filled."""
REPLAYS: dict[str, tuple[str, int, ReplayConfig]] = {
    "replay, HalfCheetah, 1,000,000": ("half_cheetah", 1, ReplayConfig(buffer_size=1_000_000)),
    "prioritised, HalfCheetah, 1,000,000": ("half_cheetah", 1, PrioritizedConfig(buffer_size=1_000_000)),
    "replay, Pong, 100,000": ("pong", 8, ReplayConfig(buffer_size=100_000)),
    "replay, Pong, 1,000,000": ("pong", 8, ReplayConfig(buffer_size=1_000_000)),
}
"""Name -> environment, how many, memory."""
ROLLOUTS = {
    "rollout, CartPole, 64 x 4096": ("ppo_cartpole", 64, 4096),
    "rollout, Pong, 8 x 128": ("ppo_pong", 8, 128),
    "rollout, Pong, 8 x 1024": ("ppo_pong", 8, 1024),
}
"""Name -> task, environments, steps."""


def measure() -> list[dict[str, Any]]:
    """Fill each in a process of its own; what does not fit is left out, and said."""
    rows = []
    print(document.MEMORY_HEAD)
    for name in [*ROLLOUTS, *REPLAYS]:
        command = [sys.executable, str(Path(sys.argv[0]).resolve()), "--fill", name]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            print(f"{name}: {(done.stderr.strip().splitlines() or ['killed'])[-1]}", flush=True)
            continue
        rows.append({"name": name, **json.loads(done.stdout.splitlines()[-1])})
        print(document.memory_row(rows[-1]), flush=True)
    return rows


def fill(name: str) -> None:
    """One of them, in this process; prints MiB as JSON."""
    predicted, grown = _rollout(*ROLLOUTS[name]) if name in ROLLOUTS else _replay(*REPLAYS[name])
    print(json.dumps({"predicted_mib": predicted / MIB, "measured_mib": grown / MIB}))


def _resident() -> int:
    """Bytes in use; what the allocator keeps for later is given back first, where it is glibc's."""
    gc.collect()
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)
    return int(psutil.Process().memory_info().rss)


def _rollout(name: str, num_envs: int, steps: int) -> tuple[int, int]:
    """Bytes said and grown, for a rollout and one pass of minibatches over it."""
    task = tasks.load()[name]
    small = {**task.settings, "n_steps": 8, "minibatch_size": 32}
    parts = Parts(dataclasses.replace(task, num_envs=num_envs, settings=small))
    _pass(parts)  # first calls of everything allocate too
    before = _resident()
    parts.algo.cfg.n_steps, parts.algo.cfg.minibatch_size = steps, task.settings["minibatch_size"]
    parts.collector, parts.rows = Collector(parts.envs, parts.algo), num_envs * steps
    peak = _pass(parts)
    return rollout_bytes(parts.spec, steps), peak - before


def _pass(parts: Parts) -> int:
    """Collect, then go through two epochs; the most that was held while a batch was out."""
    parts.collect()
    epoch = -(-parts.rows // int(parts.algo.cfg.minibatch_size))
    peak = 0
    for i, _ in enumerate(itertools.islice(parts.algo.batches(parts.memory), 2 * epoch)):
        if i % epoch == 0:
            peak = max(peak, _resident())
    return peak


def _replay(env: str, num_envs: int, cfg: ReplayConfig) -> tuple[int, int]:
    """Bytes said and grown, for a replay memory that is filled to the last row."""
    made = make(compose([f"env={env}"]).env, num_envs)
    made.backend.close()
    steps = 100 if num_envs > 1 else EPISODE
    rollout = _random_rollout(made.spec, steps)
    predicted = replay_bytes(cfg, made.spec)
    free = psutil.virtual_memory().available
    if predicted * 1.1 > free:
        sys.exit(f"{predicted / 2**30:.1f} GiB are more than the {free / 2**30:.1f} GiB that are free")
    before = _resident()
    memory = ReplayMemory(
        cfg, made.spec, total_frames=10**6, rng=seeding.stream(0, "minibatches"), device=torch.device("cpu")
    )
    boundary = rollout.fields["boundary"]
    for start in range(0, int(cfg.buffer_size) // num_envs, steps):
        boundary[-1] = (start + steps) % EPISODE == 0
        memory.add(rollout)
    memory.sample(256, gamma=0.99)
    return predicted, _resident() - before


def _random_rollout(spec: EnvSpec, steps: int) -> Rollout:
    rng, N = np.random.default_rng(0), spec.num_envs
    shape = (steps + 1, N, *(spec.observation.shape or ()))
    pictures = len(shape) == 5
    obs = rng.integers(256, size=shape, dtype=np.uint8) if pictures else rng.random(shape, np.float32)
    action = np.stack([[spec.action.sample() for _ in range(N)] for _ in range(steps)])
    flags = {name: np.zeros((steps, N), np.bool_) for name in ("terminated", "boundary")}
    fields = {"action": action, "reward": rng.random((steps, N), np.float32), **flags}
    none = np.zeros(0, np.int64)
    return Rollout(obs=obs, fields=fields, cut_t=none, cut_n=none, cut_obs=obs[0, :0], frames=0)
