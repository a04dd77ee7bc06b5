"""Checks before a run is resumed; a run that is refused is left unchanged."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from rlkit.config.learning import ScheduleConfig
from rlkit.config.schema import compose, to_yaml
from rlkit.display.logs import log_to
from rlkit.errors import CheckpointError, ConfigError
from rlkit.reading import read_result
from rlkit.runs.folder import RunFolder, SessionFolder, read_rows, write_text
from rlkit.runs.lock import alone
from rlkit.runs.manifest import newest

if TYPE_CHECKING:
    from rlkit.config.run import RunConfig

RESUMABLE = ("frames", "seeds", "device", "upload", "eval", "log", "tracker", "checkpoint")
"""What a resumed run may change; anything else would make it another run."""


def prepare(run: str | Path, overrides: Sequence[str]) -> tuple[RunConfig, RunFolder, list[str]]:
    """Check that a run can be resumed, and write its new configuration.

    Args:
        run: its folder, or that of one of its sessions.
        overrides: of the keys that may change.

    Returns:
        The configuration, the folder, and a line for each schedule that a new budget changes.

    Raises:
        ConfigError: a key may not change, or there is nothing to train.
        BusyError: another process trains the run.
        CheckpointError: no checkpoint of a session verifies, or they were removed.
        EnvError: the environment cannot be made.
    """
    folder = RunFolder.open(run)
    log_to(None, lambda text: None)  # the session says again what is worth a line
    for override in overrides:
        if override.split("=")[0].split(".")[0] not in RESUMABLE:
            raise ConfigError(
                f"{override}: a resumed run keeps its configuration\n"
                f"  accepted: {', '.join(RESUMABLE)}; for anything else start a new run"
            )
    with alone(folder.path, "trained"):
        before, config = compose(base=folder.config), compose(overrides, base=folder.config)
        if config.seeds < before.seeds:
            raise ConfigError(f"seeds={config.seeds}: the run has {before.seeds} already\n  accepted: that or more")
        _check_unfinished(folder, run, before, config)
        for seed in before.seed_list:
            _check_checkpoints(folder, folder.session(seed), int(config.frames))
        from rlkit.training.checks import check

        check(config)
        if config != before:
            write_text(folder.config, to_yaml(config))
    return config, folder, [] if config.frames == before.frames else list(_changed_schedules(before, config))


def _check_unfinished(folder: RunFolder, run: str | Path, before: RunConfig, config: RunConfig) -> None:
    """Refuse a run that is over."""
    done = read_result(folder.result) if folder.result.exists() else {}
    if done.get("status") == "pruned":
        raise ConfigError(f"{folder.path} was ended by its search, as worse than others\n  {_anew(folder)}")
    finished = done.get("status") == "complete" and config.seeds == before.seeds
    if finished and config.frames <= done["frames"]:
        raise ConfigError(
            f"{folder.path} is complete at {done['frames']:,} frames\n"
            f"  to train it further: rlkit resume {shlex.quote(str(run))} frames={2 * before.frames}"
        )


def _check_checkpoints(folder: RunFolder, session: SessionFolder, frames: int) -> None:
    """Refuse a session that was trained, but has no checkpoint to continue from: it would start over.

    Raises:
        CheckpointError: none verifies, or they were removed.
    """
    result = read_result(session.result) if session.result.exists() else {}
    if result.get("status") == "complete" and result.get("frames", 0) >= frames:
        return
    if newest(session.checkpoints) is None and (result.get("frames") or read_rows(session.metrics)):
        raise CheckpointError(
            f"{session.path} was trained, but its checkpoints were removed: it cannot be resumed\n  {_anew(folder)}"
        )


def _anew(folder: RunFolder) -> str:
    """How to train again what cannot be resumed."""
    search = folder.path.parent
    if (search / "sweep.json").exists() and (number := folder.path.name.removeprefix("trial_")).isdecimal():
        again = f"rlkit retrain {shlex.quote(str(search))} --trial {int(number)}"
        return f"train it from the start: {again}\n  a search keeps checkpoints of its best trials: search.keep=N"
    typed = folder.path / "overrides.yaml"
    words = yaml.safe_load(typed.read_text(encoding="utf-8")) if typed.exists() else None
    return f"train it from the start: {shlex.join(['rlkit', *map(str, words if isinstance(words, list) else [])])}"


def _changed_schedules(before: RunConfig, config: RunConfig) -> list[str]:
    """What a new budget changes beside the number of frames."""
    lines = [
        f"{name} is scheduled ({schedule.kind}) over the budget: from here on as for "
        f"{config.frames:,} frames, not {before.frames:,}"
        for part in ("algo", "memory")
        for name, schedule in _schedules(getattr(config, part), f"{part}.")
        if schedule.kind not in ("constant", "piecewise") and schedule.end_frames is None
    ]
    for what, each in (("eval", config.eval.every_frames), ("log", config.log.every_frames)):
        if each is None:
            lines.append(f"{what}.every_frames is a fraction of the budget, and grows with it")
    return lines


def _schedules(node: Any, path: str) -> Iterator[tuple[str, ScheduleConfig]]:
    """The schedules of a part of the configuration, by the key that they move."""
    for name, value in vars(node).items():
        if isinstance(value, ScheduleConfig):
            yield path + name.removesuffix("_schedule"), value
        elif dataclasses.is_dataclass(value):
            yield from _schedules(value, f"{path}{name}.")
