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
from rlkit.maths.losses import a2c_loss
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
        return self.cfg.episodes

    def prepare(self, rollout: Rollout) -> Rollout:
        """Set the schedules for this rollout; add `advantage` and `target`, each `[T, N]`."""
        cfg, fields = self.cfg, rollout.fields
        self.set_schedules(rollout.frames)
        value = next_value = np.zeros_like(fields["reward"])
        if self.has_value:
            value, next_value = self.values(rollout)
        signals = fields["terminated"], fields["boundary"]
        advantage = gae(fields["reward"], value, next_value, *signals, gamma=cfg.gamma, lam=1.0)
        if cfg.baseline == "mean":
            advantage = advantage - advantage[fields["valid"]].mean()
        self.add_targets(rollout, value, advantage)
        if not self.has_value:
            del self.rollout_metrics["explained_variance"]
        return rollout

    def batches(self, memory: RolloutMemory) -> Iterator[Batch]:
        """The rollout's whole episodes, once."""
        return self.minibatches(memory, memory.rows, FIELDS)

    def update(self, batch: Batch) -> Update:
        """One step along the policy gradient, on the policy, and on the value where it is the baseline."""
        vf_coef = self.cfg.vf_coef if self.has_value else 0.0
        policy, value = self.outputs(batch)
        loss = a2c_loss(policy, value, batch, dist=self.dist, vf_coef=vf_coef, ent_coef=self.ent_coef)
        self.optim.step(loss)
        report = self.report(loss)
        if self.has_value:
            return report
        return Update(lambda: {name: x for name, x in report.report().items() if name != "value_loss"})
