"""An algorithm with its environments, without files."""

from __future__ import annotations

from dataclasses import replace

import torch
from gymnasium import Space

from rlkit import compose, seeding
from rlkit.algos.base import Setting, build
from rlkit.config.algo import AlgoConfig
from rlkit.config.algorithms import row_of
from rlkit.config.net import MLPConfig, NetConfig
from rlkit.config.schema import SCHEMAS
from rlkit.envs.make import make
from rlkit.envs.vector import VectorEnv
from rlkit.memory import build as memory
from rlkit.training.collect import Collector
from rlkit.types import EnvSpec, Rollout, Update


def space_spec(observation: Space, action: Space, num_envs: int = 1) -> EnvSpec:
    """The facts of an environment that is not made."""
    return EnvSpec(
        id="x",
        num_envs=num_envs,
        observation=observation,
        action=action,
        max_episode_steps=None,
        reward_threshold=None,
    )


class Loop:
    """Collect, prepare, add, update."""

    def __init__(
        self,
        env_id: str,
        cfg: AlgoConfig,
        num_envs: int = 4,
        frames: int = 10_000,
        net: NetConfig | None = None,
        memory_name: str | None = None,
        **kwargs: object,
    ) -> None:
        kind = kwargs.pop("vectorization", "auto")
        config = compose(["env=gym", f"env.id={env_id}", f"env.vectorization={kind}"])
        config.env.kwargs.update(kwargs)
        backend, spec, _ = make(config.env, num_envs)
        self.envs = VectorEnv(backend, config.env, 0)
        cpu = torch.device("cpu")
        self.algo = build(
            cfg,
            Setting(
                spec=spec,
                net=net or MLPConfig(hidden=[32, 32]),
                critic_net=None,
                total_frames=frames,
                device=cpu,
                init=seeding.torch_stream(0, "init"),
                acting=seeding.stream(0, "acting"),
            ),
        )
        self.memory = memory.build(
            SCHEMAS["memory"][memory_name or row_of(cfg).memories[0]](),
            spec,
            total_frames=frames,
            rng=seeding.stream(0, "minibatches"),
            device=cpu,
        )
        self.collector = Collector(self.envs, self.algo)
        self.frames = 0

    def rollout(self) -> Rollout:
        """The next rollout, prepared and in the memory."""
        rollout = self.algo.prepare(self.collector.collect(self.frames))
        self.frames += rollout.steps * rollout.num_envs
        self.memory.add(rollout)
        return rollout

    def learn(self) -> list[Update]:
        """A rollout and its updates."""
        self.rollout()
        updates = []
        for batch in self.algo.batches(self.memory):
            update = self.algo.update(batch)
            self.memory.feedback(batch, update)
            updates.append(replace(update, metrics=update.report()))  # read before the next update, as a session does
        return updates
