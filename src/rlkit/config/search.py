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
    """Number of trials, including those of earlier starts of the same search."""
    jobs: Whole | None = None
    """Trials at a time; null: as many as the cores allow, or 4 on a cluster."""
    seeds: Whole = 1
    """Seeds of each trial, from 1000 on. They advance together; a pruner sees their mean, with four or more their
    IQM."""
    metric: Any = "final_return"
    """What trials are ranked by: a key of result.json such as final_return, train_return_100 or
    metrics.sample_efficiency; or a list of them for several objectives, which excludes pruning."""
    direction: Any = "maximize"
    """maximize or minimize; a list of them for several objectives."""
    pruner: Literal["none", "median", "percentile", "asha", "hyperband", "wilcoxon"] = "none"
    """Rule that stops poor trials early, by their evaluations during training."""
    min_frames: Whole | None = None
    """Frames before which no trial is stopped; null: 15 % of the budget."""
    reduction_factor: Whole = 2
    """asha, hyperband: 1 in this many trials is promoted at each rung, and rungs are spaced by the same factor."""
    startup_trials: Whole = 5
    """median, percentile: trials that run to the end before any trial is stopped."""
    percentile: float = 25.0
    """percentile: share of the best trials that continue, in percent, 0 to 100."""
    timeout_minutes: float | None = None
    """Minutes after which no new trial starts; null: no limit."""
    keep: Whole = 3
    """Number of best trials whose checkpoints are kept."""
    max_failure_rate: float = 0.5
    """Share of failed trials, 0 to 1, above which the search stops; checked from the fifth trial on."""

    retry_failed: bool = False
    """Repeat trials that failed at earlier starts, with the same parameters."""

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
    """Storage of the study; null outside of a search."""
    study: str | None = None
    """Name of the study."""
    number: int | None = None
    """Number of the trial."""
    folder: str | None = None
    """Folder of the search, which holds the trial's run folder."""
