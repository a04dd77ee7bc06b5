"""CrossQ (Bhatt et al. 2024, arXiv:1902.05605): soft actor-critic with batch renormalisation and no target networks.

The critics see `(s, a)` and `(s', a')` as one batch, whose joint statistics normalise both halves; no gradient flows
through the second (section 4). Acting and the policy's loss use the running statistics, which only the joint pass
updates. Everything else is SAC's: `sac.py` for continuous actions, `sac_discrete.py` for discrete ones.
"""

from __future__ import annotations

import torch

from rlkit.algos.sac import SAC
from rlkit.algos.sac_discrete import DiscreteSAC
from rlkit.maths.losses import soft_actor_loss, soft_policy_loss
from rlkit.maths.q_learning import critics_loss
from rlkit.types import Batch, Update


class CrossQ(SAC):
    """CrossQ with a Gaussian policy within [-1, 1]."""

    has_targets = False

    def update(self, batch: Batch) -> Update:
        """One step of the critics on the joint batch (section 4); when due, of the policy and the temperature."""
        self.updates += 1
        alpha, rows = self.temperature.alpha, len(batch)
        sampled, (next_action, next_log_prob) = self.actions(batch, self.policy_due())

        joint = torch.cat([batch.obs, batch.next_obs]), torch.cat([batch.action, next_action])
        q, next_q = self.critics(*joint).split_with_sizes([rows, rows], 1)
        target = batch.reward + batch.discount * (self.join(next_q.detach()) - alpha * next_log_prob)
        critic_loss = critics_loss(q, target, batch.weight)
        self.optims["critic"].step(critic_loss)

        if sampled is not None:
            action, log_prob = sampled
            q = self.critics(batch.obs, action, frozen=True)
            self.optims["actor"].step(soft_actor_loss(q, log_prob, alpha, twin=self.cfg.twin))
            self.entropy = -log_prob.detach()
            self.temperature.step(self.entropy)
        return self.report(critic_loss, target)


class DiscreteCrossQ(DiscreteSAC):
    """CrossQ with a categorical policy."""

    has_targets = False

    def update(self, batch: Batch) -> Update:
        """One step of the critics on the joint batch (section 4); when due, of the policy and the temperature."""
        self.updates += 1
        alpha, rows = self.temperature.alpha, len(batch)
        logits, next_logits = self.actor_outputs(batch, self.policy_due())

        q, next_q = self.critics(torch.cat([batch.obs, batch.next_obs])).split_with_sizes([rows, rows], 1)
        next_log_p = next_logits.log_softmax(-1)
        next_value = (next_log_p.exp() * (self.join(next_q.detach()) - alpha * next_log_p)).sum(-1)
        target = batch.reward + batch.discount * next_value
        critic_loss = critics_loss(q, target, batch.weight, batch.action)
        self.optims["critic"].step(critic_loss)

        if logits is not None:
            actor_loss = soft_policy_loss(logits, self.join(self.critics.predict(batch.obs)), alpha)
            self.optims["actor"].step(actor_loss)
            self.entropy = actor_loss.stats["entropy"]
            self.temperature.step(self.entropy)
        return self.report(critic_loss, target)
