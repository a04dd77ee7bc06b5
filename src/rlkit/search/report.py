"""The end of a search: what was best, what mattered, what pruning saved; as a card, and as plots with their data."""

from __future__ import annotations

import csv
import math
import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import optuna
import yaml
from optuna.distributions import FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState
from rich.console import Console
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from rlkit.results.plots import INK, LINE, MUTED, SURFACE
from rlkit.runs.folder import write_text, writing
from rlkit.search import study as record
from rlkit.search.display import best_first, best_trial, number, short, shown, state
from rlkit.search.failures import count
from rlkit.search.study import SweepFolder

if TYPE_CHECKING:
    from optuna import Study

ENOUGH = 10
"""Complete trials below which importances would be noise."""
PRUNED, OTHERS = "#d1495b", "#b8c4d6"


def frames_saved(trials: Sequence[FrozenTrial], frames: int) -> tuple[int, int]:
    """Frames that trials which are over ran, and those that they would have run without pruning."""
    over = [t for t in trials if t.state in record.OVER]
    return sum(t.user_attrs.get(record.FRAMES, 0) for t in over), sum(t.params.get("frames", frames) for t in over)


def save_results(folder: SweepFolder, study: Study) -> dict[str, Any]:
    """Write `optimization_results.yaml`, with the keys that Hydra's own Optuna sweeper uses and a few more."""
    trials = study.get_trials(deepcopy=False)
    if len(study.directions) > 1:
        front = [{"trial": t.number, "params": t.params, "values": t.values} for t in study.best_trials]
        results: dict[str, Any] = {"name": "optuna", "solutions": front}
    elif any(t.state is TrialState.COMPLETE for t in trials):
        best = best_trial(study)
        results = {
            "name": "optuna", "best_trial": best.number, "best_params": best.params, "best_value": best.value
        }  # fmt: skip
    else:
        results = {"name": "optuna", "best_trial": None, "best_params": {}, "best_value": None}
    write_text(folder.path / "optimization_results.yaml", yaml.safe_dump(results, sort_keys=False))
    return results


def importances(study: Study) -> dict[str, float]:
    """How much of the variation each parameter explains (PED-ANOVA, Watanabe et al. 2023); empty for few trials."""
    complete = [t for t in study.get_trials(deepcopy=False) if t.state is TrialState.COMPLETE]
    if len(study.directions) > 1 or len(complete) < ENOUGH or len({t.value for t in complete}) < 2:
        return {}
    shared = set.intersection(*(set(t.params) for t in complete))
    if len(shared) < 2:
        return {}
    evaluator = optuna.importance.PedAnovaImportanceEvaluator()
    found = optuna.importance.get_param_importances(study, evaluator=evaluator, params=sorted(shared))
    return {key: share for key, share in found.items() if math.isfinite(share)}


def show(folder: SweepFolder, study: Study, frames: int, console: Console | None = None) -> None:
    """Print the card of a search that has ended, and below it, never wrapped, what to do next."""
    console = console or Console(highlight=False)
    trials = study.get_trials(deepcopy=False)
    counts = {name: sum(state(t) == name for t in trials) for name in ("complete", "pruned", "diverged", "failed")}
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    table.add_row("trials", ", ".join(f"{n} {name}" for name, n in counts.items() if n))
    complete = [t for t in trials if t.state is TrialState.COMPLETE]
    if len(study.directions) > 1:
        front = study.best_trials
        table.add_row("best", f"{count(len(front), 'trial')} that no other beats in everything")
        for t in front[:5]:
            table.add_row("", Text(f"{t.number}: {', '.join(number(v) for v in t.values or [])}  {_params(t)}"))
    elif complete:
        best = best_trial(study)
        flattered = f", the best of {len(complete)}, and so flattered" if len(complete) > 1 else ""
        table.add_row("best", f"trial {best.number}: {number(best.value)}{flattered}")
        table.add_row("", Text(_params(best)))
    ran, full = frames_saved(trials, frames)
    if full:
        spared = f" of the {full:,} that all trials to the end take ({ran / full:.0%})" if ran < full else ""
        table.add_row("frames", f"{ran:,}{spared}")
    if shares := importances(study):
        table.add_row("importance", Text(", ".join(f"{short(key)} {share:.0%}" for key, share in shares.items())))
    nothing = not any(state(t) in ("complete", "pruned") for t in trials)
    title = "search: no trial came to an end" if nothing else "search: done"
    console.print(Panel(table, title=title, title_align="left", expand=False))
    place = shlex.quote(shown(folder.path))
    steps = {"folder": shown(folder.path)}
    if (folder.path / record.JOURNAL).exists():
        steps["look at it"] = f"optuna-dashboard {shlex.quote(shown(folder.path / record.JOURNAL))}"
    if counts["complete"] and len(study.directions) == 1:
        steps["validate"] = f"rlkit validate {place} --top 3 --seeds 10"
        steps["narrow"] = f"rlkit narrow {place} --top 5 --shrink 0.5"
        steps["adopt"] = f"rlkit adopt {place}"
    for name, text in steps.items():
        console.print(Text.assemble((f"  {name:<12}", "dim"), text), soft_wrap=True)


