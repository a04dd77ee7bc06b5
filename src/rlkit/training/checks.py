"""What is checked before a run folder exists: the environment, and that algorithm, net and device fit it."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, Any

from gymnasium import spaces
from loguru import logger

from rlkit.config.algorithms import ACTIONS, others_for, row_of
from rlkit.envs.layout import is_picture
from rlkit.envs.make import make
from rlkit.errors import ConfigError, EnvError
from rlkit.settings import flag, setting
from rlkit.tracking.clients import check_installed
from rlkit.training.budget import check_envs, check_memory, check_nets

if TYPE_CHECKING:
    from rlkit.config.run import RunConfig
    from rlkit.types import EnvSpec


def check(config: RunConfig) -> RunConfig:
    """Make one environment and close it, and compare it with the rest of the configuration.

    Returns:
        The configuration with a net of one kind, where none was chosen.

    Raises:
        EnvError: the environment cannot be made, or its spaces cannot be used.
        ConfigError: a net does not fit what it observes, the algorithm does not take its actions, or the device is not
            there.
    """
    check_installed(config.tracker.fed)
    flag("LOG_METRICS")  # refused now where it is neither true nor false
    backend, spec, _ = make(config.env, 1)
    backend.close()
    pictures = is_picture(spec.observation)
    config = config.settled(pictures)
    check_actions(config, spec, pictures)
    noise = getattr(config.algo, "noise", None)
    if noise is not None and noise.kind != "none" and not isinstance(spec.action, spaces.Box):
        raise noise.reject("kind", f"none, since {spec.id} takes Discrete actions, which the policy draws")
    check_envs(config)
    check_nets(config, spec)
    check_memory(dataclasses.replace(spec, num_envs=config.num_envs), getattr(config.algo, "n_steps", 1), config.memory)
    for key, net in (("net", config.net), ("net@critic_net", config.critic_net)):
        sees = "pictures" if pictures else "vectors"
        if net is not None and sees not in net.sees:
            advice = config.algo.advice_on_net(key, sees)
            raise ConfigError(f"{key}={net.name}: {spec.id} observes {sees}\n  {advice}")
    if config.env.normalize_obs and pictures:
        raise ConfigError(
            f"env.normalize_obs=true: {spec.id} observes pictures, which are divided by 255\n  accepted: false"
        )
    if config.upload == "auto" and (missing := [n for n in ("HF_DATASET_REPO", "HF_TOKEN") if setting(n) is None]):
        logger.warning(
            "upload=auto: {} is not set, in the environment or in .env, so nothing will be uploaded",
            " and ".join(missing),
        )
    if config.device not in ("auto", "cpu"):
        from rlkit.training.process import device_of

        device_of(config)
    return config


def check_actions(config: RunConfig, spec: EnvSpec, pictures: bool) -> None:
    """Refuse actions that the algorithm does not take.

    Raises:
        EnvError: no algorithm takes them.
        ConfigError: another algorithm does.
    """
    algo, row, space = config.algo, row_of(config.algo), spec.action
    kind = type(space).__name__
    if kind not in ACTIONS:
        raise EnvError(f"{spec.id} has actions {_shown(space)}\n  accepted: {', '.join(ACTIONS)}")
    if not math.prod(space.shape or (1,)):
        raise EnvError(f"{spec.id} has actions {space} without a number\n  accepted: at least one dimension")
    if kind not in row.actions:
        raise ConfigError(
            f"algo={algo.name} takes {' and '.join(row.actions)} actions, {spec.id} has {_shown(space)}\n"
            f"  use algo={others_for(kind)}"
        )
    if isinstance(space, spaces.Box):
        if row.bounded_actions and not space.is_bounded():
            raise ConfigError(
                f"algo={algo.name} takes actions with two bounds in each dimension, {spec.id} has {_shown(space)}\n"
                "  use algo=ppo or algo=a2c"
            )
        if pictures and not row.pictures_with_box:
            raise ConfigError(
                f"algo={algo.name} takes no pictures together with Box actions, as {spec.id} has\n  use algo=ppo"
            )


def _shown(space: Any) -> str:
    return "None" if space is None else " ".join(str(space).split())
