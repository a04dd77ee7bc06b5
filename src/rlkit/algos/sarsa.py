"""SARSA (Rummery & Niranjan 1994; Sutton & Barto 2018, section 6.4) and expected SARSA (van Seijen et al. 2009).

On-policy: `Q(s, a)` moves towards `r + gamma Q(s', a')` with the action `a'` that was taken next. Where none was taken,
at the end of a rollout or of a truncated episode, one is drawn from the present policy at the true successor. With
`expected`, the mean of Q over the present policy's actions takes the place of `Q(s', a')`. One step a rollout.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from rlkit.algos.base import Algorithm, Setting
from rlkit.maths.exploration import exploration_metrics, explore_values, policy_over
from rlkit.maths.q_learning import td_loss
from rlkit.maths.schedules import scheduled
from rlkit.nets import optim
from rlkit.nets.build import Output
from rlkit.types import Action, Batch, Rollout, State, Update

if TYPE_CHECKING:
    from torch import Tensor

    from rlkit.config.off_policy import SARSAConfig
    from rlkit.memory.rollout import RolloutMemory
    from rlkit.types import Array, Metrics

FIELDS = ("obs", "action", "target")
"""What an update reads of a rollout."""


class SARSA(Algorithm):
    """One network of action values."""

    def __init__(self, cfg: SARSAConfig, setting: Setting) -> None:
        super().__init__(cfg, setting)
        self.cfg = cfg
        self.total_frames, self.frames = setting.total_frames, 0
        output = Output(setting.net, (setting.action_size,), setting.net.value_gain)
        self.q = setting.network({"q": output})
        self.networks = {"q": self.q}
        self.optim = optim.build(
            cfg.optimizer, self.q, learning_rate=cfg.learning_rate, max_grad_norm=cfg.max_grad_norm
        )

    @property
    def rollout_steps(self) -> int:
        return int(self.cfg.n_steps)

    def act(self, obs: Array, state: Any = None, *, frames: int, explore: bool) -> Action:
        """The greedy action, or an exploratory one."""
        self.q.resample_noise(self.rng if explore else None)
        q = self.q.infer(obs)
        if explore:
            return Action(explore_values(q, self.cfg.exploration, frames, self.total_frames, self.rng))
        return Action(q.argmax(-1))

    def prepare(self, rollout: Rollout) -> Rollout:
        """Add `target [T, N]`."""
        cfg, fields = self.cfg, rollout.fields
        self.frames = rollout.frames
        self.optim.learning_rate = scheduled(
            cfg.learning_rate, cfg.learning_rate_schedule, rollout.frames, self.total_frames
        )
        successor = rollout.obs[1:].copy()
        successor[rollout.cut_t, rollout.cut_n] = rollout.cut_obs
        T, N = fields["reward"].shape
        q = self.q.infer(successor.reshape(T * N, *successor.shape[2:]))
        if cfg.expected:
            next_value = (q * policy_over(q, cfg.exploration, rollout.frames, self.total_frames)).sum(-1)
        else:
            drawn = explore_values(q, cfg.exploration, rollout.frames, self.total_frames, self.rng).reshape(T, N)
            taken = np.concatenate([fields["action"][1:], drawn[-1:]])
            action = np.where(fields["boundary"], drawn, taken)
            next_value = q[np.arange(T * N), action.reshape(-1)]
        discount = cfg.gamma * ~fields["terminated"]
        fields["target"] = (fields["reward"] + discount * next_value.reshape(T, N)).astype(np.float32)
        return rollout

    def batches(self, memory: RolloutMemory) -> Iterator[Batch]:
        """The whole rollout, once."""
        return memory.minibatches(memory.rows, FIELDS)

    def update(self, batch: Batch) -> Update:
        """One step towards the targets."""
        (q,) = self.q(batch.obs)
        loss = td_loss(q, batch.action, batch.target, huber=self.cfg.loss == "huber")
        self.optim.step(loss)

        def metrics() -> Metrics:
            return {
                "loss": loss.value,
                "q": q.detach().max(-1).values.mean(),
                "grad_norm": self.optim.grad_norm,
                "learning_rate": self.optim.learning_rate,
                **exploration_metrics(self.cfg.exploration, self.frames, self.total_frames),
            }

        return Update(metrics)

    def weights(self) -> dict[str, Tensor]:
        return self.q.state_dict()

    def load_weights(self, weights: dict[str, Tensor]) -> None:
        self.q.load_state_dict(weights)

    def state_dict(self) -> State:
        """The optimiser's state."""
        return {"optim": self.optim.state_dict()}

    def load_state_dict(self, state: State) -> None:
        self.optim.load_state_dict(state["optim"])
