"""After a search: narrow it, validate its best on fresh seeds, adopt them, or train any trial again."""

from __future__ import annotations

import dataclasses
import json
import math
import re
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from loguru import logger
from optuna.distributions import CategoricalDistribution, IntDistribution, json_to_distribution
from optuna.trial import FrozenTrial, TrialState

from rlkit.config.schema import compose, to_yaml
from rlkit.config.search import VALIDATION_SEED, SearchConfig, TrialConfig
from rlkit.errors import ConfigError, RlkitError, RunFolderError
from rlkit.results.folder import RunFolder, read_json, write_json, write_text, writing
from rlkit.search import study as record
from rlkit.search.job import measured
from rlkit.search.study import SweepFolder
from rlkit.search.table import best_first, number, state
from rlkit.training.trial import run_trial

if TYPE_CHECKING:
    from rlkit.config.run import RunConfig

CLEAR = 0.8
"""A choice that so large a share of the best trials made has won."""
VALIDATION = "validation.json"
ADOPTED = r"(algo|net|critic_net|memory|env)\..+|num_envs|frames"
"""Keys of what tuned values may be: the experiment, not how it is run, scored or kept."""
UNTUNED = ("gym", "atari")


@dataclass(frozen=True)
class Finished:
    """A search to work on."""

    folder: SweepFolder
    about: dict[str, Any]
    trials: list[FrozenTrial]
    """Complete ones, best first."""

    @classmethod
    def open(cls, path: str | Path) -> Finished:
        """Read it.

        Raises:
            RunFolderError: there is no search there, or none of its trials is complete.
            ConfigError: it has several objectives, so that no trial is the best.
        """
        folder = SweepFolder.open(path)
        study = folder.study()
        about = study.user_attrs.get(record.SEARCH)
        if about is None:
            raise RunFolderError(f"{path} is a study, but of no search of rlkit's")
        if len(about["objectives"]) > 1:
            raise ConfigError(
                f"{path} has several objectives: no trial is the best\n  choose one: rlkit retrain {path} --trial N"
            )
        complete = [
            t for t in study.get_trials() if t.state is TrialState.COMPLETE and state(t) != "diverged" and t.values
        ]
        if not complete:
            raise RunFolderError(f"{path}: no trial is complete yet")
        return cls(folder, about, best_first(complete, next(iter(about["objectives"].values()))))

    def trial(self, number: int) -> FrozenTrial:
        """A complete trial by its number.

        Raises:
            ConfigError: there is none.
        """
        for trial in self.trials:
            if trial.number == number:
                return trial
        known = ", ".join(str(t.number) for t in self.trials[:10])
        raise ConfigError(f"trial {number} is not complete\n  the best that are: {known}")

    def config(self, trial: FrozenTrial) -> RunConfig:
        """What a trial trained, outside of any search."""
        config = compose(base=self.folder.run(trial.number).config)
        return dataclasses.replace(config, search=SearchConfig(), trial=TrialConfig())


def narrow(path: str | Path, *, top: int, shrink: float, name: str | None, conf: Path) -> tuple[Path, list[str]]:
    """Write a preset that searches around the best trials.

    An interval becomes `shrink` times as wide (in its own scale), or as wide as the best trials lie apart where that is
    more, around their middle and within the old bounds. Of a choice the values of the best trials stay; one that at
    least four in five of them have is fixed.

    Args:
        path: of the search.
        top: how many trials are the best.
        shrink: in (0, 1].
        name: of the new preset; by default that of the search's folder with `_narrow`.
        conf: the folder of YAML groups to write to.

    Returns:
        The file, and a line for each parameter.
    """
    search = Finished.open(path)
    best = search.trials[:top]
    label = name or re.sub(r"\W+", "_", search.folder.path.name) + "_narrow"
    params, told = {}, []
    for key, stored in search.about["space"].items():
        values = [t.params[key] for t in best if key in t.params]
        distribution = json_to_distribution(json.dumps(stored))
        entry = _narrowed(distribution, values, shrink) if values else None
        if entry is not None:
            params[key] = entry
            told.append(f"{key}: {_written(distribution)} -> {entry}")
    if not any(
        isinstance(entry, str) and re.match(r"(choice|range|interval|tag)\(", entry) for entry in params.values()
    ):
        raise ConfigError(
            f"{path}: the best {len(best)} trials agree on everything\n  rlkit adopt {path}, or a larger --top"
        )
    preset = {
        "defaults": [
            "/schema/search/search@search",
            {"override /hydra/sweeper": "rlkit"},
            {"override /hydra/sweeper/sampler": "tpe"},
            {"override /hydra/launcher": "local"},
            "_self_",
        ],
        "search": _same_search(label, search.about),
        "hydra": {
            "sweep": {"dir": "${oc.env:RLKIT_RUNS,runs}/search/${first:${name},${search.name}}"},
            "sweeper": {"params": params},
        },
    }
    head = (
        "# @package _global_\n"
        f"# Around the {len(best)} best of {len(search.trials)} complete trials of {search.folder.path.name}.\n"
    )
    file = conf / "search" / f"{label}.yaml"
    _write_new(file, head + yaml.safe_dump(preset, sort_keys=False, width=120))
    choices = search.about["choices"]
    same = [f"{key}={choices[key]}" for key in ("algo", "env")]
    same += [o for o in search.about["fixed"] if _parts(o)[0] not in ("algo", "env", "search")]
    told.append(f"run it: rlkit -m search={label} {' '.join(same)}")
    return file, told


