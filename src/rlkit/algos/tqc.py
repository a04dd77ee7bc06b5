"""Truncated quantile critics (Kuznetsov et al. 2020, arXiv:2005.04269): SAC with distributional critics.

Each critic gives quantiles of the return. The targets are the quantiles of all target critics together, without the
`drop` largest of each, which counters overestimation; the policy follows the mean of all quantiles (algorithm 1).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from rlkit.algos.critics import critics
from rlkit.algos.sac import SAC
from rlkit.maths.q_learning import tqc_loss
from rlkit.types import Batch, Update

if TYPE_CHECKING:
    from rlkit.algos.base import Setting
    from rlkit.config.off_policy import TQCConfig
    from rlkit.nets.network import Network


class TQC(SAC):
    """Soft actor-critic with truncated quantile critics."""

    cfg: TQCConfig

    def make_critics(self, setting: Setting) -> Network:
        """`critics` networks of `quantiles` outputs."""
        return critics(setting, (int(self.cfg.quantiles),), count=int(self.cfg.critics))

    def update(self, batch: Batch) -> Update:
        """One step of the critics (eq. 14), the policy (eq. 15) and the temperature."""
        self.updates += 1
        cfg, alpha = self.cfg, self.temperature.alpha
        sampled, (next_action, next_log_prob) = self.actions(batch, self.policy_due())

        pooled = torch.cat(self.target_critics.predict(batch.next_obs, next_action).unbind(0), -1).sort(-1).values
        kept = pooled[:, : pooled.shape[1] - int(cfg.drop) * int(cfg.critics)]
        target = batch.reward[:, None] + batch.discount[:, None] * (kept - alpha * next_log_prob[:, None])
        critic_loss = tqc_loss(self.critics(batch.obs, batch.action), target, batch.weight)
        self.optims["critic"].step(critic_loss)

        if sampled is not None:
            action, log_prob = sampled
            q = self.critics(batch.obs, action, frozen=True).mean((0, 2))
            self.optims["actor"].step((alpha * log_prob - q).mean())
            self.entropy = -log_prob.detach()
            self.temperature.step(self.entropy)
        self.update_targets(self.updates)
        return self.report(critic_loss, target.mean(-1))
