"""Plots of several trials: curves with bands, scores with every seed, profiles, and where the time went.

Each is drawn in a figure of matplotlib's and has its numbers as rows, for the CSV beside it.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from rlkit.evidence.trials import Trial
from rlkit.results.stats import performance_profile, student_interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8A8A00", "#7F7F7F")
"""Okabe and Ito's palette, which the colour-blind can tell apart, with two others for black and yellow."""
DASHES = ("-", "--", ":", "-.")
INK = "#1f2328"
"""The colour of text and axes; a page replaces it by its text colour."""
FEW = 10
"""Up to this many seeds are also drawn as thin lines, one each."""
SIZE = (6.4, 3.6)
"""Inches, for 600 pixels and up."""


@dataclass(frozen=True)
class Plot:
    """A figure, what it shows, and its numbers."""

    name: str
    title: str
    figure: Figure
    rows: list[list[Any]]
    """With the names of the columns first."""

    def svg(self) -> str:
        """The figure as an element of a page, in the colours of the page's text."""
        from matplotlib import rc_context

        out = io.StringIO()
        with rc_context({"svg.fonttype": "none", "svg.hashsalt": self.name}):
            self.figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
        text = out.getvalue()
        return text[text.index("<svg") :].replace(INK, "currentColor")

    def png(self) -> bytes:
        """The figure on white, at 150 dots an inch."""
        out = io.BytesIO()
        self.figure.savefig(out, format="png", facecolor="white")
        return out.getvalue()


def curves(trials: Sequence[Trial], env: str, *, over_time: bool = False) -> Plot:
    """Evaluations during training: the mean over seeds with its 95 % interval, and few seeds each as a thin line.

    Args:
        trials: of one environment.
        env: its name.
        over_time: against seconds of training instead of frames.
    """
    figure, axes = _figure()
    rows: list[list[Any]] = [["trial", "seconds" if over_time else "frames", "mean", "low", "high", "seeds"]]
    for place, trial in enumerate(trials):
        style = _style(place)
        lines = [_line(session, over_time) for session in trial.sessions if len(session.frames)]
        lines = [(x, y) for x, y in lines if len(x)]
        if not lines:
            continue
        if 1 < len(lines) <= FEW:
            for x, y in lines:
                axes.plot(x, y, lw=0.6, alpha=0.4, color=style["color"])
        grid, mean, low, high = band(lines)
        axes.plot(grid, mean, lw=2, label=trial.title, marker="o" if len(grid) == 1 else "", **style)
        if np.isfinite(low).any():
            axes.fill_between(grid, low, high, alpha=0.18, lw=0, color=style["color"])
        rows += [[trial.title, *numbers, len(lines)] for numbers in zip(grid, mean, low, high, strict=True)]
    _finish(axes, "training time (s)" if over_time else "frames", "mean return of an evaluation")
    name = f"curves_{'time' if over_time else 'frames'}_{_safe(env)}"
    return Plot(name, f"{env}: learning curves over {'training time' if over_time else 'frames'}", figure, rows)


def _line(session: Any, over_time: bool) -> tuple[np.ndarray, np.ndarray]:
    x = np.array([session.seconds_at(at) if over_time else at for at in session.frames], np.float64)
    y = np.array(session.returns, np.float64)
    known = np.isfinite(x)
    return x[known], y[known]