def _same_search(label: str, about: dict[str, Any]) -> dict[str, Any]:
    """What the first search was judged by, and how."""
    ((metric, direction),) = about["objectives"].items()
    same = {"metric": metric, "direction": direction, "seeds": about.get("seeds", 1)}
    return {"name": label, "pruner": about.get("pruner", "asha"), **same}


def _narrowed(distribution: Any, values: Sequence[Any], shrink: float) -> Any:
    if isinstance(distribution, CategoricalDistribution):
        counts = Counter(values)
        commonest, times = counts.most_common(1)[0]
        if times >= CLEAR * len(values):
            return commonest
        kept = [choice for choice in distribution.choices if choice in counts]
        return f"choice({','.join(_word(choice) for choice in kept)})"
    log = distribution.log
    forward, back = (math.log, math.exp) if log else (float, float)
    low, high = forward(distribution.low), forward(distribution.high)
    lowest, highest = min(map(forward, values)), max(map(forward, values))
    width = max(shrink * (high - low), highest - lowest)
    middle = min(max((lowest + highest) / 2, low + width / 2), high - width / 2)
    ends = [back(middle - width / 2), back(middle + width / 2)]
    if isinstance(distribution, IntDistribution):
        a, b = max(distribution.low, math.floor(ends[0])), min(distribution.high, math.ceil(ends[1]))
        if distribution.step > 1:
            a = distribution.low + (a - distribution.low) // distribution.step * distribution.step
            return f"range({a},{b + 1},{distribution.step})"
        ends_text = f"{a},{b}"
        return a if a == b else f"tag(log,interval({ends_text}))" if log else f"interval({ends_text})"
    a, b = (max(distribution.low, min(distribution.high, float(f"{end:.4g}"))) for end in ends)
    if distribution.step:
        a = distribution.low + math.floor((a - distribution.low) / distribution.step) * distribution.step
        return f"range({a:.10g},{b + distribution.step / 2:.10g},{distribution.step:.10g})"
    return f"tag(log,interval({a},{b}))" if log else f"interval({a},{b})"


def _written(distribution: Any) -> str:
    """A distribution in Hydra's words."""
    if isinstance(distribution, CategoricalDistribution):
        return f"choice({','.join(_word(choice) for choice in distribution.choices)})"
    if distribution.step and not (isinstance(distribution, IntDistribution) and distribution.step == 1):
        return f"range({distribution.low},{distribution.high},{distribution.step})"
    text = f"interval({number(distribution.low)},{number(distribution.high)})"
    return f"tag(log,{text})" if distribution.log else text


