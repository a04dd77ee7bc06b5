"""Watching an agent: in a window, or as a video."""

from __future__ import annotations

import contextlib
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
from rlkit.training.acting import Actor
from rlkit.training.evaluate import ENDLESS, lend

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
    if video is not None and video.suffix not in (".mp4", ".gif"):
        raise RunFolderError(f"{video}: a video is an .mp4 or a .gif")
    if video is None and sys.platform.startswith("linux") and not {"DISPLAY", "WAYLAND_DISPLAY"} & set(os.environ):
        raise EnvError("there is no screen here for a window\n  write a video instead: --video play.mp4")
    if video is None and agent.config.env.atari_game is not None:
        raise EnvError("Atari is shown as a video\n  give one: --video play.mp4")
    if video is not None:
        os.environ.setdefault("SDL_VIDEODRIVER", "dummy")  # pygame draws without looking for a screen
    cfg = dataclasses.replace(agent.config.env, vectorization="auto")
    backend, spec, _ = make(cfg, 1, render_mode="human" if video is None else "rgb_array")
    returns = []
    to_env = ActionMap(backend.action)
    actor = Actor(agent.algo, agent.frames, explore=not deterministic)
    with contextlib.ExitStack() as open_things:
        open_things.callback(backend.close)
        open_things.enter_context(lend(agent.algo, seeding.stream(agent.seed, "play")))
        film = None if video is None else open_things.enter_context(Film(video))
        for episode in range(episodes):
            actor.forget()
            obs, total = backend.reset([0], [seeding.EVAL_SEEDS + episode]), 0.0
            for _ in range(spec.max_episode_steps or ENDLESS):
                if film is not None:
                    film.add(_picture(backend, spec.id))
                obs, reward, _, _, over = backend.step(to_env(actor(agent.seen(obs.copy()))))
                total += float(reward[0])
                if over[0]:
                    break
            returns.append(total)
    return returns


class Film:
    """Writes pictures `[H, W, 3]` uint8 to a file as they come; the file appears when it is whole and moves.

    Raises:
        RunFolderError: it cannot be written, or all its pictures are the same.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.partial = path, path.with_name(f".partial-{path.name}")
        self.pictures, self.moves = 0, False
        self.first: Array | None = None

    def __enter__(self) -> Film:
        import imageio.v3 as iio

        with writing(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.partial.open("wb").close()  # imageio would print a traceback where it cannot
            self.file: Any
            if self.path.suffix == ".mp4":
                self.file = iio.imopen(self.partial, "w", plugin="pyav")
                self.file.init_video_stream("libx264", fps=FRAMES_PER_SECOND)
            else:
                self.file = iio.imopen(self.partial, "w", plugin="pillow")
        self.gif: list[Array] = []
        return self

    def add(self, picture: Array) -> None:
        """The next picture; encoders want even sizes, so a last odd row or column is cut."""
        picture = picture[: picture.shape[0] // 2 * 2, : picture.shape[1] // 2 * 2]
        self.pictures += 1
        if self.first is None:
            self.first = picture
        self.moves = self.moves or not np.array_equal(picture, self.first)
        with writing(self.path):
            if self.path.suffix == ".mp4":
                self.file.write_frame(picture)
            else:
                self.gif.append(picture)

    def __exit__(self, kind: object, *_: object) -> None:
        import imageio.v3 as iio

        try:
            with writing(self.path):
                if self.gif:
                    self.file.write(np.stack(self.gif), duration=1000 / FRAMES_PER_SECOND, loop=0)
                self.file.close()
            if kind is not None:
                return
            if not self.moves:
                raise RunFolderError(
                    f"{self.path}: the environment drew {self.pictures} pictures that are all the same"
                )
            iio.improps(self.partial, plugin="pyav")  # it opens
            with writing(self.path):
                self.partial.replace(self.path)
        finally:
            self.partial.unlink(missing_ok=True)


def _picture(backend: Backend, env_id: str) -> Array:
    try:
        drawn = backend.render()
    except Exception as error:  # drawing goes through drivers that fail in ways of their own
        raise EnvError(f"{env_id} could not draw: {type(error).__name__}: {error}") from error
    if not isinstance(drawn, np.ndarray) or drawn.ndim != 3:
        raise EnvError(f"{env_id} draws no pictures (its render mode 'rgb_array' gave {type(drawn).__name__})")
    return drawn
