"""An algorithm ready to act: built from a config, or loaded from a run."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from threadpoolctl import threadpool_limits

from rlkit import seeding
from rlkit.algos import table
from rlkit.algos.base import Algorithm, Setting
from rlkit.config.schema import compose
from rlkit.envs.make import describe, make
from rlkit.envs.vector import ActionMap
from rlkit.errors import ConfigError, RunFolderError
from rlkit.results.folder import RunFolder
from rlkit.training import checkpoint

if TYPE_CHECKING:
    from rlkit.config.run import RunConfig
    from rlkit.types import Array, EnvSpec


def prepare_process(config: RunConfig) -> torch.device:
    """Settle threads, determinism and device of this process; returns the device.

    Raises:
        ConfigError: the device is not there.
    """
    torch.set_num_threads(config.threads)
    threadpool_limits(config.threads)
    if config.deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # what CUDA asks for deterministic products
        torch.use_deterministic_algorithms(True)
    if config.device == "auto":  # the networks of this version are small: the CPU is faster
        return torch.device("cpu")
    device = torch.device(config.device)
    there = {
        "cpu": True,
        "cuda": torch.cuda.is_available() and (device.index or 0) < torch.cuda.device_count(),
        "mps": torch.backends.mps.is_available(),
    }
    if not there[device.type]:
        names = [name for name, ok in there.items() if ok]
        raise ConfigError(f"device={config.device} is not on this machine\n  accepted here: auto, {', '.join(names)}")
    return device


def build(config: RunConfig, seed: int, spec: EnvSpec, device: torch.device) -> Algorithm:
    """The algorithm of a session, with its first weights."""
    return table.build(
        config.algo,
        Setting(
            spec=spec,
            net=config.net,
            critic_net=config.critic_net,
            total_frames=config.frames,
            device=device,
            init=seeding.torch_stream(seed, "initial weights"),
            acting=seeding.stream(seed, "acting"),
        ),
    )


@dataclass
class Agent:
    """A trained policy: `agent.act(obs)` gives what its environment's `step` takes."""

    config: RunConfig
    seed: int
    frames: int
    algo: Algorithm

    def __post_init__(self) -> None:
        self._to_env = ActionMap(self.algo.spec.action)

    def act(self, obs: Array, *, deterministic: bool = True) -> Array:
        """The action for one observation, or the actions `[N, ...]` for several `[N, ...]`.

        Args:
            obs: as the environment returns it.
            deterministic: the mode of the policy; false: a sample.
        """
        x = np.asarray(obs, np.float32)
        single = x.shape == (self.algo.spec.observation.shape or ())
        rows = x.reshape(1 if single else len(x), -1)
        action = self._to_env(self.algo.act(rows, frames=self.frames, explore=not deterministic).action)
        first: Array = action[0]
        return first if single else action


def load(run: str | Path, *, seed: int | None = None) -> Agent:
    """The agent of a run's newest valid checkpoint.

    Args:
        run: the run's folder, or that of one of its sessions.
        seed: which session; by default the one that `run` names, else the first.

    Raises:
        RunFolderError: no such run or session, or no checkpoint yet.
        CheckpointError: no checkpoint verifies.
    """
    folder = RunFolder.open(run)
    config = compose(base=folder.config)
    name = Path(run).name
    if seed is None:
        seed = int(name.removeprefix("session_")) if name.startswith("session_") else config.seed
    session = folder.session(seed)
    path = checkpoint.newest(session.checkpoints)
    if path is None:
        seeds = ", ".join(sorted(p.name.removeprefix("session_") for p in folder.path.glob("session_*")))
        raise RunFolderError(f"{session.path} has no checkpoint yet\n  sessions of this run: {seeds or 'none'}")
    device = prepare_process(config)
    backend, spec = make(config.env, 1)
    backend.close()
    algo = build(config, seed, spec, device)
    algo.load_weights(checkpoint.load_weights(path))
    return Agent(config, seed, int(path.name), algo)


def facts(spec: EnvSpec, backend: Any, device: torch.device, config: RunConfig) -> dict[str, Any]:
    """What is stored and said of a session's environment and machine."""
    asked = "auto: small networks are faster on the CPU" if config.device == "auto" else "as asked"
    return {
        "env": {
            "id": spec.id,
            "observation": describe(spec.observation),
            "action": describe(spec.action),
            "max_episode_steps": spec.max_episode_steps,
            "reward_threshold": spec.reward_threshold,
            "num_envs": spec.num_envs,
            "backend": backend.name,
            "resets": "by rlkit, each with its own seed",
        },
        "device": {"name": str(device), "reason": asked, "threads": config.threads},
    }
