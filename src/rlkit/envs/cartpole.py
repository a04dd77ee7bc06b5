"""CartPole-v1 for `N` poles at once, equal to Gymnasium's to the bit for the same seeds and actions.

The equations are Barto, Sutton & Anderson (1983), integrated by Euler's rule in float64. Each row draws its first state
from a separate generator, seeded as Gymnasium seeds the environment.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from gymnasium import spaces

from rlkit.envs.backends import Backend, StepResult

if TYPE_CHECKING:
    from rlkit.types import Array

GRAVITY, FORCE, TAU = 9.8, 10.0, 0.02
POLE_MASS, TOTAL_MASS = 0.1, 1.1
HALF_LENGTH = 0.5
POLE_MASS_LENGTH = POLE_MASS * HALF_LENGTH
X_LIMIT, ANGLE_LIMIT = 2.4, 12 * 2 * math.pi / 360
LIMITS = np.array([[X_LIMIT], [ANGLE_LIMIT]])


class CartPole(Backend):
    """See `envs.backends.Backend`. State `[4, N]`: position, velocity, angle, angular velocity."""

    name = "native"
    seed_every = 0
    frames_per_second = 1 / TAU
    max_episode_steps = 500

    def __init__(self, num_envs: int) -> None:
        self.num_envs = num_envs
        high = np.array([2 * X_LIMIT, np.inf, 2 * ANGLE_LIMIT, np.inf], np.float32)
        self.observation: spaces.Space[Any] = spaces.Box(-high, high, dtype=np.float32)
        self.action: spaces.Space[Any] = spaces.Discrete(2)
        self.state = np.zeros((4, num_envs))
        self.velocity = np.zeros((4, num_envs))
        self.steps = np.zeros(num_envs, np.int64)
        self.obs = np.zeros((num_envs, 4), np.float32)
        self.reward = np.ones(num_envs, np.float32)

    def reset(self, rows: Sequence[int], seeds: Sequence[int]) -> Array:
        for row, seed in zip(rows, seeds, strict=True):
            # What gymnasium.utils.seeding.np_random builds, without its checks.
            generator = np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed)))
            self.state[:, row] = generator.uniform(-0.05, 0.05, size=4)
            self.steps[row] = 0
            self.obs[row] = self.state[:, row]
        return self.obs

    def step(self, action: Array) -> StepResult:
        _, x_dot, theta, theta_dot = self.state
        cos, sin = np.cos(theta), np.sin(theta)
        force = action * (2 * FORCE) - FORCE
        push = (force + POLE_MASS_LENGTH * np.square(theta_dot) * sin) / TOTAL_MASS
        theta_acc = (GRAVITY * sin - cos * push) / (HALF_LENGTH * (4.0 / 3.0 - POLE_MASS * np.square(cos) / TOTAL_MASS))
        x_acc = push - POLE_MASS_LENGTH * theta_acc * cos / TOTAL_MASS
        velocity = self.velocity
        velocity[0], velocity[1], velocity[2], velocity[3] = x_dot, x_acc, theta_dot, theta_acc
        velocity *= TAU
        self.state += velocity
        self.steps += 1
        self.obs[:] = self.state.T
        terminated = np.any(np.abs(self.state[::2]) > LIMITS, axis=0)
        truncated = self.steps >= self.max_episode_steps
        return StepResult(self.obs, self.reward, terminated, truncated, terminated | truncated)

    def render(self) -> None:
        """No pictures: `play` uses Gymnasium's own."""

    def close(self) -> None:
        """Nothing is held."""
