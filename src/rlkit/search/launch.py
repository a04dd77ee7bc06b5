"""Start trials and jobs of sweeps through Hydra's launchers, and notice when they end."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import psutil
from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, JobStatus
from hydra_plugins.hydra_submitit_launcher.config import BaseQueueConf
from hydra_plugins.hydra_submitit_launcher.submitit_launcher import BaseSubmititLauncher
from omegaconf import OmegaConf

from rlkit.errors import ConfigError
from rlkit.runs.writing import writing
from rlkit.search import private
from rlkit.search.study import Process

if TYPE_CHECKING:
    from hydra.plugins.launcher import Launcher


class Job(Protocol):
    """A trial, or a job of a sweep, that was started."""

    def row(self) -> dict[str, Any]:
        """What another driver needs to know whether it still runs; empty where it ends with this one."""

    def done(self) -> bool:
        """Whether it has ended."""

    def answered(self) -> bool:
        """Whether a job that has ended reported how; a killed job does not."""

    def error(self) -> BaseException | None:
        """Why it failed, if it reported that."""

    def stop(self, *, hard: bool) -> None:
        """Ask it to save and end, or end it at once."""


class Threaded(Job):
    """A job in a thread, which waits for a launcher that gives no handle; in this very thread without a pool."""

    def __init__(self, launcher: Launcher, overrides: Sequence[str], number: int, pool: ThreadPoolExecutor | None):
        self.future: Future[Any] = Future()
        if pool is not None:
            self.future = pool.submit(launcher.launch, [overrides], initial_job_idx=number)
            return
        try:
            self.future.set_result(launcher.launch([overrides], initial_job_idx=number))
        except Exception as error:
            self.future.set_exception(error)

    def row(self) -> dict[str, Any]:
        return {}

    def done(self) -> bool:
        return self.future.done()

    def answered(self) -> bool:
        return True

    def error(self) -> BaseException | None:
        if (raised := self.future.exception()) is not None:
            return raised
        return failure_of(self.future.result()[0])

    def stop(self, *, hard: bool) -> None:
        """See `Job`; a trial hears of it through the study."""


class Queued(Job):
    """A job that submitit knows, as a process here or as a job of SLURM."""

    def __init__(self, job: Any, *, slurm: bool) -> None:
        self.job, self.slurm = job, slurm

    def row(self) -> dict[str, Any]:
        row: dict[str, Any] = {"id": self.job.job_id, "slurm": self.slurm}
        if not self.slurm:
            with contextlib.suppress(psutil.Error):
                pid = int(self.job.job_id)
                row["process"] = Process(Process.this().host, pid, psutil.Process(pid).create_time()).row()
        return row if self.slurm or "process" in row else {}

    def done(self) -> bool:
        return bool(self.job.done())

    def answered(self) -> bool:
        return bool(self.job.paths.result_pickle.exists())

    def error(self) -> BaseException | None:
        if not self.answered():
            return None
        raised: BaseException | None = self.job.exception()
        return raised if raised is not None else failure_of(self.job.result())

    def stop(self, *, hard: bool) -> None:
        if self.slurm:
            self.job.cancel(check=False)
        elif not self.done():
            end(int(self.job.job_id), hard=hard)


class Submitted(Queued):
    """A job that is started through submitit.

    Args:
        launcher: Hydra's.
        overrides: of the job.
        number: of the trial, or of the job in its sweep.
        gpus: of this machine that the job sees.

    Raises:
        ConfigError: there is no SLURM here.
    """

    def __init__(
        self, launcher: BaseSubmititLauncher, overrides: Sequence[str], number: int, gpus: list[int] | None = None
    ) -> None:
        executor = executor_of(launcher, gpus)
        with deaf_to_ctrl_c():  # what is started inherits this: a terminal's Ctrl-C is the driver's to pass on
            job = executor.submit(
                launcher, list(overrides), "hydra.sweep.dir", number, f"trial_{number}", Singleton.get_state()
            )
        super().__init__(job, slurm=private.kind_of(launcher) == "slurm")


def submit_array(launcher: BaseSubmititLauncher, batch: Sequence[Sequence[str]], first: int) -> list[Queued]:
    """Submit jobs of a sweep, numbered from `first` on, as one array of SLURM's."""
    numbers = range(first, first + len(batch))
    places, states = ["hydra.sweep.dir"] * len(batch), [Singleton.get_state()] * len(batch)
    names = [f"job_id_for_{n}" for n in numbers]
    jobs = executor_of(launcher).map_array(launcher, list(map(list, batch)), places, numbers, names, states)
    return [Queued(job, slurm=True) for job in jobs]


