"""What the policy-gradient algorithms share: a policy and a value on one flat vector, stepped by one optimiser."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from rlkit.algos.base import Algorithm, Setting
from rlkit.algos.estimates import ValueTransform, values_along
from rlkit.config.net import RecurrentConfig
from rlkit.maths import losses
from rlkit.maths.running import RunningRange
from rlkit.maths.schedules import scheduled
from rlkit.maths.spaces import for_space
from rlkit.nets import optim
from rlkit.nets.build import Output
from rlkit.types import Action, Batch, Rollout, State, Update

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from rlkit.config.algo import PolicyGradientConfig
    from rlkit.config.learning import ScheduleConfig
    from rlkit.maths.loss import Loss
    from rlkit.memory.rollout import RolloutMemory
    from rlkit.types import Array, Floats


class PolicyGradient(Algorithm):
    """Acts by sampling a distribution over actions; a subclass says how it learns."""

    cfg: PolicyGradientConfig

    def __init__(self, cfg: PolicyGradientConfig, setting: Setting) -> None:
        super().__init__(cfg, setting)
        self.cfg = cfg
        self.total_frames = setting.total_frames
        self.dist = for_space(
            setting.spec.action,
            cfg.distribution,
            log_std_init=cfg.log_std_init,
            state_dependent_std=cfg.state_dependent_std,
        )
        critic_net = setting.critic_net or setting.net
        self.net = setting.network(
            {
                "actor": Output(
                    setting.net,
                    (self.dist.outputs + self.dist.free,),
                    setting.net.policy_gain,
                    free=self.dist.free,
                    free_init=self.dist.free_init,
                ),
                "critic": Output(critic_net, (), critic_net.value_gain),
            }
        )
        self.networks = {"net": self.net}
        self.optim = optim.build(
            cfg.optimizer, self.net, learning_rate=cfg.learning_rate, max_grad_norm=cfg.max_grad_norm
        )
        nets = (setting.net, setting.critic_net)
        self.sequence_length = next((int(n.sequence_length) for n in nets if isinstance(n, RecurrentConfig)), 0)
        self.transform = ValueTransform(cfg.value_transform)
        self.return_range = RunningRange()
        self.ent_coef = cfg.ent_coef
        self.rollout_metrics: dict[str, float | None] = {}

    def act(self, obs: Array, state: Any = None, *, frames: int, explore: bool) -> Action:
        """Sample from the policy, or take its mode.

        A sample comes with the parameters that it was drawn from, and with the critic's output where that is at hand.
        """
        value: Floats | None
        if self.net.state_size:
            (params, value), state = self.net.advance(obs, state)
        elif self.net.shared:
            params, value = self.net.infer_all(obs)
        else:
            params, value = self.net.infer(obs), None
        if not explore:
            return Action(self.dist.mode(params), state=state)
        extra = {"params": params} if value is None else {"params": params, "critic": value}
        return Action(self.dist.sample(params, self.rng), extra, state)

    def scheduled(self, name: str, schedule: ScheduleConfig, frames: int) -> float:
        """The value of a key of the config at `frames`, by its schedule."""
        return scheduled(getattr(self.cfg, name), schedule, frames, self.total_frames)

    def set_schedules(self, frames: int) -> None:
        """Set the learning rate and the entropy coefficient for the updates of a rollout that began at `frames`."""
        self.optim.learning_rate = self.scheduled("learning_rate", self.cfg.learning_rate_schedule, frames)
        self.ent_coef = self.scheduled("ent_coef", self.cfg.ent_coef_schedule, frames)
        self.rollout_metrics = {"learning_rate": self.optim.learning_rate}
        if self.cfg.ent_coef_schedule.kind != "constant":
            self.rollout_metrics["ent_coef"] = self.ent_coef

    def values(self, rollout: Rollout) -> tuple[Floats, Floats]:
        """V of the states and of their true successors, each `[T, N]`, in units of reward.

        Adds the fields `next_value`, the latter, and `value`, the critic's own output at the states.
        """
        output, next_output = values_along(self.net, rollout)
        value, next_value = self.transform.decode(output), self.transform.decode(next_output)
        rollout.fields.update(value=output, next_value=next_value)
        return value, next_value

    def add_targets(self, rollout: Rollout, value: Floats, advantage: Floats) -> None:
        """Add the fields `advantage`, and `target` in units of the critic's output, each `[T, N]`."""
        target = advantage + value
        valid = rollout.fields.get("valid", np.ones_like(rollout.fields["boundary"]))
        self.rollout_metrics["explained_variance"] = losses.explained_variance(value[valid], target[valid])
        if self.cfg.normalize_advantage == "percentile":
            self.return_range.update(target[valid])
            advantage = advantage / np.float32(self.return_range.width)
        self.transform.learn(target[valid])
        rollout.fields.update(advantage=advantage, target=self.transform.encode(target))

    def minibatches(self, memory: RolloutMemory, size: int, fields: Sequence[str]) -> Iterator[Batch]:
        """One pass over a rollout, in sequences where the networks are recurrent; advantages as the config says."""
        standard = ("advantage",) if self.cfg.normalize_advantage == "standard" else ()
        if self.net.state_size:
            return memory.sequences(size, self.sequence_length, fields, standard)
        return memory.minibatches(size, fields, standard)

    def outputs(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """The policy's parameters `[B, P]` and the critic's output `[B]` on a batch, differentiable."""
        if self.net.state_size:
            outs, _ = self.net.sequence(batch.obs, batch.state, batch.boundary, batch.rows)
        else:
            outs = self.net(batch.obs)
        policy, value = outs
        return policy, value

    def report(self, loss: Loss) -> Update:
        """What an update reports after its step: the schedules, the statistics of the loss, and the gradient's norm."""
        return Update(lambda: {**self.rollout_metrics, **loss.stats, "grad_norm": self.optim.grad_norm})

    def weights(self) -> dict[str, torch.Tensor]:
        return self.net.state_dict()

    def load_weights(self, weights: dict[str, torch.Tensor]) -> None:
        self.net.load_state_dict(weights)

    def state_dict(self) -> State:
        """The optimiser's state and running statistics: the rest follows from the config and the frames."""
        return {
            "optim": self.optim.state_dict(),
            "transform": self.transform.state_dict(),
            "return_range": self.return_range.state_dict(),
        }

    def load_state_dict(self, state: State) -> None:
        self.optim.load_state_dict(state["optim"])
        self.transform.load_state_dict(state["transform"])
        self.return_range.load_state_dict(state["return_range"])
