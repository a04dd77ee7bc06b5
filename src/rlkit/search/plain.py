"""A plain sweep: the jobs of `-m key=a,b`, started by Hydra's launchers, shown as they end, named where they fail."""

from __future__ import annotations

import shlex
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra_plugins.hydra_submitit_launcher.submitit_launcher import BaseSubmititLauncher, SlurmLauncher
from omegaconf import OmegaConf, read_write

from rlkit.cores import available_cores
from rlkit.redaction import redact
from rlkit.runs.folder import RunFolder, read_json, writing
from rlkit.search import display, failures, private, status
from rlkit.search.display import shown
from rlkit.search.failures import SearchFaultError, SweepError, count
from rlkit.search.launch import Job, Starter, failure_of, submit_array
from rlkit.search.sweep import share_gpus
from rlkit.training.interrupt import Interrupts
from rlkit.training.jobs import CANCELLED, note_plan, notes, varied

if TYPE_CHECKING:
    from hydra.plugins.launcher import Launcher
    from omegaconf import DictConfig

POLL_SECONDS, CLUSTER_POLL_SECONDS = 0.1, 1.0
GRACE_SECONDS = 60.0
"""How long jobs may take to save after Ctrl-C."""


def own_folder(config: DictConfig) -> None:
    """Make the folder of a sweep; one that another sweep of the same second has made is left to that one.

    Raises:
        RunFolderError: it cannot be made.
    """
    wanted = path = Path(str(config.hydra.sweep.dir))
    named = any(override.lstrip("+").startswith("hydra.sweep.dir=") for override in config.hydra.overrides.hydra)
    with writing(wanted):
        wanted.parent.mkdir(parents=True, exist_ok=True)
        for n in range(1, 1000):
            try:
                path.mkdir(exist_ok=named)
                break
            except FileExistsError:
                path = wanted.with_name(f"{wanted.name}_{n}")
    with read_write(config.hydra.sweep):
        config.hydra.sweep.dir = str(path).replace("${", "\\${")


def run(config: DictConfig, launcher: Launcher, batches: Sequence[Sequence[Sequence[str]]]) -> list[Any]:
    """Run the jobs of a sweep.

    Args:
        config: Hydra's configuration of the whole sweep.
        launcher: Hydra's, that starts jobs.
        batches: the overrides of each job; a batch is one array of SLURM's.

    Returns:
        What Hydra's launcher returned for each job; empty where it gives handles instead.

    Raises:
        SweepError: jobs failed by what the user can mend.
        SearchFaultError: jobs failed, one of them at least by a fault of rlkit's.
        KeyboardInterrupt: Ctrl-C; the jobs have saved.
    """
    jobs = [list(overrides) for batch in batches for overrides in batch]
    sweep = Sweep(Path(str(config.hydra.sweep.dir)), jobs)
    with writing(sweep.folder):
        OmegaConf.save(config, sweep.folder / "multirun.yaml")
    sweep.note()
    sweep.say(f"{count(len(jobs), 'job')}; folder {shown(sweep.folder)}")
    sweep.say(f"to see how they stand: rlkit status {shlex.quote(shown(sweep.folder))}")
    returned: list[Any] = []
    try:
        with Interrupts() as interrupts:
            if isinstance(launcher, private.BasicLauncher):
                for number, overrides in enumerate(jobs):
                    sweep.say(f"job {number} ({number + 1} of {len(jobs)}): {sweep.name(number)}")
                    returned += launcher.launch([overrides], initial_job_idx=number)
                    sweep.ended(number, failure_of(returned[-1]))
            elif isinstance(launcher, SlurmLauncher):
                for batch in batches:
                    sweep.follow(dict(enumerate(submit_array(launcher, batch, sweep.begun), start=sweep.begun)))
            elif isinstance(launcher, BaseSubmititLauncher):
                sweep.start_in_turn(Starter(launcher, _slots(config), share_gpus(config, launcher)), interrupts)
            else:
                returned += launcher.launch(jobs, initial_job_idx=0)
                for number, one in enumerate(returned):
                    sweep.ended(number, failure_of(one))
    except KeyboardInterrupt as interrupt:
        sweep.interrupted(str(interrupt), on_cluster=isinstance(launcher, SlurmLauncher))
        raise KeyboardInterrupt(sweep.how_to_go_on(str(interrupt), isinstance(launcher, SlurmLauncher))) from None
    sweep.close()
    return returned


