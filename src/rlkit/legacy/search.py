"""`search` blocks and `spec_params`, as what `-m` runs.

A dimension is found by trying: the spec is mapped again with each of the dimension's values in place, and what moves in
rlkit's configuration is what has to be swept. So units, polarities and names are those of the mapping itself, and a
path that nothing reads moves nothing.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from rlkit.legacy.draft import Draft
from rlkit.legacy.eras import META, Dimension
from rlkit.legacy.report import Refused, shown

Remap = Callable[[str, Any], Draft]
"""A path of the spec and a value in its place -> what the spec would become. Raises Refused."""

MOST_CHOICES = 64
"""A quantised range with more values than this becomes an interval."""
MOST_VALUES = 200
"""Values of one list that are tried."""
LISTS = ("choice", "grid_search", "categorical")
RANGES = ("uniform", "loguniform", "randint", "lograndint")
STEPS = ("quniform", "qloguniform", "qrandint", "qlograndint")
BELLS = ("normal", "randn", "qrandn")


@dataclass
class Sweep:
    """What `-m` varies."""

    params: dict[str, str] = field(default_factory=dict)
    """rlkit's key -> Hydra's sweep: `choice(...)`, `interval(...)`, `tag(log, interval(...))`."""
    grid: bool = True
    """Whether the whole product is to be run."""
    ties: dict[str, str] = field(default_factory=dict)
    """Keys that follow another: `algo.n_steps: algo.nstep`."""


def map_search(d: Draft, remap: Remap) -> Sweep:
    """The sweep of the spec's `search` block and `spec_params`; a line for each of their keys."""
    sweep = Sweep()
    for dimension in d.spec.search:
        key = dimension.key
        try:
            to, why = _dimension(d, dimension, remap, sweep)
        except Refused as error:
            to, why = "", error.reason
        d.report.add("changed" if to and why else "mapped" if to else "dropped", key, dimension.arguments, to, why)
    for key, target in sweep.ties.items():
        if key not in sweep.params:
            d.values[key] = f"${{{target}}}"
    return sweep


def sweeper_entries(sweep: Sweep, trials: int, scheduler: Mapping[str, Any]) -> tuple[dict[str, str], dict[str, Any]]:
    """How a sweep is written into a configuration: the groups to override, and the values to state.

    A product of choices runs under Hydra's own sweeper. A search of sampled values runs under rlkit's, as many seeds a
    trial as the spec had sessions, and with ASHA where the spec had a scheduler. No preset is chosen, since without
    `-m` the same file trains once.

    Args:
        sweep: what is varied.
        trials: how many trials of a sampled search.
        scheduler: ASHA's `min_frames` and `reduction_factor`, where the spec has one.

    Returns:
        Group -> choice, and nested values for the top of the file.
    """
    if not sweep.params:
        return {}, {}
    if sweep.grid:
        return {}, {"hydra": {"sweeper": {"params": sweep.params}}}
    pruner = "asha" if scheduler else "none"
    return {"hydra/sweeper": "rlkit", "hydra/launcher": "local"}, {
        "search": {"trials": trials, "seeds": "${seeds}", "pruner": pruner, **scheduler},
        "hydra": {
            "sweep": {"dir": "${oc.env:RLKIT_RUNS,runs}/search/${first:${name},${hydra:runtime.choices.legacy}}"},
            "sweeper": {"params": sweep.params},
        },
    }


def scheduler_of(d: Draft) -> dict[str, Any]:
    """ASHA's settings, in the names of rlkit's search; a line for each key."""
    block = f"{META}.search_scheduler"
    found: dict[str, Any] = {}
    for key, name in (("grace_period", "min_frames"), ("reduction_factor", "reduction_factor")):
        path = f"{block}.{key}"
        if not d.has(path):
            continue
        found[name] = d.whole(path)
        if d.spec.search:
            d.line("mapped", path, f"search.{name}={found[name]}")
        else:
            d.line("dropped", path, why="there is no search")
    d.dropped(block, "an argument that the pruner here does not have")
    return found


def map_parameters(d: Draft, remaps: Mapping[str, Callable[[Any], Draft]], sweep: Sweep) -> None:
    """Version 4's `spec_params`: a run for each value of each variable."""
    for variable, values in d.spec.parameters.items():
        key = f"spec_params.{variable}"
        target, options, refused = _moves(d, values, remaps[variable])
        if not target:
            d.report.add(
                "dropped", key, values, why=refused[0].reason if refused else "nothing in the spec depends on it"
            )
            continue
        to = f"-m {target}={len(options)} values"
        why = f"left out: {', '.join(error.reason for error in refused)}" if refused else ""
        if sweep.params and not sweep.grid:
            why = (
                f"{why + '; ' if why else ''}beside a search: give {target}=... for each, the first stands in the file"
            )
            to = f"{target}={shown(options[0])}"
        else:
            sweep.params[target] = _choice(options)
        d.report.add("changed" if why else "mapped", key, values, to, why)


