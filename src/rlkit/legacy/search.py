"""`search` blocks and `spec_params`, as what `-m` runs.

A dimension is found by trying: the spec is mapped again with each of the dimension's values in place, and what moves in
rlkit's configuration is what has to be swept. So units, polarities and names are those of the mapping itself, and a
path that nothing reads moves nothing.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from rlkit.errors import ConfigError
from rlkit.legacy.algorithms import UNKNOWN
from rlkit.legacy.draft import LARGEST, Draft
from rlkit.legacy.eras import META, Dimension
from rlkit.legacy.report import Refused, shown

Remap = Callable[[str, Any], Draft]
"""A path of the spec and a value in its place -> what the spec would become. Raises Refused."""
Check = Callable[[Draft], object]
"""Composes what a spec would become. Raises ConfigError if it cannot start."""

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


@dataclass(frozen=True)
class Move:
    """What the values of one dimension move."""

    target: str
    """The key of rlkit that is to be swept; "" if none moves."""
    options: list[Any]
    """Its values."""
    results: list[Draft]
    """What the spec becomes with each value that can be had."""
    refused: list[Refused]


def map_search(d: Draft, remap: Remap, check: Check) -> Sweep:
    """The sweep of the spec's `search` block; a line for each of its keys."""
    sweep = Sweep()
    for dimension in d.spec.search:
        key = dimension.key
        try:
            to, why = _dimension(d, dimension, remap, check, sweep)
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


def map_parameters(d: Draft, remaps: Mapping[str, Callable[[Any], Draft]], check: Check, sweep: Sweep) -> None:
    """Version 4's `spec_params`: a run for each value of each variable."""
    for variable, values in d.spec.parameters.items():
        key = f"spec_params.{variable}"
        move = _moves(d, values, remaps[variable])
        target, options, refused = move.target, move.options, move.refused
        if not target:
            d.report.add(
                "dropped", key, values, why=refused[0].reason if refused else "nothing in the spec depends on it"
            )
            continue
        if odd := _odd(d, check, target, options):
            d.report.add("dropped", key, values, why=odd)
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


def _dimension(d: Draft, dimension: Dimension, remap: Remap, check: Check, sweep: Sweep) -> tuple[str, str]:
    """Add one dimension to the sweep; returns where it went, or "", and why."""
    kind, given = dimension.distribution, dimension.arguments
    if given in ({}, [], None) and not kind:
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
    move = _moves(d, values, lambda value: remap(dimension.path, value))
    target, options, refused = move.target, move.options, move.refused
    if not target:
        return "", refused[0].reason if refused else _silent(d, dimension, move)
    if target in sweep.params:
        return "", f"{target} is varied by another key already"
    if target == "seeds" and any(each.distribution != "grid_search" for each in d.spec.search):
        return "", "all trials of a search have as many seeds (search.seeds)"
    if lost := _missing(move):
        return "", f"{lost} is there for some of the values only: {EACH}"
    listed = kind in LISTS or (kind in (*STEPS, "randint") and 2 < len(values) <= MOST_CHOICES)
    if listed:
        text = _choice(options)
    elif refused:
        return "", refused[0].reason
    elif not all(isinstance(v, int | float) and not isinstance(v, bool) for v in options):
        return "", f"{target} is no number here"
    elif min(options) == max(options):
        return "", f"{target} is {options[0]} over the whole range"
    else:
        low, high = min(options), max(options)
        interval = f"interval({_word(low)},{_word(high)})"
        text = f"tag(log,{interval})" if log and low > 0 else interval
    ties, fixed, others = _follow(d, move)
    if odd := _odd(d, check, target, options, ties, fixed):
        return "", odd
    sweep.params[target] = text
    for key, value in fixed.items():
        sweep.params.setdefault(key, _choice([value]))
    sweep.ties.update(dict.fromkeys(ties, target))
    sweep.grid = sweep.grid and kind == "grid_search"
    why = "a bell curve then; an even interval of two deviations to each side here" if kind in BELLS else ""
    if refused:
        why = f"{len(refused)} of its values cannot be had: {refused[0].reason}"
    if others:
        why = f"{', '.join(others)} would move too, and stay as for the spec's own value"
    return f"-m {target}={text}", why


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
        isinstance(n, int | float) and not isinstance(n, bool) and abs(n) < LARGEST for n in given
    )  # fmt: skip


