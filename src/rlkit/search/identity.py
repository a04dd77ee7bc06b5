"""The identity of a search and of a trial's folder, so that no result is reported of what was not trained."""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import optuna
from loguru import logger
from optuna.trial import FrozenTrial

from rlkit.errors import RlkitError
from rlkit.runs.folder import RunFolder, read_json, write_json, writing
from rlkit.runs.lock import held
from rlkit.search import study as record
from rlkit.search.failures import SearchError, count
from rlkit.search.journal import numbered
from rlkit.search.space import Space, written
from rlkit.search.study import SweepFolder

if TYPE_CHECKING:
    from optuna import Study

ORIGIN, EARLIER = "trial.json", "earlier"
"""The file of a trial's folder that names its study, and the folder for what belongs to no trial of the study."""
SHOWN = 8
"""Differences that are named."""


def describe(space: Space, choices: dict[str, str], search: Any) -> dict[str, Any]:
    """The identity of a search: its space and its configuration."""
    return {
        "space": {
            key: json.loads(optuna.distributions.distribution_to_json(distribution))
            for key, distribution in sorted(space.distributions.items())
        },
        "fixed": sorted(_of_trial(space.fixed)),
        "choices": choices,
        "seeds": search.seeds,
        "objectives": dict(zip(search.metrics, search.directions, strict=True)),
    }


def _of_trial(overrides: Sequence[str]) -> list[str]:
    """Overrides without those of how the search is run."""
    return [o for o in overrides if not o.lstrip("+").startswith(("search.", "search=", "hydra.", "hydra/"))]


def check_same(folder: SweepFolder, before: dict[str, Any] | None, now: dict[str, Any]) -> None:
    """A folder holds one search: of one space and one configuration.

    Raises:
        SearchError: another one was begun here; the message names what differs.
    """
    if before is None:
        return
    changed = [
        *_changes(before["space"], now["space"], _interval),
        *(f"{o}: given then, not now" for o in before["fixed"] if o not in now["fixed"]),
        *(f"{o}: given now, not then" for o in now["fixed"] if o not in before["fixed"]),
        *_changes(before["choices"], now["choices"]),
        *_changes({"search.seeds": before["seeds"]}, {"search.seeds": now["seeds"]}),
        *_changes(before["objectives"], now["objectives"], lambda direction: f"an objective to {direction}"),
    ]
    if changed:
        more = [f"and {count(len(changed) - SHOWN, 'more difference')}"] if len(changed) > SHOWN else []
        raise SearchError(
            "\n  ".join(
                [
                    f"{folder.path} holds another search; what differs:",
                    *(f"  {line}" for line in [*changed[:SHOWN], *more]),
                    "give this one another name: name=..., or repeat the first one's overrides",
                ]
            )
        )


def _changes(before: dict[str, Any], now: dict[str, Any], say: Any = str) -> list[str]:
    lines = []
    for key in sorted({*before, *now}):
        a, b = before.get(key), now.get(key)
        if a != b:
            words = ["nothing" if value is None else say(value) for value in (a, b)]
            lines.append(f"{key}: {words[0]} then, {words[1]} now")
    return lines


def _interval(stored: dict[str, Any]) -> str:
    return written(optuna.distributions.json_to_distribution(json.dumps(stored)))


def identify(study: Study) -> None:
    """Give a study what tells it from one that had its folder before."""
    if record.ID not in study.user_attrs:
        study.set_user_attr(record.ID, secrets.token_hex(8))


def claim(folder: SweepFolder, study: Study, run: RunFolder, number: int, overrides: Sequence[str]) -> None:
    """Make the run folder of a trial, or take its own; one of another study or of other overrides is set aside.

    Args:
        folder: of the search.
        study: of the search.
        run: where the trial trains, in the search or when it is validated.
        number: of the trial.
        overrides: of the trial.

    Raises:
        SearchError: another process trains in it.
    """
    origin = _origin(study, number, overrides)
    if any(run.path.glob("*")) and _read_origin(run) != origin:
        set_aside(folder, [run])
    with writing(run.path):
        run.path.mkdir(parents=True, exist_ok=True)
    write_json(run.path / ORIGIN, origin)


def clear(folder: SweepFolder, study: Study) -> None:
    """Set aside the folders of trials that the study does not know, as where its journal was lost.

    Raises:
        SearchError: another process trains in one of them.
    """
    known = len(study.get_trials(deepcopy=False))
    found = [p for p in sorted(folder.path.glob("trial_*")) if re.fullmatch(r"trial_\d{4,}", p.name)]
    set_aside(folder, [RunFolder(p) for p in found if int(p.name.removeprefix("trial_")) >= known])


def set_aside(folder: SweepFolder, runs: Sequence[RunFolder]) -> None:
    """Move run folders to `earlier/`: what is in them was trained by another search, or by an earlier one.

    Raises:
        SearchError: another process trains in one of them.
    """
    for run in runs:
        if held(run.path):
            raise SearchError(
                f"{run.path} is of another search than {folder.path / record.JOURNAL}, and a process trains in it\n"
                "  wait for it, or stop it"
            )
    for run in runs:
        with writing(run.path):
            (folder.path / EARLIER).mkdir(exist_ok=True)
            run.path.rename(numbered(folder.path / EARLIER / run.path.name))
    if runs:
        logger.warning(
            "{} of an earlier search, which this study does not know: moved to {}",
            count(len(runs), "trial folder"),
            folder.path / EARLIER,
        )


def verified(folder: SweepFolder, study: Study, trial: FrozenTrial) -> RunFolder:
    """The run folder of a trial that is over.

    Raises:
        SearchError: it is gone, or holds another trial.
    """
    run = folder.run(trial.number)
    if not run.config.exists():
        raise SearchError(
            f"{run.path} is gone: nothing is left of trial {trial.number} but its score\n"
            "  choose another trial, or put a copy of the folder in its place"
        )
    noted = _read_origin(run)
    if noted is not None and noted != _origin(study, trial.number, trial.user_attrs.get(record.OVERRIDES, [])):
        raise SearchError(
            f"{run.path} was trained by another search, not as trial {trial.number} of {folder.path / record.JOURNAL}"
        )
    return run


def _origin(study: Study, number: int, overrides: Sequence[str]) -> dict[str, Any]:
    """What the folder of a trial is known by; overrides as a hash, since they may hold what is not to be written."""
    fingerprint = hashlib.sha256(json.dumps(sorted(_of_trial(overrides))).encode()).hexdigest()[:16]
    return {"study": study.user_attrs.get(record.ID), "number": number, "overrides": fingerprint}


def _read_origin(run: RunFolder) -> dict[str, Any] | None:
    try:
        return read_json(run.path / ORIGIN)
    except (RlkitError, ValueError):
        return None
