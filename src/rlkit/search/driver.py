"""The driver of a search: it asks a sampler for trials, keeps the slots busy, and restarts interrupted trials.

The trials report and tell for themselves (`search/job.py`), so a driver that dies loses nothing: the same command goes
on to the same total. A trial keeps its number, its parameters and its folder whatever happens; one whose process has
died is started again from its checkpoint. Where the folder cannot be written the search stops and its trials stay open.
"""

from __future__ import annotations

import contextlib
import functools
import shutil
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import optuna
from loguru import logger
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, Trial, TrialState, create_trial

from rlkit.errors import RlkitError
from rlkit.runs.folder import writing
from rlkit.runs.lock import alone
from rlkit.search import failures, identity, private
from rlkit.search import study as record
from rlkit.search.display import SearchDisplay, best_first
from rlkit.search.failures import SearchError, count
from rlkit.search.launch import Job, Starter
from rlkit.search.space import Space
from rlkit.search.study import SweepFolder
from rlkit.training.interrupt import Interrupts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from optuna import Study

    from rlkit.config.run import RunConfig

POLL_SECONDS = 0.1
GRACE_SECONDS = 60.0
"""How long jobs may take to save after Ctrl-C."""
DEATHS = 10
"""A trial whose process died this many times without an error, and without progress in between, counts as failed."""
ENOUGH = 5
"""Trials that must be over before their share of failures counts."""


