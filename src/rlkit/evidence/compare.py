"""Trials side by side: scores with intervals, who is better, and what it took."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rlkit.evidence.trials import Trial
from rlkit.results.stats import (
    KIND,
    iqm,
    probability_of_improvement,
    share_below_worst,
    student_interval,
    welch_interval,
)
from rlkit.runs.writing import finite

REACHED = 0.9
"""Where no threshold is given: this share of the way from random play to the best mean score of the environment."""


@dataclass(frozen=True)
class Row:
    """A trial in the table."""

    trial: Trial
    mean: float
    """Of the final scores over seeds; NaN without one."""
    interval: tuple[float, float] | None
    iqm: float
    worst: float
    threshold: float
    reached: int
    """Seeds whose evaluations reached the threshold."""
    frames_to: float
    """Median over seeds of the frames to the threshold; infinite where less than half reached it."""
    seconds_to: float
    fps: float
    best: bool
    """Whether its mean is the highest of its environment."""
    p_best_better: float
    """The probability that a run of the best trial of the environment scores higher than one of this."""
    difference: tuple[float, float] | None
    """Welch's interval of the best trial's mean minus this one's."""


def compare(trials: Sequence[Trial], threshold: float | None = None) -> list[Row]:
    """The rows of the table: environment by environment, the best mean first.

    Args:
        trials: see `trials_of`.
        threshold: a return, whose first evaluation at or above it is timed; None: `REACHED`.
    """
    rows = []
    for env in dict.fromkeys(trial.label["env"] for trial in trials):
        there = [trial for trial in trials if trial.label["env"] == env]
        there.sort(key=lambda trial: -_mean(trial.scores) if trial.scores else math.inf)
        best = there[0]
        goal = threshold if threshold is not None else _goal(best)
        rows += [_row(trial, best, goal) for trial in there]
    return rows


def _goal(best: Trial) -> float:
    """`REACHED` of the way from random play to the best trial's score; NaN where either is not known."""
    return best.random_return + REACHED * (_mean(best.scores) - best.random_return)


def _row(trial: Trial, best: Trial, goal: float) -> Row:
    scores = trial.scores
    frames = [session.frames_to(goal) for session in trial.sessions]
    seconds = [session.seconds_at(at) for session, at in zip(trial.sessions, frames, strict=True)]
    other = trial is not best and bool(scores)
    return Row(
        trial=trial,
        mean=_mean(scores),
        interval=student_interval(scores),
        iqm=iqm(scores) if scores else math.nan,
        worst=min(scores, default=math.nan),
        threshold=goal,
        reached=sum(math.isfinite(at) for at in frames),
        frames_to=_median(frames),
        seconds_to=_median(seconds),
        fps=_mean([s.fps for s in trial.sessions if math.isfinite(s.fps)]),
        best=trial is best and bool(scores),
        p_best_better=probability_of_improvement(best.scores, scores) if other else math.nan,
        difference=welch_interval(best.scores, scores) if other else None,
    )


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if len(values) else math.nan


