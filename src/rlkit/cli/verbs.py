"""The verbs of the command line: thin, each over a function that Python can call too."""

from __future__ import annotations

import argparse
import dataclasses
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rlkit.config.learning import ScheduleConfig
from rlkit.errors import ConfigError

if TYPE_CHECKING:
    from rlkit.config.run import RunConfig


@dataclass(frozen=True)
class Verb:
    """How a verb is used, what it does, and the function that does it."""

    usage: str
    about: str
    run: Callable[[Sequence[str]], None]


def run(name: str, arguments: Sequence[str]) -> int:
    """Run a verb; returns the exit status."""
    VERBS[name].run(arguments)
    return 0


def _parser(name: str) -> argparse.ArgumentParser:
    verb = VERBS[name]
    parser = argparse.ArgumentParser(prog=f"rlkit {name}", description=verb.about[0].upper() + verb.about[1:] + ".")
    parser.add_argument("run", metavar="RUN", help="a run's folder, or that of one of its sessions")
    return parser


RESUMABLE = ("frames", "seeds", "device", "eval", "log", "checkpoint")
"""What a resumed run may change; anything else would make it another run."""


def _resume(arguments: Sequence[str]) -> None:
    parser = _parser("resume")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help=f"one of {', '.join(RESUMABLE)}")
    given = parser.parse_args(arguments)
    started = time.perf_counter()
    from rlkit.cli.app import train_and_show
    from rlkit.config.schema import compose, to_yaml
    from rlkit.results.folder import RunFolder, read_json, write_text

    folder = RunFolder.open(given.run)
    for override in given.overrides:
        if override.split("=")[0].split(".")[0] not in RESUMABLE:
            raise ConfigError(
                f"{override}: a resumed run keeps its configuration\n"
                f"  accepted: {', '.join(RESUMABLE)}; for anything else start a new run"
            )
    before, config = compose(base=folder.config), compose(given.overrides, base=folder.config)
    if config.seeds < before.seeds:
        raise ConfigError(f"seeds={config.seeds}: the run has {before.seeds} already\n  accepted: that or more")
    done = read_json(folder.result) if folder.result.exists() else {}
    finished = done.get("status") == "complete" and config.seeds == before.seeds
    if finished and config.frames <= done["frames"]:
        raise ConfigError(
            f"{folder.path} is complete at {done['frames']:,} frames\n"
            f"  to train it further: rlkit resume {given.run} frames={2 * before.frames}"
        )
    if config != before:
        write_text(folder.config, to_yaml(config))
    if config.frames != before.frames:
        for line in _changed_schedules(before, config):
            print(line)
    train_and_show(config, folder, started)


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


def _evaluate(arguments: Sequence[str]) -> None:
    parser = _parser("evaluate")
    parser.add_argument("--episodes", type=_positive, help="how many episodes (default: eval.episodes of the run)")
    parser.add_argument("--sampled", action="store_true", help="sample from the policy instead of taking its mode")
    parser.add_argument("--seed", type=int, help="one session of the run (default: all)")
    given = parser.parse_args(arguments)
    from rlkit.api import evaluate
    from rlkit.config.schema import compose
    from rlkit.results.folder import RunFolder

    seeds = [given.seed]
    if given.seed is None and not Path(given.run).name.startswith("session_"):
        seeds = list(compose(base=RunFolder.open(given.run).config).seed_list)
    means = []
    for seed in seeds:
        score = evaluate(given.run, episodes=given.episodes, deterministic=False if given.sampled else None, seed=seed)
        means.append(score.mean)
        if seed == seeds[0]:
            print(f"protocol  {score.protocol}")
        name = "" if seed is None else f"seed {seed}: "
        print(f"score     {name}{score.mean:.2f} ± {score.std:.2f} over episodes, IQM {score.iqm:.2f}")
    if len(means) > 1:
        print(f"mean      {sum(means) / len(means):.2f} over {len(means)} seeds")


def _play(arguments: Sequence[str]) -> None:
    parser = _parser("play")
    parser.add_argument("--video", type=Path, metavar="FILE", help="write an .mp4 or .gif instead of opening a window")
    parser.add_argument("--episodes", type=_positive, default=1, help="how many episodes (default: 1)")
    parser.add_argument("--sampled", action="store_true", help="sample from the policy instead of taking its mode")
    parser.add_argument("--seed", type=int, help="which session of the run (default: the first)")
    given = parser.parse_args(arguments)
    from rlkit.training.agent import load
    from rlkit.training.play import play

    agent = load(given.run, seed=given.seed)
    returns = play(agent, video=given.video, episodes=given.episodes, deterministic=not given.sampled)
    where = f", in {given.video}" if given.video else ""
    print(f"returns {', '.join(f'{r:.1f}' for r in returns)}{where}")


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not at least 1")
    return value


VERBS = {
    "resume": Verb("resume RUN [frames=N]", "go on exactly where a run stopped, or to a larger budget", _resume),
    "evaluate": Verb("evaluate RUN [--episodes N]", "score a trained agent on evaluation seeds", _evaluate),
    "play": Verb("play RUN [--video FILE]", "watch a trained agent, in a window or as a video", _play),
}
