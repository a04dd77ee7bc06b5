"""The temperature of soft actor-critic algorithms."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

from rlkit.config.learning import OptimizerConfig
from rlkit.maths.losses import temperature_loss
from rlkit.maths.schedules import scheduled
from rlkit.nets import optim
from rlkit.nets.network import Parameter

if TYPE_CHECKING:
    from torch import Tensor

    from rlkit.config.off_policy import SACConfig
    from rlkit.types import State


class Temperature:
    """alpha, the weight of the entropy: learnt towards a target entropy, or scheduled where `cfg.alpha` is given.

    Args:
        cfg: the configuration.
        target_entropy: in nats, where the config has none.
        device: where it lives.
    """

    def __init__(self, cfg: SACConfig, target_entropy: float, device: torch.device) -> None:
        self.cfg = cfg
        self.target_entropy = target_entropy if cfg.target_entropy is None else cfg.target_entropy
        self.log_alpha = Parameter(math.log(cfg.alpha_init), device)
        self.optim = optim.build(OptimizerConfig(), self.log_alpha, learning_rate=cfg.alpha_lr or cfg.learning_rate)
        self.alpha = self.log_alpha.flat.weight.exp()[0]
        """The temperature, a scalar on the device."""
        if cfg.alpha is not None:
            self.alpha.fill_(cfg.alpha)

    def set_schedules(self, frames: int, total_frames: int, learning_rate: float) -> None:
        """Set a given temperature, or a learnt one's learning rate, for the updates of a rollout.

        Args:
            frames: at which the rollout began.
            total_frames: the budget.
            learning_rate: of the networks.
        """
        if self.cfg.alpha is not None:
            alpha = scheduled(self.cfg.alpha, self.cfg.alpha_schedule, frames, total_frames)
            self.alpha = torch.full_like(self.alpha, alpha)
        elif self.cfg.alpha_lr is None:
            self.optim.learning_rate = learning_rate

    def step(self, entropy: Tensor) -> None:
        """One step of a learnt temperature, given the policy's entropies `[B]`."""
        cfg = self.cfg
        if cfg.alpha is not None:
            return
        loss = temperature_loss(self.log_alpha(), entropy, self.target_entropy, plain=cfg.alpha_loss == "plain")
        self.optim.step(loss)
        self.log_alpha.flat.weight.clamp_(math.log(cfg.alpha_min), math.log(cfg.alpha_max))
        self.alpha = self.log_alpha.flat.weight.exp()[0]

    def state_dict(self) -> State:
        """The temperature and its optimiser."""
        return {"log_alpha": self.log_alpha.flat.weight, "alpha_optim": self.optim.state_dict()}

    def load_state_dict(self, state: State) -> None:
        """Restore the state that `state_dict` gave."""
        self.log_alpha.flat.weight.copy_(state["log_alpha"])
        if self.cfg.alpha is None:
            self.alpha = self.log_alpha.flat.weight.exp()[0]
        self.optim.load_state_dict(state["alpha_optim"])
