"""Configuration that algorithms share: values that change with the frames, and the optimiser."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Literal

from rlkit.config.checks import Checked, Flag, Whole
from rlkit.errors import ConfigError


@dataclass(kw_only=True)
class ScheduleConfig(Checked):
    """How a value moves with the frames, from the number beside it to `end`; up as well as down."""

    kind: Literal["constant", "linear", "cosine", "exponential", "piecewise"] = "constant"
    """constant; linear, cosine (half a wave) or exponential (constant ratio) to `end`; piecewise through `points`."""
    end: float = 0.0
    """Value from `end_frames` on."""
    start_frames: Whole = 0
    """Frames before the value changes."""
    end_frames: Whole | None = None
    """Frames at which `end` is reached; null: the budget of the run."""
    points: list[list[float]] = field(default_factory=list)
    """piecewise: [[frames, value], ...], joined by straight lines from the value beside this schedule at frame 0;
    two points at the same frames make a step."""

    def check(self, key: str, start: float, low: float = -math.inf, high: float = math.inf) -> None:
        """Check the schedule of `key`, which begins at `start` and stays from `low` to `high`.

        Raises:
            ConfigError: naming the key.
        """
        self.prefix = f"{key}_schedule."
        self.whole("start_frames", low=0)
        self.whole("end_frames")
        self.real("end", low=low, high=high)
        if self.end_frames is not None and self.end_frames <= self.start_frames:
            raise self.reject("end_frames", f"more than start_frames={self.start_frames}")
        if self.kind == "exponential" and (start <= 0 or self.end <= 0):
            raise ConfigError(
                f"{self.prefix}kind=exponential: it cannot go from {start:g} to {self.end:g}\n"
                f"  accepted: both above 0; give {self.prefix}end, or take linear or cosine to arrive at 0"
            )
        if self.kind == "piecewise":
            frames = [point[0] for point in self.points if len(point) == 2]
            if not frames or len(frames) < len(self.points) or frames != sorted(frames) or frames[0] < 0:
                raise self.reject("points", "[[frames, value], ...], frames from 0 on and not falling")
            if not all(math.isfinite(value) and low <= value <= high for _, value in self.points):
                raise self.reject("points", f"values from {low:g} to {high:g}")
        elif self.points:
            raise self.reject("points", f"[] together with kind={self.kind}, or kind=piecewise")


OPTIMIZERS = ("adam", "adamw", "rmsprop", "sgd")
"""Our own, on the flat parameters."""


@dataclass(kw_only=True)
class OptimizerConfig(Checked):
    """The optimiser; its learning rate and the bound on the gradient stand in the algorithm."""

    prefix = "algo.optimizer."

    name: str = "adam"
    """adam, adamw, rmsprop, sgd, or the class name of any other optimiser of torch.optim, such as NAdam."""
    betas: list[float] = field(default_factory=lambda: [0.9, 0.999])
    """adam, adamw: decay rates of the first and second moment."""
    eps: float = 1e-8
    """adam, adamw, rmsprop: added to the root of the second moment."""
    alpha: float = 0.99
    """rmsprop: decay rate of the mean square."""
    momentum: float = 0.0
    """sgd, rmsprop: momentum."""
    weight_decay: float = 0.0
    """Weight decay; added to the gradient, and with adamw decoupled from it."""
    decay_biases: Flag = False
    """Apply the weight decay to biases, norms and log standard deviations too."""
    kwargs: dict[str, Any] = field(default_factory=dict)
    """Arguments of an optimiser of torch.optim, such as {momentum_decay: 0.004}, in place of the keys above."""

    def __post_init__(self) -> None:
        if len(self.betas) != 2 or not all(0 <= beta < 1 for beta in self.betas):
            raise self.reject("betas", "two numbers from 0 to below 1, such as [0.9,0.999]")
        self.real("eps", above=0)
        self.real("weight_decay", low=0)
        for key in ("alpha", "momentum"):
            if not 0 <= getattr(self, key) < 1:
                raise self.reject(key, "a number from 0 to below 1")
        if self.kwargs and self.name in OPTIMIZERS:
            raise self.reject("kwargs", f"nothing for {self.name}, whose arguments are the other keys")
