"""Soft actor-critic (Haarnoja et al. 2018, arXiv:1812.05905), and CrossQ (Bhatt et al. 2024, arXiv:1902.05605).

The critics move towards `r + discount (min Q'(s', a') - alpha log pi(a'|s'))`, the policy towards
`min Q(s, a) - alpha log pi(a|s)`, the temperature alpha towards a policy of the entropy `target_entropy`. Actions of a
Box are `tanh` of a Gaussian, in [-1, 1], and log-probabilities and entropies refer to that action. For Discrete actions
(Christodoulou 2019, arXiv:1910.07207) all expectations over actions are exact sums.

CrossQ is the same without target networks: the critics see `(s, a)` and `(s', a')` as one batch, whose joint statistics
normalise both (batch renormalisation), and no gradient flows through the second half. Acting and the policy's loss use
the running statistics; only that joint pass moves them.

| detail | here |
|---|---|
| one update | a step of the critics, and every `policy_delay`-th time one of policy and temperature |
| temperature's loss | `-log alpha (log pi + target)`, or with alpha in place of log alpha |
| temperature's bounds | `alpha_min`, `alpha_max` |
| temperature's learning rate | `alpha_lr`; null: the networks', with their schedule |
| critics | two, stacked; joined by `twin` |
| targets | follow after every `target_update_every` updates by `tau` |
"""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from gymnasium import spaces

from rlkit.algos.base import Setting
from rlkit.algos.off_policy import OffPolicy
from rlkit.config.learning import OptimizerConfig
from rlkit.config.off_policy import CrossQConfig
from rlkit.maths.distributions import Categorical
from rlkit.maths.exploration import uniform
from rlkit.maths.noise import Noise
from rlkit.maths.schedules import scheduled
from rlkit.maths.squashed import LOG_STD, tanh_gaussian
from rlkit.nets import optim
from rlkit.nets.build import Output
from rlkit.nets.network import Network
from rlkit.types import Action, Batch, State, Update

if TYPE_CHECKING:
    from torch import Tensor

    from rlkit.config.net import NetConfig
    from rlkit.config.off_policy import SACConfig
    from rlkit.types import Array, Metrics, Rollout


class Decision(NamedTuple):
    """What a policy does at some observations."""

    log_prob: Tensor  # [B] of the action, or [B, A] of every one where they are Discrete
    action: Tensor | None = None  # [B, A], where they are continuous
    chain: Any = None  # see `tanh_gaussian`
    back: Any = None  # the policy's backward pass

    def rows(self, part: slice) -> Decision:
        """What it does at some of them, not to be learnt from."""
        return Decision(self.log_prob[part], None if self.action is None else self.action[part])


