"""Writes that fail at any call: the run says so in words and exits with 2, and resuming loses nothing."""

from __future__ import annotations

import errno
import random
import shutil
from pathlib import Path

from tests.faults import CALLS, NEVER, failing
from tests.training.runs import traces

from campaign.outcome import OUTPUT, Outcome, command, fault_in, forked, wait

ERRORS = {"a full disk": errno.ENOSPC, "a read-only disk": errno.EROFS, "a broken disk": errno.EIO}
TRAIN = [
    "algo=ppo", "env=cartpole", "~tuned", "frames=640", "num_envs=2", "algo.n_steps=32", "net.hidden=[8]",
    "eval.episodes=1", "eval.periodic_episodes=1", "eval.every_frames=128", "checkpoint.every_frames=128",
    "log.every_frames=64", "name=write",
]  # fmt: skip
SEARCH = [
    "-m", "search=random", "hydra/launcher=basic", "algo=ppo", "env=cartpole", "~tuned", "frames=256", "num_envs=2",
    "algo.n_steps=32", "net.hidden=[8]", "eval.episodes=1", "eval.periodic_episodes=1", "search.trials=2",
    "algo.gamma=interval(0.9,0.99)", "name=write",
]  # fmt: skip


def run(faults: int, folder: Path, seed: int) -> Outcome:
    """Let calls of every kind fail at random places, of runs and of searches."""
    rng = random.Random(seed)
    outcome = Outcome(
        "writes", "a write that fails (full, read-only or broken disk; open, write, fsync, rename, close)"
    )
    with outcome.timed():
        whole = reference(folder / "whole")
        counts = {
            kind: count_calls(words, folder / f"count-{kind}") for kind, words in (("run", TRAIN), ("search", SEARCH))
        }
        for i in range(faults):
            kind = "search" if i % 5 == 4 else "run"
            call = rng.choice([c for c in CALLS if counts[kind].get(c)])
            at = rng.randint(1, counts[kind][call])
            named, error = rng.choice(list(ERRORS.items()))
            half, once = call == "write" and rng.random() < 0.5, rng.random() < 0.3
            here = folder / str(i)
            here.mkdir(parents=True)
            words = TRAIN if kind == "run" else SEARCH
            wrong = one(words, here, call, error, at, half, once, whole)
            outcome.add(wrong, f"{kind}, {call} {at}{' half' * half}{' once' * once}, {named}")
            shutil.rmtree(here, ignore_errors=True)
    return outcome


def rooted(folder: Path, words: list[str]) -> None:
    """The command line with its runs below a folder."""
    import os

    os.environ["RLKIT_RUNS"] = str(folder / "runs")
    command(words)


def reference(folder: Path) -> dict[str, bytes]:
    """What an undisturbed run leaves."""
    folder.mkdir(parents=True)
    assert wait(forked(lambda: rooted(folder, TRAIN), folder / OUTPUT), 120) == 0, (folder / OUTPUT).read_text()
    return traces(trained(folder))


def trained(folder: Path) -> Path:
    """The session of the run below a folder."""
    return next((folder / "runs" / "write").glob("*/session_0"))


def count_calls(words: list[str], folder: Path) -> dict[str, int]:
    """How many calls of each kind the command makes below its folder."""
    folder.mkdir(parents=True)

    def counting() -> None:
        with failing(folder / "runs", "write", errno.EIO, at=NEVER) as fault:
            try:
                rooted(folder, words)
            finally:
                (folder / "counts").write_text("\n".join(f"{call} {n}" for call, n in fault.counts.items()))

    wait(forked(counting, folder / OUTPUT), 120)
    lines = (folder / "counts").read_text().splitlines()
    return {call: int(n) for call, n in (line.split() for line in lines)}


def one(
    words: list[str], folder: Path, call: str, error: int, at: int, half: bool, once: bool, whole: dict[str, bytes]
) -> str | None:
    """What went wrong with one fault, in words."""

    def struck() -> None:
        with failing(folder / "runs", call, error, at=at, half=half, once=once):
            rooted(folder, words)

    status = wait(forked(struck, folder / OUTPUT), 120)
    if status is None:
        return "it hangs"
    if shown := fault_in(folder / OUTPUT):
        return f"exit {status}, it showed: {shown}"
    if status not in (0, 2):
        return f"exit {status}: {(folder / OUTPUT).read_text()[-200:]}"
    again = words if words is SEARCH else resuming(folder)
    status = wait(forked(lambda: rooted(folder, again), folder / OUTPUT), 120)
    text = (folder / OUTPUT).read_text()
    if status != 0 and not (again is not words and "is complete at" in text):
        return f"the next start ended with {status}: {text[-300:]}"
    if words is SEARCH:
        return None if "2 complete" in text or "2 of 2 trials" in text else f"not both trials: {text[-300:]}"
    left = traces(trained(folder))
    names = [name for name in whole if whole[name] != left.get(name)]
    return f"differs in {', '.join(names)} after resuming" if names else None


def resuming(folder: Path) -> list[str]:
    """The command that continues a run: the same again where there is no folder of a run yet."""
    found = sorted(path for path in (folder / "runs" / "write").glob("*") if (path / "config.yaml").exists())
    if not found:
        shutil.rmtree(folder / "runs", ignore_errors=True)
        return TRAIN
    return ["resume", str(found[0])]
