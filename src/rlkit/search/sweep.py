"""From what Hydra hands to a sweeper to a search, its files and its closing card."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.utils import instantiate
from hydra_plugins.hydra_submitit_launcher.submitit_launcher import LocalLauncher, SlurmLauncher
from omegaconf import OmegaConf, open_dict

from rlkit.config import complaints
from rlkit.config.schema import config_folders, to_config
from rlkit.cores import available_cores
from rlkit.search import report
from rlkit.search import space as spaces
from rlkit.search import study as record
from rlkit.search.driver import Driver, describe, save_results
from rlkit.search.launch import Starter, threads_for, visible_gpus
from rlkit.search.study import SweepFolder

if TYPE_CHECKING:
    from hydra.plugins.launcher import Launcher
    from hydra.types import HydraContext
    from omegaconf import DictConfig

    from rlkit.config.run import RunConfig

SAMPLERS = ("optuna.samplers.*", "hydra_plugins.hydra_optuna_sweeper.*")
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
    space = spaces.read(entries)
    plain = composed(master, context, space.fixed)
    space = space.typed(lambda key: _value_at(plain, key))
    config = composed(master, context, space.overrides(space.sample()))
    from rlkit.training.door import check

    on_cluster = isinstance(launcher, SlurmLauncher)
    check(dataclasses.replace(config, device="cpu") if on_cluster else config)  # its GPUs are not this machine's
    folder = SweepFolder(Path(str(master.hydra.sweep.dir)).absolute())
    url = storage or record.storage_of(folder.path)
    folder.make(storage)
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
    driver = Driver(
        config=config,
        space=space,
        folder=folder,
        storage=url,
        sampler=make_sampler(sampler, url),
        starter=starter,
        about=about,
    )
    if not starter.alone:
        os.environ.update(threads_for(config.threads))
    study = driver.run()
    results = save_results(folder, study)
    report.plot(folder, study)
    report.show(folder, study, int(config.frames))
    return results.get("best_value", results.get("solutions"))


def composed(master: DictConfig, context: HydraContext, overrides: Sequence[str]) -> RunConfig:
    """The configuration of a trial with these overrides.

    Raises:
        ConfigError: a key or value is not accepted.
    """
    with complaints.short(config_folders()):
        job = context.config_loader.load_sweep_config(master, list(overrides))
        with open_dict(job):
            del job["hydra"]
        return to_config(job)


def _value_at(config: Any, key: str) -> Any:
    """The value of a dotted key, None where there is none."""
    for word in key.lstrip("+").split("."):
        config = config.get(word) if isinstance(config, dict) else getattr(config, word, None)
    return config


def make_sampler(node: DictConfig, url: str) -> Any:
    """Optuna's sampler, seeded.

    A study that goes on is seeded anew, or the first points would be proposed again. Not the grid's and QMC's: they
    note in the study how far they are along an order that the seed gives.
    """
    settings = OmegaConf.to_container(node, resolve=True)
    assert isinstance(settings, dict)
    settings["seed"] = int(settings.get("seed") or 0)
    if not settings["_target_"].endswith(("GridSampler", "QMCSampler")):
        settings["seed"] += _trials_in(url)
    return instantiate(settings, _execution_whitelist_=SAMPLERS)


def _trials_in(url: str) -> int:
    import optuna

    if url.startswith("journal:") and not Path(url.removeprefix("journal:")).exists():
        return 0
    store = record.open_storage(url)
    found = [s for s in optuna.get_all_study_summaries(store) if s.study_name == record.STUDY]
    return found[0].n_trials if found else 0


def slots(config: RunConfig, launcher: Launcher) -> int:
    """Trials at a time."""
    if config.search.jobs is not None:
        return int(config.search.jobs)
    if isinstance(launcher, SlurmLauncher):
        return CLUSTER_JOBS
    return max(1, available_cores() // (int(config.threads) * int(config.search.seeds)))


def share_gpus(config: RunConfig, launcher: Launcher) -> list[list[int]]:
    """What trials on this machine see of its GPUs, by slots: one each, or all to choose cuda:N from.

    A cluster hands out its own.
    """
    if not isinstance(launcher, LocalLauncher) or config.device in ("cpu", "mps"):
        return []
    gpus = visible_gpus()
    if config.device in ("auto", "cuda"):
        return [[gpu] for gpu in gpus]
    return [gpus] if gpus else []
