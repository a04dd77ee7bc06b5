"""Advantage actor-critic, the synchronous form of A3C (Mnih et al. 2016, arXiv:1602.01783).

One step of the policy gradient for each rollout, on all of it: `-mean(A log pi(a)) + vf mean((V - R)^2) - ent mean(H)`.
Deviations from the paper: advantages by GAE unless `returns` asks for n-step or Monte Carlo returns; Adam instead of
RMSProp shared between threads; actor and critic are two networks unless the net says otherwise.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from rlkit.algos.base import Setting
from rlkit.algos.estimates import advantages, values_along
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

    def __init__(self, cfg: A2CConfig, setting: Setting) -> None:
        super().__init__(cfg, setting)
        self.cfg = cfg
        self.coefficients = losses.A2CCoefficients(cfg.vf_coef, cfg.ent_coef, cfg.normalize_advantage)

    @property
    def rollout_steps(self) -> int:
        """See `Algorithm`."""
        return self.cfg.n_steps

    def prepare(self, rollout: Rollout) -> Rollout:
        """Set the learning rate for this rollout; add `advantage` and `target`, each `[T, N]`."""
        cfg = self.cfg
        self.set_learning_rate(rollout.frames)
        value, next_value = values_along(self.net, rollout)
        advantage = advantages(
            rollout, value, next_value, returns=cfg.returns, gamma=cfg.gamma, lam=cfg.gae_lambda, n=cfg.nstep
        )
        target = advantage + value
        self.rollout_metrics = {
            "explained_variance": losses.explained_variance(value, target),
            "learning_rate": self.optim.learning_rate,
        }
        rollout.fields.update(advantage=advantage, target=target)
        return rollout

    def batches(self, memory: RolloutMemory) -> Iterator[Batch]:
        """The whole rollout, once."""
        return memory.minibatches(memory.rows, FIELDS)

    def update(self, batch: Batch) -> Update:
        """One step on actor and critic."""
        policy, value, back = self.net.tape(batch.obs)
        head = losses.a2c_head(self.dist, policy, value, batch, self.coefficients)
        back(head.d_policy, head.d_value)
        self.optim.step()
        return Update({**self.rollout_metrics, **head.stats, "grad_norm": self.optim.grad_norm})