def _moves(d: Draft, values: list[Any], remap: Callable[[Any], Draft]) -> Move:
    """What moves in rlkit's configuration with the values of a dimension."""
    results: list[Draft] = []
    refused: list[Refused] = []
    for value in values:
        try:
            result = remap(value)
            _same_groups(d, result, value)
            results.append(result)
        except Refused as error:
            refused.append(error)
    moved = _moved([*results, d])
    if not results or not moved:
        return Move("", [], results, refused)
    stated = [_stated(result) for result in results]
    everywhere = [key for key in moved if all(key in each for each in stated)] or moved
    rank = {key: (key in FIRST, _distinct([s.get(key) for s in stated]), -i) for i, key in enumerate(everywhere)}
    target = max(everywhere, key=rank.__getitem__)
    options = {repr(s.get(target)): s.get(target) for s in stated}
    return Move(target, list(options.values()), results, refused)


FIRST = ("num_envs", "seeds", "env.id", "frames", "algo.learning_rate", "algo.nstep")
"""Where several keys move, these are the ones that were meant."""
EACH = "make a spec of each, and run them together: rlkit -m +legacy=<file>/<one>,<file>/<other>"


def _stated(draft: Draft) -> dict[str, Any]:
    """Groups and values; a file of one environment is `gym` with that id."""
    env = "atari" if draft.choices["env"] == "atari" else "gym"
    return {**draft.choices, "env": env, **draft.values}


def _same_groups(d: Draft, result: Draft, value: Any) -> None:
    """Another group has other keys, so that only one which differs in its name alone (gru, lstm) can be swept.

    Raises:
        Refused: the value would choose another group, and other keys with it.
    """
    mine, its = _stated(d), _stated(result)
    others = [group for group in {**d.choices, **result.choices} if mine.get(group) != its.get(group)]
    if others and (others != ["net"] or d.values != result.values):
        group = others[0]
        change = f"{group}={its.get(group)} instead of {group}={mine.get(group)}"
        raise Refused(group, f"{shown(value, 40)} would choose {change}, which has other keys: {EACH}")


def _moved(results: list[Draft]) -> list[str]:
    stated = [_stated(result) for result in results]
    keys = dict.fromkeys(key for each in stated for key in each)
    return [key for key in keys if _distinct([each.get(key) for each in stated]) > 1]


def _distinct(values: list[Any]) -> int:
    return len({repr(value) for value in values})


def _missing(move: Move) -> str:
    """A key that moves and that some of the results do not have; an environment's own keys go with its id."""
    moved = [key for key in _moved(move.results) if move.target != "env.id" or not key.startswith("env.")]
    stated = [_stated(result) for result in move.results]
    return next((key for key in (move.target, *moved) if any(key not in each for each in stated)), "")


def _follow(d: Draft, move: Move) -> tuple[list[str], dict[str, Any], list[str]]:
    """Keys that equal the target, those that only differ from the spec's own and their value, and any others."""
    ties, fixed, others = [], {}, []
    stated = [_stated(result) for result in move.results]
    for key in _moved([*move.results, d]):
        if key == move.target or (move.target == "env.id" and key.startswith("env.")):
            continue
        if all(each.get(key) == each.get(move.target) for each in (*stated, _stated(d))):
            ties.append(key)
        elif _distinct([each.get(key) for each in stated]) == 1 and key in stated[0]:
            fixed[key] = stated[0][key]
        else:
            others.append(key)
    return ties, fixed, others


def _odd(
    d: Draft,
    check: Check,
    target: str,
    options: list[Any],
    ties: Sequence[str] = (),
    fixed: Mapping[str, Any] | None = None,
) -> str:
    """Why the spec cannot start with the first or the last option, composed as the spec itself is; "" if it can."""
    for option in (options[0], options[-1]):
        changes = {**(fixed or {}), **dict.fromkeys(ties, option), target: option}
        groups = {key: value for key, value in changes.items() if key in d.choices}
        values = {key: value for key, value in changes.items() if key not in d.choices}
        try:
            check(replace(d, choices={**d.choices, **groups}, values={**d.values, **values}))
        except ConfigError as error:
            return f"cannot start: {shown(str(error).splitlines()[0], 200)}"
    return ""


def _silent(d: Draft, dimension: Dimension, move: Move) -> str:
    """Why a dimension moves nothing: what the report says of its path where it has one of its values."""
    name = d.spec.named(dimension.path)
    line = next((x for x in move.results[0].report.lines if x.key == name), None)
    if line is not None and line.why not in ("", UNKNOWN):
        return f"{line.key}: {line.why}"
    if dimension.path in d.spec.values or (line is not None and line.why != UNKNOWN):
        return "has no effect here on this spec"
    return "no such key in the spec, and nothing reads it"


# Hydra's grammar


def _choice(options: list[Any]) -> str:
    words = ",".join(_word(option) for option in options)
    return words if None in options else f"choice({words})"  # choice() takes no null


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