@dataclass
class Driver:
    """One search, from where it stands to its total.

    Args:
        config: of a trial; its `search` says what is done.
        space: what is searched.
        folder: of the search; it says where the study is.
        sampler: what proposes; a function of the space's grid for the grid sampler.
        starter: what starts jobs.
        about: facts on the search, kept with the study for `narrow`, `validate` and `adopt`.
    """

    config: RunConfig
    space: Space
    folder: SweepFolder
    sampler: Any
    starter: Starter
    about: dict[str, Any]
    jobs: dict[int, Job] = field(default_factory=dict)
    """Of this driver, by the trial's number."""
    slots: dict[int, int] = field(default_factory=dict)

    def run(self) -> Study:
        """Run trials up to the total.

        Raises:
            SearchError: too many trials failed, or the folder holds another search.
            RunFolderError: the folder cannot be written; the trials stay open.
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
        self.interrupts = Interrupts()
        with alone(self.folder.path, "searched"), self.interrupts:
            self._open(sampler, total)
            display = self.display = SearchDisplay(self.config, self.folder.path, total, set(self.settled))
            if self.settled:
                logger.info("{} of {} are there already", len(self.settled), count(total, "trial"))
            with display:
                self._work(total)
        if len(self.settled) < total:
            logger.info("search.timeout_minutes is over; the same command continues with the rest")
        return self.study

    def _open(self, sampler: Any, total: int) -> None:
        """The study, new or as it stands, and what is over of it."""
        storage, name = self.folder.place()
        with record.understood(self.folder.path):
            self.study = optuna.create_study(
                study_name=name,
                storage=record.open_storage(storage),
                sampler=sampler,
                directions=[StudyDirection[direction.upper()] for direction in self.config.search.directions],
                load_if_exists=True,
            )
            record.check_attributes(self.study)
            self.about["trials"] = total
            identity.check_same(self.folder, self.study.user_attrs.get(record.SEARCH), self.about)
            identity.identify(self.study)
            identity.clear(self.folder, self.study)
            self.study.set_user_attr(record.SEARCH, self.about)
            self.study.set_user_attr(record.STOP, False)
            if self.config.search.retry_failed:
                self._repeat_failed()
            self.settled = {t.number for t in self._trials() if t.state in record.OVER}
            self.earlier = frozenset(self.settled)

    def _work(self, total: int) -> None:
        """Keep the slots busy until all trials are over."""
        minutes = self.config.search.timeout_minutes
        limit = None if minutes is None else time.monotonic() + 60 * minutes
        try:
            while True:
                over_time = limit is not None and time.monotonic() > limit
                busy = self._fill(0 if over_time else total)
                self._settle()
                self.display.update(self._trials())
                if not busy:
                    break
                time.sleep(POLL_SECONDS)
        except (KeyboardInterrupt, RlkitError, OSError) as why:
            self._stop(why)
            raise
        finally:
            self.starter.close()

    def _trials(self) -> list[FrozenTrial]:
        """The trials that count: a repeated trial takes the place of the failed one."""
        trials = self.study.get_trials(deepcopy=False)
        repeated = {t.user_attrs.get(record.REPEATS) for t in trials}
        return [t for t in trials if t.number not in repeated]

    def _repeat_failed(self) -> None:
        """Begin trials with the parameters of those that failed."""
        failed = [t for t in self._trials() if t.state is TrialState.FAIL]
        for trial in failed:
            kept: dict[str, Any] = {
                key: trial.system_attrs[key] for key in ("grid_id", "search_space") if key in trial.system_attrs
            }
            self.study.add_trial(
                create_trial(
                    state=TrialState.RUNNING,
                    params=trial.params,
                    distributions=trial.distributions,
                    user_attrs={record.REPEATS: trial.number},
                    system_attrs=kept,
                )
            )
        if failed:
            logger.info("{} repeated", count(len(failed), "failed trial"))

    def _fill(self, total: int) -> bool:
        """Start trials in free slots; returns whether any trial is running."""
        trials = self._trials()
        open_ones = [t for t in trials if t.state not in record.OVER]
        elsewhere = {t.number for t in open_ones if t.number not in self.jobs and self._at_work(t)}
        lost = [t for t in open_ones if t.number not in self.jobs and t.number not in elsewhere]
        room = self.starter.slots - len(self.jobs) - len(elsewhere)
        begun = len(trials)
        while room > 0 and (lost or begun < total):
            with record.understood(self.folder.path):
                trial = private.trial_of(self.study, lost[0]) if lost else self.study.ask()
            begun += 0 if lost else 1
            del lost[:1]
            self._start(trial)
            room -= 1
            self._settle()
        return bool(self.jobs or elsewhere or lost or begun < total)

    def _at_work(self, trial: FrozenTrial) -> bool:
        mine = trial.user_attrs.get(record.PROCESS) == record.Process.this().row()
        return not mine and record.at_work(trial, self.folder.run(trial.number))

    def _start(self, trial: Trial) -> None:
        with record.understood(self.folder.path):
            overrides = self.space.suggest(trial)
        identity.claim(self.folder, self.study, self.folder.run(trial.number), trial.number, overrides)
        trial.set_user_attr(record.OVERRIDES, overrides)
        taken = set(self.slots.values())
        slot = next(i for i in range(self.starter.slots) if i not in taken)
        storage, study = self.folder.place()
        place = {"storage": storage, "study": study, "folder": str(self.folder.path)}
        # Percent-encoded, no path has what Hydra or OmegaConf would read as theirs.
        hidden = [f"trial.{key}='{quote(value, safe='/:')}'" for key, value in place.items()]
        seeds = ["seed=1000", f"seeds={self.config.search.seeds}", f"trial.number={trial.number}"]
        with contextlib.nullcontext() if self.starter.alone else self.interrupts.later():
            with writing(self.folder.path):
                job = self.starter.start([*overrides, *seeds, *hidden], trial.number, slot)
            self.jobs[trial.number], self.slots[trial.number] = job, slot
        if row := job.row():
            trial.set_user_attr(record.JOB, row)
        if self.starter.alone:
            self.display.listen()

    def _settle(self) -> None:
        """Handle the trials that have ended."""
        ended = [number for number, job in self.jobs.items() if job.done()]
        trials = {t.number: t for t in self._trials()}
        for number in ended:
            job, frozen = self.jobs.pop(number), trials[number]
            del self.slots[number]
            if frozen.state not in record.OVER and not self.study.user_attrs.get(record.STOP):
                self._bury(frozen, job.error())
        known = self._trials() if ended else list(trials.values())
        over = {t.number for t in known if t.state in record.OVER} - self.settled
        if over:
            self.settled |= over
            prune_checkpoints(self.folder, self.study, int(self.config.search.keep))
            self._check_failures()

    def _bury(self, frozen: FrozenTrial, error: BaseException | None) -> None:
        """A job that ended without telling the study: at its start, by its place, or since its process was killed.

        Raises:
            SearchError: its folder or the study cannot be written; the trial stays open.
        """
        if error is not None and failures.of_place(error):
            run = self.folder.run(frozen.number).path
            why = f"{run} cannot be written: {error.strerror}" if isinstance(error, OSError) else str(error)
            raise SearchError(
                f"trial {frozen.number}: {why}\n"
                "  the search has stopped; no trial is lost: once this is mended, the same command continues"
            ) from error
        frames = frozen.user_attrs.get(record.FRAMES, 0)
        deaths, came_to = frozen.user_attrs.get(record.DEATHS, (0, 0))
        deaths = 1 if frames > came_to else deaths + 1
        private.note(self.study, frozen, **{record.DEATHS: (deaths, frames)})
        if error is None and deaths < DEATHS:
            logger.info("trial {}: its process has died; it continues from its last checkpoint", frozen.number)
            return
        why = f"its process died {deaths} times" if error is None else failures.brief(failures.told(error))
        fault = error is not None and not failures.of_user(error)
        private.note(self.study, frozen, **{record.STATUS: "failed", record.ERROR: why, record.FAULT: fault})
        self.study.tell(frozen.number, state=TrialState.FAIL, skip_if_finished=True)

    def _check_failures(self) -> None:
        """Of the trials since this start: what went wrong before may have been mended."""
        over = [t for t in self._trials() if t.state in record.OVER and t.number not in self.earlier]
        failed = [t for t in over if t.state is TrialState.FAIL]
        if len(over) >= ENOUGH and len(failed) / len(over) > self.config.search.max_failure_rate:
            raise SearchError(
                f"{len(failed)} of {len(over)} trials failed; {last_failure(self.folder, failed)}\n"
                f"  {MENDED}; search.max_failure_rate=1 lets all fail"
            )

    def _stop(self, why: BaseException) -> None:
        """Ask the jobs to save and end, and wait for them; a second Ctrl-C ends them at once."""
        if not self.jobs:
            return
        named = "interrupted" if isinstance(why, KeyboardInterrupt) else "given up"
        logger.info("{}: {} save and stop; Ctrl-C again ends them at once", named, count(len(self.jobs), "trial"))
        until = time.monotonic() + GRACE_SECONDS
        try:
            with contextlib.suppress(RlkitError):  # a disk that is full, which their own reports have met already
                self.study.set_user_attr(record.STOP, True)
            for job in self.jobs.values():
                job.stop(hard=False)
            while any(not job.done() for job in self.jobs.values()) and time.monotonic() < until:
                time.sleep(POLL_SECONDS)
        except KeyboardInterrupt:
            until = 0.0
        for job in self.jobs.values():
            if not job.done():
                job.stop(hard=True)


MENDED = "once the cause is mended: the same command with search.retry_failed=true repeats them"


def last_failure(folder: SweepFolder, failed: Sequence[FrozenTrial]) -> str:
    """What the last of failed trials failed with, and where its log is."""
    last = failed[-1]
    log = folder.run(last.number).log
    where = f"\n  its log: {log}" if log.exists() else ""
    return f"the last with: {last.user_attrs.get(record.ERROR, 'no message')}{where}"


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
