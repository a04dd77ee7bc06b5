"""Every algorithm: the dataclass of its configuration -> its class, imported when it is chosen."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rlkit.algos.base import Algorithm, Setting
    from rlkit.config.algo import AlgoConfig

ALGORITHMS = {
    "PPOConfig": "rlkit.algos.ppo.PPO",
    "PPOSILConfig": "rlkit.algos.sil.SelfImitation",
    "A2CConfig": "rlkit.algos.a2c.A2C",
    "A2CSILConfig": "rlkit.algos.sil.SelfImitation",
    "ReinforceConfig": "rlkit.algos.reinforce.Reinforce",
    "SARSAConfig": "rlkit.algos.sarsa.SARSA",
    "DQNConfig": "rlkit.algos.dqn.DQN",
    "SACConfig": "rlkit.algos.sac.SAC",
    "CrossQConfig": "rlkit.algos.sac.SAC",
    "TD3Config": "rlkit.algos.td3.TD3",
    "RandomConfig": "rlkit.algos.random.Random",
}


def build(cfg: AlgoConfig, setting: Setting) -> Algorithm:
    """The algorithm that a config asks for."""
    module, _, name = ALGORITHMS[type(cfg).__name__].rpartition(".")
    algorithm: Algorithm = getattr(import_module(module), name)(cfg, setting)
    return algorithm
