"""From an `EnvConfig` to a backend, and the facts about it."""

from __future__ import annotations

import contextlib
import dataclasses
import difflib
import functools
import importlib
import time
import warnings
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from loguru import logger

from rlkit.cores import available_cores
from rlkit.envs.atari import Atari
from rlkit.envs.backends import Async, Backend, EnvPool, Sync
from rlkit.envs.cartpole import CartPole
from rlkit.errors import ConfigError, EnvError, RlkitError
from rlkit.types import EnvSpec

if TYPE_CHECKING:
    from rlkit.config.env import EnvConfig

SLOW_STEP_SECONDS = 100e-6
"""From here on a step is worth asking whether processes of its own would pay."""
MANY_ENVS = 8
SMALLEST_IMAGE = 36
"""Pictures smaller than this (MinAtar's 10 x 10) are laid out as vectors; the convolutions need room."""


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


def find(env_id: str) -> Any:
    """Gymnasium's entry for an id; `package.module:EnvId` imports the module first.

    Raises:
        EnvError: there is no such environment, or its module cannot be imported.
    """
    module, _, name = env_id.rpartition(":")
    try:
        if module:
            importlib.import_module(module)
        elif name.startswith("ALE/"):
            gym.register_envs(importlib.import_module("ale_py"))
        elif name.startswith("MinAtar/") and name not in gym.registry:
            importlib.import_module("minatar.gym").register_envs()
        return gym.spec(name)
    except ModuleNotFoundError as error:
        remedy = "pip install minatar" if error.name == "minatar" else "install it, or put it on PYTHONPATH"
        raise EnvError(f"env.id={env_id}: the module {error.name!r} is not installed\n  {remedy}") from error
    except (gym.error.Error, ValueError) as error:
        near = difflib.get_close_matches(name, [k for k in gym.registry if ":" not in k], n=3, cutoff=0.6)
        hint = f"\n  did you mean {' or '.join(near)}?" if near else ""
        first = str(error).splitlines()[0].removesuffix(".")
        raise EnvError(
            f"env.id={env_id} is not a registered environment ({first}){hint}\n"
            "  for one of your own: env.id=my_package.my_module:MyEnv-v0, where importing the module registers it"
        ) from error
    except Exception as error:  # whatever the user's module raises while it is imported
        raise EnvError(f"env.id={env_id}: importing {module} failed: {type(error).__name__}: {error}") from error


NATIVE = {"CartPole-v1": CartPole}


def _native(cfg: EnvConfig, registered: Any, num_envs: int, threads: int, render_mode: str | None) -> Any:
    """What builds a native backend, where there is one for these settings."""
    if cfg.atari_game is not None:
        if cfg.frame_stack > 1 or cfg.time_aware:
            raise ConfigError("env.frame_stack and env.time_aware are not for Atari\n  use env.atari.stack")
        atari = dataclasses.replace(cfg.atari, max_emulator_frames=atari_limit(cfg) * int(cfg.atari.frame_skip))
        if cfg.kwargs or render_mode == "human":
            return None
        return partial(Atari, cfg.atari_game, atari, num_envs, threads=threads, drawing=render_mode is not None)
    changed = cfg.frame_stack > 1 or cfg.time_aware or cfg.max_episode_steps is not None or bool(cfg.kwargs)
    if registered.id in NATIVE and not changed and render_mode is None:
        return partial(NATIVE[registered.id], num_envs)
    return None


def _probe(cfg: EnvConfig, registered: Any, num_envs: int) -> Made:
    """Sync or async, whichever steps faster here; both give the same trajectories."""
    maker = partial(make_one, cfg, registered, None)
    sync = Sync([maker] * num_envs)
    sync_rate = _rate(sync)
    spec = _spec(cfg, registered, sync)
    if num_envs / sync_rate < SLOW_STEP_SECONDS * num_envs:
        return Made(sync, spec, f"probed: a step takes {1e6 / sync_rate:.0f} microseconds")
    processes = Async([maker] * num_envs, cfg.timeout_seconds)
    async_rate = _rate(processes)
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


def make_one(cfg: EnvConfig, registered: Any, render_mode: str | None) -> gym.Env[Any, Any]:
    """One environment with the wrappers that its config and its spaces ask for.

    Its observation is a vector, or pictures `[C, H, W]` of bytes. Discrete, MultiDiscrete and MultiBinary observations
    become one-hot or 0/1 numbers; Dict and Tuple are laid out one part after the other, in the order of the space.

    Raises:
        EnvError: it cannot be made.
        ConfigError: a setting does not fit it.
    """
    kwargs = dict(cfg.kwargs)
    if cfg.atari_game is not None:
        if cfg.atari.life_loss or not cfg.atari.grayscale:
            raise ConfigError("env.atari.life_loss and colour need env.vectorization=native")
        kwargs |= {"frameskip": 1, "repeat_action_probability": cfg.atari.sticky}
        kwargs |= {"full_action_space": cfg.atari.full_action_space}
    elif cfg.max_episode_steps is not None:
        kwargs["max_episode_steps"] = cfg.max_episode_steps
    if "mujoco" in str(registered.entry_point):
        _quiet_mujoco()
    try:
        with warnings.catch_warnings():
            if render_mode is not None:  # an environment that cannot draw is answered in words of our own
                warnings.filterwarnings("ignore", message=".*render_mode.*")
            env = gym.make(registered, render_mode=render_mode, disable_env_checker=True, **kwargs)
        if "bipedal_walker" in str(registered.entry_point):
            env = FreshWorld(env)
        return _laid_out(cfg, env) if cfg.atari_game is None else _preprocessed(cfg, env)
    except (gym.error.DependencyNotInstalled, ModuleNotFoundError) as error:
        remedy = "pip install opencv-python-headless" if "opencv" in str(error) else str(error).splitlines()[0]
        raise EnvError(f"{registered.id} needs a package that is not installed\n  {remedy}") from error
    except RlkitError:
        raise
    except Exception as error:  # whatever a constructor raises is about its arguments or its files
        raise EnvError(
            f"{registered.id} could not be made with env.kwargs={cfg.kwargs}: {type(error).__name__}: {error}"
        ) from error


