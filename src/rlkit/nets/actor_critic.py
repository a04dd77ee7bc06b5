"""A policy and a value function on one flat vector of parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from rlkit.nets.build import Net, build
from rlkit.nets.optim import Flat

if TYPE_CHECKING:
    from gymnasium import Space
    from torch import Tensor

    from rlkit.config.net import NetConfig
    from rlkit.maths.distributions import Distribution
    from rlkit.types import Array, Back, Floats


class ActorCritic:
    """Actor and critic over the same observation: stacked where they have the same shape, else two networks.

    Args:
        net: the actor's shape, and the critic's unless `critic_net` is given.
        critic_net: the critic's shape where it differs.
        observation: the space of the observations.
        dist: the policy's distribution; its `free` parameters are learnt beside the networks.
        free_init: their first value (a log standard deviation).
        generator: the random stream of the initialisation.
        device: where parameters and updates live.
    """

    def __init__(
        self,
        net: NetConfig,
        critic_net: NetConfig | None,
        *,
        observation: Space[Any],
        dist: Distribution,
        free_init: float,
        generator: torch.Generator,
        device: torch.device,
    ) -> None:
        self.dist, self.device = dist, device
        # Gains of the last layers: 0.01 for a nearly uniform first policy, 1 for the value.
        actor, critic = ("actor", dist.outputs, 0.01), ("critic", 1, 1.0)
        separate = critic_net is not None and critic_net != net
        shapes = [(net, [actor]), (critic_net or net, [critic])] if separate else [(net, [actor, critic])]
        self.nets: list[Net] = [
            build(
                cfg,
                names=[name for name, _, _ in group],
                observation=observation,
                outputs=[outputs for _, outputs, _ in group],
                gains=[gain for _, _, gain in group],
                generator=generator,
            )
            for cfg, group in shapes
        ]
        sizes = {f"net{i}": n.size for i, n in enumerate(self.nets)}
        self.flat = Flat({**sizes, "free": dist.free}, device)
        for i, n in enumerate(self.nets):
            n.bind(self.flat.slots[f"net{i}"])
        self.free = self.flat.slots["free"]
        self.free.weight.fill_(free_init)

    def policy(self, obs: Array) -> Floats:
        """Parameters `[N, P]` of the policy for observations `[N, ...]`: what acting needs."""
        params = self.nets[0].infer(obs, 0)
        if not self.dist.free:
            return params
        free = np.broadcast_to(self.free.weight.cpu().numpy(), (len(params), self.dist.free))
        return np.concatenate([params, free], -1)

    def value(self, obs: Array) -> Floats:
        """Values `[B]` for observations `[B, ...]`."""
        last = self.nets[-1]
        return last.infer(obs, 1 if len(self.nets) == 1 else 0)[:, 0]

    def tape(self, obs: Tensor) -> tuple[Tensor, Tensor, Back]:
        """Policy parameters `[B, P]`, values `[B]`, and `back(d_policy [B, P], d_value [B])`."""
        if len(self.nets) == 1:
            (policy, value), pull = self.nets[0].tape(obs)
        else:
            (policy,), pull_policy = self.nets[0].tape(obs)
            (value,), pull_value = self.nets[1].tape(obs)
        free = self.dist.free
        if free:
            policy = torch.cat([policy, self.free.weight.expand(len(obs), -1)], -1)

        def back(d_policy: Tensor, d_value: Tensor) -> None:
            if free:
                d_free = d_policy[:, -free:].sum(0)
                self.free.grad.copy_(d_free if self.free.fresh else self.free.grad + d_free)
                self.free.fresh = False
                d_policy = d_policy[:, :-free]
            if len(self.nets) == 1:
                pull([d_policy, d_value.unsqueeze(-1)])
            else:
                pull_policy([d_policy])
                pull_value([d_value.unsqueeze(-1)])

        return policy, value.squeeze(-1), back

    def state_dict(self) -> dict[str, Tensor]:
        """Weights by ordinary names: `actor.0.weight`, `critic.0.weight`, `log_std`."""
        state = {name: w for net in self.nets for name, w in net.state_dict().items()}
        return {**state, "log_std": self.free.weight} if self.dist.free else state

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Copy weights in."""
        for net in self.nets:
            net.load_state_dict({name: state[name] for name in net.state_dict()})
        if self.dist.free:
            self.free.weight.copy_(state["log_std"])
