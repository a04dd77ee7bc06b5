"""From what Hydra hands to a sweeper to a search, its files and its closing card."""

from __future__ import annotations

import copy
import dataclasses
import os
import random
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import optuna
from hydra.utils import instantiate
from hydra_plugins.hydra_submitit_launcher.submitit_launcher import LocalLauncher, SlurmLauncher
from omegaconf import OmegaConf, open_dict
from optuna.trial import TrialState

from rlkit.config import complaints
from rlkit.config.schema import config_folders, to_config
from rlkit.cores import available_cores
from rlkit.display.logs import log_to_stderr
from rlkit.errors import ConfigError
from rlkit.search import failures, report
from rlkit.search import space as spaces
from rlkit.search import study as record
from rlkit.search.display import state
from rlkit.search.driver import MENDED, Driver, last_failure
from rlkit.search.failures import SearchError, SearchFaultError, count
from rlkit.search.identity import describe
from rlkit.search.launch import Starter, executor_of, threads_for, visible_gpus
from rlkit.search.study import SweepFolder

if TYPE_CHECKING:
    from hydra.plugins.launcher import Launcher
    from hydra.types import HydraContext
    from omegaconf import DictConfig
    from optuna import Study

    from rlkit.config.run import RunConfig
    from rlkit.search.space import Space

SAMPLERS = ("optuna.samplers.*", "hydra_plugins.hydra_optuna_sweeper.*", "rlkit.search.cmaes.*")
REBUILT = {"optuna.samplers.CmaEsSampler": "rlkit.search.cmaes.RebuiltCmaEsSampler"}
"""Samplers that would unpickle what a study holds, and those that take their place."""
ACCEPTED = ("tpe", "random", "cmaes", "gp", "qmc", "nsgaii", "nsgaiii", "grid")
DRAWS = 16
"""Points of the space at which a value has to be refused before it counts as wrong."""
CLUSTER_JOBS = 4
CHOSEN = ("algo", "env", "net", "critic_net", "memory", "tuned")


def sweep(
    master: DictConfig,
    context: HydraContext,
    launcher: Launcher,
    sampler: DictConfig,
    storage: str | None,
    entries: Sequence[str],
) -> Any:
    """Run a search to its total.

    Args:
        master: Hydra's configuration of the whole sweep.
        context: Hydra's, which composes the configuration of a job.
        launcher: that starts jobs.
        sampler: the node of Optuna's sampler.
        storage: URL of the study; None: a journal in the folder of the search.
        entries: the space and the overrides of the command line, later ones weigh more.

    Raises:
        ConfigError: the space is wrong, or does not compose; nothing has been started.
    """
    log_to_stderr()
    space = spaces.read(entries)
    plain = composed(master, context, space.fixed)
    space = space.typed(lambda key: _value_at(plain, key))
    config = composed(master, context, space.overrides(space.sample()))
    if sampler._target_.endswith("GridSampler"):
        space.grid()
    check_values(space, checker(master, context, space))
    from rlkit.training.checks import check

    on_cluster = isinstance(launcher, SlurmLauncher)
    if isinstance(launcher, SlurmLauncher):
        executor_of(launcher)  # whether there is a SLURM
    check(dataclasses.replace(config, device="cpu") if on_cluster else config)  # its GPUs are not this machine's
    folder = SweepFolder(Path(str(master.hydra.sweep.dir)).absolute())
    url = None if storage is None else record.absolute(storage)
    if url is not None:
        record.open_storage(url)
    name = folder.place()[1] if (folder.path / record.SWEEP).exists() else folder.path.name
    drawn = make_sampler(sampler, url or record.storage_of(folder.path), name)
    folder.make(url, name)
    choices = OmegaConf.to_container(master.hydra.runtime.choices)
    assert isinstance(choices, dict)
    about = {
        **describe(
            space,
            {key: str(choices.get(f"net@{key}" if key == "critic_net" else key)) for key in CHOSEN},
            config.search,
        ),
        "frames": config.frames,
        "pruner": config.search.pruner,
        "preset": config.search.name,
    }
    starter = Starter(launcher, slots(config, launcher), share_gpus(config, launcher))
    driver = Driver(config=config, space=space, folder=folder, sampler=drawn, starter=starter, about=about)
    if not starter.alone:
        os.environ.update(threads_for(config.threads))
    study = driver.run()
    results = report.save_results(folder, study)
    report.plot(folder, study)
    report.show(folder, study, int(config.frames))
    refuse_empty(folder, study)
    return results.get("best_value", results.get("solutions"))


def check_values(space: Space, check: Callable[[dict[str, Any]], object]) -> None:
    """Compose a configuration with every value of every list, and with the ends of every interval.

    A value that fits only some of the others is none of the wrong ones: it is tried with several.

    Args:
        space: what is searched.
        check: raises a `ConfigError` for a point of the space that is not accepted.

    Raises:
        ConfigError: a value is accepted with no others.
    """
    middle, rng = space.sample(), random.Random(0)
    for key, distribution in space.distributions.items():
        for value in spaces.ends(distribution):
            try:
                check({**middle, key: value})
            except ConfigError as error:
                if any(_accepted(check, {**space.draw(rng), key: value}) for _ in range(DRAWS)):
                    continue
                said = str(error)
                raise ConfigError(said if key.lstrip("+") in said else f"{key}={value}: {said}") from error


