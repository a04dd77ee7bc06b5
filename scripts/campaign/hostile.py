"""Run folders that mean harm: a clear line within seconds, or the older checkpoint, and nothing outside is touched."""

from __future__ import annotations

import itertools
import os
import random
import shutil
from pathlib import Path

from tests.hostile.folders import HARMLESS, OLDER, OLDER_FOR_TRAINING, REFUSED

from campaign.outcome import OUTPUT, Outcome, command, fault_in, forked, wait
from rlkit import compose, train

TINY = [
    "frames=64", "num_envs=2", "algo.n_steps=16", "algo.epochs=1", "algo.minibatch_size=16", "net.hidden=[4]",
    "eval.episodes=1", "eval.periodic_episodes=1", "checkpoint.every_frames=32", "env.max_episode_steps=10",
]  # fmt: skip
SECONDS = 30
"""For a process that starts with everything imported; the tests ask for 5 seconds of the processor."""
VERBS = [["evaluate", "--episodes", "1"], ["resume", "frames=128"]]


def run(count: int, folder: Path, seed: int) -> Outcome:
    """Harm a copy of a run in each way, and use it."""
    outcome = Outcome(
        "hostile", "run folders that mean harm: refused in words, or the older checkpoint; nothing escapes"
    )
    kinds = {**REFUSED, **OLDER, **OLDER_FOR_TRAINING, **HARMLESS}
    cases = list(itertools.product(sorted(kinds), VERBS))
    random.Random(seed).shuffle(cases)
    with outcome.timed():
        folder.mkdir(parents=True, exist_ok=True)
        os.environ["RLKIT_RUNS"] = str(folder / "runs")
        trained = train(compose(TINY), quiet=True).folder
        for i, (name, verb) in enumerate(itertools.islice(itertools.cycle(cases), count)):
            given = folder / str(i) / "run"
            shutil.copytree(trained, given, symlinks=True)
            kinds[name](given)
            outcome.add(wrong_with([verb[0], str(given), *verb[1:]], name, folder), f"{name}, {verb[0]}")
            shutil.rmtree(folder / str(i), ignore_errors=True)
    return outcome


def wrong_with(words: list[str], name: str, folder: Path) -> str | None:
    """What is wrong with the answer."""
    status = wait(forked(lambda: command(words), folder / OUTPUT), SECONDS)
    text = (folder / OUTPUT).read_text(errors="replace")
    if status is None:
        return f"no answer within {SECONDS} seconds"
    if shown := fault_in(folder / OUTPUT):
        return f"exit {status}: {shown}"
    if status not in ((2,) if name in REFUSED else (0, 2)):
        return f"exit {status}: {text[-200:]}"
    return None if len(text) < 20_000 else f"an answer of {len(text)} letters"
