"""What algorithms that learn from a replay memory share: how much is learnt when, and what is saved."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from rlkit.algos.base import Algorithm, Setting
from rlkit.maths.schedules import scheduled
from rlkit.nets import optim
from rlkit.nets.network import Network
from rlkit.types import Batch, Rollout, State

if TYPE_CHECKING:
    from torch import Tensor

    from rlkit.config.off_policy import OffPolicyConfig
    from rlkit.memory.replay import ReplayMemory


class OffPolicy(Algorithm):
    """Performs `gradient_steps` updates for every `train_every_frames` frames after `learning_starts`.

    A subclass fills `networks` (what is learnt), `targets` (their target networks) and `optims`, by name.
    """

    cfg: OffPolicyConfig

    def __init__(self, cfg: OffPolicyConfig, setting: Setting) -> None:
        super().__init__(cfg, setting)
        self.cfg = cfg
        self.total_frames = setting.total_frames
        self.networks: dict[str, Network] = {}
        self.targets: dict[str, Network] = {}
        self.optims: dict[str, optim.Optimizer] = {}
        self.own_rng = setting.acting
        self.frames = self.new_frames = 0
        self.owed = 0.0
        self.updates = 0

    def optimizer(self, network: Network) -> optim.Optimizer:
        """The optimiser that the config asks for, on one network."""
        cfg = self.cfg
        return optim.build(cfg.optimizer, network, learning_rate=cfg.learning_rate, max_grad_norm=cfg.max_grad_norm)

    @property
    def rollout_steps(self) -> int:
        """The steps that give `train_every_frames` frames, at least one."""
        return max(1, int(self.cfg.train_every_frames) // self.spec.num_envs)

    def warming_up(self, frames: int, rows: int) -> bool:
        """Whether actions `[rows]` are still uniform: in the training environments, before `learning_starts`."""
        return frames < int(self.cfg.learning_starts) and self.training(rows)

    def training(self, rows: int) -> bool:
        """Whether an action is for the training environments; only they get exploration noise."""
        return self.rng is self.own_rng and rows == self.spec.num_envs

    def prepare(self, rollout: Rollout) -> Rollout:
        """Count the frames, and set the learning rate for the updates that they bring."""
        cfg = self.cfg
        self.new_frames = rollout.steps * rollout.num_envs
        self.frames = rollout.frames + self.new_frames
        for optimizer in self.optims.values():
            optimizer.learning_rate = scheduled(
                cfg.learning_rate, cfg.learning_rate_schedule, rollout.frames, self.total_frames
            )
        return rollout

    def batches(self, memory: ReplayMemory) -> Iterator[Batch]:
        """The batches due for the frames after `learning_starts`; a remainder is carried over.

        After a resume without the memory's contents, updates wait until it has taken in `learning_starts` frames again,
        and at least a batch.
        """
        cfg = self.cfg
        emptied = memory.taken < self.frames
        starts = max(int(cfg.learning_starts), int(cfg.batch_size)) if emptied else int(cfg.learning_starts)
        learnt_from = min(self.new_frames, memory.taken - starts)
        if learnt_from <= 0:
            return
        self.owed += learnt_from * int(cfg.gradient_steps) / int(cfg.train_every_frames)
        while self.owed >= 1:
            for batch in self.draw(memory, int(self.owed)):
                self.owed -= 1
                yield batch

    def draw(self, memory: ReplayMemory, owed: int) -> Sequence[Batch]:
        """Batches for the next updates: at least one, at most the number due."""
        return [memory.sample(int(self.cfg.batch_size), gamma=self.cfg.gamma, n_step=int(self.cfg.n_step))]

    def update_targets(self, updates: int) -> None:
        """Move the target networks towards the networks, after every `target_update_every` of the updates counted."""
        if updates % int(self.cfg.target_update_every) == 0:
            for name, target in self.targets.items():
                target.move_towards(self.networks[name], self.cfg.tau)

    def normal(self, rows: int, width: int) -> Tensor:
        """Standard normal noise `[rows, width]`, from the stream of the actions."""
        noise = torch.from_numpy(self.rng.standard_normal((rows, width), np.float32))
        return noise.to(next(iter(self.networks.values())).device)

    def weights(self) -> dict[str, torch.Tensor]:
        return {name: w for network in self.networks.values() for name, w in network.state_dict().items()}

    def load_weights(self, weights: dict[str, torch.Tensor]) -> None:
        for network in self.networks.values():
            network.load_state_dict(weights)

    def state_dict(self) -> State:
        """Target networks, optimisers, and the number of updates due."""
        return {
            "targets": {name: target.state_dict() for name, target in self.targets.items()},
            "optims": {name: optimizer.state_dict() for name, optimizer in self.optims.items()},
            "owed": self.owed,
            "updates": self.updates,
        }

    def load_state_dict(self, state: State) -> None:
        for name, target in self.targets.items():
            target.load_state_dict(state["targets"][name])
        for name, optimizer in self.optims.items():
            optimizer.load_state_dict(state["optims"][name])
        self.owed, self.updates = state["owed"], state["updates"]
