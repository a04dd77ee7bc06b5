"""The study of a search: Optuna's record of its trials, and what rlkit keeps beside it."""

from __future__ import annotations

import contextlib
import math
import os
import shutil
import socket
import subprocess
import time
import warnings
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import optuna
import psutil
from optuna.trial import FrozenTrial, TrialState

from rlkit.errors import ConfigError, RlkitError, RunFolderError
from rlkit.runs.folder import RunFolder, read_json, write_json, writing
from rlkit.runs.lock import held
from rlkit.search.journal import Journal

if TYPE_CHECKING:
    from optuna import Study
    from optuna.pruners import BasePruner
    from optuna.samplers import BaseSampler

    from rlkit.config.search import SearchConfig

STUDY = "search"
"""The name of a study whose folder does not say another one."""
JOURNAL, SWEEP = "study.journal", "sweep.json"
OVERRIDES, JOB, PROCESS, STATUS, ERROR, FAULT, FRAMES, DEATHS, REPEATS = (
    f"rlkit:{what}"
    for what in ("overrides", "job", "process", "status", "error", "fault", "frames", "deaths", "repeats")
)
"""User attributes of a trial: what it was started with, the cluster's job, its process, how it ended, why it failed and
whether that is a fault of rlkit's, how far it came, how often its process has died, at which frames, and the number of
the failed trial that it repeats."""
STOP, SEARCH, ID = "rlkit:stop", "rlkit:search", "rlkit:id"
"""User attributes of a study: whether its jobs are asked to stop, what the search is, and what tells it from others."""
OVER = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)


def storage_of(folder: Path) -> str:
    """The storage that a search keeps in its folder."""
    return f"journal:{folder / JOURNAL}"


def absolute(url: str) -> str:
    """The URL of a storage, a SQLite file's with its whole path, so that it is found from any working directory."""
    scheme, found, path = url.partition(":///")
    if not (found and scheme.startswith("sqlite")) or path in ("", ":memory:") or path.startswith(("/", "file:")):
        return url
    return f"{scheme}:///{Path(path).absolute()}"


