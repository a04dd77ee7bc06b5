"""The command `rlkit`: a verb, or Hydra overrides that describe a run. Imports nothing heavy before it must."""

from __future__ import annotations

import contextlib
import difflib
import io
import itertools
import os
import re
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rlkit.display.streams import lost_output, make_lenient
from rlkit.errors import ConfigError, RlkitError
from rlkit.redaction import redact, refuse_secrets
from rlkit.runs.writing import reason

if TYPE_CHECKING:
    from omegaconf import DictConfig


STARTED = time.perf_counter()
JOBS = itertools.count()
DONE, FAULT, WRONG_INPUT, INTERRUPTED = 0, 1, 2, 130
"""The exit statuses."""


def main() -> None:
    """The console script; ends the process with one of the exit statuses."""
    make_lenient()
    try:
        _prepare_process()
        status = dispatch(sys.argv[1:])
    except RlkitError as error:
        _say(f"rlkit: {error}")
        status = WRONG_INPUT
    except KeyboardInterrupt as interrupt:
        _say(f"rlkit: {str(interrupt) or 'interrupted; the checkpoints written so far are valid'}")
        status = INTERRUPTED
    except Exception as error:
        status = _fault(error)
    if (lost := lost_output()) is not None:
        _say(f"rlkit: not everything could be printed to standard output: {reason(lost)}")
        status = status or WRONG_INPUT
    sys.exit(status)


def _prepare_process() -> None:
    """Have modules of the working directory found, here and in the processes of a search, and settle RLKIT_RUNS.

    The working directory comes last here, so that a file in it hides no module of Python's or of a package.
    """
    try:
        here = str(Path.cwd())
    except OSError as error:
        raise RlkitError("the working directory does not exist any more\n  change to another one") from error
    sys.path[:] = [*(path for path in sys.path if path not in ("", here)), here]
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [os.environ.get("PYTHONPATH"), here]))
    if "RLKIT_RUNS" in os.environ:
        from rlkit.runs.folder import runs_root

        root = str(runs_root())
        del os.environ["RLKIT_RUNS"]
        if root != "runs":
            os.environ["RLKIT_RUNS"] = root


def _fault(error: Exception) -> int:
    """Print an unexpected error; returns the exit status."""
    what = f"{type(error).__name__}: {error}"
    if hidden := _hidden_modules():
        _say("\n  ".join([f"rlkit: {what}", *hidden, "rename it, or work in another folder"]))
        return WRONG_INPUT
    _say(f"rlkit: an error in rlkit itself: {what}\n  traceback: {_keep_traceback()}")
    return FAULT


def _hidden_modules() -> list[str]:
    """Standard or installed modules that a file of the working directory shadows."""
    from importlib import metadata

    here = Path.cwd()
    packages = {name for name, by in metadata.packages_distributions().items() if "rlkit" not in by}
    found = []
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if "." in name or not isinstance(file, str) or name not in {*sys.stdlib_module_names, *packages}:
            continue
        if Path(file).parent in (here, here / name):
            found.append(f"{file} is taken for the module {name}")
    return found


def dispatch(arguments: Sequence[str]) -> int:
    """Run the command of the arguments; returns the exit status."""
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
    if first.startswith(("-sc", "--shell-completion")):
        from rlkit.cli.completion import offered

        words = offered(os.environ.get("COMP_LINE", ""))
        if words is not None:
            print("\n".join(words))
            return DONE
    if {"--cfg", "-c", "--info", "-i"} & {word.partition("=")[0] for word in arguments}:
        return _shown(arguments)
    return _hydra(arguments)


def _shown(arguments: Sequence[str]) -> int:
    """What Hydra shows of a configuration, without the secrets in it."""
    from rlkit.config import schema

    if {"-m", "--multirun"} & set(arguments):
        raise ConfigError(
            "--cfg and --info show the configuration of one run\n  leave out -m, and give each key one value"
        )
    words = [word for word in arguments if word.startswith("~") or ("=" in word and not word.startswith("-"))]
    schema.check_keys(words, _config_dir(arguments))
    with contextlib.redirect_stdout(io.StringIO()) as shown:
        status = _hydra(arguments)
    print(redact(shown.getvalue()), end="")
    return status


