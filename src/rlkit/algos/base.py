"""The contract of an algorithm. `training/session.py` has the loop that calls it; nothing else does."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from gymnasium.spaces import Discrete

from rlkit.config.algorithms import row_of
from rlkit.nets.network import Network
from rlkit.types import Action, Batch, EnvSpec, Rollout, State, Update

if TYPE_CHECKING:
    import numpy as np
    import torch
    from gymnasium import Space

    from rlkit.config.algo import AlgoConfig
    from rlkit.config.net import NetConfig
    from rlkit.nets.build import Output
    from rlkit.types import Array


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What an algorithm is built from, beside its own config: the facts it may know, and its random streams."""

    spec: EnvSpec
    net: NetConfig
    critic_net: NetConfig | None
    total_frames: int
    device: torch.device
    init: torch.Generator
    acting: np.random.Generator

    @property
    def action_size(self) -> int:
        """The dimensions of a Box of actions, or the number of Discrete ones."""
        space = self.spec.action
        return int(space.n) if isinstance(space, Discrete) else math.prod(space.shape or ())

    def network(self, outputs: Mapping[str, Output], inputs: Space[Any] | None = None, stack: bool = False) -> Network:
        """Networks over the observation, or over another space; see `Network`."""
        return Network(outputs, inputs or self.spec.observation, self.init, self.device, stack)


class Algorithm(ABC):
    """One algorithm. It never sees the configuration of anything else, the logger or Hydra."""

    rng: np.random.Generator
    """The stream that actions are drawn from; an evaluation lends its own for a while."""
    networks: Mapping[str, Network] = {}
    """The networks that are learnt, by name, for `log.norms`."""

    def __init__(self, cfg: AlgoConfig, setting: Setting) -> None:
        self.spec = setting.spec
        self.rng = setting.acting

    @property
    def rollout_steps(self) -> int | None:
        """Steps per environment that are collected before each `prepare`; None where whole episodes are."""
        return None

    @property
    def rollout_episodes(self) -> int:
        """Whole episodes per environment, where `rollout_steps` is None. Their rollouts have a field `valid`."""
        return 1

    @abstractmethod
    def act(self, obs: Array, state: Any = None, *, frames: int, explore: bool) -> Action:
        """Actions `[N, ...]` for observations `[N, ...]`.

        Args:
            obs: vectors of float32, or pictures `[N, C, H, W]` of bytes.
            state: the recurrent state that the last `Action` carried; None at the start.
            frames: frames so far, for exploration schedules.
            explore: sample from the policy; false: its mode.
        """

    def prepare(self, rollout: Rollout) -> Rollout:
        """Add the fields that the update needs; remove none."""
        return rollout

    @abstractmethod
    def batches(self, memory: Any) -> Iterator[Batch]:
        """The batches to update on after each rollout, from the memory that the config's `memories` name."""

    @abstractmethod
    def update(self, batch: Batch) -> Update:
        """One step of learning on one batch."""

    def interrupt(self) -> None:
        """Drop the state of unfinished episodes: new episodes begin, without a last step of the old ones."""
        return

    @abstractmethod
    def weights(self) -> dict[str, torch.Tensor]:
        """The learnt weights by ordinary names: what is saved for acting, and shared."""

    @abstractmethod
    def load_weights(self, weights: dict[str, torch.Tensor]) -> None:
        """Restore the weights that `weights` gave."""

    @abstractmethod
    def state_dict(self) -> State:
        """Everything beside the weights that an exact continuation needs."""

    @abstractmethod
    def load_state_dict(self, state: State) -> None:
        """Restore the state that `state_dict` gave."""


def build(cfg: AlgoConfig, setting: Setting) -> Algorithm:
    """The algorithm of a config, for the environment's actions; its module is imported here."""
    paths = row_of(cfg).path
    path = paths if isinstance(paths, str) else paths[type(setting.spec.action).__name__]
    module, _, name = path.rpartition(".")
    algorithm: Algorithm = getattr(import_module(module), name)(cfg, setting)
    return algorithm