def _params(trial: FrozenTrial) -> str:
    return " ".join(f"{key}={number(v)}" for key, v in trial.params.items())


def plot(folder: SweepFolder, study: Study) -> None:
    """Draw `plots/{history,parallel,importance,intermediate}.png`, each with its data as CSV."""
    trials = study.get_trials(deepcopy=False)
    complete = [t for t in trials if t.state is TrialState.COMPLETE and t.values]
    if not complete or len(study.directions) > 1:
        return
    direction = study.direction.name.lower()
    place = folder.path / "plots"
    with writing(place):
        place.mkdir(exist_ok=True)
    _history(place, complete, direction)
    _parallel(place, complete, direction)
    _intermediate(place, trials)
    if shares := importances(study):
        _importance(place, shares)


def _figure(title: str, x: str, y: str, size: tuple[float, float] = (7, 4)) -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained", facecolor=SURFACE)
    axes = figure.add_subplot()
    axes.set_title(title, loc="left", color=INK)
    axes.set_xlabel(x, color=MUTED)
    axes.set_ylabel(y, color=MUTED)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(colors=MUTED)
    axes.grid(axis="y", color="#eaeef2", lw=0.8)
    axes.set_axisbelow(True)
    return figure, axes


def _save(place: Any, name: str, figure: Any, header: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    with writing(place):
        FigureCanvasAgg(figure).print_figure(place / f"{name}.png")
        with (place / f"{name}.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(header)
            writer.writerows(rows)


def _history(place: Any, complete: Sequence[FrozenTrial], direction: str) -> None:
    numbers, values = [t.number for t in complete], [t.values[0] for t in complete]
    best = (np.maximum if direction == "maximize" else np.minimum).accumulate(values)
    figure, axes = _figure("complete trials, and the best so far", "trial", "value")
    axes.scatter(numbers, values, s=18, color=OTHERS)
    axes.step(numbers, best, where="post", color=LINE, lw=2)
    _save(place, "history", figure, ["trial", "value", "best"], list(zip(numbers, values, best, strict=True)))


def _parallel(place: Any, complete: Sequence[FrozenTrial], direction: str) -> None:
    """A line a trial through its parameters, each scaled to its range; the better the later drawn, and bluer."""
    names = list(dict.fromkeys(key for t in complete for key in t.params))
    ranked = best_first(complete, direction)[::-1]
    columns = [_heights(key, complete) for key in names]
    figure, axes = _figure("parameters of complete trials, the best third in blue", "", "", (max(7, len(names)), 4))
    for rank, trial in enumerate(ranked):
        good = rank >= len(ranked) * 2 / 3
        heights = [column.get(trial.number, math.nan) for column in columns]
        axes.plot(heights, color=LINE if good else OTHERS, alpha=0.8 if good else 0.5, lw=1.6 if good else 0.9)
    axes.set_xticks(range(len(names)), [short(n) for n in names], rotation=30, ha="right")
    axes.set_yticks([0, 1], ["low", "high"])
    rows = [[t.number, t.values[0], *(t.params.get(n) for n in names)] for t in complete]
    _save(place, "parallel", figure, ["trial", "value", *names], rows)


def _heights(key: str, trials: Sequence[FrozenTrial]) -> dict[int, float]:
    """The place of a parameter's value in its range, from 0 to 1, for each trial."""
    heights = {}
    for t in trials:
        if key not in t.params:
            continue
        d, x = t.distributions[key], t.params[key]
        if isinstance(d, FloatDistribution | IntDistribution):
            low, high, at = (math.log(v) if d.log else float(v) for v in (d.low, d.high, x))
        else:
            choices = list(getattr(d, "choices", [x]))
            low, high, at = 0.0, float(len(choices) - 1), float(choices.index(x))
        heights[t.number] = (at - low) / (high - low) if high > low else 0.5
    return heights


def _intermediate(place: Any, trials: Sequence[FrozenTrial]) -> None:
    figure, axes = _figure("evaluations of every trial; a cross where it was pruned", "frames", "return")
    rows = []
    for t in trials:
        points = sorted(t.intermediate_values.items())
        if not points:
            continue
        pruned = t.state is TrialState.PRUNED
        alone = "o" if len(points) == 1 else None  # one point makes no line
        axes.plot(*zip(*points, strict=True), color=OTHERS if pruned else LINE, lw=0.9, alpha=0.7, marker=alone, ms=4)
        if pruned:
            axes.plot(*points[-1], "x", color=PRUNED, ms=5)
        rows += [[t.number, frames, v, state(t)] for frames, v in points]
    _save(place, "intermediate", figure, ["trial", "frames", "value", "state"], rows)


def _importance(place: Any, shares: dict[str, float]) -> None:
    ordered = sorted(shares.items(), key=lambda item: item[1])
    figure, axes = _figure("share of the variation that each parameter explains", "share", "")
    axes.barh([short(key) for key, _ in ordered], [share for _, share in ordered], color=LINE)
    _save(place, "importance", figure, ["parameter", "share"], ordered[::-1])
