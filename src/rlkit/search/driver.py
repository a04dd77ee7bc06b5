"""The side of a search: it asks a sampler for trials, keeps the slots busy, and mends what was interrupted.

The trials report and tell for themselves (`search/job.py`), so a driver that dies loses nothing: the same command goes
on to the same total. A trial keeps its number, its parameters and its folder whatever happens; one whose process has
died is started again from its checkpoint.
"""

from __future__ import annotations

import functools
import json
import shutil
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import optuna
from loguru import logger
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, Trial, TrialState

from rlkit.errors import RlkitError
from rlkit.results.folder import write_text
from rlkit.results.lock import alone
from rlkit.search import study as record
from rlkit.search.launch import Job, Starter
from rlkit.search.space import Space
from rlkit.search.study import SweepFolder
from rlkit.search.table import SearchDisplay, best_first, best_trial
from rlkit.training.interrupt import interruptible

if TYPE_CHECKING:
    from optuna import Study

    from rlkit.config.run import RunConfig

POLL_SECONDS = 0.1
GRACE_SECONDS = 60.0
"""How long jobs may take to save after Ctrl-C."""
DEATHS = 10
"""A trial whose process has died so often without a word, and came no further meanwhile, counts as failed."""
ENOUGH = 5
"""Trials that must be over before their share of failures counts."""


class SearchError(RlkitError):
    """A search that was given up."""


