"""Playing the policy in the training environments, into preallocated arrays."""

from __future__ import annotations

import dataclasses
import time
from typing import TYPE_CHECKING, Any

import numpy as np
from loguru import logger

from rlkit.config.algorithms import row_of
from rlkit.envs.one import find, time_limit
from rlkit.training.evaluate import ENDLESS
from rlkit.training.interrupt import StoppedError
from rlkit.types import Rollout

if TYPE_CHECKING:
    from rlkit.algos.base import Algorithm
    from rlkit.config.env import EnvConfig
    from rlkit.config.run import RunConfig
    from rlkit.envs.vector import VectorEnv
    from rlkit.training.interrupt import StopSignal
    from rlkit.types import Array, State


class Collector:
    """Collects rollouts of `T` steps, or of whole episodes; a rollout's arrays are reused by the next."""

    def __init__(self, envs: VectorEnv, algo: Algorithm) -> None:
        self.envs, self.algo = envs, algo
        self.fields: dict[str, Array] = {}
        self.obs = np.zeros((0, *envs.obs.shape), envs.obs.dtype)
        self.state: Any = None  # [N, S] the recurrent state with which the current observations are met
        self.states = np.zeros((0, envs.num_envs, 0), np.float32)
        self.grow(algo.rollout_steps or EPISODE_STEPS)
        self.env_seconds = 0.0  # of the latest rollout

    def grow(self, steps: int) -> None:
        """Enlarge the arrays to this number of steps, keeping their content."""
        T, N = steps, self.envs.num_envs
        self.obs = _extended(self.obs, T + 1)
        self.states = _extended(self.states, T + 1)
        shapes = {"reward": np.float32, "terminated": np.bool_, "boundary": np.bool_, "valid": np.bool_}
        for name, dtype in shapes.items():
            self.fields.setdefault(name, np.zeros((0, N), dtype))
        self.fields = {name: _extended(a, T) for name, a in self.fields.items()}

    def collect(self, frames: int, stop: StopSignal | None = None) -> Rollout:
        """The next rollout.

        Args:
            frames: the count before it.
            stop: looked at after each step, where the rollout can be left unfinished.

        Raises:
            StoppedError: a stop was requested; the rollout is lost.
        """
        envs, algo, steps = self.envs, self.algo, self.algo.rollout_steps
        episodes_left = np.full(envs.num_envs, algo.rollout_episodes)
        if steps is None:
            envs.restart()
            self.state = None
        cut_t: list[int] = []
        cut_n: list[Any] = []
        cut_obs: list[Array] = []
        cut_state: list[Array] = []
        clock = time.perf_counter
        self.env_seconds = 0.0
        t = 0
        while t < steps if steps is not None else episodes_left.any():
            if stop is not None and stop.requested:
                raise StoppedError
            if t == len(self.fields["reward"]):
                self.grow(2 * t)
            obs, fields = self.obs, self.fields
            obs[t] = envs.obs
            action = algo.act(obs[t], self.state, frames=frames + t * envs.num_envs, explore=True)
            self._remember(t, action.state)
            for name, value in (("action", action.action), *action.extra.items()):
                self._field(name, value)[t] = value
            began = clock()
            step = envs.step(action.action)
            self.env_seconds += clock() - began
            fields["reward"][t], fields["terminated"][t], fields["boundary"][t] = (
                step.reward,
                step.terminated,
                step.boundary,
            )
            if steps is None:
                fields["valid"][t] = episodes_left > 0
                episodes_left[step.cut] -= episodes_left[step.cut] > 0
            if len(step.cut):
                cut_t += [t] * len(step.cut)
                cut_n.append(step.cut)
                cut_obs.append(step.cut_obs)
                if self.state is not None:
                    cut_state.append(self.state[step.cut])
                    self.state[step.cut] = 0
            t += 1
        self.obs[t] = envs.obs
        self._remember(t, self.state)
        obs = self.obs[: t + 1]
        envs.check(obs)
        return Rollout(
            obs=obs,
            fields={name: a[:t] for name, a in self.fields.items() if name != "valid" or steps is None},
            cut_t=np.array(cut_t, np.int64),
            cut_n=np.concatenate(cut_n) if cut_n else np.zeros(0, np.int64),
            cut_obs=np.concatenate(cut_obs) if cut_obs else obs[0, :0],
            frames=frames,
            state=None if self.state is None else self.states[: t + 1],
            cut_state=None if self.state is None else np.concatenate([self.states[0, :0], *cut_state]),
        )

    def _remember(self, t: int, after: Any) -> None:
        """Store the recurrent state that step `t` was taken with, where there is one, and carry on with the next."""
        if after is not None:
            if not self.states.shape[-1]:
                self.states = np.zeros((*self.states.shape[:2], after.shape[-1]), np.float32)
            self.states[t] = 0 if self.state is None else self.state
        self.state = after

    def state_dict(self) -> State:
        """The recurrent state."""
        return {"state": self.state}

    def load_state_dict(self, state: State) -> None:
        """Take up the recurrent state."""
        self.state = None if state["state"] is None else state["state"].copy()

    def interrupt(self) -> None:
        """Forget the episodes that were under way: new ones begin."""
        self.state = None

    def _field(self, name: str, value: Array) -> Array:
        if name not in self.fields:
            self.fields[name] = np.zeros((len(self.fields["reward"]), *value.shape), value.dtype)
        return self.fields[name]


EPISODE_STEPS = 512
"""Room for whole episodes at first; it doubles as they get longer."""


def _extended(array: Array, length: int) -> Array:
    """The array with its first axis as long as asked for."""
    longer = np.zeros((length, *array.shape[1:]), array.dtype)
    longer[: len(array)] = array
    return longer


def ending(config: RunConfig) -> EnvConfig:
    """The environment of a run, with a time limit where whole episodes are collected and nothing else may end one."""
    env = config.env
    if not row_of(config.algo).whole_episodes or time_limit(env, find(env.today)) is not None:
        return env
    limit = max(1, min(ENDLESS, int(config.frames) // int(config.num_envs)))
    logger.info("episodes are cut at {:,} steps: {} learns from whole episodes", limit, config.algo.name)
    return dataclasses.replace(env, max_episode_steps=limit)
