"""After a search: validate its best on fresh seeds, adopt them, or train any trial again."""

from __future__ import annotations

import dataclasses
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from loguru import logger

from rlkit.config.schema import compose, to_yaml
from rlkit.config.search import VALIDATION_SEED, SearchConfig, TrialConfig
from rlkit.errors import ConfigError, RlkitError, RunFolderError
from rlkit.results.stats import interval_text
from rlkit.runs.folder import RunFolder, read_json, write_json, write_text
from rlkit.search import failures, identity
from rlkit.search import study as record
from rlkit.search.display import number
from rlkit.search.failures import count
from rlkit.search.finished import VALIDATION, Finished, parts, write_new
from rlkit.search.job import measured
from rlkit.search.narrow import narrow as narrow
from rlkit.search.study import SweepFolder
from rlkit.training.train import ended, train

if TYPE_CHECKING:
    pass

ADOPTED = r"(algo|net|critic_net|memory|env)\..+|num_envs|frames"
"""Keys of what tuned values may be: the experiment, not how it is run, scored or kept."""
UNTUNED = ("gym", "atari")


def retrain(path: str | Path, *, trial: int, seeds: int | None) -> RunFolder:
    """Train a trial's configuration again in a new run folder, on its seeds or on a given number of them."""
    search = SweepFolder.open(path)
    run = search.run(trial)
    if not run.config.exists():
        raise ConfigError(f"{path} has no trial {trial}\n  it has {_range(search)}")
    study = search.study()
    with record.understood(path):
        trials = study.get_trials(deepcopy=False)
        if trial < len(trials) and record.OVERRIDES in trials[trial].user_attrs:
            identity.verified(search, study, trials[trial])
        frames = trials[trial].params.get("frames") if trial < len(trials) else None
        frames = frames or study.user_attrs.get(record.SEARCH, {}).get("frames")
    config = dataclasses.replace(compose(base=run.config), search=SearchConfig(), trial=TrialConfig())
    config = dataclasses.replace(config, seeds=seeds or config.seeds, frames=frames or config.frames)
    from rlkit.training.trial import create

    folder = create(config, [f"retrained: {path} trial {trial}"])
    ended(train(config, folder), folder)
    return folder


def _range(search: SweepFolder) -> str:
    found = sorted(p.name for p in search.path.glob("trial_*"))
    return f"{found[0]} to {found[-1]}" if found else "none"


@dataclass(frozen=True)
class Validated:
    """A trial, its score in the search, and its score on fresh seeds."""

    trial: int
    searched: float
    mean: float
    ci95: tuple[float, float] | None
    ci95_kind: str | None
    per_seed: list[float]

    @property
    def gap(self) -> float:
        """By how much the search's score exceeds that on fresh seeds."""
        return self.searched - self.mean