def end(pid: int, *, hard: bool) -> None:
    """Kill a job of submitit's on this machine; or ask its task, the child of submitit's own process, to save and end.

    The task asks its seeds itself, and submitit would pass a signal on that it gets: each is to hear it once.
    """
    with contextlib.suppress(psutil.Error):
        parent = psutil.Process(pid)
        for process in [*parent.children(recursive=True), parent] if hard else parent.children() or [parent]:
            with contextlib.suppress(psutil.Error):
                process.send_signal(signal.SIGKILL if hard else signal.SIGTERM)


@contextlib.contextmanager
def deaf_to_ctrl_c() -> Iterator[None]:
    """SIGINT is ignored for as long as it takes to start a process."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def failure_of(returned: JobReturn) -> BaseException | None:
    """What a job of Hydra's failed with."""
    if returned.status is JobStatus.COMPLETED:
        return None
    raised = returned._return_value
    return raised if isinstance(raised, BaseException) else RuntimeError(str(raised))


def executor_of(launcher: BaseSubmititLauncher, gpus: list[int] | None = None) -> Any:
    """The executor that Hydra's launcher would use; it makes one inside of `launch`, which waits for the end.

    Args:
        launcher: Hydra's.
        gpus: of this machine that the job sees.

    Raises:
        ConfigError: there is no SLURM here.
    """
    import submitit

    if private.kind_of(launcher) == "slurm" and not (shutil.which("srun") and shutil.which("sbatch")):
        raise ConfigError(
            "hydra/launcher=slurm: this machine has no SLURM: srun and sbatch are not on PATH\n"
            "  start the command on a login node of the cluster, or run here with hydra/launcher=local"
        )
    about_itself = {"max_num_timeout", "python"}
    kind, params = private.kind_of(launcher), launcher.params
    pickles = Path(str(params["submitit_folder"])).parent
    with writing(pickles):
        pickles.mkdir(parents=True, exist_ok=True)
        pickles.chmod(0o700)  # they hold the configurations of the jobs, secrets included
    executor = submitit.AutoExecutor(
        folder=params["submitit_folder"],
        cluster=kind,
        **{f"{kind}_{key}": value for key, value in params.items() if key in about_itself},
    )
    common = set(OmegaConf.structured(BaseQueueConf).keys())
    executor.update_parameters(
        **{
            key if key in common else f"{kind}_{key}": value
            for key, value in params.items()
            if key not in about_itself | {"submitit_folder"}
        }
    )
    if gpus:  # AutoExecutor hides them from a job, and cannot be told which; the executor of this machine can
        executor._executor.update_parameters(gpus_per_node=len(gpus), visible_gpus=gpus)
    return executor


class Starter:
    """Starts trials in slots.

    Args:
        launcher: Hydra's, as configured.
        slots: trials at a time; Hydra's own launcher runs in this process, and takes one.
        gpus: of this machine that trials see: the first slot's, the second's, and around again.
    """

    def __init__(self, launcher: Launcher, slots: int, gpus: Sequence[list[int]] = ()) -> None:
        self.launcher, self.gpus = launcher, gpus
        self.alone = isinstance(launcher, private.BasicLauncher)
        self.slots = 1 if self.alone else slots
        self.pool: ThreadPoolExecutor | None = None
        if not self.alone and not isinstance(launcher, BaseSubmititLauncher):
            self.pool = ThreadPoolExecutor(self.slots)

    def start(self, overrides: Sequence[str], number: int, slot: int) -> Job:
        """Start one in a slot; with Hydra's own launcher it is over when this returns."""
        if isinstance(self.launcher, BaseSubmititLauncher):
            gpus = self.gpus[slot % len(self.gpus)] if self.gpus else None
            return Submitted(self.launcher, overrides, number, gpus)
        return Threaded(self.launcher, overrides, number, self.pool)

    def close(self) -> None:
        """Wait for no thread."""
        if self.pool is not None:
            self.pool.shutdown(wait=False, cancel_futures=True)


def threads_for(threads: int) -> dict[str, str]:
    """The environment variables that limit the threads of linear algebra libraries."""
    return dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), str(threads))


def visible_gpus() -> list[int]:
    """CUDA devices of this machine that this process may use, without importing torch.

    Where they have names instead of numbers, as parts of a GPU have, it is a cluster that gave them: it counts them
    from 0 for whoever may use them.
    """
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        return list(range(len(list(Path("/dev").glob("nvidia[0-9]*")))))
    words = [word.strip() for word in visible.split(",") if word.strip()]
    return [int(word) for word in words] if all(map(str.isdecimal, words)) else list(range(len(words)))
