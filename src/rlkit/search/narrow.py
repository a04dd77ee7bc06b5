"""`rlkit narrow`: from a search to a preset that searches around its best trials."""

from __future__ import annotations

import json
import math
import re
import shlex
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from optuna.distributions import CategoricalDistribution, IntDistribution, json_to_distribution

from rlkit.config.schema import conf_dir
from rlkit.errors import ConfigError
from rlkit.search.failures import count
from rlkit.search.finished import Finished, parts, write_new
from rlkit.search.space import listed, parsed, written

if TYPE_CHECKING:
    pass

CLEAR = 0.8
"""A choice that so large a share of the best trials made has won."""


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

    Raises:
        ConfigError: the best trials agree on everything, or the name is none of a preset.
    """
    if name is not None:
        _check_name(name)
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
            told.append(f"{key}: {written(distribution)} -> {entry}")
    if not any(parsed(f"{key}={entry}").is_sweep_override() for key, entry in params.items()):
        agree = f"the best {len(best)} trials agree" if len(best) > 1 else "one trial agrees"
        raise ConfigError(f"{path}: {agree} on everything\n  rlkit adopt {path}, or a larger --top")
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
        f"# Around the {len(best)} best of {count(len(search.trials), 'complete trial')} "
        f"of {search.folder.path.name}.\n"
    )
    file = conf / "search" / f"{label}.yaml"
    write_new(file, head + yaml.safe_dump(preset, sort_keys=False, width=120))
    choices = search.about["choices"]
    same = [f"{key}={choices[key]}" for key in ("algo", "env")]
    same += [o for o in search.about["fixed"] if parts(o)[0] not in ("algo", "env", "search")]
    told.append(f"run it: {' '.join(map(_quoted, ['rlkit', '-m', f'search={label}', *same]))}")
    return file, told


def _quoted(word: str) -> str:
    """A word for a shell; `~tuned` stays as it is written everywhere."""
    return word if re.fullmatch(r"~\w+", word) else shlex.quote(word)


def _check_name(name: str) -> None:
    """Refuse a name that Hydra does not read as one choice, or that hides a preset of rlkit's.

    Raises:
        ConfigError: it is one.
    """
    if not re.fullmatch(r"[A-Za-z_][\w-]*", name, re.ASCII):
        raise ConfigError(f"--name {name} is not accepted\n  accepted: letters, digits, '_' and '-', not a digit first")
    if name == "null" or (conf_dir() / "search" / f"{name}.yaml").exists():
        raise ConfigError(
            f"--name {name}: rlkit has a preset of this name, which the new one would hide\n  choose another"
        )


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
        return listed([choice for choice in distribution.choices if choice in counts])
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
