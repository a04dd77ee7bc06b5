"""A trial: the seeds of one config, in one run folder, one process each where there are several."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from loguru import logger

from rlkit.config.schema import to_yaml
from rlkit.cores import available_cores
from rlkit.display.console import Display
from rlkit.display.logs import log_failure, log_to
from rlkit.errors import RlkitError, RunFolderError
from rlkit.reading import read_result
from rlkit.redaction import hidden_keys, redact
from rlkit.results.progress import Progress
from rlkit.runs.folder import SCHEMA, RunFolder, config_hash, read_json, write_json, write_text
from rlkit.runs.lines import read_evals
from rlkit.runs.lock import alone
from rlkit.runs.provenance import provenance
from rlkit.training.interrupt import StopSignal
from rlkit.training.jury import Jury
from rlkit.training.progress import Judge
from rlkit.training.worker import FAULT, HIDDEN_VALUES

if TYPE_CHECKING:
    from rlkit.config.run import RunConfig

GRACE_SECONDS = 60
"""How long a worker may take to save after it was asked to stop."""


class TrialError(RlkitError):
    """Some seeds failed; the results of the others are kept."""


class TrialKilledError(TrialError):
    """The same, where their processes were killed: what they had saved is whole."""


class TrialFaultError(Exception):
    """The same, where a fault of rlkit's own was the cause."""


@dataclass(frozen=True)
class Failure:
    """Why a seed failed, and whether the user can mend it, or its process was killed."""

    why: str
    user: bool
    killed: bool = False


def create(config: RunConfig, overrides: Sequence[str] = ()) -> RunFolder:
    """A new run folder with its configuration."""
    folder = RunFolder.create(config.label)
    write_text(folder.config, to_yaml(config))
    write_text(folder.path / "overrides.yaml", yaml.safe_dump([redact(word) for word in overrides]))
    if hidden := hidden_keys(dataclasses.asdict(config)):
        logger.warning(
            "config.yaml has [hidden] in place of {}: this run cannot be resumed, evaluated or shared. An environment "
            "that needs a secret reads it from the variables of its process",
            ", ".join(hidden),
        )
    return folder


def run_trial(
    config: RunConfig, folder: RunFolder, *, started: float, quiet: bool = False, judge: Judge | None = None
) -> dict[str, Any]:
    """Train what is not yet trained of a trial, and write its `result.json`.

    Args:
        config: of the trial; `folder` holds the same.
        folder: new, or of a trial that was interrupted.
        started: `time.perf_counter()` when the command began.
        quiet: show nothing while it runs.
        judge: asked after each evaluation whether to continue, given the values of all seeds.

    Returns:
        The trial's result. Its status is `stopped` where Ctrl-C or the judge stopped it.

    Raises:
        TrialError: a seed failed; `result.json` holds the others.
        RlkitError: the only seed failed, or another process trains this run.
    """
    with alone(folder.path, "trained"):
        display = Display(config, folder.path)
        log_to(folder.log, (lambda text: None) if quiet else display.show)
        _record(config, folder)
        watcher = _Watcher(folder, None if quiet else display)
        failures: dict[int, Failure] = {}
        try:
            with StopSignal() as stop, contextlib.nullcontext() if quiet else display:
                jury = None if judge is None else Jury(config, folder, judge, stop)
                if config.seeds == 1:
                    _in_process(config, folder, watcher, stop, jury, started)
                else:
                    failures = _in_workers(config, folder, watcher, stop, jury)
        except BaseException as error:
            with contextlib.suppress(RunFolderError):  # the disk may be what failed
                _conclude(config, folder, {config.seed: Failure(_why(error), user=True)}, stopped=False)
            raise
        result = _conclude(config, folder, failures, stop.requested)
    if failures:
        kind: type[Exception] = TrialError if all(f.user for f in failures.values()) else TrialFaultError
        if all(f.killed for f in failures.values()):
            kind = TrialKilledError
        raise kind(_failure_text(failures, folder, config))
    if result["status"] == "failed":  # a worker was asked to stop by somebody else
        raise TrialError(f"some seeds stopped before the budget\n  continue with: rlkit resume {folder.path}")
    return result


