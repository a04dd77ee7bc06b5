"""Noise for exploring continuous actions, one stream for each environment."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from rlkit.config.off_policy import NoiseConfig
    from rlkit.types import Floats, State

PINK_STEPS = 1024
"""Length of a stretch of pink noise; then the next is drawn."""


class Noise:
    """Noise `[N, A]` at every call, in units of the action scaled to [-1, 1].

    The level of Ornstein-Uhlenbeck noise is an argument and a result, as a recurrent state is: who calls carries it
    from step to step, and begins every episode with 0 (Lillicrap et al. 2016, algorithm 1). Pink noise does not end
    with an episode: its stretches of 1024 steps follow each other, as in the authors' code.

    Args:
        cfg: its kind and size.
        num_envs: N.
        dims: A.
    """

    def __init__(self, cfg: NoiseConfig, num_envs: int, dims: int) -> None:
        self.cfg, self.shape = cfg, (num_envs, dims)
        self.stretch = np.zeros((0, *self.shape), np.float32)
        self.at = 0

    def __call__(self, rng: np.random.Generator, level: Floats | None = None) -> tuple[Floats, Floats | None]:
        """The next noise, and the level `[N, A]` where the kind has one; a level of None is 0."""
        cfg = self.cfg
        if cfg.kind == "none":
            return np.zeros(self.shape, np.float32), None
        if cfg.kind == "pink":
            if self.at == len(self.stretch):
                self.stretch, self.at = pink((PINK_STEPS, *self.shape), rng), 0
            self.at += 1
            drawn: Floats = np.float32(cfg.std) * self.stretch[self.at - 1]
            return drawn, None
        fresh: Floats = np.float32(cfg.std) * rng.standard_normal(self.shape, dtype=np.float32)
        if cfg.kind == "gaussian":
            return fresh, None
        level = fresh if level is None else level * np.float32(1 - cfg.theta) + fresh
        return level, level

    def state_dict(self) -> State:
        """The current stretch of pink noise, and the position in it."""
        return {"stretch": self.stretch, "at": self.at}

    def load_state_dict(self, state: State) -> None:
        """Restore the state of `state_dict`."""
        self.stretch, self.at = state["stretch"].copy(), state["at"]


def pink(shape: tuple[int, ...], rng: np.random.Generator) -> Floats:
    """Noise of variance 1 whose power falls as one over the frequency (Timmer & Koenig 1995), along the first axis."""
    steps, rest = shape[0], shape[1:]
    amplitude = np.zeros(steps // 2 + 1)
    amplitude[1:] = np.fft.rfftfreq(steps)[1:] ** -0.5
    real, imaginary = rng.standard_normal((2, len(amplitude), *rest))
    spectrum = amplitude.reshape(-1, *[1] * len(rest)) * (real + 1j * imaginary)
    # The inverse transform counts every frequency but 0 and the highest twice.
    variance = (4 * np.square(amplitude[1:-1]).sum() + amplitude[-1] ** 2) / steps**2
    noise: Floats = (np.fft.irfft(spectrum, steps, axis=0) / np.sqrt(variance)).astype(np.float32)
    return noise
