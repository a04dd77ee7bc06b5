"""An algorithm ready to act: built from a config, or loaded from a run."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from loguru import logger

from rlkit import seeding
from rlkit.algos.base import Algorithm, Setting
from rlkit.algos.base import build as build_algorithm
from rlkit.config.schema import compose
from rlkit.envs.actions import ActionMap
from rlkit.envs.backends import Sync
from rlkit.envs.layout import is_picture
from rlkit.envs.make import Made, make
from rlkit.envs.one import describe
from rlkit.envs.transforms import ObservationTransform
from rlkit.envs.view import View
from rlkit.errors import ConfigError, DivergedError, RunFolderError
from rlkit.runs.folder import RunFolder
from rlkit.sharing import hub
from rlkit.sharing import trust as trusted
from rlkit.training import checkpoint
from rlkit.training.acting import Actor
from rlkit.training.budget import check_nets
from rlkit.training.checks import check_actions
from rlkit.training.process import choose_device, device_of

if TYPE_CHECKING:
    from gymnasium import Space

    from rlkit.config.run import RunConfig
    from rlkit.envs.layout import Obs
    from rlkit.types import Array, EnvSpec


def build(config: RunConfig, seed: int, spec: EnvSpec, device: torch.device) -> Algorithm:
    """The algorithm of a session, with its first weights.

    Raises:
        ConfigError: it does not take the environment's actions.
    """
    pictures = is_picture(spec.observation)
    config = config.settled(pictures)
    check_actions(config, spec, pictures)
    return build_algorithm(
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
    """A trained policy: `agent.act(obs)` takes what the environment returns and gives what its `step` takes.

    Call `reset` where an episode begins: recurrent networks, `env.frame_stack` and `env.time_aware` remember the steps
    before.
    """

    config: RunConfig
    seed: int
    frames: int
    algo: Algorithm
    seen: ObservationTransform
    backend: str = "sync"
    """How the training environments were stepped; evaluations are as parallel."""
    raw: Space[Any] | None = None
    """The environment's own observation space; None: the one that the policy sees."""

    def __post_init__(self) -> None:
        self._to_env = ActionMap(self.algo.spec.action)
        self._actor = Actor(self.algo, self.frames, explore=False)
        self._views: list[View] = []
        self._begun: list[bool] = []

    def reset(self) -> None:
        """Forget the steps of the episodes so far."""
        self._actor.forget()
        self._begun = [False] * len(self._views)

    def act(self, obs: Obs, *, deterministic: bool = True) -> Any:
        """The action for one observation, or the actions `[N, ...]` for several.

        Args:
            obs: an observation as the environment returns it (for Atari: the stacked grey pictures `[4, 84, 84]` of
                Gymnasium's wrappers or of ale_py's vector environment); or `N` of them as `gymnasium.vector` returns
                them. `N` may not change before `reset`.
            deterministic: the mode of the policy; false: a sample.

        Returns:
            An action in the type of the action space, which `env.step` takes.

        Raises:
            EnvError: the observation does not belong to the observation space of the environment.
        """
        several = self._view(0).layout.rows(obs)
        rows = [obs] if several is None else several
        x = np.stack([self._see(i, row) for i, row in enumerate(rows)])
        self._actor.explore = not deterministic
        action = self._to_env(self._actor(self.seen(x)))
        return self._to_env.only(action) if several is None else action

    def _view(self, i: int) -> View:
        while len(self._views) <= i:
            spec = self.algo.spec
            raw = spec.observation if self.raw is None else self.raw
            self._views.append(View(self.config.env, raw, spec.max_episode_steps))
            self._begun.append(False)
        return self._views[i]

    def _see(self, i: int, obs: Obs) -> Array:
        """What the policy sees of row `i`, as float32 or as bytes of pictures."""
        view = self._view(i)
        seen = view.next(obs) if self._begun[i] else view.first(obs)
        self._begun[i] = True
        return seen.astype(view.space.dtype, copy=False)

    def check_weights(self) -> None:
        """Refuse weights that are not finite.

        Raises:
            DivergedError: naming the first such weight.
        """
        if (name := not_finite(self.algo)) is not None:
            raise DivergedError(
                f"the weight {name} of the checkpoint at {self.frames:,} frames is not finite: this run diverged"
            )


def not_finite(algo: Algorithm) -> str | None:
    """The name of the first weight that holds a NaN or an infinity; None where all are finite."""
    return next((name for name, weight in algo.weights().items() if not torch.isfinite(weight).all()), None)


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
    backend, spec, _ = make(dataclasses.replace(config.env, vectorization="auto"), 1)
    raw = backend.envs[0].view.layout.raw if isinstance(backend, Sync) else None
    backend.close()
    config = config.settled(is_picture(spec.observation))
    try:
        device = device_of(config)
    except ConfigError:
        logger.warning("the run's device={} is not on this machine; the CPU acts in its place", config.device)
        config = dataclasses.replace(config, device="cpu")
        device = device_of(config)
    check_nets(config, spec)
    algo = build(config, seed, spec, device)
    seen = ObservationTransform(config.env, spec.observation.shape or ())
    with checkpoint.restoring(path):
        weights = checkpoint.load_weights(path)
        checkpoint.check_weights(weights, algo.weights())
        envs = checkpoint.load_parts(path, {"envs"})["envs"]
        checkpoint.check_form(envs["observations"], seen.state_dict(), "envs.observations")
        checkpoint.check_form(envs["backend"], "sync", "envs.backend")
        algo.load_weights(weights)
        seen.load_state_dict(envs["observations"])
    return Agent(config, seed, int(path.name), algo, seen, envs["backend"], raw)


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
            "autoreset": "disabled: rlkit resets each environment itself, with a new seed"
            + (f" every {backend.seed_every:,} steps" if backend.seed_every else ""),
            "frame_skip": config.env.atari.frame_skip if config.env.atari_game else 1,
            "renamed": None if fate is None else f"{config.env.id} is {spec.id} today: {fate.words}",
        },
        "device": {"name": str(device), "reason": asked, "threads": config.threads},
    }
