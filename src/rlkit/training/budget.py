"""Whether there is memory for a run: the needs of its parts, estimated before they are made."""

from __future__ import annotations

import itertools
import math
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil
from gymnasium import spaces

from rlkit.config.memory import MemoryConfig, ReplayConfig
from rlkit.config.net import ConvConfig, ImpalaConfig, NetConfig, RecurrentConfig, SequentialConfig
from rlkit.envs.make import make
from rlkit.errors import ConfigError
from rlkit.memory.replay import replay_bytes

if TYPE_CHECKING:
    from rlkit.config.run import RunConfig
    from rlkit.types import EnvSpec

FEW_ENVS = 256
"""Up to this number, environments are made without a question."""
SAMPLE = 8
"""Environments that are made to see what one takes."""
SMALLEST_ENV, SMALLEST_PROCESS = 2**14, 2**25
"""Bytes that an environment takes at least, in this process, and in a process for itself."""
COPIES = 4
"""Of each weight: itself, its gradient and the two moments of Adam."""
CHECKPOINT_BYTES = 2**25
"""What is needed beside the state while a checkpoint is written, which is done piece by piece."""


def check_envs(config: RunConfig) -> None:
    """Refuse more environments than there is memory for, by what a few of them take.

    Raises:
        ConfigError: there is not enough.
    """
    if config.num_envs <= FEW_ENVS:
        return
    process = psutil.Process()
    before = process.memory_info().rss
    backend, spec, _ = make(config.env, SAMPLE)
    try:
        each = max(SMALLEST_ENV, (process.memory_info().rss - before) // SAMPLE)
    finally:
        backend.close()
    if config.env.vectorization == "async":
        each = max(each, SMALLEST_PROCESS)
    elif backend.name == "native":
        each = (
            2 * math.prod(spec.observation.shape or ()) * np.dtype(spec.observation.dtype or np.float32).itemsize + 64
        )
    needed, free = each * config.num_envs, free_bytes()
    if needed > free:
        raise ConfigError(
            f"num_envs={config.num_envs}: the environments take {_gib(needed)}, {_gib(free)} are free\n"
            f"  accepted here: up to {free // each:,}"
        )


def check_nets(config: RunConfig, spec: EnvSpec) -> None:
    """Refuse networks that are larger than the memory.

    Args:
        config: of the run.
        spec: of its environments.

    Raises:
        ConfigError: naming the widths.
    """
    free = free_bytes()
    for key, net in (("net", config.net), ("net@critic_net", config.critic_net)):
        if net is None:
            continue
        needed = 4 * COPIES * weights(net, spec)
        if needed > free:
            raise ConfigError(
                f"{key}={net.name}: its layers {_widths(net)} take {_gib(needed)} with gradient and moments, "
                f"{_gib(free)} are free\n  accepted: fewer or narrower layers"
            )


def weights(net: NetConfig, spec: EnvSpec) -> int:
    """The weights of one network, without its heads and what lies between convolutions and layers: a lower bound."""
    hidden: Sequence[int] = getattr(net, "hidden", [])
    pictures = len(spec.observation.shape or ()) == 3
    widths = hidden if pictures else [math.prod(spec.observation.shape or ()), *hidden]
    total = sum(before * after for before, after in itertools.pairwise(widths))
    if isinstance(net, ConvConfig):
        total += sum(k * k * a * b for k, a, b in zip(net.kernels, [1, *net.channels], net.channels, strict=False))
    elif isinstance(net, ImpalaConfig):
        total += sum(9 * c * c * (1 + 2 * int(net.blocks)) for c in net.channels)
    elif isinstance(net, RecurrentConfig):
        total += 3 * int(net.width) * (int(net.width) * (2 * int(net.layers) - 1) + (hidden[-1] if hidden else 1))
    elif isinstance(net, SequentialConfig):
        outs = [
            (int(layer.out), int(layer.kernel) ** 2 * (layer.type == "conv2d")) for layer in net.layers if layer.out
        ]
        total += sum(out * max(1, kernel) for out, kernel in outs)
        total += sum(a * b * max(1, kernel) for (a, _), (b, kernel) in itertools.pairwise(outs))
    return total


def rollout_bytes(spec: EnvSpec, steps: int) -> int:
    """What the arrays of a rollout and their shuffled copy will take, and the actions that are kept for a resume."""
    obs = _obs_bytes(spec)
    continuous = isinstance(spec.action, spaces.Box)
    action = math.prod(spec.action.shape or ()) * (4 if continuous else 8)
    params = 4 * spaces.flatdim(spec.action) * (2 if continuous else 1)
    learnt = 5 * 4  # value, log-probability, advantage, target, and the critic's output if acting gives it, float32
    held = obs + action + params + learnt + 4 + 4 + 1 + 1  # and next value, reward, terminated, boundary
    kept = 128 + spec.num_envs * action  # an array for each step
    return (steps + 1) * spec.num_envs * held + steps * (spec.num_envs * (obs + action + learnt) + kept)


def episode_bytes(spec: EnvSpec, rows: int) -> int:
    """What the past episodes of self-imitation will take: observation, action and return of each step."""
    return rows * (_obs_bytes(spec) + 8 * max(1, math.prod(spec.action.shape or ())) + 4)


def check_memory(
    spec: EnvSpec, steps: int, memory: MemoryConfig, episode_rows: int = 0, folder: Path | None = None
) -> int:
    """The bytes that a rollout, a replay memory and past episodes will take, if there is room for them.

    A checkpoint needs little beside them: it is written, verified and read piece by piece.

    Args:
        spec: of the environments.
        steps: of a rollout.
        memory: its configuration.
        episode_rows: steps of past episodes.
        folder: where a memory on disk goes.

    Raises:
        ConfigError: there is not.
    """
    rollout, free = rollout_bytes(spec, steps), free_bytes() - CHECKPOINT_BYTES
    episodes = episode_bytes(spec, episode_rows)
    if episodes and episodes > free - rollout:
        raise ConfigError(
            f"algo.sil.buffer_size={episode_rows}: the steps take {_gib(episodes)}, {_gib(free)} are free\n  lower it"
        )
    replay = 0
    if isinstance(memory, ReplayConfig):
        replay = replay_bytes(memory, spec)
        if replay > free - rollout and not memory.on_disk:
            raise ConfigError(
                f"memory.buffer_size={memory.buffer_size}: the transitions take {_gib(replay)}, "
                f"{_gib(free)} are free\n  lower it, or set memory.on_disk=true"
            )
        if memory.on_disk and folder is not None and replay > (room := shutil.disk_usage(folder).free):
            raise ConfigError(
                f"memory.buffer_size={memory.buffer_size}: the transitions take {_gib(replay)}, and the disk of "
                f"{folder} has {_gib(room)} free\n  lower it"
            )
    if rollout > free:
        raise ConfigError(
            f"a rollout of {steps} steps of {spec.num_envs} environments takes {_gib(rollout)}, "
            f"{_gib(free)} are free\n  lower algo.n_steps or num_envs"
        )
    return rollout + replay + episodes


def free_bytes() -> int:
    """Memory that this process may still take."""
    return int(psutil.virtual_memory().available)


def _obs_bytes(spec: EnvSpec) -> int:
    return math.prod(spec.observation.shape or ()) * np.dtype(spec.observation.dtype or np.float32).itemsize


def _widths(net: NetConfig) -> Any:
    return getattr(net, "hidden", None) or getattr(net, "channels", None) or ""


def _gib(number: float) -> str:
    return f"{number / 2**30:,.1f} GiB"