def _dimension(d: Draft, dimension: Dimension, remap: Remap, sweep: Sweep) -> tuple[str, str]:
    """Add one dimension to the sweep; returns where it went, or "", and why."""
    kind, given = dimension.distribution, dimension.arguments
    if given in ({}, None) and not kind:
        return "", "an empty block"
    if not kind:
        return "", "names no distribution (two underscores and a word such as __choice are wanted)"
    if kind not in (*LISTS, *RANGES, *STEPS, *BELLS):
        return "", f"the distribution {shown(kind, 30)} is not known ({', '.join((*LISTS, *RANGES, *STEPS, *BELLS))})"
    if kind in LISTS and isinstance(given, list) and len(given) > MOST_VALUES:
        return "", f"{len(given):,} values; up to {MOST_VALUES} are taken"
    if kind not in LISTS and not _numbers(given):
        return "", "not the numbers that its distribution takes"
    values, log = _values(kind, given)
    if not values:
        return "", "an empty range"
    target, options, refused = _moves(d, values, lambda value: remap(dimension.path, value))
    if not target:
        return "", refused[0].reason if refused else _silent(d, dimension)
    if target in sweep.params:
        return "", f"{target} is varied by another key already"
    if kind in LISTS or (kind in (*STEPS, "randint") and len(values) > 2 and len(values) <= MOST_CHOICES):
        sweep.params[target] = _choice(options)
        sweep.grid = sweep.grid and kind in ("grid_search",)
    else:
        numbers = [v for v in options if isinstance(v, int | float) and not isinstance(v, bool)]
        if len(numbers) != len(options):
            return "", f"{target} is no number here"
        low, high = min(numbers), max(numbers)
        if low == high:
            return "", f"{target} is {low} over the whole range"
        interval = f"interval({_word(low)},{_word(high)})"
        sweep.params[target] = f"tag(log,{interval})" if log and low > 0 else interval
        sweep.grid = False
    to = f"-m {target}={sweep.params[target]}"
    why = "a bell curve then; an even interval of two deviations to each side here" if kind in BELLS else ""
    if refused:
        why = f"{len(refused)} of its values cannot be had: {refused[0].reason}"
    if also := _follow(d, sweep, target, [remap(dimension.path, v) for v in (values[0], values[-1])]):
        why = f"{', '.join(also)} would move too, and stay as for the spec's own value"
    return to, why


def _values(kind: str, given: list[Any]) -> tuple[list[Any], bool]:
    """The values to try: all of a list or a short quantised range, the two ends of any other; and whether log-even."""
    if kind in LISTS:
        return list(given) if isinstance(given, list) else [given], False
    if kind in BELLS:
        mean, deviation = (*given, 1.0)[:2]
        return [mean - 2 * deviation, mean + 2 * deviation], False
    low, high = given[0], given[1]
    log = "log" in kind
    whole = "randint" in kind
    step = given[2] if kind in STEPS and len(given) > 2 else 1 if kind == "randint" else 0
    if step and (high - low) / step <= MOST_CHOICES and high > low and not log:
        count = math.floor((high - low) / step + 1e-9) + (0 if kind == "randint" else 1)
        values = [round(low + i * step, 12) for i in range(count)]
        return [int(v) for v in values] if whole else values, log
    return [low, high - 1 if kind in ("randint", "lograndint") else high], log


def _numbers(given: Any) -> bool:
    return isinstance(given, list) and len(given) >= 2 and all(
        isinstance(n, int | float) and not isinstance(n, bool) and math.isfinite(n) for n in given
    )  # fmt: skip


def _moves(d: Draft, values: list[Any], remap: Callable[[Any], Draft]) -> tuple[str, list[Any], list[Refused]]:
    """The key of rlkit that moves with the values ("" if none does), its values, and what was refused."""
    results: list[Draft] = []
    refused: list[Refused] = []
    for value in values:
        try:
            results.append(remap(value))
        except Refused as error:
            refused.append(error)
    moved = _moved([*results, d])
    if not results or not moved:
        return "", [], refused
    rank = {key: (key in FIRST, _distinct([r.values.get(key) for r in results]), -i) for i, key in enumerate(moved)}
    target = max(moved, key=rank.__getitem__)
    options = {repr(result.values.get(target)): result.values.get(target) for result in results}
    return target, list(options.values()), refused


FIRST = ("num_envs", "seeds", "env.id", "frames", "algo.learning_rate", "algo.nstep")
"""Where several keys move, these are the ones that were meant."""


def _moved(results: list[Draft]) -> list[str]:
    keys = list(dict.fromkeys(key for result in results for key in result.values))
    return [key for key in keys if _distinct([result.values.get(key) for result in results]) > 1]


def _distinct(values: list[Any]) -> int:
    return len({repr(value) for value in values})


def _follow(d: Draft, sweep: Sweep, target: str, results: list[Draft]) -> list[str]:
    """Tie keys that equal the target to it, set those that only differ from the spec's; returns any others."""
    others = []
    for key in _moved([*results, d]):
        if key == target or (target == "env.id" and key.startswith("env.")):
            continue
        if all(result.values.get(key) == result.values.get(target) for result in (*results, d)):
            sweep.ties[key] = target
        elif _distinct([result.values.get(key) for result in results]) == 1 and key in results[0].values:
            sweep.params[key] = _choice([results[0].values[key]])
        else:
            others.append(key)
    return others


def _silent(d: Draft, dimension: Dimension) -> str:
    """Why a dimension moves nothing."""
    line = next((x for x in d.report.lines if x.key == d.spec.named(dimension.path)), None)
    if line is not None and line.why:
        return f"{line.key}: {line.why}"
    if dimension.path in d.spec.values:
        return "has no effect here on this spec"
    return "no such key in the spec, and nothing reads it"


# Hydra's grammar


def _choice(options: list[Any]) -> str:
    return f"choice({','.join(_word(option) for option in options)})"


def _word(value: Any) -> str:
    """A value in the grammar of Hydra's overrides."""
    if isinstance(value, list):
        return f"[{','.join(_word(item) for item in value)}]"
    if isinstance(value, dict):
        return f"{{{','.join(f'{key}:{_word(item)}' for key, item in value.items())}}}"
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return repr(value)
    text = str(value)
    if re.fullmatch(r"[A-Za-z_][\w./:-]*", text):
        return text
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