def open_storage(url: str) -> Any:
    """A storage: `journal:<file>`, which any number of processes append to, or any URL that Optuna takes.

    Raises:
        ConfigError: Optuna cannot open it.
        RunFolderError: a journal is damaged or cannot be read.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)  # that a sampler draws texts at random, it would say each time
    if url.startswith("journal:"):
        return Journal(Path(url.removeprefix("journal:")))
    try:
        return optuna.storages.get_storage(url)
    except Exception as error:  # of SQLAlchemy, of a driver, or an import
        why = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ConfigError(
            f"hydra.sweeper.storage={url} cannot be opened: {why}\n"
            "  accepted: null for a journal in the search's folder, or a URL such as sqlite:////path/to/studies.db"
        ) from error


@contextlib.contextmanager
def understood(what: object) -> Iterator[None]:
    """Refuse what a study holds where no search of rlkit's can have written it.

    Raises:
        RunFolderError: an attribute has another type, or is missing.
    """
    try:
        yield
    except RlkitError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, RecursionError) as error:
        raise RunFolderError(
            f"{what} holds a study that no search of rlkit's has written ({type(error).__name__}: {error})"
        ) from error


def check_attributes(study: Study) -> None:
    """Refuse attributes of other types than rlkit's own, before anything depends on them.

    Raises:
        RunFolderError: there is one.
    """
    types: dict[str, Any] = {
        OVERRIDES: list, JOB: dict, PROCESS: dict, STATUS: str, ERROR: str, FAULT: bool, FRAMES: int, DEATHS: list,
        REPEATS: int, STOP: bool, SEARCH: dict, ID: str,
    }  # fmt: skip
    trials = study.get_trials(deepcopy=False)
    owners: list[Any] = [study, *trials]
    for owner in owners:
        for key, wanted in types.items():
            if not isinstance(value := owner.user_attrs.get(key, wanted()), wanted):
                raise RunFolderError(f"{key} is of type {type(value).__name__}: no search of rlkit's has written that")
    with understood(f"the study {study.study_name}"):
        for trial in trials:
            times, came_to = trial.user_attrs.get(DEATHS, (0, 0))
            job = trial.user_attrs.get(JOB, {"slurm": True, "id": ""})
            for process in (trial.user_attrs.get(PROCESS), None if job["slurm"] else job["process"]):
                if process is not None:
                    Process(**process)
            _ = (times + came_to, job["id"] + "", "".join(trial.user_attrs.get(OVERRIDES, [])))


def make_pruner(search: SearchConfig, frames: int, every: int) -> BasePruner:
    """What `search.pruner` asks for; its resource is frames.

    Args:
        search: the configuration.
        frames: the budget of a trial.
        every: frames between evaluations, at which trials report.
    """
    first = max(every, int(search.min_frames or 0.15 * frames))
    eta = int(search.reduction_factor)
    if search.pruner == "asha":
        return optuna.pruners.SuccessiveHalvingPruner(min_resource=first, reduction_factor=eta)
    if search.pruner == "hyperband":
        return optuna.pruners.HyperbandPruner(min_resource=first, max_resource=frames, reduction_factor=eta)
    if search.pruner == "median":
        return optuna.pruners.MedianPruner(n_startup_trials=int(search.startup_trials), n_warmup_steps=first - 1)
    if search.pruner == "percentile":
        return optuna.pruners.PercentilePruner(
            search.percentile, n_startup_trials=int(search.startup_trials), n_warmup_steps=first - 1
        )
    if search.pruner == "wilcoxon":
        with warnings.catch_warnings():  # that Optuna may change it concerns us, not the user
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            return optuna.pruners.WilcoxonPruner(n_startup_steps=max(2, first // every))
    return optuna.pruners.NopPruner()


def join(url: str, name: str, sampler: BaseSampler | None = None, pruner: BasePruner | None = None) -> Study:
    """An existing study. Without a sampler nothing can be proposed, and building one takes no time.

    Raises:
        RunFolderError: the storage has no study of this name.
    """
    file = Path(url.partition(":///")[2] if url.startswith("sqlite") else url.removeprefix("journal:"))
    if url.startswith(("sqlite:////", "journal:")) and not file.exists():  # opening it would make it
        raise RunFolderError(f"{file}, which holds the study, does not exist")
    storage = open_storage(url)
    try:
        return optuna.load_study(
            study_name=name, storage=storage, sampler=sampler or optuna.samplers.RandomSampler(), pruner=pruner
        )
    except KeyError as error:
        raise RunFolderError(f"{url} holds no study named {name}: nothing was begun in it") from error


@dataclass(frozen=True)
class Process:
    """The process that works on a trial."""

    host: str
    pid: int
    started: float
    slurm: str | None = None

    @classmethod
    def this(cls) -> Process:
        """The one that asks."""
        pid = os.getpid()
        return cls(socket.gethostname(), pid, psutil.Process(pid).create_time(), os.environ.get("SLURM_JOB_ID"))

    def row(self) -> dict[str, Any]:
        """As it is stored."""
        return asdict(self)

    def alive(self, run: RunFolder) -> bool:
        """Whether it still runs; of another machine SLURM knows it, else the lock of the run that it trains."""
        if self.host != socket.gethostname():
            return slurm_knows(self.slurm) if self.slurm and shutil.which("squeue") else held(run.path)
        with contextlib.suppress(psutil.Error):
            process = psutil.Process(self.pid)
            return process.create_time() == self.started and process.status() != psutil.STATUS_ZOMBIE
        return False


SLURM_SECONDS = 15.0
"""How long an answer of SLURM's is good for: a controller that is asked all the time is slow for everybody."""
_answers: dict[str, tuple[float, bool]] = {}


