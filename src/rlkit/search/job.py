"""A trial's process: it trains, reports to the study, asks the pruner, and records how it ended."""

from __future__ import annotations

import math
import os
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import yaml
from loguru import logger
from optuna.trial import Trial, TrialState

from rlkit.config.schema import to_config, to_yaml
from rlkit.errors import RlkitError
from rlkit.runs.folder import read_json, write_text
from rlkit.runs.lock import BusyError
from rlkit.search import failures, private
from rlkit.search import study as record
from rlkit.search.study import SweepFolder
from rlkit.training.interrupt import make_room
from rlkit.training.train import train
from rlkit.training.trial import TrialKilledError

if TYPE_CHECKING:
    from omegaconf import DictConfig
    from optuna import Study

    from rlkit.config.run import RunConfig
    from rlkit.runs.folder import RunFolder
    from rlkit.training.progress import Judge, Verdict

BUSY_SECONDS = 1.0
"""Between two looks at a trial that another process trains."""


def run(cfg: DictConfig, started: float) -> None:
    """Train the trial that a composed configuration names, from where it stands, and tell the study.

    Nothing is raised for a trial that fails: the study records it, and the other trials continue.

    Raises:
        RunFolderError, OSError: the folder cannot be written; the trial stays open.
        KeyboardInterrupt: Ctrl-C, where the trial runs in the process of the search.
    """
    place = cfg.trial
    study = record.join(unquote(place.storage), unquote(place.study))
    frozen = study.trials[place.number]
    if frozen.state in record.OVER or study.user_attrs.get(record.STOP):
        return
    trial = private.trial_of(study, frozen)
    trial.set_user_attr(record.PROCESS, record.Process.this().row())
    try:
        config = to_config(cfg)
    except RlkitError as error:
        fail(study, trial, error)
        return
    folder = SweepFolder(Path(unquote(place.folder))).make_run(trial.number)
    write_text(folder.config, to_yaml(config))
    write_text(folder.path / "overrides.yaml", yaml.safe_dump(frozen.user_attrs.get(record.OVERRIDES, [])))
    study.pruner = record.make_pruner(config.search, int(config.frames), config.eval_every_frames)
    several = len(study.directions) > 1
    unheard: list[Exception] = []

    def judge(frames: int, value: float) -> Verdict | None:
        try:
            return report(frames, value)
        except Exception as error:  # a study that cannot be written to is no reason to lose what was learnt
            unheard.append(error)
            return "stopped"

    def report(frames: int, value: float) -> Verdict | None:
        if study.user_attrs.get(record.STOP):
            return "stopped"
        before = study.trials[trial.number].intermediate_values
        if frames not in before and not several:  # an interrupted trial says it again; several objectives have no curve
            trial.report(ranked(value, list(before.values())), frames)
        trial.set_user_attr(record.FRAMES, frames)
        return "pruned" if not several and trial.should_prune() else None

    try:
        result = _trained(config, folder, study, trial, judge, started)
        if unheard:
            raise unheard[0]
    except TrialKilledError as error:  # not told: the driver starts it again, and it continues from its checkpoint
        logger.info("trial {}: {}", trial.number, error)
        return
    except Exception as error:
        traceback = not isinstance(error, RlkitError)
        logger.opt(exception=traceback).debug("trial {} failed: {}", trial.number, failures.told(error))
        if failures.of_place(error):
            raise
        written = [path for path in (folder.result, folder.run) if path.exists()]
        result = read_json(written[0]) if written else {}
        if result.get("status") != "diverged" or several:
            fail(study, trial, error, "diverged" if result.get("status") == "diverged" else "failed")
            return
        trial.set_user_attr(record.ERROR, str(error))
    if result is not None:
        tell(study, trial, config, result)


def _trained(
    config: RunConfig, folder: RunFolder, study: Study, trial: Trial, judge: Judge, started: float
) -> dict[str, Any] | None:
    """The result of the trial, once no other process trains it; None where that other one has told how it ended."""
    while True:
        try:
            return train(config, folder, started=started, quiet=True, judge=judge)
        except BusyError:  # a driver that was killed had started this trial, and could not say so any more
            time.sleep(BUSY_SECONDS)
            if study.trials[trial.number].state in record.OVER:
                return None


TIE = 1e-6


def ranked(value: float, before: Sequence[float]) -> float:
    """What is reported of an evaluation: of equal ones that counts as higher which followed better ones before.

    Where returns have a ceiling many trials are equal, and none of them would be ended.
    """
    return value + TIE * sum([value, *before]) / (1 + len(before))


def fail(study: Study, trial: Trial, error: Exception, status: str = "failed") -> None:
    """Record that a trial crashed; the sampler does not learn from it."""
    trial.set_user_attr(record.STATUS, status)
    trial.set_user_attr(record.ERROR, failures.told(error))
    trial.set_user_attr(record.FAULT, not failures.of_user(error))
    study.tell(trial.number, state=TrialState.FAIL, skip_if_finished=True)


def tell(study: Study, trial: Trial, config: RunConfig, result: dict[str, Any]) -> None:
    """Write how a trial ended into the study; one that was stopped stays open, to be continued.

    Raises:
        KeyboardInterrupt: it was stopped by Ctrl-C in the process of the search.
    """
    status = result["status"]
    if status == "stopped":
        make_room()
        if in_process_of_search() and not study.user_attrs.get(record.STOP):
            raise KeyboardInterrupt("stopped and saved; the same command continues")
        return
    trial.set_user_attr(record.STATUS, status)
    if "frames" in result:  # where all seeds of several have diverged there is no result of theirs
        trial.set_user_attr(record.FRAMES, result["frames"])
    if status == "pruned":
        study.tell(trial.number, state=TrialState.PRUNED, skip_if_finished=True)
        return
    if status == "diverged":
        # A failure teaches a sampler nothing and it would come back here; so it counts as a policy that does worse than
        # all before and than chance.
        values = [worst(study, trial, config, result)]
    else:
        values = [measured(result, metric) for metric in config.search.metrics]
    if not all(math.isfinite(v) for v in values):
        fail(study, trial, RlkitError(f"search.metric={config.search.metric} is not finite: {values}"))
        return
    study.tell(trial.number, values, skip_if_finished=True)


def in_process_of_search() -> bool:
    """Whether this trial runs in the process that was asked to stop: neither in one of submitit's nor in a thread."""
    return "SUBMITIT_EXECUTOR" not in os.environ and threading.current_thread() is threading.main_thread()


def measured(result: dict[str, Any], metric: str) -> float:
    """A metric of a result: a number, or the mean where it has one; NaN where there is none."""
    found: Any = result
    for key in metric.split("."):
        found = found.get(key) if isinstance(found, dict) else None
    if isinstance(found, dict):
        found = found.get("mean")
    return float(found) if isinstance(found, int | float) else math.nan


def worst(study: Study, trial: Trial, config: RunConfig, result: dict[str, Any]) -> float:
    """A value that is as bad as anything seen: of the trials so far, of this trial's reports, and of random actions."""
    frozen = study.trials
    seen = [v for t in frozen for v in (t.values or [])] + list(frozen[trial.number].intermediate_values.values())
    if config.search.metrics == ["final_return"] and result.get("random_return") is not None:
        seen.append(result["random_return"])
    best_is_high = config.search.directions == ["maximize"]
    finite = [v for v in seen if math.isfinite(v)]
    return (min if best_is_high else max)(finite, default=-1e9 if best_is_high else 1e9)
