"""A policy and a value function on one flat vector of parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from rlkit.nets.build import Net, Output, build
from rlkit.nets.optim import Flat
from rlkit.nets.recurrent import Recurrent

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
        generator: torch.Generator,
        device: torch.device,
    ) -> None:
        self.dist, self.device = dist, device
        actor = {"actor": Output(dist.outputs, net.policy_gain)}
        critic = {"critic": Output(1, (critic_net or net).value_gain)}
        separate = critic_net is not None and critic_net != net
        groups = [(net, actor), (critic_net or net, critic)] if separate else [(net, {**actor, **critic})]
        self.nets: list[Net] = [build(cfg, outputs, observation, generator) for cfg, outputs in groups]
        sizes = {f"net{i}": n.size for i, n in enumerate(self.nets)}
        self.flat = Flat({**sizes, "free": dist.free}, device)
        for i, n in enumerate(self.nets):
            n.bind(self.flat.slots[f"net{i}"])
        self.free = self.flat.slots["free"]
        self.free.weight.fill_(dist.free_init)
        self.state_sizes = [n.state_size for n in self.nets]
        self.state_size = sum(self.state_sizes)

    def policy(self, obs: Array) -> Floats:
        """Parameters `[N, P]` of the policy for observations `[N, ...]`: what acting needs."""
        return self._with_free(self.nets[0].infer(obs, 0))

    def act(self, obs: Array) -> tuple[Floats, Floats | None]:
        """Those parameters, and values `[N]` where they come along because both share a trunk."""
        if len(self.nets) == 1 and self.nets[0].shared:
            params, value = self.nets[0].infer_all(obs)
            return self._with_free(params), value[:, 0]
        return self.policy(obs), None

    def value(self, obs: Array) -> Floats:
        """Values `[B]` for observations `[B, ...]`."""
        last = self.nets[-1]
        return last.infer(obs, 1 if len(self.nets) == 1 else 0)[:, 0]

    def advance(self, obs: Array, state: Array) -> tuple[Floats, Floats, Floats]:
        """One step of recurrent networks: policy parameters `[N, P]`, values `[N]`, and the state `[N, S]` after it."""
        outs: list[Floats] = []
        after = []
        for net, part in zip(self.nets, np.split(state, np.cumsum(self.state_sizes)[:-1], -1), strict=True):
            if isinstance(net, Recurrent):
                own, part = net.advance(obs, part)
                outs += own
            else:
                outs.append(net.infer(obs, 0))
            after.append(part)
        return self._with_free(outs[0]), outs[1][:, 0], np.concatenate(after, -1)

    def _with_free(self, params: Floats) -> Floats:
        if not self.dist.free:
            return params
        both = np.empty((len(params), params.shape[1] + self.dist.free), np.float32)
        both[:, : -self.dist.free] = params
        both[:, -self.dist.free :] = self.free.weight.cpu().numpy()
        return both

    def tape(
        self,
        obs: Tensor,
        *,
        state: Tensor | None = None,
        boundary: Tensor | None = None,
        rows: Tensor | None = None,
    ) -> tuple[Tensor, Tensor, Back]:
        """Policy parameters `[B, P]`, values `[B]`, and `back(d_policy [B, P], d_value [B])`.

        Recurrent networks take sequences, laid out step by step: `obs [L * B, ...]`, the `state [B, S]` before the
        first step and `boundary [L * B]`; where `rows [R]` are given, only those rows come out.
        """
        parts = [None] * len(self.nets) if state is None else torch.split_with_sizes(state, self.state_sizes, -1)
        outs: list[Tensor] = []
        pulls = []
        for net, part in zip(self.nets, parts, strict=True):
            if isinstance(net, Recurrent) and part is not None and boundary is not None:
                own, _, pull = net.tape_sequence(obs, part, boundary)
            else:
                own, pull = net.tape(obs)
            outs += own
            pulls.append((pull, len(own)))
        policy, value = outs
        if rows is not None:
            policy, value = policy[rows], value[rows]
        free = self.dist.free
        if free:
            policy = torch.cat([policy, self.free.weight.expand(len(policy), -1)], -1)

        def back(d_policy: Tensor, d_value: Tensor) -> None:
            if free:
                d_free = d_policy[:, -free:].sum(0)
                self.free.grad.copy_(d_free if self.free.fresh else self.free.grad + d_free)
                self.free.fresh = False
                d_policy = d_policy[:, :-free]
            gradients = [d_policy, d_value.unsqueeze(-1)]
            if rows is not None:
                gradients = [_spread(d, rows, len(obs)) for d in gradients]
            for pull, count in pulls:
                pull(gradients[:count])
                gradients = gradients[count:]

        return policy, value.squeeze(-1), back

    def views(self, flat: Tensor) -> dict[str, Tensor]:
        """The parameters by their names in `state_dict`, in a tensor laid out like `flat.weight`."""
        found: dict[str, Tensor] = {}
        for i, net in enumerate(self.nets):
            found.update(net.views(flat[self.flat.spans[f"net{i}"]]))
        return {**found, "log_std": flat[self.flat.spans["free"]]} if self.dist.free else found

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


def _spread(d: Tensor, rows: Tensor, length: int) -> Tensor:
    """Gradients of some rows among zeros for the others."""
    out = d.new_zeros(length, *d.shape[1:])
    out[rows] = d
    return out
