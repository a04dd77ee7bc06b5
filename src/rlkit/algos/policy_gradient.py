"""What the policy-gradient algorithms share: a policy and a value on one flat vector, stepped by one optimiser."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rlkit.algos.base import Algorithm, Setting
from rlkit.maths import distributions
from rlkit.maths.schedules import scheduled
from rlkit.nets.actor_critic import ActorCritic
from rlkit.nets.optim import Adam
from rlkit.types import Action, State

if TYPE_CHECKING:
    import torch

    from rlkit.config.algo import PolicyGradientConfig
    from rlkit.types import Array


class PolicyGradient(Algorithm):
    """Acts by sampling a distribution over actions; a subclass says how it learns."""

    def __init__(self, cfg: PolicyGradientConfig, setting: Setting) -> None:
        super().__init__(cfg, setting)
        self.schedule = (cfg.learning_rate_schedule, cfg.learning_rate)
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
        self.rollout_metrics: dict[str, float | None] = {}

    def act(self, obs: Array, state: Any = None, *, frames: int, explore: bool) -> Action:
        """Sample from the policy, or take its mode; a sample comes with the parameters that it was drawn from."""
        params = self.net.policy(obs)
        if not explore:
            return Action(self.dist.mode(params))
        return Action(self.dist.sample(params, self.rng), {"params": params})

    def set_learning_rate(self, frames: int) -> None:
        """Follow the schedule, for the updates of a rollout that began at `frames`."""
        self.optim.learning_rate = scheduled(*self.schedule, frames, self.total_frames)

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