def validate(path: str | Path, *, top: int, seeds: int) -> list[Validated]:
    """Train the best trials again on seeds that no search has seen; what is there already is not repeated.

    Returns:
        The trials, best on the fresh seeds first. They are written to `validation.json` too.
    """
    search = Finished.open(path)
    ((metric, direction),) = search.about["objectives"].items()
    results = []
    for trial in search.trials[:top]:
        config = dataclasses.replace(search.config(trial), seed=VALIDATION_SEED, seeds=seeds)
        folder = RunFolder(search.folder.path / "validation" / f"trial_{trial.number:04d}")
        overrides = trial.user_attrs.get(record.OVERRIDES, [])
        identity.claim(search.folder, search.study, folder, trial.number, overrides)
        write_text(folder.config, to_yaml(config))
        before: dict[str, Any] = {"status": "", "seeds": []}
        result = read_json(folder.result) if folder.result.exists() else before
        if result["status"] != "complete" or len(result["seeds"]) < seeds:
            try:
                result = train(config, folder)
            except RlkitError as error:  # on these seeds it fails, which is worth knowing; the others are still to come
                if failures.of_place(error):
                    raise
                logger.warning("trial {} is left out: {}", trial.number, error)
                continue
        if result["status"] == "stopped":
            raise KeyboardInterrupt(
                f"stopped and saved; continue with: rlkit validate {path} --top {top} --seeds {seeds}"
            )
        found = result.get(metric)
        final = found if isinstance(found, dict) else {}
        interval = tuple(final["ci95"]) if final.get("ci95") else None
        mean = measured(result, metric)
        results.append(
            Validated(
                trial.number, trial.values[0], mean, interval, final.get("ci95_kind"), final.get("per_seed") or []
            )
        )
    if not results:
        raise RunFolderError(f"{path}: none of the best {top} trials reaches the end on fresh seeds")
    high = direction == "maximize"
    results.sort(key=lambda v: v.mean, reverse=high)
    rows = [{**dataclasses.asdict(v), "gap": v.gap} for v in results]
    study = search.study.user_attrs.get(record.ID)
    noted = {"study": study, "seeds": seeds, "first_seed": VALIDATION_SEED, "trials": rows}
    write_json(search.folder.path / VALIDATION, noted)
    return results


def adopt(path: str | Path, *, trial: int | None, conf: Path) -> Path:
    """Write the best trial's values to `tuned/<algo>_<env>.yaml`: of those validated, else of the search.

    Raises:
        ConfigError: the search chose among nets or memories, which a tuned file cannot.
        SearchError: the folder of the trial is gone, or holds another trial.
    """
    search = Finished.open(path)
    validated = search.validated()
    chosen = trial if trial is not None else next(iter(validated), search.trials[0].number)
    best = search.trial(chosen)
    choices = search.about["choices"]
    if choices["env"] in UNTUNED:
        raise ConfigError(
            f"env={choices['env']} is any environment: tuned values for it would be used for all others too\n"
            "  write an env file of your own that names it, in conf/env, and search with that"
        )
    trained = yaml.safe_load(to_yaml(search.config(best)))
    values: dict[str, Any] = {}
    entries = [parts(o) for o in [*search.about["fixed"], *(f"{key}={value}" for key, value in best.params.items())]]
    for key, value in entries:
        if key in ("net", "memory", "net@critic_net"):
            raise ConfigError(
                f"{key}={value}: a tuned file sets values and cannot choose a {key}\n"
                f"  write an algo file of your own with 'override /{key}: {value}', and search with that"
            )
        if key == "legacy":
            raise ConfigError(
                f"+{key}={value}: a converted spec is a complete configuration, which tuned values do not reach\n"
                f"  write these into it: {' '.join(f'{k}={v}' for k, v in best.params.items())}"
            )
        if not re.fullmatch(ADOPTED, key):
            continue
        *groups, last = key.split(".")
        node, found = values, trained
        for group in groups:
            node, found = node.setdefault(group, {}), found[group]
        node[last] = found[last]  # as it was trained with, whatever was typed
    values.setdefault("frames", search.frames(best))
    ran = best.user_attrs.get(record.FRAMES, values["frames"])
    score = f"{number(best.values[0])} in the search"
    if chosen in validated:
        row = validated[chosen]
        interval = interval_text(row)
        score += f"; {row['mean']:.1f} over {len(row['per_seed'])} fresh seeds" + (f", {interval}" if interval else "")
    head = (
        "# @package _global_\n"
        f"# Source: trial {chosen} of the search {search.folder.path.name} "
        f"({count(len(search.trials), 'complete trial')}), {time.strftime('%Y-%m-%d')}.\n"
        f"# Score: {score}, at {ran:,} frames.\n"
    )
    file = conf / "tuned" / f"{choices['algo']}_{choices['env']}.yaml"
    write_new(file, head + yaml.safe_dump(values, sort_keys=False, width=120))
    compose([f"algo={choices['algo']}", f"env={choices['env']}"])  # what was just written has to be accepted
    return file
