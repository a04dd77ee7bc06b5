"""Soft actor-critic for discrete actions (Christodoulou 2019, arXiv:1910.07207).

As SAC, with a categorical policy and critics that give the values of all actions, so that expectations over actions
are exact sums. The critics move to `r + discount sum_a' pi(a'|s') (min Q'(s', a') - alpha log pi(a'|s'))` (eq. 10),
the policy along eq. 12, the temperature along eq. 13.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from rlkit.algos.base import Setting
from rlkit.algos.critics import critics
from rlkit.algos.soft import SoftActorCritic
from rlkit.maths.distributions import Categorical
from rlkit.maths.exploration import uniform
from rlkit.maths.losses import soft_policy_loss
from rlkit.maths.q_learning import critics_loss
from rlkit.nets.build import Output
from rlkit.types import Action, Batch, Update

if TYPE_CHECKING:
    from rlkit.config.off_policy import SACConfig
    from rlkit.types import Array


class DiscreteSAC(SoftActorCritic):
    """Soft actor-critic with a categorical policy."""

    has_targets = True

    def __init__(self, cfg: SACConfig, setting: Setting) -> None:
        choices = setting.action_size
        actor = Output(setting.net, (choices,), setting.net.policy_gain)
        super().__init__(
            cfg,
            setting,
            actor=setting.network({"actor": actor}),
            critics=critics(setting, (choices,)),
            target_entropy=0.5 * math.log(choices),
            targets=self.has_targets,
        )
        self.dist = Categorical(choices)

    def act(self, obs: Array, state: Any = None, *, frames: int, explore: bool) -> Action:
        """A sample of the policy, or its likeliest action."""
        if explore and self.warming_up(frames, len(obs)):
            return Action(uniform(self.spec.action, len(obs), self.rng))
        logits = self.actor.infer(obs)
        return Action(self.dist.sample(logits, self.rng) if explore else self.dist.mode(logits))

    def update(self, batch: Batch) -> Update:
        """One step of the critics (eq. 4 and 10); when due, of the policy (eq. 12) and the temperature (eq. 13)."""
        self.updates += 1
        due, alpha = self.policy_due(), self.temperature.alpha
        logits, next_logits = self.actor_outputs(batch, due)

        next_q = self.join(self.target_critics.predict(batch.next_obs))
        next_log_p = next_logits.log_softmax(-1)
        next_value = (next_log_p.exp() * (next_q - alpha * next_log_p)).sum(-1)
        target = batch.reward + batch.discount * next_value
        critic_loss = critics_loss(self.critics(batch.obs), target, batch.weight, batch.action)
        self.optims["critic"].step(critic_loss)

        if logits is not None:
            actor_loss = soft_policy_loss(logits, self.join(self.critics.predict(batch.obs)), alpha)
            self.optims["actor"].step(actor_loss)
            self.entropy = actor_loss.stats["entropy"]
            self.temperature.step(self.entropy)
        self.update_targets(self.updates)
        return self.report(critic_loss, target)
