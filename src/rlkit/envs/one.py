"""One environment: found by its id, made, and wrapped in what rlkit needs of it."""

from __future__ import annotations

import contextlib
import difflib
import functools
import importlib
import warnings
from typing import TYPE_CHECKING, Any

import gymnasium as gym
from gymnasium import spaces
from loguru import logger

from rlkit.envs.adapter import Adapter, told
from rlkit.envs.layout import ObservationError
from rlkit.envs.view import View
from rlkit.errors import ConfigError, EnvError, RlkitError

if TYPE_CHECKING:
    from rlkit.config.env import EnvConfig


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
    except ModuleNotFoundError as error:
        remedy = "pip install minatar" if error.name == "minatar" else "install it, or put it on PYTHONPATH"
        raise EnvError(f"env.id={env_id}: the module {error.name!r} is not installed\n  {remedy}") from error
    except (Exception, SystemExit) as error:  # whatever the user's module raises while it is imported
        raise EnvError(f"env.id={env_id}: importing {module} failed: {told(error)}") from error
    try:
        return gym.spec(name)
    except (gym.error.Error, ValueError) as error:
        near = difflib.get_close_matches(name, [k for k in gym.registry if ":" not in k], n=3, cutoff=0.6)
        hint = f"\n  did you mean {' or '.join(near)}?" if near else ""
        first = str(error).splitlines()[0].removesuffix(".")
        raise EnvError(
            f"env.id={env_id} is not a registered environment ({first}){hint}\n"
            "  for one of your own: env.id=my_package.my_module:MyEnv-v0, where importing the module registers it"
        ) from error


def make_one(cfg: EnvConfig, registered: Any, render_mode: str | None = None) -> gym.Env[Any, Any]:
    """One environment with the wrappers that its config and its spaces ask for; `View` says what is seen of it.

    Raises:
        EnvError: it cannot be made, or a part of its observation cannot be laid out.
        ConfigError: a setting does not fit it.
    """
    kwargs = dict(cfg.kwargs)
    if render_mode is not None:  # else not passed on: not every constructor knows it
        kwargs["render_mode"] = render_mode
    game = cfg.atari_game is not None
    if game:
        if cfg.atari.life_loss or not cfg.atari.grayscale:
            raise ConfigError("env.atari.life_loss and colour need env.vectorization=native")
        pictures = kwargs.get("obs_type") != "ram"
        kwargs |= {"frameskip": 1 if pictures else cfg.atari.frame_skip, "repeat_action_probability": cfg.atari.sticky}
        kwargs |= {"full_action_space": cfg.atari.full_action_space}
        game = pictures
    elif cfg.max_episode_steps is not None:
        kwargs["max_episode_steps"] = cfg.max_episode_steps
    if "mujoco" in str(registered.entry_point):
        _quiet_mujoco()
    try:
        with warnings.catch_warnings():
            if render_mode is not None:  # an environment that cannot draw is answered in words of our own
                warnings.filterwarnings("ignore", message=".*render_mode.*")
            env = gym.make(registered, disable_env_checker=True, **kwargs)
        if "bipedal_walker" in str(registered.entry_point):
            env = FreshWorld(env)
        if game:
            env = _preprocessed(cfg, env)
        return Adapter(env, View(cfg, env.observation_space, time_limit(cfg, registered)))
    except (gym.error.DependencyNotInstalled, ModuleNotFoundError) as error:
        remedy = "pip install opencv-python-headless" if "opencv" in str(error) else str(error).splitlines()[0]
        raise EnvError(f"{registered.id} needs a package that is not installed\n  {remedy}") from error
    except ObservationError as error:
        raise EnvError(f"{registered.id}: {error}") from error
    except RlkitError:
        raise
    except (Exception, SystemExit) as error:  # whatever a constructor raises is about its arguments or its files
        if render_mode is not None and "render_mode" in str(error):
            raise EnvError(f"{registered.id} draws no pictures: its constructor takes no render_mode") from error
        given = f" with env.kwargs={cfg.kwargs}" if cfg.kwargs else ""
        raise EnvError(f"{registered.id} could not be made{given}: {told(error)}") from error


def time_limit(cfg: EnvConfig, registered: Any) -> int | None:
    """Steps after which an episode is truncated; None where only the environment itself ends one."""
    if cfg.atari_game is not None:
        limit = int(cfg.atari.max_emulator_frames) // int(cfg.atari.frame_skip)
        return min(limit, cfg.max_episode_steps) if cfg.max_episode_steps else limit
    limit = cfg.max_episode_steps or cfg.kwargs.get("max_episode_steps") or registered.max_episode_steps
    return limit if isinstance(limit, int) and limit > 0 else None


class FreshWorld(gym.Wrapper[Any, Any, Any, Any]):
    """BipedalWalker with a new physics world for each episode.

    Gymnasium's keeps one, whose collision tree remembers the episodes before: the same seed and actions then do not
    always give the same numbers, and no run could be resumed exactly. LunarLander has made a new one since v3.
    """

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        walker: Any = self.unwrapped
        walker._destroy()
        walker.world = type(walker.world)()
        return self.env.reset(seed=seed, options=options)


@functools.cache
def _quiet_mujoco() -> None:
    """Send MuJoCo's warnings to the log at its finest level, instead of the terminal and a file."""
    with contextlib.suppress(ImportError):  # gym.make says better what is missing
        importlib.import_module("mujoco").set_mju_user_warning(lambda text: logger.trace("MuJoCo: {}", text))


def _preprocessed(cfg: EnvConfig, env: gym.Env[Any, Any]) -> gym.Env[Any, Any]:
    atari = cfg.atari
    env = gym.wrappers.AtariPreprocessing(
        env, noop_max=atari.noop_max, frame_skip=atari.frame_skip, screen_size=atari.size
    )
    return gym.wrappers.TimeLimit(gym.wrappers.FrameStackObservation(env, atari.stack), time_limit(cfg, env.spec) or 1)


def describe(space: Any) -> str:
    """A space in a few words."""
    if isinstance(space, spaces.Discrete):
        return f"one of {space.n}"
    if isinstance(space, spaces.MultiDiscrete):
        sizes = space.nvec.reshape(-1)
        return f"{len(sizes)} choices of {', '.join(map(str, sizes))}"
    if isinstance(space, spaces.MultiBinary):
        return f"{' x '.join(map(str, space.shape))} switches"
    if isinstance(space, spaces.Box):
        numbers = "bytes" if space.dtype == "uint8" else "number" if space.shape in ((), (1,)) else "numbers"
        low, high = float(space.low.min()), float(space.high.max())
        bounded = space.dtype != "uint8" and bool(space.bounded_below.all() and space.bounded_above.all())
        bounds = f" in [{low:g}, {high:g}]" if bounded else ""
        return f"{' x '.join(map(str, space.shape)) or '1'} {numbers}{bounds}"
    return str(space)