@dataclass
class Driver:
    """One search, from where it stands to its total.

    Args:
        config: of a trial; its `search` says what is done.
        space: what is searched.
        folder: of the search.
        storage: URL of the study.
        sampler: what proposes; a function of the space's grid for the grid sampler.
        starter: what starts jobs.
        about: facts on the search, kept with the study for `narrow`, `validate` and `adopt`.
    """

    config: RunConfig
    space: Space
    folder: SweepFolder
    storage: str
    sampler: Any
    starter: Starter
    about: dict[str, Any]
    jobs: dict[int, Job] = field(default_factory=dict)
    """Of this driver, by the trial's number."""
    slots: dict[int, int] = field(default_factory=dict)

    def run(self) -> Study:
        """Go on to the total.

        Raises:
            SearchError: too many trials failed.
            KeyboardInterrupt: Ctrl-C; the trials have saved.
        """
        search = self.config.search
        total = int(search.trials)
        sampler = self.sampler
        if isinstance(sampler, functools.partial):
            grid = self.space.grid()
            sampler = sampler(grid)
            points = 1
            for values in grid.values():
                points *= len(values)
            total = min(total, points)
        self.study = optuna.create_study(
            study_name=record.STUDY,
            storage=record.open_storage(self.storage),
            sampler=sampler,
            directions=[StudyDirection[direction.upper()] for direction in search.directions],
            load_if_exists=True,
        )
        self.about["trials"] = total
        self._same_search()
        self.study.set_user_attr(record.SEARCH, self.about)
        self.study.set_user_attr(record.STOP, False)
        begun, self.settled = time.monotonic(), {t.number for t in self._trials() if t.state in record.OVER}
        self.earlier = frozenset(self.settled)
        limit = None if search.timeout_minutes is None else begun + 60 * search.timeout_minutes
        display = self.display = SearchDisplay(self.config, self.folder.path, total, self.settled)
        if self.settled:
            logger.info("{} of {} trials are there already", len(self.settled), total)
        with alone(self.folder.path, "searched"), interruptible(), display:
            try:
                while True:
                    over_time = limit is not None and time.monotonic() > limit
                    busy = self._fill(0 if over_time else total)
                    self._settle()
                    trials = self._trials()
                    display.update(trials)
                    if not busy:
                        break
                    time.sleep(POLL_SECONDS)
            except (KeyboardInterrupt, SearchError) as why:
                self._stop(why)
                raise
            finally:
                self.starter.close()
        if len(self.settled) < total:
            logger.info("search.timeout_minutes is over; the same command goes on with the rest")
        return self.study

    def _trials(self) -> list[FrozenTrial]:
        return self.study.get_trials(deepcopy=False)

    def _same_search(self) -> None:
        """A folder holds one search: of one space and one configuration.

        Raises:
            SearchError: another one was begun here.
        """
        before = self.study.user_attrs.get(record.SEARCH)
        if before is None:
            return
        changed = [
            key for key in ("space", "fixed", "choices", "objectives", "seeds") if before[key] != self.about[key]
        ]
        if changed:
            said = "; ".join(f"{key}: {_brief(before[key])}, now {_brief(self.about[key])}" for key in changed)
            raise SearchError(
                f"{self.folder.path} holds another search ({said})\n"
                "  give this one a name of its own: name=..., or repeat the first one's overrides"
            )

    def _fill(self, total: int) -> bool:
        """Start what there is room for; returns whether anything is under way."""
        trials = self._trials()
        open_ones = [t for t in trials if t.state not in record.OVER]
        elsewhere = {t.number for t in open_ones if t.number not in self.jobs and self._at_work(t)}
        lost = [t for t in open_ones if t.number not in self.jobs and t.number not in elsewhere]
        room = self.starter.slots - len(self.jobs) - len(elsewhere)
        begun = len(trials)
        while room > 0 and (lost or begun < total):
            if lost:
                frozen = lost.pop(0)
                trial = Trial(self.study, frozen._trial_id)
            else:
                trial = self.study.ask()
                begun += 1
            self._start(trial)
            room -= 1
            self._settle()
        return bool(self.jobs or elsewhere or lost or begun < total)

    def _at_work(self, trial: FrozenTrial) -> bool:
        return record.at_work(trial, self.folder.run(trial.number))

    def _start(self, trial: Trial) -> None:
        overrides = self.space.suggest(trial)
        trial.set_user_attr(record.OVERRIDES, overrides)
        taken = set(self.slots.values())
        slot = next(i for i in range(self.starter.slots) if i not in taken)
        place: dict[str, str | int] = {
            "storage": self.storage, "study": record.STUDY, "number": trial.number, "folder": str(self.folder.path)
        }  # fmt: skip
        hidden = [f"trial.{key}={_quoted(value)}" for key, value in place.items()]
        seeds = ["seed=1000", f"seeds={self.config.search.seeds}"]
        job = self.starter.start([*overrides, *seeds, *hidden], trial.number, slot)
        self.jobs[trial.number], self.slots[trial.number] = job, slot
        if row := job.row():
            trial.set_user_attr(record.JOB, row)
        if self.starter.alone:
            self.display.listen()

    def _settle(self) -> None:
        """Look after the trials that have ended."""
        ended = [number for number, job in self.jobs.items() if job.done()]
        trials = self._trials()
        for number in ended:
            job, frozen = self.jobs.pop(number), trials[number]
            del self.slots[number]
            if frozen.state not in record.OVER and not self.study.user_attrs.get(record.STOP):
                self._bury(frozen, job.error())
        over = {t.number for t in (self._trials() if ended else trials) if t.state in record.OVER} - self.settled
        if over:
            self.settled |= over
            prune_checkpoints(self.folder, self.study, int(self.config.search.keep))
            self._check_failures()

    def _bury(self, frozen: FrozenTrial, error: str | None) -> None:
        """A job that ended without telling the study: it failed at its start, or its process was killed."""
        frames = frozen.user_attrs.get(record.FRAMES, 0)
        deaths, came_to = frozen.user_attrs.get(record.DEATHS, (0, 0))
        deaths = 1 if frames > came_to else deaths + 1
        store = self.study._storage
        store.set_trial_user_attr(frozen._trial_id, record.DEATHS, (deaths, frames))
        if error is None and self.starter.alone:  # it ran in this very process, which was asked to stop
            raise KeyboardInterrupt
        if error is None and deaths < DEATHS:
            logger.info("trial {}: its process has died; it goes on from its last checkpoint", frozen.number)
            return
        why = error or f"its process died {deaths} times"
        store.set_trial_user_attr(frozen._trial_id, record.STATUS, "failed")
        store.set_trial_user_attr(frozen._trial_id, record.ERROR, _brief_error(why))
        self.study.tell(frozen.number, state=TrialState.FAIL, skip_if_finished=True)

    def _check_failures(self) -> None:
        """Of the trials since this start: what went wrong before may have been mended."""
        over = [t for t in self._trials() if t.state in record.OVER and t.number not in self.earlier]
        failed = [t for t in over if t.state is TrialState.FAIL]
        if len(over) >= ENOUGH and len(failed) / len(over) > self.config.search.max_failure_rate:
            raise SearchError(
                f"{len(failed)} of {len(over)} trials failed; the last with: "
                f"{failed[-1].user_attrs.get(record.ERROR, 'no message')}\n"
                f"  their logs: {self.folder.run(failed[-1].number).log}\n"
                "  after mending the cause, the same command goes on; search.max_failure_rate=1 lets all fail"
            )

    def _stop(self, why: BaseException) -> None:
        """Have the jobs save and end, and wait for them; a second Ctrl-C ends them at once."""
        if not self.jobs:
            return
        logger.info("{}: {} trials save and stop; Ctrl-C again ends them at once", _named(why), len(self.jobs))
        self.study.set_user_attr(record.STOP, True)
        until = time.monotonic() + GRACE_SECONDS
        try:
            for job in self.jobs.values():
                job.stop(hard=False)
            while any(not job.done() for job in self.jobs.values()) and time.monotonic() < until:
                time.sleep(POLL_SECONDS)
        except KeyboardInterrupt:
            until = 0.0
        for job in self.jobs.values():
            if not job.done():
                job.stop(hard=True)


