"""What a session is made of: environments, algorithm, memory, collector, evaluator."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rlkit import seeding
from rlkit.cores import available_cores
from rlkit.envs.layout import is_picture
from rlkit.envs.make import make
from rlkit.envs.vector import VectorEnv
from rlkit.memory import build as memory
from rlkit.training import agent
from rlkit.training.allocator import keep_freed_memory
from rlkit.training.budget import check_envs, check_memory, check_nets
from rlkit.training.collect import EPISODE_STEPS, Collector, ending
from rlkit.training.evaluate import Evaluator
from rlkit.training.process import device_for, threads_of

if TYPE_CHECKING:
    import numpy as np

    from rlkit.algos.base import Algorithm
    from rlkit.config.run import RunConfig
    from rlkit.training.interrupt import StopSignal
    from rlkit.types import EnvSpec


@dataclass
class Parts:
    """The parts of a session. The state of a session is the sum of theirs."""

    spec: EnvSpec
    envs: VectorEnv
    algo: Algorithm
    memory: Any
    minibatches: np.random.Generator
    collector: Collector
    evaluator: Evaluator
    facts: dict[str, Any]
    """Facts about them that are shown at the start of a run."""


def build(
    config: RunConfig, seed: int, folder: Path, stop: StopSignal, backend: str | None, opened: contextlib.ExitStack
) -> Parts:
    """Make the parts of a session, and set up the process for them.

    Args:
        config: the trial's configuration.
        seed: root of the session's random streams.
        folder: of the session.
        stop: checked during evaluations.
        backend: of the environments, where a checkpoint names one.
        opened: takes what has to be closed or restored, also where a later part cannot be made.

    Raises:
        ConfigError: the algorithm, the networks or the memory do not fit the environment or the machine.
        EnvError: the environment cannot be made, or breaks its contract.
    """
    keep_freed_memory()
    opened.enter_context(threads_of(config))
    # Threads of a native backend do not change a number, so a session that is alone may use every core.
    shared = config.seeds > 1 or config.trial.storage is not None  # with other seeds, or with other trials
    env_threads = config.threads if shared else available_cores()
    seeding.seed_globals(seed)
    check_envs(config)
    env = ending(config)
    made = make(env, config.num_envs, threads=env_threads, seed=seed, chosen=backend, probe=True)
    opened.callback(made.backend.close)
    config = config.settled(is_picture(made.spec.observation))
    device = opened.enter_context(device_for(config))
    check_nets(config, made.spec)
    envs = VectorEnv(made.backend, env, seed, config.algo.gamma)
    algo = agent.build(config, seed, made.spec, device)
    minibatches = seeding.stream(seed, "minibatches")
    steps = algo.rollout_steps or made.spec.max_episode_steps or EPISODE_STEPS
    sil = getattr(config.algo, "sil", None)
    forecast = check_memory(made.spec, steps, config.memory, int(sil.buffer_size) if sil else 0, folder)
    evaluator = Evaluator(config.env, seed, envs.seen, env_threads, backend=made.backend.name, stop=stop)
    opened.callback(evaluator.close)
    return Parts(
        spec=made.spec,
        envs=envs,
        algo=algo,
        memory=memory.build(
            config.memory,
            made.spec,
            total_frames=int(config.frames),
            rng=minibatches,
            device=device,
            folder=folder,
        ),
        minibatches=minibatches,
        collector=Collector(envs, algo),
        evaluator=evaluator,
        facts={**agent.facts(made, device, config), "memory_mb": forecast / 2**20},
    )
