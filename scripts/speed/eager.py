"""The same updates and acting steps as everybody writes them: modules, torch.distributions, autograd, torch.optim."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.distributions import Categorical, Normal
from torch.nn import functional

from rlkit.types import Batch

Array = Any


def mlp(widths: Sequence[int], activation: type[nn.Module]) -> nn.Sequential:
    """Linear layers with an activation after each but the last."""
    layers: list[nn.Module] = []
    for i, o in itertools.pairwise(widths):
        layers += [nn.Linear(i, o), activation()]
    return nn.Sequential(*layers[:-1])


class ActorCritic:
    """Separate tanh networks for policy and value, over discrete or continuous actions."""

    def __init__(self, observations: int, outputs: int, continuous: bool) -> None:
        self.actor, self.critic = mlp((observations, 64, 64, outputs), nn.Tanh), mlp((observations, 64, 64, 1), nn.Tanh)
        self.log_std = nn.Parameter(torch.zeros(outputs)) if continuous else None
        self.parameters = [*self.actor.parameters(), *self.critic.parameters()]
        self.parameters += [] if self.log_std is None else [self.log_std]

    def distribution(self, obs: Tensor) -> Categorical | Normal:
        """Of the actions."""
        out = self.actor(obs)
        return Categorical(logits=out) if self.log_std is None else Normal(out, self.log_std.exp().expand_as(out))

    def log_prob(self, dist: Categorical | Normal, action: Tensor) -> Tensor:
        """Of actions `[B, ...]`: `[B]`."""
        log_prob = dist.log_prob(action)
        return log_prob if log_prob.dim() == 1 else log_prob.sum(-1)

    def act(self, obs: Array) -> Array:
        """Sampled actions, with the log-probability and the value that a rollout stores."""
        with torch.no_grad():
            x = torch.as_tensor(obs)
            dist = self.distribution(x)
            action = dist.sample()
            self.log_prob(dist, action)
            self.critic(x)
        return action.numpy()


def ppo(net: ActorCritic, ent_coef: float = 0.0) -> Callable[[Batch], None]:
    """The clipped update with normalised advantages and one optimiser."""
    optimizer = torch.optim.Adam(net.parameters, lr=1e-4, eps=1e-5)

    def update(batch: Batch) -> None:
        dist = net.distribution(batch.obs)
        value = net.critic(batch.obs).flatten()
        advantage = (batch.advantage - batch.advantage.mean()) / (batch.advantage.std() + 1e-8)
        ratio = (net.log_prob(dist, batch.action) - batch.log_prob).exp()
        policy_loss = -torch.min(advantage * ratio, advantage * ratio.clamp(0.8, 1.2)).mean()
        loss = policy_loss + 0.5 * functional.mse_loss(batch.target, value) - ent_coef * dist.entropy().mean()
        _step(loss, optimizer, net.parameters, 0.5)

    return update


def a2c(net: ActorCritic) -> Callable[[Batch], None]:
    """One step of the policy gradient, with RMSprop."""
    optimizer = torch.optim.RMSprop(net.parameters, lr=7e-4, alpha=0.99, eps=1e-5)

    def update(batch: Batch) -> None:
        dist = net.distribution(batch.obs)
        value = net.critic(batch.obs).flatten()
        policy_loss = -(batch.advantage * net.log_prob(dist, batch.action)).mean()
        loss = policy_loss + 0.5 * functional.mse_loss(batch.target, value) - 0.0 * dist.entropy().mean()
        _step(loss, optimizer, net.parameters, 0.5)

    return update


class Values:
    """Action values of two hidden layers of 256, and their target network."""

    def __init__(self, observations: int, actions: int) -> None:
        self.q = mlp((observations, 256, 256, actions), nn.ReLU)
        self.target = copy.deepcopy(self.q)
        self.optimizer = torch.optim.Adam(self.q.parameters(), lr=1e-4)

    def act(self, obs: Array) -> Array:
        """The best actions."""
        with torch.no_grad():
            return self.q(torch.as_tensor(obs)).argmax(-1).numpy()

    def update(self, batch: Batch) -> None:
        """One step of Q-learning with the Huber loss."""
        with torch.no_grad():
            target = batch.reward + batch.discount * self.target(batch.next_obs).max(-1).values
        value = self.q(batch.obs).gather(1, batch.action.unsqueeze(-1)).flatten()
        _step(functional.smooth_l1_loss(value, target), self.optimizer, list(self.q.parameters()), 10.0)


class SoftActorCritic:
    """Tanh-Gaussian policy, twin critics with targets, temperature: two hidden layers of 256 each."""

    def __init__(self, observations: int, actions: int) -> None:
        self.actor = mlp((observations, 256, 256, 2 * actions), nn.ReLU)
        self.critics = nn.ModuleList(mlp((observations + actions, 256, 256, 1), nn.ReLU) for _ in range(2))
        self.targets = copy.deepcopy(self.critics)
        self.log_alpha = torch.zeros(1, requires_grad=True)
        self.dims = actions
        learnt = (self.actor.parameters(), self.critics.parameters(), [self.log_alpha])
        self.actor_optimizer, self.critic_optimizer, self.alpha_optimizer = (
            torch.optim.Adam(parameters, lr=1e-4) for parameters in learnt
        )

    def sample(self, obs: Tensor) -> tuple[Tensor, Tensor]:
        """Actions and their log-probabilities `[B]`."""
        mean, log_std = self.actor(obs).chunk(2, -1)
        dist = Normal(mean, log_std.clamp(-20, 2).exp())
        raw = dist.rsample()
        action = raw.tanh()
        return action, (dist.log_prob(raw) - (1 - action.square() + 1e-6).log()).sum(-1)

    def act(self, obs: Array) -> Array:
        """Sampled actions."""
        with torch.no_grad():
            return self.sample(torch.as_tensor(obs))[0].numpy()

    def update(self, batch: Batch) -> None:
        """One step of temperature, critics, policy and targets."""
        action, log_prob = self.sample(batch.obs)
        alpha = self.log_alpha.exp().detach()
        _step(-(self.log_alpha * (log_prob - self.dims).detach()).mean(), self.alpha_optimizer)
        with torch.no_grad():
            next_action, next_log_prob = self.sample(batch.next_obs)
            then = torch.cat([batch.next_obs, next_action], -1)
            next_q = torch.cat([q(then) for q in self.targets], -1).min(-1).values
            target = (batch.reward + batch.discount * (next_q - alpha * next_log_prob)).unsqueeze(-1)
        now = torch.cat([batch.obs, batch.action], -1)
        loss: Tensor = sum((functional.mse_loss(q(now), target) for q in self.critics), torch.zeros(()))
        _step(loss, self.critic_optimizer)
        own = torch.cat([batch.obs, action], -1)
        q = torch.cat([critic(own) for critic in self.critics], -1).min(-1).values
        _step((alpha * log_prob - q).mean(), self.actor_optimizer)
        with torch.no_grad():
            for mine, theirs in zip(self.targets.parameters(), self.critics.parameters(), strict=True):
                mine.mul_(0.995).add_(theirs, alpha=0.005)


class Replay:
    """Transitions in an array for each field, as peers hold them."""

    def __init__(self, rows: int, observations: int, action_shape: tuple[int, ...], discrete: bool) -> None:
        self.rows, self.rng = rows, np.random.default_rng(0)
        self.obs, self.next_obs = (np.zeros((rows, observations), np.float32) for _ in range(2))
        self.action = np.zeros((rows, *action_shape), np.int64 if discrete else np.float32)
        self.reward, self.done = (np.zeros(rows, np.float32) for _ in range(2))

    def sample(self, size: int) -> list[Tensor]:
        """A batch."""
        index = self.rng.integers(self.rows, size=size)
        return [torch.tensor(x[index]) for x in (self.obs, self.action, self.reward, self.next_obs, self.done)]


def _step(
    loss: Tensor, optimizer: torch.optim.Optimizer, clipped: Sequence[Tensor] | None = None, max_norm: float = 0.0
) -> None:
    optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    if clipped is not None:
        nn.utils.clip_grad_norm_(clipped, max_norm)
    optimizer.step()