def _hydra(arguments: Sequence[str]) -> int:
    os.environ["HYDRA_FULL_ERROR"] = "1"  # so that errors reach us instead of being printed by Hydra
    import hydra
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    from rlkit.config import complaints, schema
    from rlkit.runs.folder import runs_root, writing

    schema.register()
    sys.argv[1:] = schema.opened(arguments, _config_dir(arguments))
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
        with (
            writing(runs_root()),
            complaints.short(schema.config_folders(_config_dir(arguments)), arguments),
            warnings.catch_warnings(),
        ):
            # Hydra warns of classes that a configuration names. This one is rlkit's own, named in rlkit's own file.
            warnings.filterwarnings("ignore", message=r"[\s\S]*rlkit\.cli\.private\.PrivateJobs")
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
    hydra = HydraConfig.get()
    overrides = given_words(hydra.overrides)
    config = to_config(cfg, overrides)
    if config.search.name != "none" and hydra.mode is RunMode.RUN:
        raise ConfigError(
            f"search={config.search.name} is a search of many trials\n  add -m: rlkit -m {' '.join(sys.argv[1:])}"
        )
    from rlkit.display.logs import log_to_stderr
    from rlkit.training.checks import check
    from rlkit.training.train import ended, train
    from rlkit.training.trial import create

    started = time.perf_counter() if next(JOBS) else STARTED  # a sweep's later jobs start later
    log_to_stderr()
    config = check(config)
    tell_values(hydra.runtime.choices, [source.path for source in hydra.runtime.config_sources])
    if hydra.mode is RunMode.MULTIRUN:
        from rlkit.training.jobs import run_of_job

        folder = run_of_job(Path(hydra.sweep.dir), int(hydra.job.num), lambda: create(config, overrides))
    else:
        folder = create(config, overrides)
    score: float | None = ended(train(config, folder, started=started), folder)["final_return"]["mean"]
    return score


def given_words(overrides: Any) -> list[str]:
    """The overrides of a job as the user wrote them, with `${...}` unresolved."""
    from omegaconf import OmegaConf

    words = OmegaConf.to_container(overrides, resolve=False)
    assert isinstance(words, dict)
    return [str(word) for word in words["task"]]


def tell_values(choices: Mapping[str, Any], folders: Sequence[str]) -> None:
    """Log the file that the hyper-parameters are from: tuned values, or those of the environment's family."""
    from loguru import logger

    for group, about in (("tuned", "tuned values"), ("family", "values of the literature, untried here,")):
        choice = choices.get(group)
        for folder in folders:
            file = Path(folder) / group / f"{choice}.yaml"
            if choice not in (None, "none") and file.is_file():
                here = file.relative_to(Path.cwd()) if file.is_relative_to(Path.cwd()) else file
                logger.info("{} of {}; ~{} drops them", about, here, group)
                return
    recipe = any(choices.get(group) not in (None, "none") for group in ("experiment", "legacy"))
    if not recipe and choices.get("suite") not in (None, "none") and choices.get("algo") != "random":
        logger.info(
            "no values were tried for {} on {}: the defaults of the algorithm", choices.get("algo"), choices.get("env")
        )


def _config_dir(arguments: Sequence[str]) -> str | None:
    """The folder given by --config-dir or -cd, to name faulty files in it."""
    for i, word in enumerate(arguments):
        flag, _, value = word.partition("=")
        if flag in ("--config-dir", "-cd"):
            return value or (arguments[i + 1] if i + 1 < len(arguments) else None)
    return None


def _keep_traceback() -> Path | str:
    path = Path(tempfile.gettempdir()) / f"rlkit-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}.log"
    text = redact(traceback.format_exc())
    try:
        path.write_text(text, encoding="utf-8", errors="backslashreplace")
    except OSError as failed:
        return f"could not be written to {path} ({reason(failed)}):\n{text}"
    return path


def _say(text: str) -> None:
    print(redact(text), file=sys.stderr)
