"""An algorithm ready to act: built from a config, or loaded from a run."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from loguru import logger
from threadpoolctl import ThreadpoolController

from rlkit import seeding
from rlkit.algos import table
from rlkit.algos.base import Algorithm, Setting
from rlkit.config.schema import compose
from rlkit.envs.backends import stored_dtype
from rlkit.envs.make import Made, describe, make
from rlkit.envs.transforms import ObservationTransform
from rlkit.envs.vector import ActionMap
from rlkit.errors import ConfigError, RunFolderError
from rlkit.results.folder import RunFolder
from rlkit.sharing import hub
from rlkit.sharing import trust as trusted
from rlkit.training import checkpoint
from rlkit.training.acting import Actor
from rlkit.training.room import check_nets

if TYPE_CHECKING:
    from rlkit.config.run import RunConfig
    from rlkit.types import Array, EnvSpec


def prepare_process(config: RunConfig) -> torch.device:
    """Settle threads, rounding to zero, determinism and device of this process; returns the device.

    Raises:
        ConfigError: the device is not there.
    """
    torch.set_num_threads(config.threads)
    pools = ThreadpoolController()
    pools.limit(limits=config.threads)
    # NumPy multiplies what is too small for threads. Those of its OpenBLAS and those of torch would wait in busy loops
    # on the same cores, which made two threads many times slower than one.
    pools.select(internal_api="openblas").limit(limits=1)
    # Adam's moments of a weight without a gradient, as behind a dead unit, decay into denormal numbers and stay there.
    # They change no weight, and on some processors a step over them takes many times as long.
    torch.set_flush_denormal(True)
    if config.deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # what CUDA asks for deterministic products
        torch.use_deterministic_algorithms(True)
    device = torch.device(config.device if config.device != "auto" else choose_device(config)[0])
    there = {
        "cpu": True,
        "cuda": torch.cuda.is_available() and (device.index or 0) < torch.cuda.device_count(),
        "mps": torch.backends.mps.is_available(),
    }
    if not there[device.type]:
        names = [name for name, ok in there.items() if ok]
        raise ConfigError(f"device={config.device} is not on this machine\n  accepted here: auto, {', '.join(names)}")
    if device.type == "cuda":
        # TensorFloat-32 has ten bits of mantissa and several times the speed; timing kernels at the start pays off
        # where batches keep their size. Neither is asked for where runs are to repeat.
        fast = not config.deterministic
        torch.set_float32_matmul_precision("high" if fast else "highest")
        torch.backends.cudnn.allow_tf32 = fast
        torch.backends.cudnn.benchmark = fast
    return device


LARGE = 512
"""Width of a layer from which a GPU is faster than a core."""


def choose_device(config: RunConfig) -> tuple[str, str]:
    """What `device=auto` takes, and why: CUDA, else MPS, for pictures and wide layers; the CPU for the rest."""
    nets = [net for net in (config.net, config.critic_net) if net is not None]
    pictures = any("pictures" in net.sees and "vectors" not in net.sees for net in nets)
    wide = any(max(getattr(net, "hidden", None) or [0]) >= LARGE for net in nets)
    if not (pictures or wide):
        return "cpu", "small networks are faster on the CPU"
    if torch.cuda.is_available():
        return "cuda", "convolutions or wide layers, and there is a CUDA device"
    if torch.backends.mps.is_available():
        return "mps", "convolutions or wide layers, and there is Apple's GPU"
    return "cpu", "there is neither a CUDA device nor Apple's GPU"


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
    seen: ObservationTransform

    def __post_init__(self) -> None:
        self._to_env = ActionMap(self.algo.spec.action)
        self._actor = Actor(self.algo, self.frames, explore=False)

    def reset(self) -> None:
        """Forget what a recurrent policy remembers: call it where an episode begins."""
        self._actor.forget()

    def act(self, obs: Array, *, deterministic: bool = True) -> Array:
        """The action for one observation, or the actions `[N, ...]` for several `[N, ...]`.

        A recurrent policy remembers the observations before, until `reset`.

        Args:
            obs: as the environment returns it.
            deterministic: the mode of the policy; false: a sample.
        """
        space = self.algo.spec.observation
        x = np.asarray(obs, stored_dtype(space))
        single = x.shape == (space.shape or ())
        rows = self.seen(x[None] if single else x)
        self._actor.explore = not deterministic
        action = self._to_env(self._actor(rows))
        first: Array = action[0]
        return first if single else action


def load(run: str | Path, *, seed: int | None = None, trust: Collection[str] = ()) -> Agent:
    """The agent of a run's newest valid checkpoint.

    Args:
        run: the run's folder, or that of one of its sessions; or `hf://user/repo/run` of the Hub, whose hashes are
            verified.
        seed: which session; by default the one that `run` names, else the first.
        trust: modules that a run of the Hub may have imported, as `env.id=module:Name` of its configuration asks.

    Raises:
        SharingError: a run of the Hub is not found, is refused, or names a module that is not in `trust`.
        RunFolderError: no such run or session, or no checkpoint yet.
        CheckpointError: no checkpoint verifies.
    """
    run = hub.local(run)
    folder = RunFolder.open(run)
    config = compose(base=folder.config)
    trusted.check(folder.path, config.env, trust)
    name = Path(run).name
    if seed is None:
        number = name.removeprefix("session_")
        if name.startswith("session_") and not number.isdecimal():
            raise RunFolderError(f"{run} is no session's folder\n  these are named session_<seed>")
        seed = int(number) if name.startswith("session_") else config.seed
    session = folder.session(seed)
    return checkpoint.restored(session.checkpoints, lambda path: _loaded(folder, config, seed, path), acting=True)


def _loaded(folder: RunFolder, config: RunConfig, seed: int, path: Path | None) -> Agent:
    """The agent of a checkpoint."""
    if path is None:
        seeds = ", ".join(sorted(p.name.removeprefix("session_") for p in folder.path.glob("session_*")))
        raise RunFolderError(
            f"{folder.session(seed).path} has no checkpoint yet\n  sessions of this run: {seeds or 'none'}"
        )
    try:
        device = prepare_process(config)
    except ConfigError:
        logger.warning("the run's device={} is not on this machine; the CPU acts in its place", config.device)
        config = dataclasses.replace(config, device="cpu")
        device = prepare_process(config)
    backend, spec, _ = make(dataclasses.replace(config.env, vectorization="auto"), 1)
    backend.close()
    check_nets(config, spec)
    algo = build(config, seed, spec, device)
    seen = ObservationTransform(config.env, spec.observation.shape or ())
    with checkpoint.restoring(path):
        weights = checkpoint.load_weights(path)
        checkpoint.check_weights(weights, algo.weights())
        statistics = checkpoint.load_parts(path, {"envs"})["envs"]["observations"]
        checkpoint.check_form(statistics, seen.state_dict(), "envs.observations")
        algo.load_weights(weights)
        seen.load_state_dict(statistics)
    return Agent(config, seed, int(path.name), algo, seen)


def facts(made: Made, device: torch.device, config: RunConfig) -> dict[str, Any]:
    """What is stored and said of a session's environment and machine."""
    backend, spec, why = made
    fate = config.env.fate
    asked = f"auto: {choose_device(config)[1]}" if config.device == "auto" else "as asked"
    return {
        "env": {
            "id": spec.id,
            "observation": describe(spec.observation),
            "action": describe(spec.action),
            "max_episode_steps": spec.max_episode_steps,
            "reward_threshold": spec.reward_threshold,
            "num_envs": spec.num_envs,
            "backend": backend.name,
            "backend_reason": why,
            "autoreset": "disabled: rlkit resets each environment itself, with a seed of its own"
            + (f" every {backend.seed_every:,} steps" if backend.seed_every else ""),
            "frame_skip": config.env.atari.frame_skip if config.env.atari_game else 1,
            "renamed": None if fate is None else f"{config.env.id} is {spec.id} today: {fate.words}",
        },
        "device": {"name": str(device), "reason": asked, "threads": config.threads},
    }
