"""Twin delayed deep deterministic policy gradient (Fujimoto et al. 2018, arXiv:1802.09477).

The critics move towards `r + discount min Q'(s', a~)` with `a~ = clip(pi'(s') + clip(noise))` (algorithm 1). Every
`policy_delay`-th update the policy follows the gradient of the first critic, and the targets follow both. Actions are
`tanh` of the network, in [-1, 1].
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from rlkit.algos.base import Setting
from rlkit.algos.critics import critics
from rlkit.algos.off_policy import OffPolicy
from rlkit.maths.exploration import uniform
from rlkit.maths.noise import Noise
from rlkit.maths.q_learning import critics_loss
from rlkit.nets.build import Output
from rlkit.types import Action, Batch, State, Update

if TYPE_CHECKING:
    from rlkit.config.off_policy import TD3Config
    from rlkit.types import Array, Metrics


class TD3(OffPolicy):
    """A deterministic policy and twin critics, each with a target."""

    cfg: TD3Config

    def __init__(self, cfg: TD3Config, setting: Setting) -> None:
        super().__init__(cfg, setting)
        self.dims = setting.action_size
        self.actor = setting.network({"actor": Output(setting.net, (self.dims,), setting.net.policy_gain)})
        self.critics = critics(setting)
        self.networks = {"actor": self.actor, "critic": self.critics}
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
        """One step of the critics; every `policy_delay`-th time one of the policy and the targets (algorithm 1)."""
        cfg = self.cfg
        self.updates += 1
        next_action = self.targets["actor"].predict(batch.next_obs)[0].tanh()
        noise = cfg.target_noise * self.normal(len(batch), self.dims)
        smooth = (next_action + noise.clamp(-cfg.target_noise_clip, cfg.target_noise_clip)).clamp(-1, 1)
        next_q = self.targets["critic"].predict(batch.next_obs, smooth).amin(0)
        target = batch.reward + batch.discount * next_q
        critic_loss = critics_loss(self.critics(batch.obs, batch.action), target, batch.weight)
        self.optims["critic"].step(critic_loss)

        if self.updates % int(cfg.policy_delay) == 0:
            action = self.actor(batch.obs)[0].tanh()
            self.optims["actor"].step(-self.critics(batch.obs, action, frozen=True)[0].mean())
            self.update_targets(self.updates // int(cfg.policy_delay))

        learning_rate = self.optims["critic"].learning_rate

        def metrics() -> Metrics:
            return {
                "critic_loss": critic_loss.value,
                "q": (target + critic_loss.stats["error"][0]).mean(),
                "critic_grad_norm": self.optims["critic"].grad_norm,
                "learning_rate": learning_rate,
            }

        return Update(metrics, lambda: critic_loss.stats["error"].abs().mean(0))

    def state_dict(self) -> State:
        """The state of `OffPolicy`, and of the noise."""
        return {**super().state_dict(), "noise": self.noise.state_dict()}

    def load_state_dict(self, state: State) -> None:
        super().load_state_dict(state)
        self.noise.load_state_dict(state["noise"])
