"""Deep Q-learning (Mnih et al. 2015, "Human-level control"), with what Rainbow put together (arXiv:1710.02298).

`Q(s, a)` moves towards `r + gamma max_a' Q'(s', a')`, `Q'` a target network that both chooses and rates `a'`. Options:

| option | what changes |
|---|---|
| `double` | the present network chooses `a'`, the target network rates it (arXiv:1509.06461) |
| `dueling` | `Q = V + A - mean A` (arXiv:1511.06581) |
| `n_step` | the sum of n rewards before the bootstrap (Sutton & Barto 2018, eq. 7.1) |
| `memory=prioritized` | transitions by their last error, with importance weights (arXiv:1511.05952) |
| `distribution` | `categorical` (C51, arXiv:1707.06887) or `quantile` (arXiv:1710.10044) distributions of the return |
| `net.noisy` | learnt noise in the linear layers (arXiv:1706.10295), drawn anew for every step and update |
| `exploration` | epsilon-greedy or Boltzmann; each environment draws for itself |
| `exploration.repeat_exponent` | what is tried is repeated for some steps (arXiv:2006.01782) |
| `net=gru` or `lstm` | stretches of the memory, states from zeros over a burn-in (Kapturowski et al. 2019, R2D2) |

The error is that before the step. The loss is the Huber loss by default, which is clipping the error to [-1, 1] as the
paper did. Deviations: Adam instead of RMSProp.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from gymnasium import spaces

from rlkit.algos.base import Setting
from rlkit.algos.off_policy import OffPolicy
from rlkit.config.net import RecurrentConfig
from rlkit.maths import q_learning
from rlkit.maths.exploration import Repeats, explore_values, uniform
from rlkit.maths.schedules import scheduled
from rlkit.nets.build import Output
from rlkit.nets.network import Network
from rlkit.types import Action, Back, Batch, State, Update

if TYPE_CHECKING:
    from torch import Tensor

    from rlkit.config.off_policy import DQNConfig
    from rlkit.memory.replay import ReplayMemory
    from rlkit.types import Array, Metrics


BURST_ROWS = 2048
"""Transitions whose successors are rated in one pass."""


class DQN(OffPolicy):
    """One network of action values, and its target."""

    cfg: DQNConfig

    def __init__(self, cfg: DQNConfig, setting: Setting) -> None:
        super().__init__(cfg, setting)
        self.choices = choices(setting)
        self.atoms = 1 if cfg.distribution == "none" else int(cfg.atoms)
        self.plain = self.atoms == 1 and not cfg.dueling  # the outputs are the values themselves
        width = (self.choices + cfg.dueling) * self.atoms
        outputs = {"q": Output(width, setting.net.value_gain)}
        self.q = Network(setting.net, outputs, setting.spec.observation, setting.init, setting.device)
        self.target = self.q.target()
        self.networks, self.targets = {"q": self.q}, {"q": self.target}
        self.optims = {"q": self.optimizer(self.q)}
        recurrent = setting.net if isinstance(setting.net, RecurrentConfig) else None
        self.sequence_length = int(recurrent.sequence_length) if recurrent else 0
        self.burn_in = int(recurrent.burn_in) if recurrent else 0
        self.noisy = setting.net.noisy
        self.support = torch.linspace(cfg.v_min, cfg.v_max, self.atoms, device=setting.device)
        exponent = cfg.exploration.repeat_exponent
        self.repeats = None if exponent is None else Repeats(exponent, setting.spec.num_envs)

    def act(self, obs: Array, state: Any = None, *, frames: int, explore: bool) -> Action:
        """The best action, or one that is tried out."""
        cfg = self.cfg.exploration
        warming_up = explore and self.warming_up(frames, len(obs))
        repeats = self.repeats if explore and self.training(len(obs)) else None
        if warming_up and not self.q.state_size and not repeats:
            return Action(uniform(self.spec.action, len(obs), self.rng))
        self.q.stir(self.rng if explore else None)
        if self.q.state_size:
            (out,), state = self.q.advance(obs, state)
        else:
            out = self.q.infer(obs)
        q = out if self.plain else self.expected(self.split(torch.from_numpy(out))).numpy()
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

    def split(self, out: Tensor) -> Tensor:
        """The network's output as `[B, A, Z]`: what it says of each action."""
        parts = out.view(len(out), -1, self.atoms)
        return q_learning.dueling(parts) if self.cfg.dueling else parts

    def expected(self, z: Tensor) -> Tensor:
        """Action values `[B, A]`."""
        if self.cfg.distribution == "categorical":
            return z.softmax(-1) @ self.support.to(z.device)
        return z.squeeze(-1) if self.atoms == 1 else z.mean(-1)  # the mean of one number is a slow way to say it

    def draw(self, memory: ReplayMemory, owed: int) -> Sequence[Batch]:
        """Transitions, or for recurrent networks as many in stretches of `sequence_length` behind a burn-in.

        While the target network keeps still, it rates the successors of several batches at once.
        """
        cfg = self.cfg
        if self.sequence_length:
            size = max(1, int(cfg.batch_size) // self.sequence_length)
            return [memory.sample_sequences(size, self.burn_in + self.sequence_length)]
        still = int(cfg.target_update_every) - self.updates % int(cfg.target_update_every)
        count = min(owed, still, BURST_ROWS // int(cfg.batch_size))
        if count < 2 or self.noisy or not memory.even:
            return super().draw(memory, owed)
        burst = memory.sample(count * int(cfg.batch_size), gamma=cfg.gamma, n_step=int(cfg.n_step))
        burst.fields["next_out"] = self.target.predict(burst.next_obs)[0]
        return burst.split(int(cfg.batch_size))

    def update(self, batch: Batch) -> Update:
        """One step towards the target of a batch."""
        cfg = self.cfg
        self.q.stir(self.rng)
        self.target.stir(self.rng)
        batch, out, back, next_out, chooser_out = self.forward(batch)
        every_z, next_every = self.split(out), self.split(next_out)
        chooser = next_every if chooser_out is next_out else self.split(chooser_out)
        if chooser is next_every and self.atoms == 1:  # who chooses and rates takes the largest
            next_z = next_every.amax(1)  # [B, Z]
        else:
            next_z = next_every.gather(1, self.of(self.expected(chooser).argmax(-1)))[:, 0]
        taken = self.of(batch.action)
        z = every_z.gather(1, taken)[:, 0]
        if cfg.distribution == "categorical":
            target = q_learning.project(next_z.softmax(-1), self.support, batch.reward, batch.discount)
            loss, d_z = q_learning.categorical_error(z, target)
            priority = loss
        elif cfg.distribution == "quantile":
            target = batch.reward.unsqueeze(-1) + batch.discount.unsqueeze(-1) * next_z
            loss, d_z = q_learning.quantile_error(z, target)
            priority = (z.mean(-1) - target.mean(-1)).abs()
        else:
            target = batch.reward + batch.discount * next_z[:, 0]
            loss, d_value, error = q_learning.td_error(z[:, 0], target, cfg.loss == "huber")
            d_z, priority = d_value.unsqueeze(-1), error.abs()

        d_z = d_z * (batch.weight / len(out)).unsqueeze(-1)
        d_every = torch.zeros_like(every_z).scatter_(1, taken, d_z.unsqueeze(1))
        d_out = q_learning.back_dueling(d_every) if cfg.dueling else d_every
        back([d_out.flatten(1)])
        self.optims["q"].step()
        self.updates += 1
        self.follow(self.updates)

        def metrics() -> Metrics:
            return {
                "loss": (batch.weight * loss).mean(),
                "q": self.expected(every_z).max(-1).values.mean(),
                "grad_norm": self.optims["q"].grad_norm,
                "learning_rate": self.optims["q"].learning_rate,
            }

        return Update(metrics, priority)

    def of(self, action: Tensor) -> Tensor:
        """The index `[B, 1, Z]` of what the network says of actions `[B]`, in its output as `[B, A, Z]`."""
        return action.view(-1, 1, 1).expand(-1, 1, self.atoms)

    def forward(self, batch: Batch) -> tuple[Batch, Tensor, Back, Tensor, Tensor]:
        """The rows that are learnt from, the outputs at them, the way back, and the outputs at their successors.

        The last are those of the target network, and of the network that chooses the successor's action.
        """
        if batch.source == "sequences":
            return self.forward_sequences(batch)
        next_out = batch.fields.get("next_out")  # a burst has it already
        if next_out is None:
            (next_out,) = self.target.predict(batch.next_obs)
        # before the tape of obs, which takes the same memory
        chooser = self.q.predict(batch.next_obs)[0].clone() if self.cfg.double else next_out
        (out,), back = self.q.tape(batch.obs)
        return batch, out, back, next_out, chooser

    def forward_sequences(self, batch: Batch) -> tuple[Batch, Tensor, Back, Tensor, Tensor]:
        """The same for stretches: the states come up from zeros over the burn-in, without gradient.

        A step's successor is the next step of the stretch. Where an episode was truncated it is not, and the true one
        would need a memory of its own: such steps are left out.
        """
        steps = len(batch.action)
        size = len(batch.obs) - steps
        burnt = min(self.burn_in, steps // size - 1) * size
        zeros = torch.zeros(size, self.q.state_size, device=self.q.device)
        ended = torch.cat([batch.boundary, torch.zeros_like(batch.boundary[:size])])
        along = self.target.tape_sequence(batch.obs, zeros, ended)[0][0]
        chooser = self.q.tape_sequence(batch.obs, zeros, ended)[0][0] if self.cfg.double else along
        state = self.q.tape_sequence(batch.obs[:burnt], zeros, ended[:burnt])[1] if burnt else zeros
        if burnt:
            state = state * ~ended[burnt - size : burnt].unsqueeze(-1)
        (out,), _, pull = self.q.tape_sequence(batch.obs[burnt:steps], state, ended[burnt:steps])
        rows = (batch.terminated | ~batch.boundary)[burnt:].nonzero()[:, 0]

        def back(d_outs: Sequence[Tensor]) -> None:
            d_out = torch.zeros_like(out)
            d_out[rows] = d_outs[0]
            pull([d_out])

        at = burnt + rows
        discount = self.cfg.gamma * (~batch.terminated[at]).float()
        fields = {"action": batch.action[at], "reward": batch.reward[at], "discount": discount}
        learnt = Batch({**fields, "weight": torch.ones_like(discount)}, source=batch.source)
        return learnt, out[rows], back, along[at + size], chooser[at + size]

    def state_dict(self) -> State:
        """That of `OffPolicy`, and the actions that are being repeated."""
        return {**super().state_dict(), **({"repeats": self.repeats.state_dict()} if self.repeats else {})}

    def load_state_dict(self, state: State) -> None:
        """See `Algorithm`."""
        super().load_state_dict(state)
        if self.repeats:
            self.repeats.load_state_dict(state["repeats"])


def choices(setting: Setting) -> int:
    """How many actions a Discrete action space has."""
    space = setting.spec.action
    assert isinstance(space, spaces.Discrete)
    return int(space.n)