def _accepted(check: Callable[[dict[str, Any]], object], point: dict[str, Any]) -> bool:
    try:
        check(point)
    except ConfigError:
        return False
    return True


def checker(master: DictConfig, context: HydraContext, space: Space) -> Callable[[dict[str, Any]], RunConfig]:
    """What checks points of a space; only points with other choices of groups than the first are composed again."""
    middle = space.sample()
    with complaints.short(config_folders()):
        job = _job(master, context, space.overrides(middle))

    def check(point: dict[str, Any]) -> RunConfig:
        changed = {key: value for key, value in point.items() if value != middle[key]}
        if not all("." in key or key in spaces.VALUES for key in changed):
            return composed(master, context, space.overrides(point))
        with complaints.short(config_folders()):
            cfg = copy.deepcopy(job)
            for key, value in changed.items():
                parsed = spaces.parsed(f"{key}={value}")
                OmegaConf.update(cfg, parsed.key_or_group, parsed.value(), force_add=key.startswith("+"))
            return to_config(cfg)

    return check


def refuse_empty(folder: SweepFolder, study: Study) -> None:
    """Say that a search has found nothing: every trial failed or diverged.

    Raises:
        SearchError: by what the user can mend.
        SearchFaultError: by a fault of rlkit's too.
    """
    over = [t for t in study.get_trials(deepcopy=False) if t.state in record.OVER]
    failed = [t for t in over if t.state is TrialState.FAIL or state(t) == "diverged"]
    if not over or len(failed) < len(over):
        return
    said = f"all {count(len(over), 'trial')} failed; {last_failure(folder, failed)}\n  {MENDED}"
    if any(t.user_attrs.get(record.FAULT) for t in failed):
        raise SearchFaultError(said)
    raise SearchError(said)


def composed(master: DictConfig, context: HydraContext, overrides: Sequence[str]) -> RunConfig:
    """The configuration of a trial with these overrides.

    Raises:
        ConfigError: a key or value is not accepted.
    """
    with complaints.short(config_folders()):
        return to_config(_job(master, context, overrides))


def _job(master: DictConfig, context: HydraContext, overrides: Sequence[str]) -> DictConfig:
    job: DictConfig = context.config_loader.load_sweep_config(master, list(overrides))
    with open_dict(job):
        del job["hydra"]
    return job


def _value_at(config: Any, key: str) -> Any:
    """The value of a dotted key, None where there is none."""
    for word in key.lstrip("+").split("."):
        config = config.get(word) if isinstance(config, dict) else getattr(config, word, None)
    return config


def make_sampler(node: DictConfig, url: str, name: str = record.STUDY) -> Any:
    """Optuna's sampler, seeded.

    A study that continues gets a new seed, or the first points would be proposed again. Not the grid's and QMC's: they
    note in the study how far they are along an order that the seed gives.

    Args:
        node: `hydra.sweeper.sampler`.
        url: of the storage.
        name: of the study in it, which may be still to be made.

    Raises:
        ConfigError: there is no such sampler.
    """
    settings = OmegaConf.to_container(node, resolve=True)
    assert isinstance(settings, dict)
    target = str(settings["_target_"])
    settings["_target_"] = REBUILT.get(target, target)
    settings["seed"] = int(settings.get("seed") or 0)
    if not target.endswith(("GridSampler", "QMCSampler")):
        settings["seed"] += _trials_in(url, name)
    try:
        with warnings.catch_warnings():  # that Optuna may change a sampler concerns us, not the user
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            return instantiate(settings, _execution_whitelist_=SAMPLERS)
    except Exception as error:  # of Hydra, around those of the sampler
        raise ConfigError(
            f"hydra/sweeper/sampler: {target.rpartition('.')[2]} cannot be made: "
            f"{failures.brief(str(error.__cause__ or error))}\n"
            f"  accepted: {', '.join(ACCEPTED)}"
        ) from error


def _trials_in(url: str, name: str) -> int:
    if url.startswith("journal:") and not Path(url.removeprefix("journal:")).exists():
        return 0
    with record.understood(url):
        found = [s for s in optuna.get_all_study_summaries(record.open_storage(url)) if s.study_name == name]
        return found[0].n_trials if found else 0


def slots(config: RunConfig, launcher: Launcher) -> int:
    """Trials at a time."""
    if config.search.jobs is not None:
        return int(config.search.jobs)
    if isinstance(launcher, SlurmLauncher):
        return CLUSTER_JOBS
    return max(1, available_cores() // (int(config.threads) * int(config.search.seeds)))


def share_gpus(config: RunConfig | DictConfig, launcher: Launcher) -> list[list[int]]:
    """What trials on this machine see of its GPUs, by slots: one each, or all to choose cuda:N from.

    A cluster hands out its own.
    """
    if not isinstance(launcher, LocalLauncher) or config.device in ("cpu", "mps"):
        return []
    gpus = visible_gpus()
    if config.device in ("auto", "cuda"):
        return [[gpu] for gpu in gpus]
    return [gpus] if gpus else []