class FreshWorld(gym.Wrapper[Any, Any, Any, Any]):
    """BipedalWalker with a new physics world for each episode.

    Gymnasium's keeps one, whose collision tree remembers the episodes before: the same seed and actions then do not
    always give the same numbers, and no run could be resumed exactly. LunarLander has made a new one since v3.
    """

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """See `gymnasium.Env.reset`."""
        walker: Any = self.unwrapped
        walker._destroy()
        walker.world = type(walker.world)()
        return self.env.reset(seed=seed, options=options)


@functools.cache
def _quiet_mujoco() -> None:
    """Have MuJoCo's warnings logged, instead of printed and appended to a file in the working directory."""
    with contextlib.suppress(ImportError):  # gym.make says better what is missing
        importlib.import_module("mujoco").set_mju_user_warning(lambda text: logger.debug("MuJoCo: {}", text))


def _preprocessed(cfg: EnvConfig, env: gym.Env[Any, Any]) -> gym.Env[Any, Any]:
    atari = cfg.atari
    env = gym.wrappers.AtariPreprocessing(
        env, noop_max=atari.noop_max, frame_skip=atari.frame_skip, screen_size=atari.size
    )
    return gym.wrappers.TimeLimit(gym.wrappers.FrameStackObservation(env, atari.stack), atari_limit(cfg))


def atari_limit(cfg: EnvConfig) -> int:
    """Steps after which an Atari game is truncated."""
    limit = int(cfg.atari.max_emulator_frames) // int(cfg.atari.frame_skip)
    return min(limit, cfg.max_episode_steps) if cfg.max_episode_steps else limit


def _laid_out(cfg: EnvConfig, env: gym.Env[Any, Any]) -> gym.Env[Any, Any]:
    if is_image(env.observation_space):
        if cfg.time_aware:
            raise ConfigError("env.time_aware=true is for vector observations; this environment observes pictures")
        env = _channels_first(env)
        if cfg.frame_stack > 1:
            env = gym.wrappers.FrameStackObservation(env, cfg.frame_stack)
            k, c, h, w = env.observation_space.shape or ()
            space = spaces.Box(0, 255, (k * c, h, w), np.uint8)
            env = gym.wrappers.TransformObservation(env, lambda obs: obs.reshape(k * c, h, w), space)
        return env
    flat = isinstance(env.observation_space, spaces.Box) and len(env.observation_space.shape) == 1
    if not flat:
        env = gym.wrappers.FlattenObservation(env)
    if cfg.frame_stack > 1:
        env = gym.wrappers.FlattenObservation(gym.wrappers.FrameStackObservation(env, cfg.frame_stack))
    if cfg.time_aware:
        if env.spec is None or env.spec.max_episode_steps is None:
            raise ConfigError("env.time_aware=true needs a time limit\n  give one: env.max_episode_steps=1000")
        env = gym.wrappers.TimeAwareObservation(env, normalize_time=True)
    return env


def is_image(space: gym.Space[Any]) -> bool:
    """Whether a space holds pictures for the convolutions."""
    if not isinstance(space, spaces.Box) or len(space.shape) != 3 or space.dtype != np.uint8:
        return False
    return sorted(space.shape)[1] >= SMALLEST_IMAGE


def _channels_first(env: gym.Env[Any, Any]) -> gym.Env[Any, Any]:
    shape = env.observation_space.shape or ()
    if shape[0] == min(shape):
        return env
    space = spaces.Box(0, 255, (shape[2], shape[0], shape[1]), np.uint8)
    return gym.wrappers.TransformObservation(env, lambda obs: obs.transpose(2, 0, 1), space)


def _spec(cfg: EnvConfig, registered: Any, backend: Backend) -> EnvSpec:
    limit = cfg.max_episode_steps or registered.max_episode_steps
    if cfg.atari_game is not None:
        limit = atari_limit(cfg)
    return EnvSpec(
        id=registered.id,
        num_envs=backend.num_envs,
        observation=backend.observation,
        action=backend.action,
        max_episode_steps=limit,
        reward_threshold=registered.reward_threshold,
        stack=int(cfg.atari.stack if cfg.atari_game is not None else cfg.frame_stack),
    )


def describe(space: gym.Space[Any]) -> str:
    """A space in a few words."""
    if isinstance(space, spaces.Discrete):
        return f"one of {space.n}"
    if isinstance(space, spaces.MultiDiscrete):
        return f"{len(space.nvec)} choices of {', '.join(map(str, space.nvec.reshape(-1)))}"
    if isinstance(space, spaces.MultiBinary):
        return f"{space.shape[0]} switches"
    if is_image(space):
        return f"{' x '.join(map(str, space.shape or ()))} bytes"
    if isinstance(space, spaces.Box):
        low, high = float(space.low.min()), float(space.high.max())
        bounds = f" in [{low:g}, {high:g}]" if np.isfinite(low) and np.isfinite(high) else ""
        return f"{' x '.join(map(str, space.shape))} number{'s' * (space.shape != (1,))}{bounds}"
    return str(space)
