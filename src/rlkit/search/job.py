"""The side of a trial: it trains, reports to the study, asks the pruner, and tells how it ended."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from loguru import logger
from optuna.trial import Trial, TrialState

from rlkit.config.schema import to_config, to_yaml
from rlkit.errors import RlkitError
from rlkit.results.folder import read_json, write_text
from rlkit.results.lock import BusyError
from rlkit.search import study as record
from rlkit.search.study import SweepFolder
from rlkit.training.interrupt import make_room
from rlkit.training.trial import TrialKilledError, run_trial

if TYPE_CHECKING:
    from omegaconf import DictConfig
    from optuna import Study

    from rlkit.config.run import RunConfig
    from rlkit.training.progress import Verdict

BUSY_SECONDS = 1.0
"""Between two looks at a trial that another process trains."""


def run(cfg: DictConfig, started: float) -> None:
    """Train the trial that a composed configuration names, from where it stands, and tell the study.

    Nothing is raised for a trial that fails: the study knows, and the other trials go on.
    """
    place = cfg.trial
    study = record.join(place.storage, place.study)
    frozen = study.trials[place.number]
    if frozen.state in record.OVER or study.user_attrs.get(record.STOP):
        return
    trial = Trial(study, frozen._trial_id)
    trial.set_user_attr(record.PROCESS, record.Process.this().row())
    try:
        config = to_config(cfg)
    except RlkitError as error:
        fail(study, trial, str(error))
        return
    folder = SweepFolder(Path(place.folder)).make_run(trial.number)
    write_text(folder.config, to_yaml(config))
    write_text(folder.path / "overrides.yaml", yaml.safe_dump(frozen.user_attrs.get(record.OVERRIDES, [])))
    study.pruner = record.make_pruner(config.search, int(config.frames), config.eval_every_frames)

    def judge(frames: int, value: float) -> Verdict | None:
        if study.user_attrs.get(record.STOP):
            return "stopped"
        before = study.trials[trial.number].intermediate_values
        if frames not in before:  # one that was interrupted says it again
            trial.report(ranked(value, list(before.values())), frames)
        trial.set_user_attr(record.FRAMES, frames)
        return "pruned" if len(study.directions) == 1 and trial.should_prune() else None

    try:
        while True:
            try:
                result = run_trial(config, folder, started=started, quiet=True, judge=judge)
                break
            except BusyError:  # a driver that was killed had started this trial, and could not say so any more
                time.sleep(BUSY_SECONDS)
                if study.trials[trial.number].state in record.OVER:
                    return
    except TrialKilledError as error:  # not told: the driver starts it again, and it goes on from its checkpoint
        logger.info("trial {}: {}", trial.number, error)
        return
    except Exception as error:
        logger.opt(exception=not isinstance(error, RlkitError)).debug("trial {} failed", trial.number)
        result = read_json(folder.result if folder.result.exists() else folder.run)
        why = str(error) if isinstance(error, RlkitError) else f"{type(error).__name__}: {error}"
        if result.get("status") != "diverged":
            fail(study, trial, why)
            return
        trial.set_user_attr(record.ERROR, why)
    tell(study, trial, config, result)


TIE = 1e-6


def ranked(value: float, before: Sequence[float]) -> float:
    """What is reported of an evaluation: of equal ones that counts as higher which followed better ones before.

    Where returns have a ceiling many trials are equal, and none of them would be ended.
    """
    return value + TIE * sum([value, *before]) / (1 + len(before))


def fail(study: Study, trial: Trial, why: str) -> None:
    """Tell that a trial crashed: the sampler does not learn from it."""
    trial.set_user_attr(record.STATUS, "failed")
    trial.set_user_attr(record.ERROR, why)
    study.tell(trial.number, state=TrialState.FAIL, skip_if_finished=True)


def tell(study: Study, trial: Trial, config: RunConfig, result: dict[str, Any]) -> None:
    """Write how a trial ended into the study; one that was stopped stays open, to be continued."""
    status = result["status"]
    if status == "stopped":
        make_room()
        return
    trial.set_user_attr(record.STATUS, status)
    if "frames" in result:  # where all seeds of several have diverged there is no result of theirs
        trial.set_user_attr(record.FRAMES, result["frames"])
    if status == "pruned":
        study.tell(trial.number, state=TrialState.PRUNED, skip_if_finished=True)
        return
    if status == "diverged" and len(study.directions) == 1:
        # A failure teaches a sampler nothing and it would come back here; so it counts as a policy that does worse than
        # all before and than chance.
        values = [worst(study, trial, config, result)]
    else:
        values = [measured(result, metric) for metric in config.search.metrics]
    if not all(math.isfinite(v) for v in values):
        fail(study, trial, f"search.metric={config.search.metric} is not finite: {values}")
        return
    study.tell(trial.number, values, skip_if_finished=True)


def measured(result: dict[str, Any], metric: str) -> float:
    """A metric of a result: a number, or the mean where it has one; NaN where there is none."""
    found: Any = result
    for key in metric.split("."):
        found = found.get(key) if isinstance(found, dict) else None
    if isinstance(found, dict):
        found = found.get("mean")
    return float(found) if isinstance(found, int | float) else math.nan


def worst(study: Study, trial: Trial, config: RunConfig, result: dict[str, Any]) -> float:
    """A value that is as bad as anything seen: of the trials so far, of its own reports, and of random actions."""
    frozen = study.trials
    seen = [v for t in frozen for v in (t.values or [])] + list(frozen[trial.number].intermediate_values.values())
    if config.search.metrics == ["final_return"] and result.get("random_return") is not None:
        seen.append(result["random_return"])
    best_is_high = config.search.directions == ["maximize"]
    finite = [v for v in seen if math.isfinite(v)]
    return (min if best_is_high else max)(finite, default=-1e9 if best_is_high else 1e9)
