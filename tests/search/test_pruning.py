"""The pruners do what their papers say, with frames as the resource."""

import optuna
import pytest

from rlkit import compose
from rlkit.errors import ConfigError
from rlkit.search.job import ranked
from rlkit.search.study import make_pruner


def ended(pruner: str, curves: list[list[float]], **search: object) -> list[int | None]:
    """The frames at which each curve is ended, when they come one after the other; None: it ran to the end."""
    words = [f"search.{key}={value}" for key, value in search.items()]
    config = compose(["frames=900", "eval.every_frames=100", f"search.pruner={pruner}", *words])
    study = optuna.create_study(direction="maximize", pruner=make_pruner(config.search, 900, 100))
    ends: list[int | None] = []
    for curve in curves:
        trial = study.ask()
        for i, value in enumerate(curve):
            trial.report(value, 100 * (i + 1))
            if trial.should_prune():
                study.tell(trial, state=optuna.trial.TrialState.PRUNED)
                ends.append(100 * (i + 1))
                break
        else:
            study.tell(trial, curve[-1])
            ends.append(None)
    return ends


GOOD, FAIR, POOR = ([level * t for t in range(1, 9)] for level in (3.0, 2.0, 1.0))


def test_asha_lets_the_best_third_go_on_at_each_rung():
    ends = ended("asha", [GOOD, POOR, FAIR, GOOD, POOR], min_frames=100, reduction_factor=3)
    assert ends == [None, 100, 100, None, 100]


def test_nothing_is_ended_before_min_frames():
    assert ended("asha", [GOOD, POOR, POOR], min_frames=400) == [None, 400, 400]
    assert ended("median", [GOOD, GOOD, POOR], min_frames=400, startup_trials=2) == [None, None, 400]


def test_the_default_waits_for_15_percent_of_the_budget():
    assert ended("asha", [GOOD, POOR]) == [None, 200]


def test_trials_report_often_enough_for_it():
    assert compose(["frames=1000"]).eval_every_frames == 100
    assert compose(["frames=1000", "search.pruner=asha"]).eval_every_frames == 50
    assert compose(["frames=1000", "search.pruner=asha", "eval.every_frames=200"]).eval_every_frames == 200


def test_the_median_pruner_ends_what_is_below_the_median():
    assert ended("median", [GOOD, FAIR, POOR, GOOD], min_frames=100, startup_trials=2) == [None, None, 100, None]


def test_percentile_and_hyperband_and_none():
    assert ended("none", [GOOD, POOR, POOR]) == [None, None, None]
    assert ended("percentile", [GOOD] * 4 + [FAIR], min_frames=100, startup_trials=4, percentile=25.0)[-1] == 100
    assert None in ended("hyperband", [GOOD, FAIR, POOR] * 4, min_frames=100)


def test_wilcoxon_ends_what_is_below_the_best_at_step_after_step():
    # one-sided signed ranks: four steps below the best's have p = 1/16, the first below the pruner's 0.1
    assert ended("wilcoxon", [GOOD, POOR, GOOD], min_frames=100) == [None, 400, None]


def test_what_is_not_measured_or_not_foreseen_by_returns_is_refused():
    with pytest.raises(ConfigError, match="did you mean final_return"):
        compose(["search.metric=final_retrun"])
    with pytest.raises(ConfigError, match="say nothing of that"):
        compose(["search.metric=train_seconds", "search.direction=minimize", "search.pruner=asha"])
    assert compose(["search.metric=train_seconds", "search.direction=minimize"]).search.metrics == ["train_seconds"]


def test_several_objectives_and_a_pruner_are_refused():
    with pytest.raises(ConfigError, match="several objectives"):
        compose(["search.metric=[final_return,fps]", "search.direction=[maximize,maximize]", "search.pruner=asha"])
    with pytest.raises(ConfigError, match="one direction for each"):
        compose(["search.metric=[final_return,fps]"])
    with pytest.raises(ConfigError, match="accepted: maximize, minimize"):
        compose(["search.direction=up"])


def test_of_equal_evaluations_the_one_after_better_ones_counts_more():
    quick, slow = ranked(500.0, [400.0, 500.0]), ranked(500.0, [20.0, 100.0])
    assert 500.0 < slow < quick < 500.001
    assert ranked(-80.0, [-500.0]) < -80.0 < ranked(-79.9, [-500.0])
    assert ranked(7.0, []) == pytest.approx(7.0, abs=1e-4)
