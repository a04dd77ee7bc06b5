"""Ensembles of critics, for the algorithms with a policy and a replay memory."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np
from gymnasium import spaces

from rlkit.nets.build import Output

if TYPE_CHECKING:
    from rlkit.algos.base import Setting
    from rlkit.nets.network import Network


def critics(setting: Setting, shape: tuple[int, ...] = (), *, count: int = 2) -> Network:
    """Networks `q1`, `q2`, ... without shared layers, over observation and action; over the former if it is Discrete.

    Args:
        setting: the algorithm's.
        shape: of one critic's output for one row; () for one value.
        count: K. The outputs come as one tensor `[K, B, *shape]`.
    """
    cfg = dataclasses.replace(setting.critic_net or setting.net, shared=False)
    inputs = None
    if isinstance(setting.spec.action, spaces.Box):
        (width,) = setting.spec.observation.shape or ()
        inputs = spaces.Box(-np.inf, np.inf, (width + setting.action_size,), np.float32)
    outputs = {f"q{k + 1}": Output(cfg, shape, cfg.value_gain) for k in range(count)}
    return setting.network(outputs, inputs, stack=True)
