"""From an `EnvConfig` to a backend, and the facts about it."""

from __future__ import annotations

import difflib
import importlib
import warnings
from functools import partial
from typing import TYPE_CHECKING, Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces

from rlkit.envs.backends import Backend, Sync
from rlkit.envs.cartpole import CartPole
from rlkit.errors import ConfigError, EnvError
from rlkit.types import EnvSpec

if TYPE_CHECKING:
    from rlkit.config.env import EnvConfig

NATIVE = {"CartPole-v1": CartPole}


def make(cfg: EnvConfig, num_envs: int, *, render_mode: str | None = None) -> tuple[Backend, EnvSpec]:
    """Build `num_envs` environments.

    Args:
        cfg: which environment, and how it is vectorised.
        num_envs: N.
        render_mode: `human` or `rgb_array` for `play`; only Gymnasium's own environments draw.

    Raises:
        EnvError: the id is unknown, a package is missing, or the constructor fails.
        ConfigError: `native` was asked for where there is none.
    """
    registered = _registered(str(cfg.id))
    native = NATIVE.get(registered.id) if not cfg.kwargs and render_mode is None else None
    if cfg.vectorization == "native" and native is None:
        raise ConfigError(
            f"env.vectorization=native: {registered.id}{' with env.kwargs' * bool(cfg.kwargs)} has no native backend\n"
            f"  accepted: auto or sync here; native for {', '.join(NATIVE)}"
        )
    backend: Backend
    if native is not None and cfg.vectorization != "sync":
        backend = native(num_envs)
    else:
        backend = Sync([partial(_make_one, registered, dict(cfg.kwargs), render_mode)] * num_envs)
    _check_observation(registered.id, backend.observation)
    return backend, EnvSpec(
        id=registered.id,
        num_envs=num_envs,
        observation=backend.observation,
        action=backend.action,
        max_episode_steps=registered.max_episode_steps,
        reward_threshold=registered.reward_threshold,
    )


def check(cfg: EnvConfig) -> None:
    """Make one environment and close it: what is wrong with it is said before a run folder exists.

    Raises:
        EnvError: as `make`.
        ConfigError: as `make`.
    """
    make(cfg, 1)[0].close()


def describe(space: gym.Space[Any]) -> str:
    """A space in a few words."""
    if isinstance(space, spaces.Discrete):
        return f"one of {space.n}"
    if isinstance(space, spaces.Box):
        low, high = float(space.low.min()), float(space.high.max())
        bounds = f" in [{low:g}, {high:g}]" if np.isfinite(low) and np.isfinite(high) else ""
        return f"{' x '.join(map(str, space.shape))} numbers{bounds}"
    return str(space)


def _registered(env_id: str) -> Any:
    """Gymnasium's entry for an id; `package.module:EnvId` imports the module first."""
    if env_id.startswith("ALE/"):
        import ale_py

        gym.register_envs(ale_py)
    module, _, name = env_id.rpartition(":")
    try:
        if module:
            importlib.import_module(module)
        return gym.spec(name)
    except ModuleNotFoundError as error:
        raise EnvError(f"env.id={env_id}: the module {error.name!r} is not installed or not on PYTHONPATH") from error
    except (gym.error.Error, ValueError) as error:
        near = difflib.get_close_matches(env_id, [k for k in gym.registry if ":" not in k], n=3, cutoff=0.6)
        hint = f"\n  did you mean {' or '.join(near)}?" if near else ""
        first = str(error).splitlines()[0].removesuffix(".")
        raise EnvError(
            f"env.id={env_id} is not a registered environment ({first}){hint}\n"
            "  for one of your own: env.id=my_package.my_module:MyEnv-v0, where importing the module registers it"
        ) from error


def _make_one(registered: Any, kwargs: dict[str, Any], render_mode: str | None) -> gym.Env[Any, Any]:
    try:
        with warnings.catch_warnings():
            if render_mode is not None:  # an environment that cannot draw is answered in words of our own
                warnings.filterwarnings("ignore", message=".*render_mode.*")
            env = gym.make(registered, render_mode=render_mode, disable_env_checker=True, **kwargs)
    except (gym.error.DependencyNotInstalled, ModuleNotFoundError) as error:
        raise EnvError(
            f"{registered.id} needs a package that is not installed: {str(error).splitlines()[0]}"
        ) from error
    except Exception as error:  # whatever a constructor raises is about its arguments or its files
        raise EnvError(
            f"{registered.id} could not be made with env.kwargs={kwargs}: {type(error).__name__}: {error}"
        ) from error
    space = env.observation_space
    if isinstance(space, spaces.Box) and (len(space.shape) == 1 or space.dtype == np.uint8):
        return env
    # Discrete becomes one-hot; Dict and Tuple are laid out one after the other in the order of the space.
    return gym.wrappers.FlattenObservation(env)


def _check_observation(env_id: str, space: gym.Space[Any]) -> None:
    if isinstance(space, spaces.Box) and len(space.shape) > 1:
        raise EnvError(
            f"{env_id} observes images {space.shape}, which the networks of this version do not take\n"
            "  accepted: vectors, Discrete, MultiDiscrete, MultiBinary, and Dict or Tuple of these"
        )