def _word(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else "null" if value is None else str(value)


def retrain(path: str | Path, *, trial: int, seeds: int | None) -> RunFolder:
    """Train a trial's configuration again in a run folder of its own, on its seeds or on so many from its first on."""
    search = SweepFolder.open(path)
    run = search.run(trial)
    if not run.config.exists():
        raise ConfigError(f"{path} has no trial {trial}\n  it has {_range(search)}")
    config = dataclasses.replace(compose(base=run.config), search=SearchConfig(), trial=TrialConfig())
    config = dataclasses.replace(config, seeds=seeds or config.seeds)
    from rlkit.cli.app import train_and_show
    from rlkit.training.trial import create

    folder = create(config, [f"retrained: {path} trial {trial}"])
    train_and_show(config, folder, time.perf_counter())
    return folder


def _range(search: SweepFolder) -> str:
    found = sorted(p.name for p in search.path.glob("trial_*"))
    return f"{found[0]} to {found[-1]}" if found else "none"


@dataclass(frozen=True)
class Validated:
    """A trial, what the search thought of it, and what fresh seeds say."""

    trial: int
    searched: float
    mean: float
    ci95: tuple[float, float] | None
    per_seed: list[float]

    @property
    def gap(self) -> float:
        """How much better the search saw it than it is."""
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
        with writing(folder.path):
            folder.path.mkdir(parents=True, exist_ok=True)
        write_text(folder.config, to_yaml(config))
        before: dict[str, Any] = {"status": "", "seeds": []}
        result = read_json(folder.result) if folder.result.exists() else before
        if result["status"] != "complete" or len(result["seeds"]) < seeds:
            try:
                result = run_trial(config, folder, started=time.perf_counter())
            except RlkitError as error:  # on these seeds it fails, which is worth knowing; the others are still to come
                logger.warning("trial {} is left out: {}", trial.number, error)
                continue
        if result["status"] == "stopped":
            raise KeyboardInterrupt(f"stopped and saved; go on with: rlkit validate {path} --top {top} --seeds {seeds}")
        found = result.get(metric)
        final = found if isinstance(found, dict) else {}
        interval = tuple(final["ci95"]) if final.get("ci95") else None
        mean = measured(result, metric)
        results.append(Validated(trial.number, trial.values[0], mean, interval, final.get("per_seed") or []))
    if not results:
        raise RunFolderError(f"{path}: none of the best {top} trials reaches the end on fresh seeds")
    high = direction == "maximize"
    results.sort(key=lambda v: v.mean, reverse=high)
    rows = [{**dataclasses.asdict(v), "gap": v.gap} for v in results]
    write_json(search.folder.path / VALIDATION, {"seeds": seeds, "first_seed": VALIDATION_SEED, "trials": rows})
    return results


def adopt(path: str | Path, *, trial: int | None, conf: Path) -> Path:
    """Write the best trial's values to `tuned/<algo>_<env>.yaml`: of those validated, else of the search.

    Raises:
        ConfigError: the search chose among nets or memories, which a tuned file cannot.
    """
    search = Finished.open(path)
    checked = search.folder.path / VALIDATION
    validated = {row["trial"]: row for row in read_json(checked)["trials"]} if checked.exists() else {}
    chosen = trial if trial is not None else next(iter(validated), search.trials[0].number)
    best = search.trial(chosen)
    choices = search.about["choices"]
    if choices["env"] in UNTUNED:
        raise ConfigError(
            f"env={choices['env']} is any environment: tuned values for it would be used for all others too\n"
            "  write an env file of your own that names it, in conf/env, and search with that"
        )
    trained = yaml.safe_load(search.folder.run(chosen).config.read_text(encoding="utf-8"))
    values: dict[str, Any] = {}
    entries = [*(_parts(o) for o in search.about["fixed"]), *((key, str(value)) for key, value in best.params.items())]
    for key, value in entries:
        if key in ("net", "memory", "net@critic_net"):
            raise ConfigError(
                f"{key}={value}: a tuned file sets values and cannot choose a {key}\n"
                f"  write an algo file of your own with 'override /{key}: {value}', and search with that"
            )
        if key == "legacy":
            raise ConfigError(
                f"+{key}={value}: a converted spec is a configuration of its own, which tuned values do not reach\n"
                f"  write these into it: {' '.join(f'{k}={v}' for k, v in best.params.items())}"
            )
        if not re.fullmatch(ADOPTED, key):
            continue
        *groups, last = key.split(".")
        node, found = values, trained
        for group in groups:
            node, found = node.setdefault(group, {}), found[group]
        node[last] = found[last]  # as it was trained with, whatever was typed
    values.setdefault("frames", search.about["frames"])
    score = f"{number(best.values[0])} in the search"
    if chosen in validated:
        row = validated[chosen]
        interval = f", 95 % interval {row['ci95'][0]:.1f} to {row['ci95'][1]:.1f}" if row["ci95"] else ""
        score += f"; {row['mean']:.1f} over {len(row['per_seed'])} fresh seeds{interval}"
    head = (
        "# @package _global_\n"
        f"# Source: trial {chosen} of the search {search.folder.path.name} ({len(search.trials)} complete trials), "
        f"{time.strftime('%Y-%m-%d')}.\n"
        f"# Score: {score}, at {values['frames']:,} frames.\n"
    )
    file = conf / "tuned" / f"{choices['algo']}_{choices['env']}.yaml"
    _write_new(file, head + yaml.safe_dump(values, sort_keys=False, width=120))
    compose([f"algo={choices['algo']}", f"env={choices['env']}"])  # what was just written has to be accepted
    return file


def _parts(override: str) -> tuple[str, str]:
    key, _, value = override.partition("=")
    return key.lstrip("+"), value


def _write_new(file: Path, text: str) -> None:
    """Write a file; one that says something else is kept beside it as `.bak`."""
    with writing(file):
        file.parent.mkdir(parents=True, exist_ok=True)
        if file.exists() and file.read_text() != text:
            file.replace(file.with_suffix(".yaml.bak"))
    write_text(file, text)
