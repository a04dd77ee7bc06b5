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
from rlkit.maths import losses
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
        """See `Algorithm`."""
        return self.cfg.n_steps

    def prepare(self, rollout: Rollout) -> Rollout:
        """Set the schedules for this rollout; add `advantage` and `target`, each `[T, N]`."""
        cfg = self.cfg
        self.follow_schedules(rollout.frames)
        value, next_value = self.values(rollout)
        advantage = advantages(
            rollout, value, next_value, returns=cfg.returns, gamma=cfg.gamma, lam=cfg.gae_lambda, n=cfg.nstep
        )
        self.settle(rollout, value, advantage)
        return rollout

    def batches(self, memory: RolloutMemory) -> Iterator[Batch]:
        """The whole rollout, once."""
        return self.minibatches(memory, memory.rows, FIELDS)

    def update(self, batch: Batch) -> Update:
        """One step on actor and critic."""
        cfg = self.cfg
        c = losses.A2CCoefficients(cfg.vf_coef, self.ent_coef)
        policy, value, back = self.tape(batch)
        head = losses.a2c_head(self.dist, policy, value, batch, c)
        back(head.d_policy, head.d_value)
        self.optim.step()
        return Update({**self.rollout_metrics, **head.stats, "grad_norm": self.optim.grad_norm})
