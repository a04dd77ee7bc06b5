"""What soft actor-critic algorithms share beside their updates: networks, temperature, state and report."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rlkit.algos.base import Setting
from rlkit.algos.off_policy import OffPolicy
from rlkit.algos.temperature import Temperature
from rlkit.types import Batch, Rollout, State, Update

if TYPE_CHECKING:
    from torch import Tensor

    from rlkit.config.off_policy import SACConfig
    from rlkit.maths.loss import Loss
    from rlkit.nets.network import Network
    from rlkit.types import Metrics


class SoftActorCritic(OffPolicy):
    """A policy, an ensemble of critics, their target networks and a temperature.

    Args:
        cfg: the configuration.
        setting: what the algorithm is built from.
        actor: the policy's network.
        critics: see `algos.critics`.
        target_entropy: of the policy in nats, where the config has none.
        targets: whether the critics have target networks.
    """

    cfg: SACConfig

    def __init__(
        self,
        cfg: SACConfig,
        setting: Setting,
        *,
        actor: Network,
        critics: Network,
        target_entropy: float,
        targets: bool = True,
    ) -> None:
        super().__init__(cfg, setting)
        self.actor, self.critics = actor, critics
        self.networks = {"actor": actor, "critic": critics}
        if targets:
            self.target_critics = critics.target()
            self.targets = {"critic": self.target_critics}
        self.optims = {name: self.optimizer(network) for name, network in self.networks.items()}
        self.temperature = Temperature(cfg, target_entropy, setting.device)
        self.entropy: Tensor | None = None  # of the policy's last update, [B] or their mean

    def prepare(self, rollout: Rollout) -> Rollout:
        """Set the schedules."""
        rollout = super().prepare(rollout)
        self.temperature.set_schedules(rollout.frames, self.total_frames, self.optims["actor"].learning_rate)
        return rollout

    def policy_due(self) -> bool:
        """Whether this update, which is already counted, also updates the policy."""
        return self.updates % int(self.cfg.policy_delay) == 0

    def actor_outputs(self, batch: Batch, due: bool) -> tuple[Tensor | None, Tensor]:
        """The policy network's outputs at the states, differentiable, and at their successors, constant; each `[B, P]`.

        The former are needed, and computed, only where the policy's update is due.
        """
        if not due:
            return None, self.actor.predict(batch.next_obs)[0]
        (now,), (following,) = self.actor.both(batch.obs, batch.next_obs)
        return now, following

    def join(self, q: Tensor) -> Tensor:
        """One value `[B, ...]` of those of the critics `[K, B, ...]`: the smallest, or their mean."""
        return q.amin(0) if self.cfg.twin == "min" else q.mean(0)

    def report(self, loss: Loss, target: Tensor) -> Update:
        """What an update reports: the critics' loss and value; entropy and temperature of the policy's last update.

        Args:
            loss: of the critics; its statistics have the `error [K, B]`.
            target: `[B]`.
        """
        # Schedules may move them before a row is written, in a rollout without an update.
        alpha, learning_rate = self.temperature.alpha, self.optims["actor"].learning_rate

        def metrics() -> Metrics:
            critic = {
                "critic_loss": loss.value,
                "q": (target + loss.stats["error"][0]).mean(),
                "critic_grad_norm": self.optims["critic"].grad_norm,
            }
            if self.entropy is None:  # before the policy's first update
                return critic
            return {
                **critic,
                "entropy": self.entropy.mean(),
                "alpha": alpha,
                "actor_grad_norm": self.optims["actor"].grad_norm,
                "learning_rate": learning_rate,
            }

        return Update(metrics, lambda: loss.stats["error"].abs().mean(0))

    def state_dict(self) -> State:
        """The state of `OffPolicy`, the temperature, and the reported values of the policy's last update."""
        reported = (
            {} if self.entropy is None else {"entropy": self.entropy.mean(), "norm": self.optims["actor"].grad_norm}
        )
        return {**super().state_dict(), **self.temperature.state_dict(), "reported": reported}

    def load_state_dict(self, state: State) -> None:
        super().load_state_dict(state)
        self.temperature.load_state_dict(state)
        if reported := state.get("reported"):  # older checkpoints have none
            self.entropy, self.optims["actor"].norm = reported["entropy"], reported["norm"]
