"""What is checked before a run folder exists: the environment, and that net and device fit."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from gymnasium import spaces
from loguru import logger

from rlkit.envs.make import is_image, make
from rlkit.errors import ConfigError
from rlkit.settings import setting
from rlkit.training.room import check_envs, check_memory, check_nets

if TYPE_CHECKING:
    from rlkit.config.run import RunConfig


ACTIONS = (spaces.Discrete, spaces.MultiDiscrete, spaces.MultiBinary, spaces.Box)


def check(config: RunConfig) -> None:
    """Make one environment and close it, and compare it with the rest of the configuration.

    Raises:
        EnvError: the environment cannot be made.
        ConfigError: a net does not fit what it observes, no algorithm takes its actions, or the device is not there.
    """
    backend, spec, _ = make(config.env, 1)
    backend.close()
    check_envs(config)
    check_nets(config, spec)
    check_memory(dataclasses.replace(spec, num_envs=config.num_envs), getattr(config.algo, "n_steps", 1), config.memory)
    if not isinstance(spec.action, ACTIONS):
        names = ", ".join(space.__name__ for space in ACTIONS)
        raise ConfigError(
            f"algo={config.algo.name}: {spec.id} has actions {spec.action}\n  every algorithm takes {names}"
        )
    for key, net in (("net", config.net), ("net@critic_net", config.critic_net)):
        sees, takes = ("pictures", "conv") if is_image(spec.observation) else ("vectors", "mlp")
        if net is not None and sees not in net.sees:
            raise ConfigError(f"{key}={net.name}: {spec.id} observes {sees}\n  use {key}={takes}")
    if config.env.normalize_obs and is_image(spec.observation):
        raise ConfigError(
            f"env.normalize_obs=true: {spec.id} observes pictures, which are divided by 255\n  accepted: false"
        )
    if config.upload == "auto" and (missing := [n for n in ("HF_DATASET_REPO", "HF_TOKEN") if setting(n) is None]):
        logger.warning(
            "upload=auto: {} is not set, in the environment or in .env, so nothing will be uploaded",
            " and ".join(missing),
        )
    if config.device not in ("auto", "cpu"):
        from rlkit.training.agent import prepare_process

        prepare_process(config)
