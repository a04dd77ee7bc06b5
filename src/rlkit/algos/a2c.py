"""Advantage actor-critic, the synchronous form of A3C (Mnih et al. 2016, arXiv:1602.01783).

One step of the policy gradient for each rollout, on all of it: `-mean(A log pi(a)) + vf mean((V - R)^2) - ent mean(H)`.
Deviations from the paper: advantages by GAE unless `returns` asks for n-step or Monte Carlo returns; Adam instead of
RMSProp shared between threads; actor and critic are two networks unless the net says otherwise.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from rlkit.algos.estimates import advantages
from rlkit.algos.policy_gradient import PolicyGradient
from rlkit.maths.losses import a2c_loss
from rlkit.types import Batch, Rollout, Update

if TYPE_CHECKING:
    from rlkit.config.algo import A2CConfig
    from rlkit.memory.rollout import RolloutMemory

FIELDS = ("obs", "action", "advantage", "target")
"""What an update reads of a rollout."""


class A2C(PolicyGradient):
    """One gradient step a rollout."""

    cfg: A2CConfig

    @property
    def rollout_steps(self) -> int:
        return self.cfg.n_steps

    def prepare(self, rollout: Rollout) -> Rollout:
        """Set the schedules for this rollout; add `advantage` and `target`, each `[T, N]`."""
        cfg = self.cfg
        self.set_schedules(rollout.frames)
        value, next_value = self.values(rollout)
        advantage = advantages(
            rollout, value, next_value, returns=cfg.returns, gamma=cfg.gamma, lam=cfg.gae_lambda, n=cfg.nstep
        )
        self.add_targets(rollout, value, advantage)
        return rollout

    def batches(self, memory: RolloutMemory) -> Iterator[Batch]:
        """The whole rollout, once."""
        return self.minibatches(memory, memory.rows, FIELDS)

    def update(self, batch: Batch) -> Update:
        """One step along the policy gradient (section 4.3), on actor and critic."""
        policy, value = self.outputs(batch)
        loss = a2c_loss(policy, value, batch, dist=self.dist, vf_coef=self.cfg.vf_coef, ent_coef=self.ent_coef)
        self.optim.step(loss)
        return self.report(loss)
