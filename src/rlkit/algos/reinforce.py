"""REINFORCE (Williams 1992): the policy gradient with the returns of whole episodes.

`-mean(A log pi(a)) - ent mean(H)`, with `A = G - baseline` and `G` the discounted return to the end of the episode.
Every environment plays the same number of whole episodes for an update: taking the first to finish would favour short
ones. Steps beyond count as frames, and are not learnt from. The baseline is none, the mean return of the rollout, or a
learnt value. A truncated episode's return is bootstrapped with the value where there is one.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from rlkit.algos.base import Setting
from rlkit.algos.policy_gradient import PolicyGradient
from rlkit.maths import losses
from rlkit.maths.returns import gae
from rlkit.types import Batch, Rollout, Update

if TYPE_CHECKING:
    from rlkit.config.algo import ReinforceConfig
    from rlkit.memory.rollout import RolloutMemory

FIELDS = ("obs", "action", "advantage", "target")
"""What an update reads of a rollout."""


class Reinforce(PolicyGradient):
    """One gradient step for `episodes` whole episodes of every environment."""

    cfg: ReinforceConfig

    def __init__(self, cfg: ReinforceConfig, setting: Setting) -> None:
        super().__init__(cfg, setting)
        self.has_value = cfg.baseline == "value"

    @property
    def rollout_episodes(self) -> int:
        """See `Algorithm`."""
        return self.cfg.episodes

    def prepare(self, rollout: Rollout) -> Rollout:
        """Set the schedules for this rollout; add `advantage` and `target`, each `[T, N]`."""
        cfg, fields = self.cfg, rollout.fields
        self.follow_schedules(rollout.frames)
        value = next_value = np.zeros_like(fields["reward"])
        if self.has_value:
            value, next_value = self.values(rollout)
        signals = fields["terminated"], fields["boundary"]
        advantage = gae(fields["reward"], value, next_value, *signals, gamma=cfg.gamma, lam=1.0)
        if cfg.baseline == "mean":
            advantage = advantage - advantage[fields["valid"]].mean()
        self.settle(rollout, value, advantage)
        if not self.has_value:
            del self.rollout_metrics["explained_variance"]
        return rollout

    def batches(self, memory: RolloutMemory) -> Iterator[Batch]:
        """The rollout's whole episodes, once."""
        return self.minibatches(memory, memory.rows, FIELDS)

    def update(self, batch: Batch) -> Update:
        """One step on the policy, and on the value where it is the baseline."""
        cfg = self.cfg
        vf = cfg.vf_coef if self.has_value else 0.0
        c = losses.A2CCoefficients(vf, self.ent_coef)
        policy, value, back = self.tape(batch)
        head = losses.a2c_head(self.dist, policy, value, batch, c)
        back(head.d_policy, head.d_value)
        self.optim.step()
        stats = {name: s for name, s in head.stats.items() if self.has_value or name != "value_loss"}
        return Update({**self.rollout_metrics, **stats, "grad_norm": self.optim.grad_norm})
