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
from typing import TYPE_CHECKING, Any

import yaml
from loguru import logger

from rlkit.config.schema import to_yaml
from rlkit.cores import available_cores
from rlkit.errors import RlkitError
from rlkit.results.console import Display, log_to
from rlkit.results.folder import SCHEMA, RunFolder, config_hash, read_json, read_rows, write_json, write_text
from rlkit.results.provenance import provenance
from rlkit.training.interrupt import StopSignal
from rlkit.training.progress import Progress

if TYPE_CHECKING:
    from rlkit.config.run import RunConfig

GRACE_SECONDS = 60
"""How long a worker may take to save after it was asked to stop."""


class TrialError(RlkitError):
    """Some seeds failed; the results of the others are kept."""


def create(config: RunConfig, overrides: Sequence[str] = ()) -> RunFolder:
    """A new run folder with what is known before training: config, overrides, provenance."""
    folder = RunFolder.create(config.label)
    write_text(folder.config, to_yaml(config))
    write_text(folder.path / "overrides.yaml", yaml.safe_dump(list(overrides)))
    write_json(
        folder.run,
        {
            "schema": SCHEMA,
            "status": "running",
            **provenance(),
            "seeds": config.seed_list,
            "config_hash": config_hash(dataclasses.asdict(config)),
        },
    )
    return folder


def run_trial(config: RunConfig, folder: RunFolder, *, started: float, quiet: bool = False) -> dict[str, Any]:
    """Train what is not yet trained of a trial, and write its `result.json`.

    Args:
        config: of the trial; `folder` holds the same.
        folder: new, or of a trial that was interrupted.
        started: `time.perf_counter()` when the command began.
        quiet: show nothing while it runs.

    Returns:
        The trial's result. Its status is `stopped` where Ctrl-C ended it.

    Raises:
        TrialError: a seed failed; `result.json` holds the others.
        RlkitError: the only seed failed.
    """
    display = Display(config, folder.path)
    log_to(folder.log, (lambda text: None) if quiet else display.show)
    watcher = _Watcher(folder, None if quiet else display)
    failures: dict[int, str] = {}
    with StopSignal() as stop, contextlib.nullcontext() if quiet else display:
        if config.seeds == 1:
            _in_process(config, folder, watcher, stop, started)
        else:
            failures = _in_workers(config, folder, watcher, stop)
    from rlkit.results.summary import trial_result

    done = [s for s in config.seed_list if folder.session(s).result.exists()]
    if failures:
        logger.error("{} of {} seeds failed: {}", len(failures), config.seeds, "; ".join(failures.values()))
    if not done:
        _set_status(folder, "stopped" if stop.requested else "failed")
        if stop.requested:
            return {"status": "stopped"}
        raise TrialError(_failure_text(failures, folder, config))
    result = trial_result(
        config,
        [read_json(folder.session(s).result) for s in done],
        [read_rows(folder.session(s).eval) for s in done],
        time.perf_counter() - started,
    )
    if stop.requested and result["status"] != "complete":
        result["status"] = "stopped"
    write_json(folder.result, result)
    _set_status(folder, result["status"])
    if failures:
        raise TrialError(_failure_text(failures, folder, config))
    return read_json(folder.result)


class _Watcher:
    """Passes on to the display, and keeps the environment's facts in run.json."""

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


def _in_process(config: RunConfig, folder: RunFolder, watcher: _Watcher, stop: StopSignal, started: float) -> None:
    from rlkit.training.session import run_session

    try:
        run_session(config, config.seed, folder.session(config.seed), watcher=watcher, stop=stop, started=started)
    except BaseException as error:
        from rlkit.errors import DivergedError

        _set_status(folder, "diverged" if isinstance(error, DivergedError) else "failed")
        if not isinstance(error, RlkitError):
            logger.opt(exception=True).debug("seed {} failed", config.seed)  # to run.log
        raise


def _in_workers(config: RunConfig, folder: RunFolder, watcher: _Watcher, stop: StopSignal) -> dict[int, str]:
    """Train the seeds in as many processes as the cores allow; returns seed -> why it failed."""
    slots = max(1, available_cores() // config.threads)
    waiting = list(config.seed_list)
    running: dict[int, _Worker] = {}
    failures: dict[int, str] = {}
    asked_at: float | None = None
    try:
        while (waiting and not stop.requested) or running:
            while waiting and len(running) < slots and not stop.requested:
                seed = waiting.pop(0)
                running[seed] = _Worker(folder, seed, config.threads, watcher)
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
                        failures[seed] = f"seed {seed}: {why}"
                        logger.error("seed {} failed: {}", seed, why)
            time.sleep(0.02)
    finally:
        for worker in running.values():
            worker.kill()
    return failures


class _Worker:
    """A session's process, and the thread that reads what it says."""

    def __init__(self, folder: RunFolder, seed: int, threads: int, watcher: _Watcher) -> None:
        self.seed, self.watcher = seed, watcher
        self.error = ""
        limits = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), str(threads))
        with folder.log.open("a") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "rlkit.training.worker", str(folder.path), str(seed)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env={**os.environ, **limits},
                start_new_session=True,  # Ctrl-C reaches the parent only, which then asks
            )
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            try:
                message = json.loads(line)
            except json.JSONDecodeError:  # an environment that prints
                logger.info("seed {}: {}", self.seed, line.rstrip())
                continue
            if "progress" in message:
                self.watcher.progress(Progress(**message["progress"]))
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
        return self.error or f"{how}; see run.log"

    def ask_to_stop(self) -> None:
        with contextlib.suppress(OSError):
            assert self.process.stdin is not None
            self.process.stdin.close()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        self._close()

    def _close(self) -> None:
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()


def _set_status(folder: RunFolder, status: str) -> None:
    write_json(folder.run, {**read_json(folder.run), "status": status})


def _failure_text(failures: dict[int, str], folder: RunFolder, config: RunConfig) -> str:
    kept = config.seeds - len(failures)
    return "\n  ".join(
        [
            f"{len(failures)} of {config.seeds} seeds failed; the results of {kept} are kept in {folder.path}",
            *list(failures.values())[:5],
            f"after mending the cause: rlkit resume {folder.path}",
        ]
    )
