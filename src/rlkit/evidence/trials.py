"""Runs grouped into trials: the seeds of one configuration, and what tells it from the others."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rlkit.errors import ConfigError
from rlkit.evidence.gather import Run, Session, shown

APART = ("seed", "seeds", "name", "threads", "upload")
"""Keys that do not tell one experiment from another; so are all keys of `APART_GROUPS`."""
APART_GROUPS = ("log.", "tracker.", "checkpoint.", "trial.", "search.", "debug.", "hydra.")


@dataclass(frozen=True)
class Trial:
    """The sessions of one configuration, which differ in their seeds alone."""

    label: Mapping[str, str]
    """What tells it from the other trials; `algo` and `env` lead."""
    runs: Sequence[Run]
    sessions: Sequence[Session]
    """By rising seed; of runs of one configuration, each seed once."""
    repeated: int = 0
    """Sessions left out because a newer run has the same seed."""

    @property
    def scores(self) -> list[float]:
        """The final scores of the seeds that have one."""
        return [s.score for s in self.sessions if math.isfinite(s.score)]

    @property
    def random_return(self) -> float:
        """The mean return of random actions, over the seeds that know it; else NaN."""
        known = [s.random_return for s in self.sessions if math.isfinite(s.random_return)]
        return sum(known) / len(known) if known else math.nan

    @property
    def title(self) -> str:
        """The label in one line."""
        head = " ".join(self.label[key] for key in ("algo", "env"))
        return " ".join([head, *(f"{key}={value}" for key, value in self.label.items() if key not in ("algo", "env"))])


def trials_of(runs: Sequence[Run], by: Sequence[str] = ()) -> list[Trial]:
    """Group runs into trials: those that differ only in seeds, names and threads; with `by`, by these keys.

    Runs of different environments are never one trial: their scores have no common scale.

    Args:
        runs: see `gather`.
        by: keys such as `algo`, `env` or `algo.gamma`; runs of an environment that agree in them are one trial.

    Raises:
        ConfigError: no run has a key of `by`.
    """
    keys = [_full(key, runs) for key in by]
    groups: dict[tuple[str, ...], list[Run]] = {}
    everything = sorted({key for run in runs for key in run.config if _tells(key)})
    for run in runs:
        groups.setdefault((env_of(run), *(_value(run, key) for key in (keys or everything))), []).append(run)
    members = list(groups.values())
    named = dict(zip(by, keys, strict=True)) if by else {key: key for key in _differing(members, everything)}
    named.pop("env", None)  # it leads every label
    return [_trial(group, {short: _value(group[0], key) for short, key in named.items()}) for group in members]


def _trial(runs: Sequence[Run], told: Mapping[str, str]) -> Trial:
    newest: dict[tuple[int, str], Session] = {}
    sessions = 0
    for run in sorted(runs, key=lambda run: run.folder.name):  # by date
        identity = str(sorted((key, _value(run, key)) for key in run.config if _tells(key)))
        for session in run.sessions:
            sessions += 1
            known = newest.get((session.seed, identity))
            if known is None or math.isfinite(session.score) or not math.isfinite(known.score):
                newest[session.seed, identity] = session
    algos = {_value(run, "algo.name") for run in runs}
    label = {"algo": algos.pop() if len(algos) == 1 else "several", "env": env_of(runs[0]), **told}
    return Trial(label, runs, [newest[key] for key in sorted(newest)], sessions - len(newest))


def env_of(run: Run) -> str:
    """The environment as the user names it: `env.name`, or its id for `env=gym` and an Atari game's name."""
    name = _value(run, "env.name")
    if name == "atari" and run.config.get("env.game"):
        return shown(run.config["env.game"])
    return _value(run, "env.id") if name in ("gym", "-", "atari") else name


def _tells(key: str) -> bool:
    return key not in APART and not key.startswith(APART_GROUPS)


def _value(run: Run, key: str) -> str:
    return shown(run.config[key]) if key in run.config else "-"


def _full(key: str, runs: Sequence[Run]) -> str:
    """A key as configurations have it: `algo` is `algo.name`."""
    for full in (key, f"{key}.name"):
        if any(full in run.config for run in runs):
            return full
    raise ConfigError(f"--by {key}: no run has this key\n  accepted: keys of the configuration, such as algo, env.name")


def _differing(groups: Sequence[Sequence[Run]], keys: Sequence[str]) -> list[str]:
    """The keys that tell trials of one algorithm and environment apart; others follow from these two."""
    cells: dict[tuple[str, str], list[Run]] = {}
    for group in groups:
        cells.setdefault((_value(group[0], "algo.name"), env_of(group[0])), []).append(group[0])
    return [key for key in keys if any(len({_value(run, key) for run in cell}) > 1 for cell in cells.values())]


def differences(trials: Sequence[Trial]) -> dict[str, list[str]]:
    """Every key in which trials differ, with its value in each; `-` where a configuration does not have it."""
    keys = sorted({key for trial in trials for key in trial.runs[0].config if _tells(key)})
    table: dict[str, list[Any]] = {key: [_value(trial.runs[0], key) for trial in trials] for key in keys}
    return {key: values for key, values in table.items() if len(set(values)) > 1}