def _median(values: Sequence[float]) -> float:
    """The lower median, so that a value is one of a seed; NaN without values."""
    known = sorted(value for value in values if not math.isnan(value))
    return known[(len(known) - 1) // 2] if known else math.nan


# What is printed

Column = tuple[str, Callable[[Row], str]]


def columns(rows: Sequence[Row]) -> list[Column]:
    """The heads of the table, and what stands below them."""
    keys = list(dict.fromkeys(key for row in rows for key in row.trial.label))
    return [
        *((key, _label(key)) for key in keys),
        ("seeds", lambda row: _seeds(row.trial)),
        ("score", lambda row: number(row.mean)),
        ("95 % interval", lambda row: _interval(row.interval)),
        ("IQM", lambda row: number(row.iqm)),
        ("worst", lambda row: number(row.worst)),
        ("P(best)", _probability),
        ("best - this", lambda row: _interval(row.difference)),
        ("frames to", lambda row: _reached(row, _short(row.frames_to))),
        ("time to", lambda row: _reached(row, _seconds(row.seconds_to))),
        ("fps", lambda row: _short(row.fps)),
    ]


def _label(key: str) -> Callable[[Row], str]:
    return lambda row: row.trial.label.get(key, "-")


def _probability(row: Row) -> str:
    return "best" if row.best else "-" if math.isnan(row.p_best_better) else f"{row.p_best_better:.2f}"


def _seeds(trial: Trial) -> str:
    scored, there = len(trial.scores), len(trial.sessions)
    return str(scored) if scored == there else f"{scored}/{there}"


def _reached(row: Row, text: str) -> str:
    if math.isnan(row.threshold):
        return "-"
    there = len(row.trial.sessions)
    return text if row.reached == there else f"{text} ({row.reached}/{there})"


def number(value: float) -> str:
    """A score with four figures or one decimal; `-` for one that is not finite."""
    if not math.isfinite(value):
        return "-"
    return f"{value:,.0f}" if abs(value) >= 10_000 else f"{value:.1f}" if abs(value) >= 1 else f"{value:.3g}"


def _interval(interval: tuple[float, float] | None) -> str:
    return "-" if interval is None else f"{number(interval[0])} to {number(interval[1])}"


def _short(value: float) -> str:
    """`850`, `41k`, `2.5M`."""
    if not math.isfinite(value):
        return "-"
    for size, sign in ((1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.3g}{sign}"
    return f"{value:.3g}"


def _seconds(value: float) -> str:
    if not math.isfinite(value):
        return "-"
    if value < 100:
        return f"{value:.1f}s"
    minutes, seconds = divmod(round(value), 60)
    return f"{minutes}m {seconds:02d}s" if minutes < 60 else f"{minutes // 60}h {minutes % 60:02d}m"


def notes(rows: Sequence[Row]) -> list[str]:
    """Notes for reading the table."""
    told = [f"score: mean final return over seeds; interval: {KIND}"]
    if any(not math.isnan(row.p_best_better) for row in rows):
        told.append(
            "P(best): probability that a run of the environment's best trial scores higher than one of this;"
            " best - this: 95 % interval of the difference of their means (Welch's t)"
        )
    for env in dict.fromkeys(row.trial.label["env"] for row in rows):
        row = next(row for row in rows if row.trial.label["env"] == env)
        if math.isfinite(row.threshold):
            told.append(
                f"frames to, time to ({env}): the first evaluation at {number(row.threshold)} or above, the median of"
                " the seeds; time is that of training"
            )
    fewest = min((len(row.trial.scores) for row in rows if row.trial.scores), default=0)
    if 0 < fewest < 10:
        told.append(
            f"{fewest} {'seed says' if fewest == 1 else 'seeds say'} little of rare failures: up to "
            f"{share_below_worst(fewest):.0%} of further seeds may end below the worst (95 % confidence)"
        )
    for row in rows:
        missing = [f"seed {s.seed} {s.status}" for s in row.trial.sessions if not math.isfinite(s.score)]
        if missing:
            told.append(f"not scored, {row.trial.title}: {', '.join(missing)}")
        if row.trial.repeated:
            told.append(
                f"{row.trial.title}: sessions left out because a newer one has their seed: {row.trial.repeated}"
            )
    return told


def as_json(rows: Sequence[Row]) -> str:
    """The table with all figures; null for a number that does not exist."""
    return json.dumps(finite({"interval": KIND, "trials": [_figures(row) for row in rows]}), indent=2)


def _figures(row: Row) -> dict[str, Any]:
    return {
        **row.trial.label,
        "seeds": [s.seed for s in row.trial.sessions],
        "scores": [s.score for s in row.trial.sessions],
        "mean": row.mean,
        "ci95": row.interval,
        "iqm": row.iqm,
        "worst": row.worst,
        "best": row.best,
        "p_best_better": row.p_best_better,
        "difference_ci95": row.difference,
        "threshold": row.threshold,
        "reached": row.reached,
        "frames_to": row.frames_to,
        "seconds_to": row.seconds_to,
        "fps": row.fps,
        "runs": [str(run.folder) for run in row.trial.runs],
        "commands": [run.command for run in row.trial.runs],
    }


def as_csv(rows: Sequence[Row]) -> str:
    """The figures, a line a trial; lists with spaces between their values."""
    table = [_figures(row) for row in rows]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    keys = list(dict.fromkeys(key for row in table for key in row))
    writer.writerow(keys)
    for row in table:
        writer.writerow([_csv_cell(row.get(key)) for key in keys])
    return out.getvalue().rstrip("\n")


def _csv_cell(value: Any) -> str:
    if isinstance(value, list | tuple):
        return " ".join(_csv_cell(item) for item in value)
    return "" if value is None or (isinstance(value, float) and not math.isfinite(value)) else str(value)


def as_markdown(rows: Sequence[Row]) -> str:
    """The table for a page, with its notes."""
    heads, lines = cells(rows)
    table = [heads, ["---"] * len(heads), *lines]
    return "\n".join(
        ["| " + " | ".join(cell(text) for text in line) + " |" for line in table]
        + ["", *(f"- {cell(note)}" for note in notes(rows))]
    )


def cell(text: str) -> str:
    """A text as a cell of a Markdown table."""
    return text.replace("|", "\\|").replace("\n", " ").replace("<", "&lt;")


LATEX = {
    "\\": r"\textbackslash{}",
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\^{}",
}


def as_latex(rows: Sequence[Row]) -> str:
    """The table for a paper, with the rules of booktabs."""
    heads, lines = cells(rows)
    labels = len({key for row in rows for key in row.trial.label})

    def line(texts: Sequence[str]) -> str:
        return " & ".join("".join(LATEX.get(sign, sign) for sign in text) for text in texts) + r" \\"

    return "\n".join(
        [
            f"\\begin{{tabular}}{{{'l' * labels}{'r' * (len(heads) - labels)}}}",
            r"\toprule",
            line(heads),
            r"\midrule",
            *(line(texts) for texts in lines),
            r"\bottomrule",
            r"\end{tabular}",
            *(f"% {part}" for note in notes(rows) for part in note.splitlines()),
        ]
    )


FORMS = {"json": as_json, "csv": as_csv, "latex": as_latex, "markdown": as_markdown}


def cells(rows: Sequence[Row]) -> tuple[list[str], list[list[str]]]:
    """The heads of the table, and the cells of each line."""
    shown = columns(rows)
    return [head for head, _ in shown], [[text(row) for _, text in shown] for row in rows]


def as_text(rows: Sequence[Row], width: int) -> str:
    """The table for a terminal. Where it is too wide, columns that can be asked for otherwise are left out."""
    heads, lines = cells(rows)
    for dropped in ("", "IQM", "best - this", "time to", "fps", "worst"):
        if dropped in heads:
            at = heads.index(dropped)
            heads, lines = heads[:at] + heads[at + 1 :], [cells[:at] + cells[at + 1 :] for cells in lines]
        widths = [max(len(cell) for cell in column) for column in zip(heads, *lines, strict=True)]
        if sum(widths) + 2 * len(widths) - 2 <= width:
            break
    labels = len({key for row in rows for key in row.trial.label})
    table = [
        "  ".join(_aligned(heads, widths, labels)),
        *("  ".join(_aligned(cells, widths, labels)) for cells in lines),
    ]
    return "\n".join([*(line.rstrip() for line in table), "", *_wrapped(notes(rows), width)])


def _aligned(cells: Sequence[str], widths: Sequence[int], labels: int) -> Iterator[str]:
    for i, (cell, width) in enumerate(zip(cells, widths, strict=True)):
        yield cell.ljust(width) if i < labels else cell.rjust(width)


def _wrapped(told: Sequence[str], width: int) -> Iterator[str]:
    import textwrap

    for note in told:
        yield from textwrap.wrap(note, max(40, width), subsequent_indent="  ")
