"""Watching an agent: in a window, or as a video."""

from __future__ import annotations

import dataclasses
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rlkit import seeding
from rlkit.envs.make import make
from rlkit.envs.vector import ActionMap
from rlkit.errors import EnvError, RunFolderError
from rlkit.results.folder import writing
from rlkit.training.evaluate import lend

if TYPE_CHECKING:
    from rlkit.envs.backends import Backend
    from rlkit.training.agent import Agent
    from rlkit.types import Array

FRAMES_PER_SECOND = 30


def play(agent: Agent, *, video: Path | None, episodes: int, deterministic: bool) -> list[float]:
    """Play whole episodes on evaluation seeds; returns their returns.

    Args:
        agent: who plays.
        video: an .mp4 or .gif to write; None opens a window.
        episodes: how many.
        deterministic: the policy's mode; false: samples.

    Raises:
        EnvError: the environment cannot draw, or there is no screen for a window.
        RunFolderError: the video cannot be written, or does not open again with more than one distinct picture.
    """
    if video is None and sys.platform.startswith("linux") and not {"DISPLAY", "WAYLAND_DISPLAY"} & set(os.environ):
        raise EnvError("there is no screen here for a window\n  write a video instead: --video play.mp4")
    if video is not None:
        os.environ.setdefault("SDL_VIDEODRIVER", "dummy")  # pygame draws without looking for a screen
    if video is None and agent.config.env.atari_game is not None:
        raise EnvError("Atari is shown as a video\n  give one: --video play.mp4")
    cfg = dataclasses.replace(agent.config.env, vectorization="auto")
    backend, spec, _ = make(cfg, 1, render_mode="human" if video is None else "rgb_array")
    pictures: list[Array] = []
    returns = []
    to_env = ActionMap(backend.action)
    try:
        with lend(agent.algo, seeding.stream(agent.seed, "play")):
            for episode in range(episodes):
                obs, ended, total = backend.reset([0], [seeding.EVAL_SEEDS + episode]), False, 0.0
                while not ended:
                    if video is not None:
                        pictures.append(_picture(backend, spec.id))
                    seen = agent.seen(obs.copy())
                    action = agent.algo.act(seen, frames=agent.frames, explore=not deterministic).action
                    obs, reward, _, _, over = backend.step(to_env(action))
                    total += float(reward[0])
                    ended = bool(over[0])
                returns.append(total)
    finally:
        backend.close()
    if video is not None:
        write_video(video, pictures)
    return returns


def write_video(path: Path, pictures: list[Array]) -> None:
    """Write pictures `[H, W, 3]` uint8, and make sure that the file opens and moves.

    Raises:
        RunFolderError: it cannot be written, or it shows nothing.
    """
    import imageio.v3 as iio

    if path.suffix not in (".mp4", ".gif"):
        raise RunFolderError(f"{path}: a video is an .mp4 or a .gif")
    partial = path.with_name(f".partial-{path.name}")
    # Encoders want even sizes.
    stack = np.stack([p[: p.shape[0] // 2 * 2, : p.shape[1] // 2 * 2] for p in pictures])
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            if path.suffix == ".mp4":
                iio.imwrite(partial, stack, plugin="pyav", codec="libx264", fps=FRAMES_PER_SECOND)
                read: Any = iio.imread(partial, plugin="pyav")
            else:
                iio.imwrite(partial, stack, duration=1000 / FRAMES_PER_SECOND, loop=0)
                read = iio.imread(partial)
            if len(read) < 2 or all(np.array_equal(read[0], other) for other in read[1:]):
                raise RunFolderError(f"{path}: the environment drew {len(stack)} pictures that are all the same")
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)


def _picture(backend: Backend, env_id: str) -> Array:
    try:
        drawn = backend.render()
    except NotImplementedError:
        drawn = None
    if not isinstance(drawn, np.ndarray) or drawn.ndim != 3:
        raise EnvError(f"{env_id} draws no pictures (its render mode 'rgb_array' gave {type(drawn).__name__})")
    return drawn
