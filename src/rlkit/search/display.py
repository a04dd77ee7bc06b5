"""The display of a search: a live table on a terminal; elsewhere a line for each trial that ends."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loguru import logger
from optuna.trial import FrozenTrial, TrialState
from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from rlkit.display.logs import log_to
from rlkit.search import failures
from rlkit.search import study as record

if TYPE_CHECKING:
    from optuna import Study

    from rlkit.config.run import RunConfig

ROWS = 14
"""Trials that the live table has room for at most: those that run, then the best."""


class SearchDisplay:
    """Shows the trials of a search. Use as a context.

    Args:
        config: of a trial.
        folder: of the search.
        total: trials in all.
        told: trials of an earlier start, which were told then.
        console: where to draw; by default standard output.
    """

    def __init__(
        self, config: RunConfig, folder: Path, total: int, told: set[int], console: Console | None = None
    ) -> None:
        self.config, self.folder, self.total = config, folder, total
        self.console = console or Console(highlight=False)
        self.trials: Sequence[FrozenTrial] = []
        self.told = set(told)
        self.live: Live | None = None
        if self.console.is_terminal and not self.console.is_dumb_terminal:
            self.live = Live(console=self.console, get_renderable=self._panel, refresh_per_second=2, transient=True)
        self.listen()

    def listen(self) -> None:
        """Send the log here again; a trial that ran in this process had redirected it."""
        log_to(self.folder / "search.log", lambda text: self.console.print(Text(text), soft_wrap=True))

    def __enter__(self) -> SearchDisplay:
        trials, frames = failures.count(self.total, "trial"), self.config.frames
        logger.info("{} of {:,} frames; folder {}", trials, frames, shown(self.folder))
        if self.live is not None:
            self.live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.live is not None:
            self.live.stop()

    def update(self, trials: Sequence[FrozenTrial]) -> None:
        """The trials as they stand; each that has ended gets a line."""
        self.trials = trials
        for trial in trials:
            if trial.state in record.OVER and trial.number not in self.told:
                self.told.add(trial.number)
                logger.info(line(trial))

    def _panel(self) -> Panel:
        over = [t for t in self.trials if t.state in record.OVER]
        running = [t for t in self.trials if t.state not in record.OVER]
        ranked = best_first(over, self.config.search.directions[0])
        rows = max(1, min(ROWS, self.console.height - 9))  # a panel that outgrows the screen leaves pieces behind
        counts = Text(
            f"{len(over)} of {self.total} over, {len(running)} running; "
            f"{sum(t.state is TrialState.PRUNED for t in over)} pruned, "
            f"{sum(t.state is TrialState.FAIL for t in over)} failed (Ctrl-C saves and stops)",
            style="dim",
        )
        title = f"search of [bold]{self.config.algo.name}[/] on [bold]{self.config.env.today}[/]"
        table = trial_table([*running, *ranked][:rows], self.console.width - 4)
        return Panel(Group(table, Text(), counts), title=title, title_align="left")


def trial_table(trials: Sequence[FrozenTrial], width: int) -> Table:
    """A table of trials with as many columns as `width` letters have room for: none is cut or wrapped."""
    names = list(dict.fromkeys(key for t in trials for key in t.params))
    columns = {"trial": [str(t.number) for t in trials], "state": [state(t) for t in trials]}
    columns["value"] = [latest(t) for t in trials]
    columns["frames"] = [f"{t.user_attrs.get(record.FRAMES, 0):,}" for t in trials]
    columns |= {short(name): [number(t.params.get(name)) for t in trials] for name in names}
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    kept: list[list[str]] = []
    for name, cells in columns.items():
        width -= max(map(len, [name, *cells])) + 2
        if kept and width < 0:
            break
        table.add_column(name, justify="right", no_wrap=True)
        kept.append(cells)
    for trial, row in zip(trials, zip(*kept, strict=True), strict=True):
        table.add_row(*map(Text, row), style="" if trial.state in record.OVER else "bold")
    return table


def line(trial: FrozenTrial) -> str:
    """A line about a trial that has ended."""
    params = ", ".join(f"{short(key)} {number(v)}" for key, v in trial.params.items())
    frames = trial.user_attrs.get(record.FRAMES, 0)
    error = trial.user_attrs.get(record.ERROR)
    return f"trial {trial.number}: {state(trial)} at {frames:,} frames, {value(trial)} ({params})" + (
        f": {error.splitlines()[0]}" if error else ""
    )


def state(trial: FrozenTrial) -> str:
    """How it stands: running, complete, pruned, diverged or failed."""
    if trial.state not in record.OVER:
        return "running"
    return str(trial.user_attrs.get(record.STATUS) or trial.state.name.lower())


def value(trial: FrozenTrial) -> str:
    """Its values, or what it last reported."""
    so_far = "" if trial.values or not trial.intermediate_values else " so far"
    return latest(trial) + so_far


def latest(trial: FrozenTrial) -> str:
    """Its values, or what it last reported, as numbers alone."""
    if trial.state is TrialState.COMPLETE and trial.values:
        return ", ".join(number(v) for v in trial.values)
    reports = trial.intermediate_values
    return number(reports[max(reports)]) if reports else "-"


def best_first(trials: Sequence[FrozenTrial], direction: str) -> list[FrozenTrial]:
    """Complete trials by their first value, equal ones by the mean of their evaluations; then the others by frames.

    Where returns have a ceiling, the first of many equal trials would be no better than any of them.
    """
    sign = -1.0 if direction == "maximize" else 1.0

    def key(t: FrozenTrial) -> tuple[int, float, float]:
        if t.state is TrialState.COMPLETE and t.values:
            along = t.intermediate_values.values()
            return 0, sign * t.values[0], sign * sum(along) / max(1, len(along))
        return 1, -float(t.user_attrs.get(record.FRAMES, 0)), 0.0

    return sorted(trials, key=key)


def best_trial(study: Study) -> FrozenTrial:
    """The best complete trial of a study with one objective."""
    complete = [t for t in study.get_trials(deepcopy=False) if t.state is TrialState.COMPLETE]
    return best_first(complete, study.direction.name.lower())[0]


def shown(path: Path) -> str:
    """A path as a user would type it: relative if it lies below the working directory."""
    try:
        return str(path.absolute().relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def short(name: str) -> str:
    """A key without its group."""
    return name.rpartition(".")[2]


def number(x: Any) -> str:
    """A number in at most four digits, other values as they are."""
    return "-" if x is None else f"{x:.4g}" if isinstance(x, float) else str(x)
