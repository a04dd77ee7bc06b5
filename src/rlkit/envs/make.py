"""From an `EnvConfig` to a backend, and the facts about it."""

from __future__ import annotations

import dataclasses
import time
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from rlkit.cores import available_cores
from rlkit.envs.atari import Atari
from rlkit.envs.backends import Async, Backend, EnvPool, StepError, Sync
from rlkit.envs.cartpole import CartPole
from rlkit.envs.layout import is_picture
from rlkit.envs.one import find, make_one, time_limit
from rlkit.errors import ConfigError, EnvError
from rlkit.types import EnvSpec

if TYPE_CHECKING:
    from rlkit.config.env import EnvConfig

SLOW_STEP_SECONDS = 100e-6
"""Seconds per step from which separate processes may pay."""
MANY_ENVS = 8


class Made(NamedTuple):
    """Environments, what is known of them, and why they are stepped as they are."""

    backend: Backend
    spec: EnvSpec
    why: str


def make(
    cfg: EnvConfig,
    num_envs: int,
    *,
    threads: int = 1,
    seed: int = 0,
    chosen: str | None = None,
    probe: bool = False,
    render_mode: str | None = None,
) -> Made:
    """Build `num_envs` environments.

    Args:
        cfg: which environment, and how it is vectorised.
        num_envs: N.
        threads: that a native backend may use.
        seed: for EnvPool, which cannot be seeded later.
        chosen: the backend that a run was begun with, to be kept where the config leaves the choice.
        probe: let `auto` measure sync against async for many slow environments.
        render_mode: `human` or `rgb_array`, for `play`.

    Raises:
        EnvError: the id is unknown or gone, a package is missing, or the constructor fails.
        ConfigError: the backend asked for cannot step this environment.
    """
    registered = find(cfg.today)
    native = _native(cfg, registered, num_envs, threads, render_mode)
    kind = cfg.vectorization
    if kind == "auto" and chosen is not None:
        kind, why = chosen, "as the run began"  # type: ignore[assignment]
    elif kind != "auto":
        why = "as asked"
    elif native is not None and (num_envs > 1 or cfg.atari_game is not None):
        kind, why = "native", "one vectorised implementation of this environment"
    elif probe and num_envs > MANY_ENVS and available_cores() > 1:
        return _probe(cfg, registered, num_envs)
    else:
        kind, why = "sync", "the fastest for few or fast environments" if num_envs > 1 else "a single environment"
    backend: Backend
    if kind == "native":
        if native is None:
            raise ConfigError(
                f"env.vectorization=native: {registered.id} has no native backend with these settings\n"
                f"  accepted: auto, sync or async here; native for {', '.join(NATIVE)} and Atari games"
            )
        backend = native()
    elif kind == "envpool":
        backend = EnvPool(registered.id, num_envs, seed, dict(cfg.kwargs))
    else:
        makers = [partial(make_one, cfg, registered, render_mode)] * num_envs
        backend = Async(makers, cfg.timeout_seconds) if kind == "async" else Sync(makers)
    return Made(backend, _spec(cfg, registered, backend), why)


NATIVE = {"CartPole-v1": CartPole}


def _native(cfg: EnvConfig, registered: Any, num_envs: int, threads: int, render_mode: str | None) -> Any:
    """What builds a native backend, where there is one for these settings."""
    if cfg.atari_game is not None:
        if cfg.frame_stack > 1 or cfg.time_aware:
            raise ConfigError("env.frame_stack and env.time_aware are not for Atari\n  use env.atari.stack")
        atari = dataclasses.replace(
            cfg.atari, max_emulator_frames=(time_limit(cfg, registered) or 1) * int(cfg.atari.frame_skip)
        )
        if cfg.kwargs or render_mode == "human":
            return None
        return partial(Atari, cfg.atari_game, atari, num_envs, threads=threads, drawing=render_mode is not None)
    changed = cfg.frame_stack > 1 or cfg.time_aware or cfg.max_episode_steps is not None or bool(cfg.kwargs)
    if registered.id in NATIVE and not changed and render_mode is None:
        return partial(NATIVE[registered.id], num_envs)
    return None


def _probe(cfg: EnvConfig, registered: Any, num_envs: int) -> Made:
    """Sync or async, whichever steps faster here; both give the same trajectories. Sync where async fails."""
    maker = partial(make_one, cfg, registered)
    sync = Sync([maker] * num_envs)
    try:
        sync_rate = _rate(sync)
    except StepError as error:
        sync.close()
        raise EnvError(f"{error}\n  while {num_envs} environments were tried with random actions") from error
    spec = _spec(cfg, registered, sync)
    if num_envs / sync_rate < SLOW_STEP_SECONDS * num_envs:
        return Made(sync, spec, f"probed: a step takes {1e6 / sync_rate:.0f} microseconds")
    try:
        processes = Async([maker] * num_envs, cfg.timeout_seconds)
        async_rate = _rate(processes)
    except EnvError as error:
        first = str(error).splitlines()[0]
        return Made(sync, spec, f"probed: sync {sync_rate:,.0f} steps a second; async fails here ({first})")
    faster, slower = (processes, sync) if async_rate > sync_rate else (sync, processes)
    slower.close()
    return Made(faster, spec, f"probed: sync {sync_rate:,.0f}, async {async_rate:,.0f} steps a second")


def _rate(backend: Backend, seconds: float = 0.25) -> float:
    """Steps a second of a backend under random actions."""
    n = backend.num_envs
    backend.reset(range(n), [0] * n)
    backend.action.seed(0)
    began, steps = time.perf_counter(), 0
    while (took := time.perf_counter() - began) < seconds or steps < 2 * n:
        result = backend.step(np.stack([backend.action.sample() for _ in range(n)]))
        if rows := np.flatnonzero(result.ended).tolist():
            backend.reset(rows, [0] * len(rows))
        steps += n
    return steps / took


def _spec(cfg: EnvConfig, registered: Any, backend: Backend) -> EnvSpec:
    stacked = cfg.atari_game is not None and is_picture(backend.observation)
    return EnvSpec(
        id=registered.id,
        num_envs=backend.num_envs,
        observation=backend.observation,
        action=backend.action,
        max_episode_steps=time_limit(cfg, registered),
        reward_threshold=registered.reward_threshold,
        stack=int(cfg.atari.stack if stacked else cfg.frame_stack),
    )