def _quoted(value: str | int) -> str:
    """As Hydra takes any text."""
    return str(value) if isinstance(value, int) else "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _named(why: BaseException) -> str:
    return "interrupted" if isinstance(why, KeyboardInterrupt) else "given up"


def _brief_error(text: str) -> str:
    """The last line of an error that says something of it."""
    lines = [line.strip() for line in text.splitlines()]
    told = [line for line in lines if line and not line.startswith(("See http", "Set the environment variable"))]
    return told[-1] if told else ""


def _brief(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) < 80 else text[:77] + "..."


def prune_checkpoints(folder: SweepFolder, study: Study, keep: int) -> None:
    """Remove the checkpoints of trials that are over and not among the `keep` best; of several objectives, none."""
    if len(study.directions) > 1:
        return
    trials = study.get_trials(deepcopy=False)
    complete = [t for t in trials if t.state is TrialState.COMPLETE]
    best = {t.number for t in best_first(complete, study.direction.name.lower())[:keep]}
    for trial in trials:
        if trial.state in record.OVER and trial.number not in best:
            for checkpoints in folder.run(trial.number).path.glob("session_*/checkpoints"):
                shutil.rmtree(checkpoints, ignore_errors=True)


def save_results(folder: SweepFolder, study: Study) -> dict[str, Any]:
    """Write `optimization_results.yaml`, with the keys that Hydra's own Optuna sweeper uses and a few more."""
    import yaml

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


def describe(space: Space, choices: dict[str, str], search: Any) -> dict[str, Any]:
    """What makes a search that search."""
    return {
        "space": {
            key: json.loads(optuna.distributions.distribution_to_json(distribution))
            for key, distribution in sorted(space.distributions.items())
        },
        "fixed": sorted(o for o in space.fixed if not o.startswith(("search.", "search=", "hydra.", "hydra/"))),
        "choices": choices,
        "seeds": search.seeds,
        "objectives": dict(zip(search.metrics, search.directions, strict=True)),
    }
