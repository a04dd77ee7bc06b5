"""Configuration of a search, and of one trial's place in it. Mirrored by conf/search."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import Any, Literal

from rlkit.config.checks import Checked, Whole
from rlkit.errors import ConfigError

PRUNERS = ("none", "median", "percentile", "asha", "hyperband", "wilcoxon")
"""What can end a trial early."""
TUNING_SEED, VALIDATION_SEED = 1000, 2000
"""First seeds of a search's trials and of `rlkit validate`; published tables take 0 and up."""
LONGEST = 1000
"""Most seeds of a trial in a search and of a validation, so that their ranges stay apart."""


MEASURES = ("strength", "max_strength", "final_strength", "sample_efficiency", "training_efficiency", "stability")
RETURNS = ("final_return", "train_return_100", "best_return", *(f"metrics.{name}" for name in MEASURES))
"""Numbers of result.json that grow with the returns."""
COSTS = ("frames", "fps", "train_seconds", "wall_seconds", "startup_seconds", "peak_rss_mb")
"""Those that do not."""


@dataclass(kw_only=True)
class SearchConfig(Checked):
    """How `-m search=...` looks for good values. `none` is no search."""

    prefix = "search."

    name: str = "none"
    trials: Whole = 50
    """Trials in all, those of earlier starts of the same search included."""
    jobs: Whole | None = None
    """Trials at a time; null: as many as the cores allow, or 4 on a cluster."""
    seeds: Whole = 1
    """Seeds of a trial, 1000 and up. They advance together, and a pruner sees their mean, from four on their IQM."""
    metric: Any = "final_return"
    """What a trial is judged by: a key of its result.json, such as final_return, train_return_100 or
    metrics.sample_efficiency; or a list of them for several objectives, where nothing is pruned."""
    direction: Any = "maximize"
    """maximize or minimize; a list for several objectives."""
    pruner: Literal["none", "median", "percentile", "asha", "hyperband", "wilcoxon"] = "none"
    """What ends trials early, by their evaluations during training."""
    min_frames: Whole | None = None
    """No trial is ended before; null: 15 % of the budget."""
    reduction_factor: Whole = 2
    """asha, hyperband: the best of so many go on at each rung."""
    startup_trials: Whole = 5
    """median, percentile: trials that run to the end before any is ended."""
    percentile: float = 25.0
    """percentile: the share of the best that goes on, in percent."""
    timeout_minutes: float | None = None
    """No new trial is begun so long after the start of the command."""
    keep: Whole = 3
    """Checkpoints are kept of so many of the best trials."""
    max_failure_rate: float = 0.5
    """Share of failed trials, from the fifth on, beyond which the search is given up."""

    retry_failed: bool = False
    """Repeat the trials that failed at earlier starts, with the same parameters."""

    def __post_init__(self) -> None:
        self.whole("trials", "jobs", "min_frames", "startup_trials")
        self.whole("seeds", high=LONGEST)
        self.whole("reduction_factor", low=2)
        self.whole("keep", low=0)
        self.real("timeout_minutes", above=0)
        self.real("percentile", low=0, high=100)
        self.real("max_failure_rate", low=0, high=1)
        for direction in self.directions:
            if direction not in ("maximize", "minimize"):
                raise ConfigError(f"search.direction={direction} is not accepted\n  accepted: maximize, minimize")
        if len(self.directions) != len(self.metrics):
            raise ConfigError(
                f"search.metric names {len(self.metrics)} and search.direction {len(self.directions)}\n"
                "  give one direction for each metric"
            )
        for metric in self.metrics:
            if metric not in (*RETURNS, *COSTS):
                near = difflib.get_close_matches(str(metric), (*RETURNS, *COSTS), n=2)
                hint = f"\n  did you mean {' or '.join(near)}?" if near else ""
                raise ConfigError(
                    f"search.metric={metric} is no number of result.json{hint}\n"
                    f"  accepted: {', '.join((*RETURNS, *COSTS))}"
                )
        if self.pruner != "none" and self.metrics[0] in COSTS:
            raise ConfigError(
                f"search.pruner={self.pruner} with search.metric={self.metric}: trials are ended by their returns, "
                "which say nothing of that\n  add search.pruner=none"
            )
        if len(self.metrics) > 1 and self.pruner != "none":
            raise ConfigError(
                f"search.pruner={self.pruner} with several objectives: pruning is not defined for them\n"
                "  add search.pruner=none"
            )

    @property
    def metrics(self) -> list[str]:
        """The objectives."""
        return [self.metric] if isinstance(self.metric, str) else list(self.metric)

    @property
    def directions(self) -> list[str]:
        """Of each objective."""
        return [self.direction] if isinstance(self.direction, str) else list(self.direction)


@dataclass(kw_only=True)
class TrialConfig(Checked):
    """A trial's place in a search; the search sets it."""

    prefix = "trial."

    storage: str | None = None
    """Where the study is kept; null outside of a search."""
    study: str | None = None
    """Its name."""
    number: int | None = None
    """Of the trial."""
    folder: str | None = None
    """Of the search; the trial's run folder lies below."""