class SAC(OffPolicy):
    """A policy, twin critics and a temperature."""

    cfg: SACConfig

    def __init__(self, cfg: SACConfig, setting: Setting) -> None:
        super().__init__(cfg, setting)
        space = setting.spec.action
        self.continuous = isinstance(space, spaces.Box)
        assert isinstance(space, spaces.Box | spaces.Discrete)
        self.dims = math.prod(space.shape) if isinstance(space, spaces.Box) else int(space.n)
        critic_net = twins_of(setting)
        actor_outputs = {"actor": Output(2 * self.dims if self.continuous else self.dims, setting.net.policy_gain)}
        width = 1 if self.continuous else self.dims
        critic_outputs = {name: Output(width, critic_net.value_gain) for name in ("q1", "q2")}
        sees = state_action(setting, self.dims) if self.continuous else setting.spec.observation
        self.actor = Network(setting.net, actor_outputs, setting.spec.observation, setting.init, setting.device)
        self.critic = Network(critic_net, critic_outputs, sees, setting.init, setting.device)
        self.networks = {"actor": self.actor, "critic": self.critic}
        self.joint = isinstance(cfg, CrossQConfig)
        if not self.joint:
            self.targets = {"critic": self.critic.target()}
        self.optims = {name: self.optimizer(network) for name, network in self.networks.items()}

        entropy = -float(self.dims) if self.continuous else 0.5 * math.log(self.dims)
        self.target_entropy = entropy if cfg.target_entropy is None else cfg.target_entropy
        self.log_alpha = optim.Flat({"log_alpha": 1}, setting.device)
        self.log_alpha.weight.fill_(math.log(cfg.alpha_init))
        self.alpha_optim = optim.build(
            OptimizerConfig(),
            self.log_alpha,
            learning_rate=cfg.alpha_lr or cfg.learning_rate,
            max_grad_norm=None,
            views=lambda flat: {"log_alpha": flat},
        )
        # Pink noise takes the place of the policy's standard normal, so its deviation is 1.
        noise = dataclasses.replace(cfg.noise, std=1.0) if cfg.noise.kind == "pink" else cfg.noise
        self.noise = Noise(noise, setting.spec.num_envs, self.dims)
        self.choices = Categorical(self.dims)
        self.alpha = self.log_alpha.weight.exp()[0]
        if cfg.alpha is not None:
            self.alpha.fill_(cfg.alpha)
        self.entropy: Tensor | None = None  # of the policy's last update, [B] or their mean

    def act(self, obs: Array, state: Any = None, *, frames: int, explore: bool) -> Action:
        """A sample of the policy, or its mode (`tanh` of the mean, or the likeliest choice)."""
        if explore and self.warming_up(frames, len(obs)):
            return Action(uniform(self.spec.action, len(obs), self.rng))
        params = self.actor.infer(obs)
        if not self.continuous:
            return Action(self.choices.sample(params, self.rng) if explore else params.argmax(-1))
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

    def prepare(self, rollout: Rollout) -> Rollout:
        """Set the schedules."""
        cfg = self.cfg
        rollout = super().prepare(rollout)
        if cfg.alpha is not None:
            self.alpha.fill_(scheduled(cfg.alpha, cfg.alpha_schedule, rollout.frames, self.total_frames))
        elif cfg.alpha_lr is None:
            self.alpha_optim.learning_rate = self.optims["actor"].learning_rate
        return rollout

    def update(self, batch: Batch) -> Update:
        """One step of the critics; policy, temperature and targets when they are due."""
        self.updates += 1
        following, decided = self.decisions(batch, due=self.updates % int(self.cfg.policy_delay) == 0)
        target, errors = self.update_critics(batch, following)
        if decided is not None:
            self.update_policy(batch, decided)
        self.follow(self.updates)

        def metrics() -> Metrics:
            critic = {
                "critic_loss": (batch.weight * (errors[0].square() + errors[1].square())).mean(),
                "q": (target + errors[0]).mean(),
                "critic_grad_norm": self.optims["critic"].grad_norm,
            }
            if self.entropy is None:
                return critic
            return {
                **critic,
                "entropy": self.entropy.mean(),
                "alpha": self.alpha,
                "actor_grad_norm": self.optims["actor"].grad_norm,
                "learning_rate": self.optims["actor"].learning_rate,
            }

        return Update(metrics, (errors[0].abs() + errors[1].abs()) / 2)

    def decisions(self, batch: Batch, due: bool) -> tuple[Decision, Decision | None]:
        """The policy at the successors, and where its update is due at the batch's rows, from which it is learnt."""
        rows = len(batch)
        noise = self.rng.standard_normal((2 * rows if due else rows, self.dims if self.continuous else 0), np.float32)
        if due and self.actor.rowwise:  # one pass costs less than two
            both = self.decide(torch.cat([batch.obs, batch.next_obs]), noise)
            return both.rows(slice(rows, None)), both
        following = self.decide(batch.next_obs, noise[-rows:], frozen=True)
        return following, self.decide(batch.obs, noise[:rows]) if due else None

    def decide(self, obs: Tensor, noise: Array, *, frozen: bool = False) -> Decision:
        """What the policy does at some observations; `frozen`: nothing will be learnt from it."""
        (params,), back = (self.actor.predict(obs), None) if frozen else self.actor.tape(obs)
        if not self.continuous:
            return Decision(params.log_softmax(-1), back=back)
        action, log_prob, chain = tanh_gaussian(params, torch.from_numpy(noise).to(params.device))
        return Decision(log_prob, action, chain, back)

    def join(self, q1: Tensor, q2: Tensor) -> Tensor:
        """What the two critics say together."""
        return torch.min(q1, q2) if self.cfg.twin == "min" else (q1 + q2) / 2

    def update_critics(self, batch: Batch, following: Decision) -> tuple[Tensor, list[Tensor]]:
        """One step of both critics, given the policy at the successors: the target `[B]` and the errors, `[B]` each."""
        rows, log_prob = len(batch), following.log_prob
        now, then = batch.obs, batch.next_obs
        if following.action is not None:
            now, then = torch.cat([now, batch.action], -1), torch.cat([then, following.action], -1)
        if self.joint:
            outs, back = self.critic.tape(torch.cat([now, then]))
            (q1, next_q1), (q2, next_q2) = (out.split_with_sizes([rows, rows]) for out in outs)
        else:
            next_q1, next_q2 = self.targets["critic"].predict(then)
            (q1, q2), back = self.critic.tape(now)
        next_q = self.join(next_q1, next_q2)
        if self.continuous:
            soft_value = next_q[:, 0] - self.alpha * log_prob
        else:
            soft_value = (log_prob.exp() * (next_q - self.alpha * log_prob)).sum(-1)
        target = batch.reward + batch.discount * soft_value

        index = None if self.continuous else batch.action.unsqueeze(-1)
        taken = [q if index is None else q.gather(-1, index) for q in (q1, q2)]  # [B, 1]
        errors = [q[:, 0] - target for q in taken]
        scale = batch.weight * (2 / rows)
        gradients = []
        for error in errors:
            d_q = (error * scale).unsqueeze(-1)
            if index is not None:
                d_q = torch.zeros_like(q1).scatter_(-1, index, d_q)
            gradients.append(d_q)
        back(gradients)
        self.optims["critic"].step()
        return target, errors

    def update_policy(self, batch: Batch, decided: Decision) -> None:
        """One step of the policy, given at the batch's rows and maybe at others behind, and one of the temperature."""
        rows, back = len(batch), decided.back
        log_prob = decided.log_prob[:rows]
        if decided.action is not None:
            (q1, q2), back_q = self.critic.tape(torch.cat([batch.obs, decided.action[:rows]], -1), frozen=True)
            share = (q1 <= q2).to(q1.dtype) if self.cfg.twin == "min" else torch.full_like(q1, 0.5)
            d_q1 = share * (-1 / rows)
            d_input = back_q([d_q1, -1 / rows - d_q1], params=False, inputs=True)
            back([decided.chain(d_input[:, -self.dims :], self.alpha / rows)])
            self.entropy = -log_prob
        else:
            q1, q2 = self.critic.predict(batch.obs)
            p = log_prob.exp()
            cost = self.alpha * log_prob - self.join(q1, q2)
            # d/d logits of sum p (alpha log p - q), where the derivative of sum p log p by log p adds nothing
            back([p * (cost - (p * cost).sum(-1, keepdim=True)) / rows])
            self.entropy = -(p * log_prob).sum(-1)
        self.optims["actor"].step()
        if self.cfg.alpha is None:
            self.update_temperature(self.entropy)

    def update_temperature(self, entropy: Tensor) -> None:
        """One step: up where the policy's entropy is below its target, down where it is above."""
        cfg = self.cfg
        excess = (entropy - self.target_entropy).mean()
        self.log_alpha.grad.copy_(excess * self.alpha if cfg.alpha_loss == "plain" else excess)
        self.alpha_optim.step()
        self.log_alpha.weight.clamp_(math.log(cfg.alpha_min), math.log(cfg.alpha_max))
        self.alpha = self.log_alpha.weight.exp()[0]

    def state_dict(self) -> State:
        """That of `OffPolicy`, temperature and noise, and what every update reports of the policy's last one."""
        reported = (
            {} if self.entropy is None else {"entropy": self.entropy.mean(), "norm": self.optims["actor"].grad_norm}
        )
        return {
            **super().state_dict(),
            "log_alpha": self.log_alpha.weight,
            "alpha_optim": self.alpha_optim.state_dict(),
            "noise": self.noise.state_dict(),
            "reported": reported,
        }

    def load_state_dict(self, state: State) -> None:
        """See `Algorithm`."""
        super().load_state_dict(state)
        self.log_alpha.weight.copy_(state["log_alpha"])
        if self.cfg.alpha is None:
            self.alpha = self.log_alpha.weight.exp()[0]
        self.alpha_optim.load_state_dict(state["alpha_optim"])
        self.noise.load_state_dict(state["noise"])
        if reported := state.get("reported"):  # older checkpoints have none
            self.entropy, self.optims["actor"].norm = reported["entropy"], reported["norm"]


def twins_of(setting: Setting) -> NetConfig:
    """The critics' shape; two that shared a trunk would not be two."""
    return dataclasses.replace(setting.critic_net or setting.net, shared=False)


def state_action(setting: Setting, dims: int) -> spaces.Box:
    """What critics of continuous actions take: observation and action side by side."""
    (width,) = setting.spec.observation.shape or ()
    return spaces.Box(-np.inf, np.inf, (width + dims,), np.float32)
