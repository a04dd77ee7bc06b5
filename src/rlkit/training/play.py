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
from rlkit.envs.actions import ActionMap
from rlkit.envs.adapter import told
from rlkit.envs.make import make
from rlkit.errors import EnvError, RunFolderError
from rlkit.runs.folder import writing
from rlkit.training.acting import Actor
from rlkit.training.evaluate import ENDLESS, lend

if TYPE_CHECKING:
    from rlkit.envs.backends import Backend
    from rlkit.training.agent import Agent
    from rlkit.types import Array


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
        film = None if video is None else open_things.enter_context(Film(video, backend.frames_per_second))
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
            if film is not None:
                film.add(_picture(backend, spec.id))  # how it ended
            returns.append(total)
    return returns


class Film:
    """Writes pictures `[H, W, 3]` uint8 to a file as they come; the file appears when it is whole.

    Args:
        path: an .mp4 or .gif.
        rate: pictures a second.

    Raises:
        RunFolderError: it cannot be written, or more than two pictures are all the same, as of a renderer that fails.
    """

    def __init__(self, path: Path, rate: float) -> None:
        self.path, self.partial = path, path.with_name(f".partial-{path.name}")
        self.rate = rate
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
                self.file.init_video_stream("libx264", fps=self.rate)
            else:
                self.file = iio.imopen(self.partial, "w", plugin="pillow")
        self.gif: list[Array] = []
        return self

    def add(self, picture: Array) -> None:
        """The next picture; one of another size than the first is cut or filled up with black."""
        picture = _fitted(picture, _even(picture) if self.first is None else self.first.shape)
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
                    self.file.write(np.stack(self.gif), duration=1000 / self.rate, loop=0)
                self.file.close()
            if kind is not None:
                return
            if not self.moves and self.pictures > 2:
                raise RunFolderError(
                    f"{self.path}: the environment drew {self.pictures} pictures that are all the same"
                )
            iio.improps(self.partial, plugin="pyav")  # it opens
            with writing(self.path):
                self.partial.replace(self.path)
        finally:
            self.partial.unlink(missing_ok=True)


SMALLEST = 16
"""Pixels to which smaller sides are filled up: encoders take no smaller pictures."""


def _even(picture: Array) -> tuple[int, ...]:
    """The size in which pictures like this one are encoded: even, as video encoders want it."""
    height, width = (max(SMALLEST, side + side % 2) for side in picture.shape[:2])
    return height, width, 3


def _fitted(picture: Array, shape: tuple[int, ...]) -> Array:
    """The picture in another size: its upper left part, with black where it is smaller."""
    if picture.shape == shape:
        return picture.copy()
    fitted = np.zeros(shape, np.uint8)
    height, width = (min(a, b) for a, b in zip(picture.shape[:2], shape[:2], strict=True))
    fitted[:height, :width] = picture[:height, :width]
    return fitted


def _picture(backend: Backend, env_id: str) -> Array:
    """What row 0 looks like, as `[H, W, 3]` uint8.

    Raises:
        EnvError: it could not draw, or what it drew is no picture.
    """
    try:
        drawn = backend.render()
        if isinstance(drawn, list | tuple) and len(drawn):  # all pictures since the last call
            drawn = drawn[-1]
        if isinstance(drawn, np.ndarray) and (picture := as_picture(drawn)) is not None:
            return picture
    except NotImplementedError as error:  # Gymnasium's own `render`
        raise EnvError(f"{env_id} draws no pictures: it has no render method") from error
    except (Exception, SystemExit) as error:  # drawing goes through drivers that raise errors of many kinds
        raise EnvError(f"{env_id} could not draw: {told(error)}") from error
    what = f"an array of shape {drawn.shape}" if isinstance(drawn, np.ndarray) else type(drawn).__name__
    raise EnvError(f"{env_id} draws no pictures (its render mode 'rgb_array' gave {what})")


def as_picture(drawn: Array) -> Array | None:
    """A drawn array as `[H, W, 3]` uint8; None where it is no picture.

    Args:
        drawn: grey `[H, W]`, or `[H, W, C]` or `[C, H, W]` with 1, 3 or 4 channels (the fourth, alpha, is left out);
            booleans, numbers from 0 to 1 of a floating-point type, or numbers from 0 to 255.
    """
    x = drawn[..., None] if drawn.ndim == 2 else drawn
    if x.ndim != 3 or not x.size:
        return None
    if x.shape[2] not in (1, 3, 4):
        if x.shape[0] not in (1, 3, 4):
            return None
        x = x.transpose(1, 2, 0)
    x = x[..., :3] if x.shape[2] == 4 else x
    if x.dtype == np.bool_:
        x = x * np.uint8(255)
    elif np.issubdtype(x.dtype, np.floating):
        x = np.nan_to_num(x)
        x = np.rint(x * 255 if x.max() <= 1 else x)
    x = np.clip(x, 0, 255).astype(np.uint8)
    return np.repeat(x, 3, axis=2) if x.shape[2] == 1 else np.ascontiguousarray(x)
