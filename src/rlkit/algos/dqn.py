"""Deep Q-learning (Mnih et al. 2015, "Human-level control"), with what Rainbow put together (arXiv:1710.02298).

`Q(s, a)` moves towards `r + gamma max_a' Q'(s', a')`, with a target network `Q'`. Options:

| option | what changes |
|---|---|
| `double` | the online network selects `a'`, the target network evaluates it (arXiv:1509.06461) |
| `dueling` | `Q = V + A - mean A` (arXiv:1511.06581) |
| `n_step` | the sum of n rewards before the bootstrap (Sutton & Barto 2018, eq. 7.1) |
| `memory=prioritized` | transitions by their last error, with importance weights (arXiv:1511.05952) |
| `distribution` | `categorical` (C51, arXiv:1707.06887) or `quantile` (arXiv:1710.10044) distributions of the return |
| `net.noisy` | learnt noise in the linear layers (arXiv:1706.10295), drawn again for every step and update |
| `exploration` | epsilon-greedy or Boltzmann, drawn for each environment |
| `exploration.repeat_exponent` | an exploratory action is repeated for some steps (arXiv:2006.01782) |
| `net=gru` or `lstm` | sequences, with recurrent states from zeros over a burn-in (R2D2, Kapturowski et al. 2019) |

The loss is the Huber loss by default: its gradient is the error clipped to [-1, 1], as in the paper. Deviation from the
paper: Adam instead of RMSProp.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch

from rlkit.algos.base import Setting
from rlkit.algos.off_policy import OffPolicy
from rlkit.config.net import RecurrentConfig
from rlkit.maths.action_values import action_values
from rlkit.maths.exploration import Repeats, exploration_metrics, explore_values, uniform
from rlkit.maths.schedules import scheduled
from rlkit.nets.build import Output
from rlkit.types import Action, Batch, State, Update

if TYPE_CHECKING:
    from torch import Tensor

    from rlkit.config.off_policy import DQNConfig
    from rlkit.memory.replay import ReplayMemory
    from rlkit.types import Array, Metrics


BURST_ROWS = 2048
"""Transitions whose successors are evaluated in one pass."""


class DQN(OffPolicy):
    """One network of action values, and its target network."""

    cfg: DQNConfig

    def __init__(self, cfg: DQNConfig, setting: Setting) -> None:
        super().__init__(cfg, setting)
        self.values = action_values(cfg, setting.device)
        shape = (setting.action_size, *self.values.atoms)
        self.q = setting.network({"q": Output(setting.net, shape, setting.net.value_gain, dueling=cfg.dueling)})
        self.target = self.q.target()
        self.networks, self.targets = {"q": self.q}, {"q": self.target}
        self.optims = {"q": self.optimizer(self.q)}
        recurrent = setting.net if isinstance(setting.net, RecurrentConfig) else None
        self.sequence_length = int(recurrent.sequence_length) if recurrent else 0
        self.burn_in = int(recurrent.burn_in) if recurrent else 0
        self.noisy = setting.net.noisy
        exponent = cfg.exploration.repeat_exponent
        self.repeats = None if exponent is None else Repeats(exponent, setting.spec.num_envs)

    def act(self, obs: Array, state: Any = None, *, frames: int, explore: bool) -> Action:
        """The greedy action, or an exploratory one."""
        cfg = self.cfg.exploration
        warming_up = explore and self.warming_up(frames, len(obs))
        repeats = self.repeats if explore and self.training(len(obs)) else None
        if warming_up and not self.q.state_size and not repeats:
            return Action(uniform(self.spec.action, len(obs), self.rng))
        self.q.resample_noise(self.rng if explore else None)
        if self.q.state_size:
            (z,), state = self.q.advance(obs, state)
        else:
            z = self.q.infer(obs)
        q = self.values.mean(torch.from_numpy(z)).numpy() if self.values.atoms else z
        if repeats:
            epsilon = 1.0 if warming_up else scheduled(cfg.epsilon, cfg.epsilon_schedule, frames, self.total_frames)
            action = repeats(q, epsilon, self.rng)
        elif warming_up:
            action = uniform(self.spec.action, len(obs), self.rng)
        elif explore:
            action = explore_values(q, cfg, frames, self.total_frames, self.rng)
        else:
            action = q.argmax(-1)
        return Action(action, state=state)

    def update(self, batch: Batch) -> Update:
        """One step of Q-learning (eq. 2): `Q(s, a)` towards `r + discount max_a' Q'(s', a')`."""
        if self.noisy:
            self.q.resample_noise(self.rng)
            self.target.resample_noise(self.rng)
        batch, z, next_z, choice = self.outputs(batch)
        best = self.values.greedy(next_z, choice)  # Q'(s', a') of the best a', by the online network with `double`
        target = self.values.target(batch.reward, batch.discount, best)
        loss = self.values.loss(z, batch.action, target, batch.weight)
        self.optims["q"].step(loss)
        self.updates += 1
        self.update_targets(self.updates)

        # Schedules may move them before a row is written, in a rollout without an update.
        learning_rate, frames = self.optims["q"].learning_rate, self.frames

        def metrics() -> Metrics:
            return {
                "loss": loss.value,
                "q": self.values.mean(z.detach()).max(-1).values.mean(),
                "grad_norm": self.optims["q"].grad_norm,
                "learning_rate": learning_rate,
                **exploration_metrics(self.cfg.exploration, frames, self.total_frames),
            }

        return Update(metrics, lambda: loss.stats["priority"])

    def outputs(self, batch: Batch) -> tuple[Batch, Tensor, Tensor, Tensor]:
        """The networks' outputs on a batch, each `[B, A]`, or `[B, A, Z]` of distributions.

        Returns:
            The rows that are learnt from; the outputs at their states, differentiable; those of the target network at
            their successors; and those by which the successor's action is chosen, the online network's with `double`.
        """
        if batch.source == "sequences":
            return self.sequence_outputs(batch)
        next_z = batch.fields["next_z"] if "next_z" in batch.fields else self.target.predict(batch.next_obs)[0]
        choice = self.q.predict(batch.next_obs)[0] if self.cfg.double else next_z
        return batch, self.q(batch.obs)[0], next_z, choice

    def sequence_outputs(self, batch: Batch) -> tuple[Batch, Tensor, Tensor, Tensor]:
        """`outputs` for sequences: recurrent states come from zeros over the burn-in, from which nothing is learnt.

        A step's successor is the next step of its sequence. The last steps of truncated episodes are left out: their
        successors are not in the sequence.
        """
        steps = len(batch.action)
        size = len(batch.obs) - steps
        burnt = min(self.burn_in, steps // size - 1) * size
        zeros = torch.zeros(size, self.q.state_size, device=self.q.device)
        ended = torch.cat([batch.boundary, torch.zeros_like(batch.boundary[:size])])
        (next_z,), _ = self.target.sequence(batch.obs, zeros, ended, constant=True)
        choice = self.q.sequence(batch.obs, zeros, ended, constant=True)[0][0] if self.cfg.double else next_z
        state = zeros
        if burnt:
            state = self.q.sequence(batch.obs[:burnt], zeros, ended[:burnt], constant=True)[1]
            state = state * ~ended[burnt - size : burnt].unsqueeze(-1)
        rows = (batch.terminated | ~batch.boundary)[burnt:].nonzero()[:, 0]
        (z,), _ = self.q.sequence(batch.obs[burnt:steps], state, ended[burnt:steps], rows)

        at = burnt + rows
        discount = self.cfg.gamma * (~batch.terminated[at]).float()
        fields = {"action": batch.action[at], "reward": batch.reward[at], "discount": discount}
        learnt = Batch({**fields, "weight": torch.ones_like(discount)}, source=batch.source)
        after = next_z[at + size]
        return learnt, z, after, choice[at + size] if self.cfg.double else after

    def draw(self, memory: ReplayMemory, owed: int) -> Sequence[Batch]:
        """Transitions; for recurrent networks sequences of `sequence_length` steps after a burn-in.

        While the target network does not change, it evaluates the successors of several batches in one pass.
        """
        cfg = self.cfg
        if self.sequence_length:
            size = max(1, int(cfg.batch_size) // self.sequence_length)
            return [memory.sample_sequences(size, self.burn_in + self.sequence_length)]
        unchanged = int(cfg.target_update_every) - self.updates % int(cfg.target_update_every)
        count = min(owed, unchanged, BURST_ROWS // int(cfg.batch_size))
        if count < 2 or self.noisy or not memory.even:
            return super().draw(memory, owed)
        burst = memory.sample(count * int(cfg.batch_size), gamma=cfg.gamma, n_step=int(cfg.n_step))
        burst.fields["next_z"] = self.target.predict(burst.next_obs)[0]
        return burst.split(int(cfg.batch_size))

    def state_dict(self) -> State:
        """The state of `OffPolicy`, and the actions being repeated."""
        return {**super().state_dict(), **({"repeats": self.repeats.state_dict()} if self.repeats else {})}

    def load_state_dict(self, state: State) -> None:
        super().load_state_dict(state)
        if self.repeats:
            self.repeats.load_state_dict(state["repeats"])
