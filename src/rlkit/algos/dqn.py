"""Deep Q-learning (Mnih et al. 2015, "Human-level control"), with what Rainbow put together (arXiv:1710.02298).

`Q(s, a)` moves towards `r + gamma max_a' Q'(s', a')`, `Q'` a target network that both chooses and rates `a'`. Options:

| option | what changes |
|---|---|
| `double` | the present network chooses `a'`, the target network rates it (arXiv:1509.06461) |
| `dueling` | `Q = V + A - mean A` (arXiv:1511.06581) |
| `n_step` | the sum of n rewards before the bootstrap (Sutton & Barto 2018, eq. 7.1) |
| `memory=prioritized` | transitions by their last error, with importance weights (arXiv:1511.05952) |
| `distribution` | `categorical` (C51, arXiv:1707.06887) or `quantile` (arXiv:1710.10044) distributions of the return |
| `net.noisy` | learnt noise in the linear layers (arXiv:1706.10295), drawn anew for every action and update |
| `exploration` | epsilon-greedy or Boltzmann; each environment draws for itself |

The error is that before the step. The loss is the Huber loss by default, which is clipping the error to [-1, 1] as the
paper did. Deviations: Adam instead of RMSProp.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from gymnasium import spaces

from rlkit.algos.base import Setting
from rlkit.algos.off_policy import OffPolicy
from rlkit.errors import ConfigError
from rlkit.maths import q_learning
from rlkit.maths.exploration import explore_values, uniform
from rlkit.nets.build import Output
from rlkit.nets.network import Network
from rlkit.types import Action, Batch, Update

if TYPE_CHECKING:
    from torch import Tensor

    from rlkit.config.off_policy import DQNConfig
    from rlkit.types import Array


class DQN(OffPolicy):
    """One network of action values, and its target."""

    cfg: DQNConfig

    def __init__(self, cfg: DQNConfig, setting: Setting) -> None:
        super().__init__(cfg, setting)
        self.choices = discrete(setting, cfg.name)
        self.atoms = 1 if cfg.distribution == "none" else int(cfg.atoms)
        width = (self.choices + cfg.dueling) * self.atoms
        outputs = {"q": Output(width, setting.net.value_gain)}
        self.q = Network(setting.net, outputs, setting.spec.observation, setting.init, setting.device)
        self.target = self.q.target()
        self.networks, self.targets = {"q": self.q}, {"q": self.target}
        self.optims = {"q": self.optimizer(self.q)}
        self.support = torch.linspace(cfg.v_min, cfg.v_max, self.atoms, device=setting.device)

    def act(self, obs: Array, state: Any = None, *, frames: int, explore: bool) -> Action:
        """The best action, or one that is tried out."""
        if explore and self.warming_up(frames):
            return Action(uniform(self.spec.action, len(obs), self.rng))
        self.q.stir(self.rng if explore else None)
        q = self.expected(self.split(torch.from_numpy(self.q.infer(obs)))).numpy()
        if explore:
            return Action(explore_values(q, self.cfg.exploration, frames, self.total_frames, self.rng))
        return Action(q.argmax(-1))

    def split(self, out: Tensor) -> Tensor:
        """The network's output as `[B, A, Z]`: what it says of each action."""
        parts = out.view(len(out), -1, self.atoms)
        return q_learning.dueling(parts) if self.cfg.dueling else parts

    def expected(self, z: Tensor) -> Tensor:
        """Action values `[B, A]`."""
        if self.cfg.distribution == "categorical":
            return z.softmax(-1) @ self.support.to(z.device)
        return z.mean(-1)

    def update(self, batch: Batch) -> Update:
        """One step towards the target of a batch."""
        cfg, rows = self.cfg, torch.arange(len(batch), device=self.q.device)
        self.q.stir(self.rng)
        self.target.stir(self.rng)
        next_z = self.split(self.target.tape(batch.next_obs, frozen=True)[0][0])
        chooser = self.split(self.q.tape(batch.next_obs, frozen=True)[0][0]) if cfg.double else next_z
        next_z = next_z[rows, self.expected(chooser).argmax(-1)]  # [B, Z]

        (out,), back = self.q.tape(batch.obs)
        every_z = self.split(out)
        z = every_z[rows, batch.action]
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

        d_every = torch.zeros_like(every_z)
        d_every[rows, batch.action] = d_z * (batch.weight / len(rows)).unsqueeze(-1)
        d_out = q_learning.back_dueling(d_every) if cfg.dueling else d_every
        back([d_out.flatten(1)])
        self.optims["q"].step()
        self.updates += 1
        self.follow()
        if not self.last_of_rollout:
            return Update(priority=priority)
        stats: dict[str, Any] = {
            "loss": (batch.weight * loss).mean(),
            "q": self.expected(every_z).max(-1).values.mean(),
            "grad_norm": self.optims["q"].grad_norm,
            "learning_rate": self.optims["q"].learning_rate,
        }
        return Update(stats, priority)


def discrete(setting: Setting, algo: str) -> int:
    """How many actions there are.

    Raises:
        ConfigError: they are not Discrete.
    """
    space = setting.spec.action
    if not isinstance(space, spaces.Discrete):
        raise ConfigError(
            f"algo={algo} takes Discrete actions, {setting.spec.id} has {space}\n  use ppo, a2c, sac, crossq or td3"
        )
    return int(space.n)
