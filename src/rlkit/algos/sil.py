"""Self-imitation learning (Oh et al. 2018, arXiv:1806.05635) over A2C or PPO.

After each of the base algorithm's updates on a rollout, several more on steps of past episodes whose return was better
than the critic expects (eq. 1 to 3): `-log pi(a) (R - V)+ + vf/2 ((R - V)+)^2`, steps drawn by priority `(R - V)+`.

| detail | here |
|---|---|
| returns | up to the end of the episode, or to an earlier step that terminated (a lost life) |
| truncated episodes | bootstrapped with V when they are stored |
| priorities | `(R - V)+` before the step; new steps the largest so far; alpha 0.6 |
| importance weights | `(N P)^-beta` over the batch's largest, beta 0.1 |
| coefficient of the value | `sil.vf_coef` 0.01, as in the paper; it multiplies the half square |
| bound on the advantage | `sil.clip_advantage`: none, as in the paper; the authors' code has 1 |
| mean | over the batch as the paper's expectation says; the authors' code divides by the steps with advantage |
| entropy | none in this part, as in the paper's equations |

With a `value_transform`, returns are compared in the critic's own units.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from rlkit.algos.a2c import A2C
from rlkit.algos.base import Algorithm, Setting
from rlkit.algos.ppo import PPO
from rlkit.config.algo import A2CSILConfig, PPOSILConfig
from rlkit.maths.losses import sil_loss
from rlkit.memory.episodes import EpisodeMemory
from rlkit.types import Action, Batch, Rollout, State, Update

if TYPE_CHECKING:
    from rlkit.memory.rollout import RolloutMemory
    from rlkit.types import Array, Metrics


class SelfImitation(Algorithm):
    """Trains as its base algorithm does, and also imitates its own good episodes."""

    def __init__(self, cfg: A2CSILConfig | PPOSILConfig, setting: Setting) -> None:
        self.base: A2C | PPO = A2C(cfg, setting) if isinstance(cfg, A2CSILConfig) else PPO(cfg, setting)
        super().__init__(cfg, setting)
        self.networks = self.base.networks
        self.cfg = cfg.sil
        self.episodes = EpisodeMemory(
            int(self.cfg.buffer_size),
            setting.spec.num_envs,
            gamma=cfg.gamma,
            alpha=self.cfg.alpha,
            beta=self.cfg.beta,
        )
        self.base_update = Update()
        self.base_metrics: Metrics = {}

    @property
    def rng(self) -> np.random.Generator:
        """The base algorithm's stream."""
        return self.base.rng

    @rng.setter
    def rng(self, rng: np.random.Generator) -> None:
        self.base.rng = rng

    @property
    def rollout_steps(self) -> int:
        return self.base.rollout_steps

    def act(self, obs: Array, state: Any = None, *, frames: int, explore: bool) -> Action:
        """Act as the base algorithm does."""
        return self.base.act(obs, state, frames=frames, explore=explore)

    def prepare(self, rollout: Rollout) -> Rollout:
        """Prepare as the base algorithm does, and store the episodes that ended."""
        rollout = self.base.prepare(rollout)
        self.episodes.add(rollout)
        return rollout

    def batches(self, memory: RolloutMemory) -> Iterator[Batch]:
        """The base's batches, then `sil.updates` batches of past episodes, once there are any."""
        yield from self.base.batches(memory)
        self.base_metrics = self.base_update.report()  # before later steps change the gradient's norm
        for _ in range(int(self.cfg.updates) if self.episodes.rows else 0):
            arrays = self.episodes.sample(int(self.cfg.batch_size), memory.rng)
            arrays["ret"] = self.base.transform.encode(arrays["ret"])
            fields = {name: torch.from_numpy(x).to(memory.device) for name, x in arrays.items()}
            yield Batch(fields, source="episodes")

    def update(self, batch: Batch) -> Update:
        """The base's update, or one step along the gradient of the self-imitation loss (eq. 1 to 3)."""
        if batch.source != "episodes":
            self.base_update = self.base.update(batch)
            return self.base_update
        base, cfg = self.base, self.cfg
        policy, value = base.net(batch.obs)
        loss = sil_loss(
            policy, value, batch, dist=base.dist, coef=cfg.coef, vf_coef=cfg.vf_coef, clip=cfg.clip_advantage
        )
        base.optim.step(loss)
        stats = dict(loss.stats)
        self.episodes.priorities.update(batch.index.cpu().numpy(), stats.pop("advantage").cpu().numpy())
        return Update({**self.base_metrics, **stats})

    def interrupt(self) -> None:
        self.episodes.interrupt()

    def weights(self) -> dict[str, torch.Tensor]:
        return self.base.weights()

    def load_weights(self, weights: dict[str, torch.Tensor]) -> None:
        self.base.load_weights(weights)

    def state_dict(self) -> State:
        """The base's state, and the episodes."""
        return {"base": self.base.state_dict(), "episodes": self.episodes.state_dict()}

    def load_state_dict(self, state: State) -> None:
        self.base.load_state_dict(state["base"])
        self.episodes.load_state_dict(state["episodes"])