def _conclude(config: RunConfig, folder: RunFolder, failures: dict[int, Failure], stopped: bool) -> dict[str, Any]:
    """Write the trial's result from the sessions that reached the budget, were pruned, or were stopped."""
    from rlkit.results.summary import trial_result

    found = {s: read_result(folder.session(s).result) for s in config.seed_list if folder.session(s).result.exists()}
    whole = [
        s
        for s, r in found.items()
        if r["status"] == "pruned" or (r["status"] == "complete" and r["frames"] >= config.frames)
    ]
    if failures:
        kinds = {found[s]["status"] if s in found else "failed" for s in failures}
        status = "diverged" if kinds == {"diverged"} else "failed"
    elif len(whole) == config.seeds:
        status = "pruned" if {found[s]["status"] for s in whole} == {"pruned"} else "complete"
    else:
        status = "stopped" if stopped else "failed"
    error = "\n".join(failure.why for failure in failures.values()) or None
    # A failed seed has no score; a result of a smaller budget, which a resume did not get beyond, stays as it is.
    partial = ("stopped", "failed", "diverged") if config.seeds == 1 or not whole else ("stopped",)
    shown = [s for s in found if s in whole or found[s]["status"] in partial]
    write_json(folder.run, {**read_json(folder.run), "status": status, "error": error})
    if not shown:
        return {"status": status, "error": error}
    evals = [read_evals(folder.session(s).eval) for s in shown]
    result = {**trial_result(config, status, [found[s] for s in shown], evals), "status": status, "error": error}
    write_json(folder.result, result)
    return result


def _why(error: BaseException) -> str:
    """An error in the words of run.json and result.json."""
    if isinstance(error, KeyboardInterrupt):
        return "interrupted before it could save"
    return str(error) if isinstance(error, RlkitError) else f"{type(error).__name__}: {error}"


def _record(config: RunConfig, folder: RunFolder) -> None:
    """Write run.json for this command; those of a run that is resumed are kept under `earlier`."""
    before = read_json(folder.run) if folder.run.exists() else {}
    earlier = before["earlier"] if isinstance(before.get("earlier"), list) else []
    if before:
        earlier = [*earlier, {key: before.get(key) for key in ("command", "git_sha", "config_hash", "status")}]
    write_json(
        folder.run,
        {
            "schema": SCHEMA,
            "status": "running",
            **provenance(),
            "seeds": config.seed_list,
            "config_hash": config_hash(dataclasses.asdict(config)),
            "earlier": earlier,
        },
    )


class _Watcher:
    """Forwards to the display, and keeps the environment's facts in run.json."""

    def __init__(self, folder: RunFolder, display: Display | None) -> None:
        self.folder, self.display = folder, display
        self.known = False

    def facts(self, seed: int, facts: dict[str, Any]) -> None:
        if not self.known:
            self.known = True
            write_json(self.folder.run, {**read_json(self.folder.run), **facts})
        if self.display is not None:
            self.display.facts(seed, facts)

    def progress(self, progress: Progress) -> None:
        if self.display is not None:
            self.display.progress(progress)


def _in_process(
    config: RunConfig,
    folder: RunFolder,
    watcher: _Watcher,
    stop: StopSignal,
    jury: Jury | None,
    started: float,
) -> None:
    from rlkit.training.session import run_session

    judge = None if jury is None else jury.member(config.seed)
    session = folder.session(config.seed)
    try:
        run_session(config, config.seed, session, watcher=watcher, judge=judge, stop=stop, started=started)
    except Exception as error:
        log_failure(config.seed, error)
        raise


