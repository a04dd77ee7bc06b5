"""REINFORCE (Williams 1992): the policy gradient with the returns of whole episodes.

`-mean(A log pi(a)) - ent mean(H)`, with `A = G - baseline` and `G` the discounted return to the end of the episode.
Every environment plays the same number of whole episodes for an update: taking the first to finish would favour short
ones. Steps beyond count as frames, and are not learnt from. The baseline is none, the mean return of the rollout, or a
learnt value. A truncated episode's return is bootstrapped with the value where there is one.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from rlkit.algos.base import Algorithm, Setting
from rlkit.algos.estimates import values_along
from rlkit.maths import distributions, losses
from rlkit.maths.returns import gae
from rlkit.maths.schedules import scheduled
from rlkit.nets.actor_critic import ActorCritic
from rlkit.nets.optim import Adam
from rlkit.types import Action, Batch, Rollout, State, Update

if TYPE_CHECKING:
    from rlkit.config.algo import ReinforceConfig
    from rlkit.memory.rollout import RolloutMemory
    from rlkit.types import Array

FIELDS = ("obs", "action", "advantage", "target")
"""What an update reads of a rollout."""


class Reinforce(Algorithm):
    """One gradient step for `episodes` whole episodes of every environment."""

    def __init__(self, cfg: ReinforceConfig, setting: Setting) -> None:
        super().__init__(cfg, setting)
        self.cfg = cfg
        self.total_frames = setting.total_frames
        self.dist = distributions.for_space(setting.spec.action)
        self.net = ActorCritic(
            setting.net,
            setting.critic_net,
            observation=setting.spec.observation,
            dist=self.dist,
            free_init=cfg.log_std_init,
            generator=setting.init,
            device=setting.device,
        )
        self.optim = Adam(self.net.flat, learning_rate=cfg.learning_rate, max_grad_norm=cfg.max_grad_norm)
        self.has_value = cfg.baseline == "value"
        vf = cfg.vf_coef if self.has_value else 0.0
        self.coefficients = losses.A2CCoefficients(vf, cfg.ent_coef, cfg.normalize_advantage)

    @property
    def rollout_episodes(self) -> int:
        """See `Algorithm`."""
        return self.cfg.episodes

    def act(self, obs: Array, state: Any = None, *, frames: int, explore: bool) -> Action:
        """Sample from the policy, or take its mode."""
        params = self.net.policy(obs)
        return Action(self.dist.sample(params, self.rng) if explore else self.dist.mode(params))

    def prepare(self, rollout: Rollout) -> Rollout:
        """Set the learning rate for this rollout; add `advantage` and `target`, each `[T, N]`."""
        cfg, fields = self.cfg, rollout.fields
        self.optim.learning_rate = scheduled(
            cfg.learning_rate_schedule, cfg.learning_rate, rollout.frames, self.total_frames
        )
        value = next_value = np.zeros_like(fields["reward"])
        if self.has_value:
            value, next_value = values_along(self.net, rollout)
        signals = fields["terminated"], fields["boundary"]
        advantage = gae(fields["reward"], value, next_value, *signals, gamma=cfg.gamma, lam=1.0)
        target = advantage + value
        if cfg.baseline == "mean":
            advantage = advantage - target[fields["valid"]].mean()
        fields.update(advantage=advantage, target=target)
        return rollout

    def batches(self, memory: RolloutMemory) -> Iterator[Batch]:
        """The rollout's whole episodes, once."""
        return memory.minibatches(memory.rows, FIELDS)

    def update(self, batch: Batch) -> Update:
        """One step on the policy, and on the value where it is the baseline."""
        policy, value, back = self.net.tape(batch.obs)
        head = losses.a2c_head(self.dist, policy, value, batch, self.coefficients)
        back(head.d_policy, head.d_value)
        self.optim.step()
        stats = {name: s for name, s in head.stats.items() if self.has_value or name != "value_loss"}
        return Update({**stats, "learning_rate": self.optim.learning_rate, "grad_norm": self.optim.grad_norm})

    def weights(self) -> dict[str, torch.Tensor]:
        """See `Algorithm`."""
        return self.net.state_dict()

    def load_weights(self, weights: dict[str, torch.Tensor]) -> None:
        """See `Algorithm`."""
        self.net.load_state_dict(weights)

    def state_dict(self) -> State:
        """Adam's moments: the rest follows from the config and the frames."""
        return {"optim": self.optim.state_dict()}

    def load_state_dict(self, state: State) -> None:
        """See `Algorithm`."""
        self.optim.load_state_dict(state["optim"])
