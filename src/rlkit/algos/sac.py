"""Soft actor-critic (Haarnoja et al. 2018, arXiv:1812.05905) for continuous actions.

The critics move towards `r + discount (min Q'(s', a') - alpha log pi(a'|s'))` (eq. 5 and 6), the policy towards high
`min Q(s, a) - alpha log pi(a|s)` (eq. 7), and the temperature alpha towards a policy of the entropy `target_entropy`
(eq. 18). Actions are `tanh` of a Gaussian, in [-1, 1], and log-probabilities and entropies refer to that action. For
discrete actions see `sac_discrete.py`.

| detail | here |
|---|---|
| one update | a step of the critics, and every `policy_delay`-th time one of policy and temperature |
| critics' loss | the sum of both mean squares, without the 1/2 of eq. 5 |
| temperature's loss | `log alpha (H - target)`, or with alpha in place of log alpha (`alpha_loss`) |
| temperature's bounds | `alpha_min`, `alpha_max` |
| temperature's learning rate | `alpha_lr`; null: the networks', with their schedule |
| critics | two, stacked; joined by `twin` |
| target networks | move after every `target_update_every` updates by `tau` |
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np

from rlkit.algos.base import Setting
from rlkit.algos.critics import critics
from rlkit.algos.soft import SoftActorCritic
from rlkit.maths.exploration import uniform
from rlkit.maths.losses import soft_actor_loss
from rlkit.maths.noise import Noise
from rlkit.maths.q_learning import critics_loss
from rlkit.maths.squashed import LOG_STD, Sampled, tanh_gaussian, tanh_gaussians
from rlkit.nets.build import Output
from rlkit.types import Action, Batch, State, Update

if TYPE_CHECKING:
    from rlkit.config.off_policy import SACConfig
    from rlkit.nets.network import Network
    from rlkit.types import Array


class SAC(SoftActorCritic):
    """Soft actor-critic with a Gaussian policy within [-1, 1]."""

    has_targets = True

    def __init__(self, cfg: SACConfig, setting: Setting) -> None:
        self.cfg, self.dims = cfg, setting.action_size
        actor = Output(setting.net, (2 * self.dims,), setting.net.policy_gain)
        super().__init__(
            cfg,
            setting,
            actor=setting.network({"actor": actor}),
            critics=self.make_critics(setting),
            target_entropy=-float(self.dims),
            targets=self.has_targets,
        )
        # Pink noise takes the place of the policy's standard normal, so its deviation is 1.
        noise = dataclasses.replace(cfg.noise, std=1.0) if cfg.noise.kind == "pink" else cfg.noise
        self.noise = Noise(noise, setting.spec.num_envs, self.dims)

    def make_critics(self, setting: Setting) -> Network:
        """Two critics of one value each."""
        return critics(setting)

    def act(self, obs: Array, state: Any = None, *, frames: int, explore: bool) -> Action:
        """A sample of the policy, or `tanh` of its mean."""
        if explore and self.warming_up(frames, len(obs)):
            return Action(uniform(self.spec.action, len(obs), self.rng))
        params = self.actor.infer(obs)
        mean, log_std = params[:, : self.dims], params[:, self.dims :]
        if not explore:
            return Action(np.tanh(mean))
        std = np.exp(log_std.clip(*LOG_STD))
        kind = self.cfg.noise.kind if self.training(len(obs)) else "none"
        drawn = self.noise(self.rng)[0] if kind == "pink" else self.rng.standard_normal(mean.shape, dtype=np.float32)
        action = np.tanh(mean + std * drawn)
        if kind not in ("gaussian", "ornstein_uhlenbeck"):
            return Action(action)
        noise, state = self.noise(self.rng, state)
        return Action(np.clip(action + noise, -1, 1), state=state)

    def update(self, batch: Batch) -> Update:
        """One step of the critics (eq. 5); when due, of the policy (eq. 7) and the temperature (eq. 18)."""
        self.updates += 1
        alpha = self.temperature.alpha
        sampled, (next_action, next_log_prob) = self.actions(batch, self.policy_due())

        next_q = self.join(self.target_critics.predict(batch.next_obs, next_action))
        target = batch.reward + batch.discount * (next_q - alpha * next_log_prob)
        critic_loss = critics_loss(self.critics(batch.obs, batch.action), target, batch.weight)
        self.optims["critic"].step(critic_loss)

        if sampled is not None:
            action, log_prob = sampled
            q = self.critics(batch.obs, action, frozen=True)
            self.optims["actor"].step(soft_actor_loss(q, log_prob, alpha, twin=self.cfg.twin))
            self.entropy = -log_prob.detach()
            self.temperature.step(self.entropy)
        self.update_targets(self.updates)
        return self.report(critic_loss, target)

    def actions(self, batch: Batch, due: bool) -> tuple[Sampled | None, Sampled]:
        """Actions of the policy at the states, differentiable, and at their successors, constant.

        The former are needed, and sampled, only where the policy's update is due.
        """
        rows = len(batch)
        noise = self.normal(2 * rows if due else rows, self.dims)
        params, next_params = self.actor_outputs(batch, due)
        if params is None:
            return None, tanh_gaussian(next_params, noise)
        return tanh_gaussians(params, next_params, noise)

    def state_dict(self) -> State:
        """The state of `SoftActorCritic`, and of the noise."""
        return {**super().state_dict(), "noise": self.noise.state_dict()}

    def load_state_dict(self, state: State) -> None:
        super().load_state_dict(state)
        self.noise.load_state_dict(state["noise"])
