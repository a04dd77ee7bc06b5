"""Proximal policy optimisation (Schulman et al. 2017, arXiv:1707.06347).

Collect `T` steps of `N` environments, estimate advantages, then maximise the clipped surrogate objective over several
epochs of minibatches. Details after Huang et al. 2022, "The 37 implementation details of PPO", by their numbers there
(core 1-13, continuous c1-c9):

| detail | here |
|---|---|
| 1 vectorised rollouts | `num_envs` environments, `n_steps` each |
| 2 orthogonal initialisation | `nets/build.py`: hidden sqrt(2), policy 0.01, value 1, biases 0 |
| 3 Adam's epsilon | `optimizer.eps`, 1e-5 |
| 4 annealing | `learning_rate_schedule`, and `clip_coef_schedule` |
| 5 GAE | `maths/returns.py`; bootstraps at truncation from the true successor, not only at the end of a rollout |
| 6 minibatches | every row once an epoch, in random order |
| 7 advantage normalisation | per minibatch, `normalize_advantage` |
| 8 clipped surrogate | `clip_coef` |
| 9 value clipping | `clip_value`, off by default: later studies found no gain |
| 10 overall loss | one sum, one optimiser over actor and critic; the value loss is `mean((V - R)^2)`, without 1/2 |
| 11 global gradient clipping | `max_grad_norm` over actor and critic together |
| 12 debug variables | `approx_kl`, `clip_fraction`, `entropy`, `explained_variance`, the losses, `grad_norm` |
| 13 separate networks | two networks of one shape, or `net@critic_net` |
| c1-c3 Gaussian policy | independent dimensions, state-independent log standard deviation, `log_std_init` |
| c5 action clipping | `envs/vector.py` clips to [-1, 1] and scales; log-probabilities are of the unclipped action |

`target_kl` (an option of theirs) ends a rollout's updates early.

The policy's outputs are recorded while acting; old log-probabilities and values follow after the rollout, in one pass,
but for the values of a trunk that policy and value share, which come with acting.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch

from rlkit.algos.base import Setting
from rlkit.algos.estimates import advantages
from rlkit.algos.policy_gradient import PolicyGradient
from rlkit.maths.losses import ppo_loss
from rlkit.types import Batch, Rollout, Update

if TYPE_CHECKING:
    from rlkit.config.algo import PPOConfig
    from rlkit.memory.rollout import RolloutMemory

FIELDS = ("obs", "action", "log_prob", "value", "advantage", "target")
"""What an update reads of a rollout."""


class PPO(PolicyGradient):
    """Clipped surrogate, advantages by GAE, value function beside the policy."""

    cfg: PPOConfig

    def __init__(self, cfg: PPOConfig, setting: Setting) -> None:
        super().__init__(cfg, setting)
        self.clip_coef = cfg.clip_coef
        self.kl_exceeded = False

    @property
    def rollout_steps(self) -> int:
        return self.cfg.n_steps

    def prepare(self, rollout: Rollout) -> Rollout:
        """Set the schedules for this rollout; add `log_prob`, `value`, `advantage` and `target`, each `[T, N]`."""
        cfg, fields = self.cfg, rollout.fields
        self.set_schedules(rollout.frames)
        self.clip_coef = self.scheduled("clip_coef", cfg.clip_coef_schedule, rollout.frames)
        self.rollout_metrics["clip_coef"] = self.clip_coef
        value, next_value = self.values(rollout)
        advantage = advantages(rollout, value, next_value, returns="gae", gamma=cfg.gamma, lam=cfg.gae_lambda, n=1)
        self.add_targets(rollout, value, advantage)
        log_prob = self.dist.log_prob(torch.from_numpy(fields["params"]), torch.from_numpy(fields["action"])).numpy()
        fields["log_prob"] = log_prob
        return rollout

    def batches(self, memory: RolloutMemory) -> Iterator[Batch]:
        """Epochs of shuffled minibatches, ended early by `target_kl`."""
        self.kl_exceeded = False
        size = int(self.cfg.minibatch_size)
        whole = list(self.minibatches(memory, size, FIELDS)) if size >= memory.rows else None  # the same in every epoch
        for _ in range(self.cfg.epochs):
            for batch in whole or self.minibatches(memory, size, FIELDS):
                if self.kl_exceeded:
                    return
                yield batch

    def update(self, batch: Batch) -> Update:
        """One step along the gradient of the clipped surrogate objective (eq. 7 and 9) on a minibatch."""
        cfg = self.cfg
        policy, value = self.outputs(batch)
        loss = ppo_loss(
            policy,
            value,
            batch,
            dist=self.dist,
            clip_coef=self.clip_coef,
            vf_coef=cfg.vf_coef,
            ent_coef=self.ent_coef,
            clip_value=cfg.clip_value,
        )
        if cfg.target_kl is not None and loss.stats["approx_kl"] > 1.5 * cfg.target_kl:
            self.kl_exceeded = True  # before the step: the policy stays where it is
            return Update({**self.rollout_metrics, **loss.stats})
        self.optim.step(loss)
        return self.report(loss)
