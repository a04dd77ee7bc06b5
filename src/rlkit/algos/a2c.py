"""Advantage actor-critic, the synchronous form of A3C (Mnih et al. 2016, arXiv:1602.01783).

One step of the policy gradient for each rollout, on all of it: `-mean(A log pi(a)) + vf mean((V - R)^2) - ent mean(H)`.
Deviations from the paper: advantages by GAE unless `returns` asks for n-step or Monte Carlo returns; Adam instead of
RMSProp shared between threads; actor and critic are two networks unless the net says otherwise.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import torch

from rlkit.algos.base import Algorithm, Setting
from rlkit.algos.estimates import advantages, values_along
from rlkit.maths import distributions, losses
from rlkit.maths.schedules import scheduled
from rlkit.nets.actor_critic import ActorCritic
from rlkit.nets.optim import Adam
from rlkit.types import Action, Batch, Rollout, State, Update

if TYPE_CHECKING:
    from rlkit.config.algo import A2CConfig
    from rlkit.memory.rollout import RolloutMemory
    from rlkit.types import Array

FIELDS = ("obs", "action", "advantage", "target")
"""What an update reads of a rollout."""


class A2C(Algorithm):
    """One gradient step a rollout."""

    def __init__(self, cfg: A2CConfig, setting: Setting) -> None:
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
        self.optim = Adam(
            self.net.flat, learning_rate=cfg.learning_rate, eps=cfg.adam_eps, max_grad_norm=cfg.max_grad_norm
        )
        self.coefficients = losses.A2CCoefficients(cfg.vf_coef, cfg.ent_coef, cfg.normalize_advantage)
        self.rollout_metrics: dict[str, float | None] = {}

    @property
    def rollout_steps(self) -> int:
        """See `Algorithm`."""
        return self.cfg.n_steps

    def act(self, obs: Array, state: Any = None, *, frames: int, explore: bool) -> Action:
        """Sample from the policy, or take its mode."""
        params = self.net.policy(obs)
        return Action(self.dist.sample(params, self.rng) if explore else self.dist.mode(params))

    def prepare(self, rollout: Rollout) -> Rollout:
        """Set the learning rate for this rollout; add `advantage` and `target`, each `[T, N]`."""
        cfg = self.cfg
        self.optim.learning_rate = scheduled(
            cfg.learning_rate_schedule, cfg.learning_rate, rollout.frames, self.total_frames
        )
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