def band(lines: Sequence[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The mean of some curves and its 95 % Student's t interval, where all of them have values.

    Returns:
        Positions, mean, low and high; the latter two are NaN for a single curve.
    """
    first, last = max(x[0] for x, _ in lines), min(x[-1] for x, _ in lines)
    grid = np.unique(np.concatenate([x for x, _ in lines]))
    grid = grid[(grid >= first) & (grid <= last)]
    if not len(grid):
        return grid, grid, grid, grid
    if len(grid) > 400:  # seeds whose evaluations never coincide
        grid = np.linspace(first, last, 400)
    values = np.array([np.interp(grid, x, y) for x, y in lines])
    intervals = [student_interval(list(column)) or (math.nan, math.nan) for column in values.T]
    low, high = np.array(intervals).T
    return grid, values.mean(0), low, high


def scores(trials: Sequence[Trial], env: str) -> Plot:
    """The final score of every seed as a dot, with mean and 95 % interval of each trial."""
    figure, axes = _figure(0.5 + 0.45 * len(trials))
    rows: list[list[Any]] = [["trial", "seed", "score"]]
    for place, trial in enumerate(trials):
        colour, known = COLOURS[place % len(COLOURS)], trial.scores
        rows += [[trial.title, s.seed, s.score] for s in trial.sessions]
        if not known:
            continue
        shift = np.linspace(-0.18, 0.18, len(known)) if len(known) > 1 else np.zeros(1)
        axes.scatter(known, place + shift, s=14, color=colour, alpha=0.6, lw=0, zorder=3)
        mean = sum(known) / len(known)
        axes.scatter([mean], [place], marker="D", s=36, color=colour, edgecolor=INK, lw=0.8, zorder=4)
        if interval := student_interval(known):
            axes.plot(interval, [place, place], color=colour, lw=3, alpha=0.5, solid_capstyle="butt", zorder=2)
    axes.set_yticks(range(len(trials)), [trial.title for trial in trials])
    axes.set_ylim(len(trials) - 0.5, -0.5)
    _finish(axes, "final score; diamond: mean, bar: 95 % interval", "", legend=False)
    return Plot(f"scores_{_safe(env)}", f"{env}: final scores, every seed", figure, rows)


def profile(trials: Sequence[Trial], env: str) -> Plot:
    """The share of seeds above each score (Agarwal et al. 2021, arXiv:2108.13264, eq. 4)."""
    figure, axes = _figure()
    everything = [score for trial in trials for score in trial.scores]
    rows: list[list[Any]] = [["trial", "score", "share above"]]
    margin = 0.05 * (max(everything) - min(everything)) or 1.0
    thresholds = np.linspace(min(everything) - margin, max(everything) + margin, 200)
    for place, trial in enumerate(trials):
        if not trial.scores:
            continue
        share = performance_profile(trial.scores, list(thresholds))
        axes.step(thresholds, share, where="post", lw=2, label=trial.title, **_style(place))
        rows += [[trial.title, *numbers] for numbers in zip(thresholds, share, strict=True)]
    axes.set_ylim(-0.03, 1.03)
    _finish(axes, "score", "share of seeds above it")
    return Plot(f"profile_{_safe(env)}", f"{env}: performance profile", figure, rows)


PARTS = {"env": "environment", "policy": "policy", "learn": "learning", "eval": "evaluation", "other": "other"}


def time_split(trials: Sequence[Trial], env: str) -> Plot:
    """Shares of the time of each trial, by what for."""
    figure, axes = _figure(0.6 + 0.45 * len(trials))
    rows: list[list[Any]] = [["trial", *PARTS.values()]]
    for place, trial in enumerate(trials):
        known = [s.time_split for s in trial.sessions if s.time_split]
        shares = [float(np.mean([split.get(part, 0.0) for split in known])) if known else 0.0 for part in PARTS]
        rows.append([trial.title, *shares])
        left = 0.0
        for colour, share in zip(COLOURS, shares, strict=False):
            axes.barh(place, 100 * share, left=100 * left, color=colour, height=0.6)
            left += share
    for colour, part in zip(COLOURS, PARTS.values(), strict=False):
        axes.barh(0, 0, color=colour, label=part)
    axes.set_yticks(range(len(trials)), [trial.title for trial in trials])
    axes.set_ylim(len(trials) - 0.5, -0.5)
    _finish(axes, "share of the time (%)", "")
    return Plot(f"time_{_safe(env)}", f"{env}: where the time went", figure, rows)


def plots_of(trials: Sequence[Trial]) -> Iterator[tuple[str, list[Plot]]]:
    """The plots of each environment."""
    for env in dict.fromkeys(trial.label["env"] for trial in trials):
        there = [trial for trial in trials if trial.label["env"] == env]
        found = []
        if any(len(s.frames) for trial in there for s in trial.sessions):
            found += [curves(there, env), curves(there, env, over_time=True)]
        if any(trial.scores for trial in there):
            found += [scores(there, env), profile(there, env)]
        if any(s.time_split for trial in there for s in trial.sessions):
            found.append(time_split(there, env))
        yield env, found


def _style(place: int) -> dict[str, Any]:
    """Colour and dashes of a trial, by its place."""
    return {"color": COLOURS[place % len(COLOURS)], "ls": DASHES[place // len(COLOURS) % len(DASHES)]}


def _figure(height: float | None = None) -> tuple[Figure, Axes]:
    from matplotlib.figure import Figure

    size = SIZE if height is None else (SIZE[0], max(1.6, height + 0.6))
    figure = Figure(figsize=size, layout="constrained", facecolor="none", dpi=150)
    axes = figure.add_subplot(facecolor="none")
    return figure, axes


def _finish(axes: Axes, x: str, y: str, *, legend: bool = True) -> None:
    from matplotlib.ticker import EngFormatter

    axes.set_xlabel(x, color=INK)
    axes.set_ylabel(y, color=INK)
    if x == "frames":
        axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(INK)
    axes.tick_params(colors=INK)
    axes.grid(color="#888888", alpha=0.25, lw=0.8)
    axes.set_axisbelow(True)
    if legend and axes.get_legend_handles_labels()[0]:
        axes.figure.legend(frameon=False, labelcolor=INK, fontsize=8, loc="outside lower left", ncols=3)


def _safe(name: str) -> str:
    return "".join(sign if sign.isalnum() or sign in "-_." else "_" for sign in name)