def _in_workers(
    config: RunConfig, folder: RunFolder, watcher: _Watcher, stop: StopSignal, jury: Jury | None
) -> dict[int, Failure]:
    """Train the seeds, each in a process; returns seed -> why it failed.

    As many at a time as the cores allow, but all of them where they are judged together.
    """
    slots = config.seeds if jury else max(1, available_cores() // config.threads)
    waiting = list(config.seed_list)
    running: dict[int, _Worker] = {}
    failures: dict[int, Failure] = {}
    asked_at: float | None = None
    try:
        while (waiting and not stop.requested) or running:
            while waiting and len(running) < slots and not stop.requested:
                seed = waiting.pop(0)
                running[seed] = _Worker(folder, seed, config, watcher, jury)
            if stop.requested and asked_at is None:
                asked_at = time.monotonic()
                for worker in running.values():
                    worker.ask_to_stop()
            if asked_at is not None and time.monotonic() - asked_at > GRACE_SECONDS:
                raise KeyboardInterrupt
            for seed, worker in list(running.items()):
                if (why := worker.ended()) is not None:
                    del running[seed]
                    if why:
                        status = worker.process.returncode
                        failures[seed] = Failure(f"seed {seed}: {why}", user=status != FAULT, killed=status < 0)
                        if jury is not None:
                            stop.request()  # the others would wait for its next report
                        logger.error("seed {} failed: {}", seed, why)
            time.sleep(0.02)
    finally:
        for worker in running.values():
            worker.kill()
    return failures


class _Worker:
    """A session's process, and the thread that reads what it says."""

    def __init__(self, folder: RunFolder, seed: int, config: RunConfig, watcher: _Watcher, jury: Jury | None) -> None:
        self.seed, self.watcher, self.jury = seed, watcher, jury
        self.error = ""
        # What config.yaml hides; the variables of a process are for its owner alone.
        secrets = {HIDDEN_VALUES: json.dumps(hidden_keys(dataclasses.asdict(config)))}
        limits = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), str(config.threads))
        with folder.log.open("a") as log:
            self.process = subprocess.Popen(
                [
                    sys.executable,
                    "-P",  # a file of the working directory hides no module: it comes last in PYTHONPATH
                    "-m",
                    "rlkit.training.worker",
                    str(folder.path),
                    str(seed),
                    *(["judged"] if jury else []),
                ],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env={
                    **os.environ,
                    **limits,
                    **secrets,
                    "PYTHONPATH": os.pathsep.join(path or str(Path.cwd()) for path in sys.path),
                },
                start_new_session=True,  # Ctrl-C reaches the parent only, which then asks
            )
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            message = json.loads(line)
            try:
                self._hear(message)
            except Exception as error:  # the worker must not wait for a reader that has gone
                logger.error("seed {}: cannot show or store what it says: {}", self.seed, error)

    def _hear(self, message: dict[str, Any]) -> None:
        if "progress" in message:
            self.watcher.progress(Progress(**message["progress"]))
        elif "report" in message and self.jury is not None:
            frames, value = message["report"]
            self.jury.hear(self.seed, frames, value, self.answer)
        elif "facts" in message:
            self.watcher.facts(message["seed"], message["facts"])
        elif "log" in message and self.watcher.display is not None:
            self.watcher.display.show(message["log"])
        elif "error" in message:
            self.error = message["error"]

    def ended(self) -> str | None:
        """None while it runs, then why it failed, or an empty text."""
        status = self.process.poll()
        if status is None:
            return None
        self.reader.join(timeout=5)
        self._close()
        if status == 0:
            return ""
        how = f"killed by signal {-status}" if status < 0 else f"exit status {status}"
        if status > 0 and status != FAULT:  # nothing of rlkit's ends a process so
            how = f"its process ended without an error, exit status {status}: the environment may have ended it"
        return self.error or f"{how}; see run.log"

    def ask_to_stop(self) -> None:
        with contextlib.suppress(OSError):
            assert self.process.stdin is not None
            self.process.stdin.close()

    def answer(self, verdict: str | None) -> None:
        """Tell the session the verdict on its report."""
        with contextlib.suppress(OSError, ValueError):  # it may have ended, or been asked to stop
            assert self.process.stdin is not None
            self.process.stdin.write(f"{verdict or 'go on'}\n")
            self.process.stdin.flush()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        self._close()

    def _close(self) -> None:
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()


def _failure_text(failures: dict[int, Failure], folder: RunFolder, config: RunConfig) -> str:
    kept = config.seeds - len(failures)
    return "\n  ".join(
        [
            f"{len(failures)} of {config.seeds} seeds failed; the results of {kept} are kept in {folder.path}",
            *[failure.why for failure in failures.values()][:5],
            f"after mending the cause: rlkit resume {folder.path}",
        ]
    )
