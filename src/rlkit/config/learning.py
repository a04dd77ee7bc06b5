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
    """constant: stays. linear, cosine (half a wave), exponential (a constant ratio): move to `end`. piecewise: follows
    `points`."""
    end: float = 0.0
    """The value from `end_frames` on."""
    start_frames: Whole = 0
    """Frames before the value begins to move."""
    end_frames: Whole | None = None
    """Frames at which it has arrived; null: the budget of the run."""
    points: list[list[float]] = field(default_factory=list)
    """For piecewise: [[frames, value], ...], joined by straight lines that begin at frame 0 with the value beside this
    schedule; two points at the same frames are a step."""

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
    """adam, adamw, rmsprop or sgd; or any other of torch.optim by its class name, such as NAdam or Muon."""
    betas: list[float] = field(default_factory=lambda: [0.9, 0.999])
    """Decay rates of the first and second moment (adam, adamw)."""
    eps: float = 1e-8
    """Added to the root of the second moment (adam, adamw, rmsprop)."""
    alpha: float = 0.99
    """Decay rate of the mean square (rmsprop)."""
    momentum: float = 0.0
    """Decay rate of the running sum of steps (sgd, rmsprop)."""
    weight_decay: float = 0.0
    """Pull of the weights to 0: added to the gradient, with adamw apart from it."""
    decay_biases: Flag = False
    """Decay biases, norms and log standard deviations (whatever has one dimension) too."""
    kwargs: dict[str, Any] = field(default_factory=dict)
    """Arguments of an optimiser of torch.optim, such as {momentum_decay: 0.004}; the keys above are not for those."""

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
