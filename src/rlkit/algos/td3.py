"""Twin delayed deep deterministic policy gradient (Fujimoto et al. 2018, arXiv:1802.09477).

The critics move towards `r + discount min Q'(s', a~)` with `a~ = clip(pi'(s') + clip(noise))` (algorithm 1). Every
`policy_delay`-th update the policy follows the gradient of the first critic, and the targets follow both. Actions are
`tanh` of the network, in [-1, 1].
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from gymnasium import spaces

from rlkit.algos.base import Setting
from rlkit.algos.off_policy import OffPolicy
from rlkit.algos.sac import state_action, twins_of
from rlkit.maths.exploration import uniform
from rlkit.maths.noise import Noise
from rlkit.nets.build import Output
from rlkit.nets.network import Network
from rlkit.types import Action, Batch, State, Update

if TYPE_CHECKING:
    from rlkit.config.off_policy import TD3Config
    from rlkit.types import Array, Metrics


class TD3(OffPolicy):
    """A deterministic policy and twin critics, each with a target."""

    cfg: TD3Config

    def __init__(self, cfg: TD3Config, setting: Setting) -> None:
        super().__init__(cfg, setting)
        space = setting.spec.action
        assert isinstance(space, spaces.Box)
        self.dims = math.prod(space.shape)
        critic_net = twins_of(setting)
        outputs = {"actor": Output(self.dims, setting.net.policy_gain)}
        self.actor = Network(setting.net, outputs, setting.spec.observation, setting.init, setting.device)
        twins = {name: Output(1, critic_net.value_gain) for name in ("q1", "q2")}
        self.critic = Network(critic_net, twins, state_action(setting, self.dims), setting.init, setting.device)
        self.networks = {"actor": self.actor, "critic": self.critic}
        self.targets = {name: network.target() for name, network in self.networks.items()}
        self.optims = {name: self.optimizer(network) for name, network in self.networks.items()}
        self.noise = Noise(cfg.noise, setting.spec.num_envs, self.dims)

    def act(self, obs: Array, state: Any = None, *, frames: int, explore: bool) -> Action:
        """The policy's action, with noise while exploring."""
        if explore and self.warming_up(frames, len(obs)):
            return Action(uniform(self.spec.action, len(obs), self.rng))
        action = np.tanh(self.actor.infer(obs))
        if not explore or not self.training(len(obs)):
            return Action(action)
        noise, state = self.noise(self.rng, state)
        return Action(np.clip(action + noise, -1, 1), state=state)

    def update(self, batch: Batch) -> Update:
        """One step of the critics; policy and targets when they are due."""
        cfg, rows = self.cfg, len(batch)
        self.updates += 1
        next_action = self.targets["actor"].predict(batch.next_obs)[0].tanh()
        noise = torch.from_numpy(self.rng.standard_normal(tuple(next_action.shape), dtype=np.float32))
        smooth = (cfg.target_noise * noise.to(next_action.device)).clamp(-cfg.target_noise_clip, cfg.target_noise_clip)
        then = torch.cat([batch.next_obs, (next_action + smooth).clamp(-1, 1)], -1)
        next_q = torch.min(*self.targets["critic"].predict(then))[:, 0]
        target = batch.reward + batch.discount * next_q

        qs, back = self.critic.tape(torch.cat([batch.obs, batch.action], -1))
        errors = [q[:, 0] - target for q in qs]
        back([(error * batch.weight * (2 / rows)).unsqueeze(-1) for error in errors])
        self.optims["critic"].step()
        if self.updates % int(cfg.policy_delay) == 0:
            self.update_policy(batch)
            self.follow(self.updates // int(cfg.policy_delay))

        def metrics() -> Metrics:
            return {
                "critic_loss": (batch.weight * (errors[0].square() + errors[1].square())).mean(),
                "q": (target + errors[0]).mean(),
                "critic_grad_norm": self.optims["critic"].grad_norm,
                "learning_rate": self.optims["critic"].learning_rate,
            }

        return Update(metrics, (errors[0].abs() + errors[1].abs()) / 2)

    def update_policy(self, batch: Batch) -> None:
        """One step along the gradient of the first critic."""
        (out,), back = self.actor.tape(batch.obs)
        action = out.tanh()
        qs, back_q = self.critic.tape(torch.cat([batch.obs, action], -1), frozen=True)
        d_q = torch.full_like(qs[0], -1 / len(batch))
        d_input = back_q([d_q, torch.zeros_like(d_q)], params=False, inputs=True)
        back([d_input[:, -self.dims :] * (1 - action.square())])
        self.optims["actor"].step()

    def state_dict(self) -> State:
        """That of `OffPolicy`, and the noise."""
        return {**super().state_dict(), "noise": self.noise.state_dict()}

    def load_state_dict(self, state: State) -> None:
        """See `Algorithm`."""
        super().load_state_dict(state)
        self.noise.load_state_dict(state["noise"])