def slurm_knows(job: str) -> bool:
    """Whether a job of SLURM is waiting or running; also where SLURM cannot say, so that none is queued twice."""
    asked_at, answer = _answers.get(job, (-math.inf, True))
    if time.monotonic() - asked_at > SLURM_SECONDS:
        command = ["squeue", "-h", "-j", job, "-o", "%T"]
        try:
            asked = subprocess.run(command, capture_output=True, text=True, check=False)
        except OSError:  # it is not installed here
            answer = False
        else:
            waiting = ("RUNNING", "PENDING", "CONFIGURING", "SUSPENDED", "REQUEUED", "COMPLETING")
            unsure = asked.returncode != 0 and "Invalid job id" not in asked.stderr
            answer = unsure or any(word in waiting for word in asked.stdout.split())
        _answers[job] = (time.monotonic(), answer)
    return answer


def at_work(trial: FrozenTrial, run: RunFolder) -> bool:
    """Whether a process works on an unfinished trial, or will."""
    process, job = trial.user_attrs.get(PROCESS), trial.user_attrs.get(JOB)
    if process is not None and Process(**process).alive(run):
        return True
    if job is None:
        return False
    return slurm_knows(job["id"]) if job["slurm"] else Process(**job["process"]).alive(run)


@dataclass(frozen=True)
class SweepFolder:
    """A search's folder: `study.journal`, `sweep.json`, a run folder `trial_<number>` for each trial, `plots/`."""

    path: Path

    @classmethod
    def open(cls, path: str | Path) -> SweepFolder:
        """An existing search.

        Raises:
            RunFolderError: there is none.
        """
        folder = Path(path)
        if not (folder / SWEEP).is_file():
            what = f"is not the folder of a search: it has no {SWEEP}" if folder.is_dir() else "does not exist"
            found = folder.glob(f"**/{SWEEP}") if folder.is_dir() else []
            newest = max(found, key=lambda p: p.stat().st_mtime, default=None)
            raise RunFolderError(f"{path} {what}" + (f"\n  the newest below it: {newest.parent}" if newest else ""))
        return cls(folder)

    def place(self) -> tuple[str, str]:
        """The URL of the storage, and the name of the study in it.

        Raises:
            RunFolderError: `sweep.json` says neither.
        """
        noted = read_json(self.path / SWEEP)
        storage, name = noted.get("storage"), noted.get("study", STUDY)
        if "storage" not in noted or not isinstance(storage, str | None) or not isinstance(name, str):
            raise RunFolderError(
                f"{self.path / SWEEP} does not say where the study is\n"
                "  accepted: storage, which is null or a URL, and study, which is its name"
            )
        return storage or storage_of(self.path), name

    def study(self) -> Study:
        """Its study, to read."""
        return join(*self.place())

    def make(self, storage: str | None, name: str = STUDY) -> None:
        """Make the folder, and note in it where its study is; what is noted already stays.

        Args:
            storage: URL of the study; None: a journal in the folder itself, wherever that may go.
            name: of a new study.

        Raises:
            RunFolderError: the folder cannot be written, or its study is in another storage.
        """
        with writing(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
        wanted = storage_of(self.path) if storage is None else storage
        if not (self.path / SWEEP).exists():
            write_json(self.path / SWEEP, {"storage": storage, "study": name})
        elif (known := self.place()[0]) != wanted:
            raise RunFolderError(
                f"{self.path} holds a search whose study is in {known}, not in {wanted}\n"
                "  give this one another name: name=..., or repeat the first one's hydra.sweeper.storage"
            )

    def run(self, number: int) -> RunFolder:
        """The run folder of a trial, which may not exist yet."""
        return RunFolder(self.path / f"trial_{number:04d}")

    def make_run(self, number: int) -> RunFolder:
        """The same, made where it is not there."""
        run = self.run(number)
        with writing(run.path):
            run.path.mkdir(parents=True, exist_ok=True)
        return run
