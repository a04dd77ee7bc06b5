"""Learning curves as PNG and SVG, and their data as CSV beside them."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING, Any

import numpy as np

from rlkit.runs.folder import writing
from rlkit.runs.lines import read_evals

if TYPE_CHECKING:
    from rlkit.runs.folder import RunFolder

SURFACE, INK, MUTED, LINE = "#ffffff", "#1f2328", "#6e7781", "#2f6fde"


def plot_trial(folder: RunFolder, result: dict[str, Any]) -> None:
    """Draw `plots/learning_curve.{png,svg,csv}`: evaluations during training, each seed thin, their mean thick."""
    seeds, title = result["seeds"], f"{result['algo']} on {result['env_id']}"
    curves = {seed: read_evals(folder.session(seed).eval) for seed in seeds}
    points = [(seed, row["frames"], row["mean"]) for seed, rows in curves.items() for row in rows]
    if not points:
        return
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure
    from matplotlib.ticker import EngFormatter

    figure = Figure(figsize=(7, 4), layout="constrained", facecolor=SURFACE)
    axes = figure.add_subplot()
    for rows in curves.values():
        axes.plot(
            [r["frames"] for r in rows],
            [r["mean"] for r in rows],
            color=LINE,
            lw=2 if len(seeds) == 1 else 0.8,
            alpha=1 if len(seeds) == 1 else 0.45,
        )
    if len(seeds) > 1:
        length = min(len(rows) for rows in curves.values())
        frames = [row["frames"] for row in next(iter(curves.values()))[:length]]
        returns = np.array([[row["mean"] for row in rows[:length]] for rows in curves.values()])
        axes.plot(frames, returns.mean(0), color=LINE, lw=2.4, label=f"mean of {len(seeds)} seeds")
        axes.legend(frameon=False, labelcolor=INK)
    episodes = len(next(iter(curves.values()))[0]["returns"])
    axes.set_title(title, loc="left", color=INK)
    axes.set_xlabel("frames", color=MUTED)
    axes.set_ylabel(f"return of {episodes} evaluation episodes", color=MUTED)
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color("#d0d7de")
    axes.tick_params(colors=MUTED)
    axes.grid(axis="y", color="#eaeef2", lw=0.8)
    axes.set_axisbelow(True)

    place = folder.path / "plots"
    with writing(place):
        place.mkdir(exist_ok=True)
        FigureCanvasAgg(figure).print_figure(place / "learning_curve.png")
        FigureCanvasSVG(figure).print_figure(place / "learning_curve.svg")
        with (place / "learning_curve.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["seed", "frames", "return"])
            writer.writerows(points)