def _slots(config: DictConfig) -> int:
    """Jobs at a time in processes of this machine."""
    if config.search.jobs is not None:
        return int(config.search.jobs)
    return max(1, available_cores() // max(1, int(config.threads) * int(config.seeds)))


@dataclass
class Sweep:
    """The jobs of a sweep, as they stand.

    Args:
        folder: of the sweep.
        jobs: the overrides of each.
    """

    folder: Path
    jobs: list[list[str]]
    running: dict[int, Job] = field(default_factory=dict)
    failed: dict[int, BaseException] = field(default_factory=dict)
    begun: int = 0

    def say(self, text: str) -> None:
        """Print a line; the log is that of the run which this process trains."""
        print(redact(text), flush=True)

    def name(self, number: int) -> str:
        """A job by the overrides that it does not share with all others."""
        return varied(self.jobs)[number]

    def note(self) -> None:
        """Record the state of the jobs for `rlkit status`."""
        note_plan(self.folder, self.jobs, {number: failures.told(error) for number, error in self.failed.items()})

    def start_in_turn(self, starter: Starter, interrupts: Interrupts) -> None:
        """Start jobs as slots become free, and follow them."""
        free = list(range(starter.slots))
        slots: dict[int, int] = {}
        while self.begun < len(self.jobs) or self.running:
            while free and self.begun < len(self.jobs):
                number, slot = self.begun, free.pop(0)
                with interrupts.later():
                    self.running[number] = starter.start(self.jobs[number], number, slot)
                    slots[number] = slot
                    self.begun += 1
            free += [slots.pop(number) for number in self._look()]
            time.sleep(POLL_SECONDS)

    def follow(self, jobs: dict[int, Job]) -> None:
        """Wait for jobs that a cluster has."""
        self.running, self.begun = jobs, self.begun + len(jobs)
        while self.running:
            self._look()
            time.sleep(CLUSTER_POLL_SECONDS)

    def _look(self) -> list[int]:
        """The jobs that have ended since the last look."""
        over = [number for number, job in self.running.items() if job.done()]
        for number in over:
            job = self.running.pop(number)
            self.ended(number, job.error() if job.answered() else SweepError(self._silence(number)))
            self.say(f"job {number}: {self._how(number)} ({self.name(number)})")
        return over

    def ended(self, number: int, error: BaseException | None) -> None:
        """Note how a job ended."""
        if error is not None:
            self.failed[number] = error
            self.note()

    def _run(self, number: int) -> RunFolder | None:
        noted = notes(self.folder).get(number)
        return None if noted is None else RunFolder(Path(noted["run"]))

    def _state(self, number: int) -> str:
        run = self._run(number)
        return str(read_json(run.run)["status"]) if run is not None and run.run.exists() else ""

    def _silence(self, number: int) -> str:
        """Why a job ended that has returned neither a score nor an error."""
        if self._run(number) is None:
            return CANCELLED
        return "it was stopped" if self._state(number) == "stopped" else "its process was killed"

    def _how(self, number: int) -> str:
        if number in self.failed and str(self.failed[number]) == CANCELLED:
            return "never begun"
        if (run := self._run(number)) is None or number in self.failed:
            return "failed"
        frames, score = status.reached(run)
        return f"{self._state(number)} at {frames:,} frames, {display.number(score)}"

    def interrupted(self, said: str, *, on_cluster: bool) -> None:
        """Ask the jobs on this machine to save and end; a second Ctrl-C ends them at once."""
        if self.failed:
            self.say(self._failures())
        if on_cluster or not self.running:
            return
        self.say(f"{count(len(self.running), 'job')} save and stop; Ctrl-C again ends them at once")
        until = time.monotonic() + GRACE_SECONDS
        try:
            with Interrupts():
                for job in self.running.values():
                    job.stop(hard=False)
                while any(not job.done() for job in self.running.values()) and time.monotonic() < until:
                    time.sleep(POLL_SECONDS)
        except KeyboardInterrupt:
            pass
        for job in self.running.values():
            if not job.done():
                job.stop(hard=True)

    def how_to_go_on(self, said: str, on_cluster: bool) -> str:
        """What remains to be done after Ctrl-C."""
        look = f"rlkit status {shlex.quote(shown(self.folder))}"
        if on_cluster:
            return f"the jobs stay with SLURM; to see how they stand: {look}"
        left = len(self.jobs) - self.begun
        never = f"; {count(left, 'job')} never begun" if self.begun and left else ""
        return f"{said or 'stopped and saved'}{never}\n  the jobs with their folders: {look}"

    def close(self) -> None:
        """Show all jobs, and name those that failed.

        Raises:
            SweepError, SearchFaultError: some did.
        """
        if len(self.jobs) > 1:
            status.show(self.folder)
        if not self.failed:
            return
        first = next(iter(self.failed.values()))
        kind = SweepError if all(map(failures.of_user, self.failed.values())) else SearchFaultError
        raise kind(self._failures()) from first

    def _failures(self) -> str:
        failed = f"{len(self.failed)} of {count(len(self.jobs), 'job')} failed"
        lines = [f"{failed}; the folder of the sweep is {shown(self.folder)}"]
        for number, error in sorted(self.failed.items()):
            run = self._run(number)
            where = "" if run is None else f"\n    its run: {shown(run.path)}"
            why = failures.told(error) if failures.of_user(error) else failures.brief(failures.told(error))
            lines.append(f"job {number}: {self.name(number)}{where}\n    " + why.strip().replace("\n", "\n    "))
        return "\n  ".join(lines)
