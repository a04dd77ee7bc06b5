"""The command `rlkit`: a verb, or Hydra overrides that describe a run. Imports nothing heavy before it must."""

from __future__ import annotations

import difflib
import itertools
import os
import re
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rlkit.errors import ConfigError, RlkitError
from rlkit.redaction import redact, refuse_secrets

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from rlkit.config.run import RunConfig
    from rlkit.results.folder import RunFolder

STARTED = time.perf_counter()
JOBS = itertools.count()
DONE, FAULT, WRONG_INPUT, INTERRUPTED = 0, 1, 2, 130
"""The exit statuses."""


def main() -> None:
    """The console script; ends the process with one of the exit statuses."""
    # as `python -m` does, so that env.id=my_module:MyEnv-v0 is found, here and in the processes of a search
    sys.path.insert(0, str(Path.cwd()))
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(Path.cwd()), os.environ.get("PYTHONPATH")]))
    try:
        status = dispatch(sys.argv[1:])
    except RlkitError as error:
        _say(f"rlkit: {error}")
        status = WRONG_INPUT
    except KeyboardInterrupt as interrupt:
        _say(f"rlkit: {str(interrupt) or 'interrupted; the checkpoints written so far are valid'}")
        status = INTERRUPTED
    except BrokenPipeError:  # the reader of our output has gone
        sys.stderr.close()
        status = DONE
    except Exception as error:
        _say(f"rlkit: an error in rlkit itself: {type(error).__name__}: {error}\n  traceback: {_keep_traceback()}")
        status = FAULT
    sys.exit(status)


def dispatch(arguments: Sequence[str]) -> int:
    """Do what the arguments ask for; returns the exit status."""
    from rlkit.cli import verbs

    refuse_secrets(arguments)
    first = arguments[0] if arguments else ""
    if first in ("-h", "--help", "help"):
        from rlkit.cli.help import text

        print(text())
        return DONE
    if first == "--version":
        from importlib.metadata import version

        print(f"rlkit {version('rlkit')}")
        return DONE
    if first in verbs.VERBS:
        return verbs.run(first, arguments[1:])
    if first and first.replace("-", "").replace("_", "").isalnum() and not first.startswith("-"):
        near = difflib.get_close_matches(first, verbs.VERBS, n=1)
        hint = f"\n  did you mean rlkit {near[0]}?" if near else ""
        raise RlkitError(
            f"unknown command {first!r}{hint}\n  commands: {', '.join(verbs.VERBS)}; or key=value overrides"
        )
    return _hydra(arguments)


def _hydra(arguments: Sequence[str]) -> int:
    os.environ["HYDRA_FULL_ERROR"] = "1"  # so that errors reach us instead of being printed by Hydra
    import hydra
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    from rlkit.config import complaints, schema
    from rlkit.results.folder import runs_root, writing

    schema.register()
    sys.argv[1:] = schema.opened(arguments)
    failures: list[Exception] = []

    def job(cfg: DictConfig) -> float | None:
        try:
            return train_job(cfg)
        except Exception as error:  # Hydra would report the error of a single run its own way
            target = HydraConfig.get().sweeper._target_ if HydraConfig.get().mode is RunMode.MULTIRUN else None
            if target is None or not target.startswith("hydra_plugins.rlkit_"):  # rlkit's sweepers hear of it and tell
                failures.append(error)
            if target is None:
                return None
            raise

    try:
        # What jobs raise has been dealt with: errors of the system that come out here are of the folders Hydra makes.
        with writing(runs_root()), complaints.short(schema.config_folders(_config_dir(arguments))):
            hydra.main(config_path=str(schema.conf_dir()), config_name="config")(job)()
    except ValueError as error:
        if not re.match(r"(Only one of|The) --", str(error)):
            raise
        raise ConfigError(
            f"{error}\n  --cfg shows the configuration of one run: leave out -m, and give each key one value"
        ) from error
    for failure in failures[:-1]:
        _say(f"rlkit: {failure}")
    if failures:
        raise failures[-1]
    return DONE


def train_job(cfg: DictConfig) -> float | None:
    """One job of Hydra: a trial in a new run folder. Returns the score, which a sweeper reads."""
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    from rlkit.config.schema import to_config

    if cfg.trial.storage is not None:
        from rlkit.search import job

        job.run(cfg, time.perf_counter())
        return None
    config = to_config(cfg)
    hydra = HydraConfig.get()
    if config.search.name != "none" and hydra.mode is RunMode.RUN:
        raise ConfigError(
            f"search={config.search.name} is a search of many trials\n  add -m: rlkit -m {' '.join(sys.argv[1:])}"
        )
    from rlkit.results.console import log_to_stderr
    from rlkit.training.door import check
    from rlkit.training.trial import create

    started = time.perf_counter() if next(JOBS) else STARTED  # a sweep's later jobs start later
    log_to_stderr()
    check(config)
    overrides = list(hydra.overrides.task)
    if hydra.mode is RunMode.MULTIRUN:
        from rlkit.training.jobs import run_of_job

        folder = run_of_job(Path(hydra.sweep.dir), int(hydra.job.num), lambda: create(config, overrides))
    else:
        folder = create(config, overrides)
    return train_and_show(config, folder, started)


def train_and_show(config: RunConfig, folder: RunFolder, started: float) -> float | None:
    """Train a trial, print its card and draw its plots.

    Raises:
        KeyboardInterrupt: it was stopped; the message says how to go on.
    """
    from rlkit.results.console import show_card
    from rlkit.results.plots import plot_trial
    from rlkit.training.interrupt import make_room
    from rlkit.training.trial import run_trial

    result = run_trial(config, folder, started=started)
    if "final_return" in result:
        show_card(result, folder.path)
    if result["status"] == "stopped":
        make_room()
        raise KeyboardInterrupt(f"stopped and saved; go on with: rlkit resume {folder.path}")
    plot_trial(folder, result)
    if config.upload == "auto":
        from rlkit.sharing.hub import upload_after_training

        print(upload_after_training(folder.path))
    score: float | None = result["final_return"]["mean"]
    return score


def _config_dir(arguments: Sequence[str]) -> str | None:
    """The folder given by --config-dir or -cd, to name faulty files in it."""
    for i, word in enumerate(arguments):
        flag, _, value = word.partition("=")
        if flag in ("--config-dir", "-cd"):
            return value or (arguments[i + 1] if i + 1 < len(arguments) else None)
    return None


def _keep_traceback() -> Path:
    path = Path(tempfile.gettempdir()) / f"rlkit-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}.log"
    path.write_text(redact(traceback.format_exc()))
    return path


def _say(text: str) -> None:
    print(redact(text), file=sys.stderr)
