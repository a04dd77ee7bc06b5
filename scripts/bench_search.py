"""How long the slots of a search stand idle, beside hydra-optuna-sweeper's on the same objective.

    python scripts/bench_search.py [--trials 30]

Both search the same space with two processes of submitit at a time. The budget of a trial is one of the parameters, so
that trials take from one to ten units of time. A slot is busy while a trial's process lives; it is looked at 20 times
a second, from the first process to the end of the last.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

SLOTS = 2
OBJECTIVE = [
    "algo=ppo", "env=cartpole", "~tuned", "eval.episodes=2", "eval.periodic_episodes=1",
    "frames=choice(20000,40000,60000,80000,100000,120000,140000,160000,180000,200000)",
    "algo.learning_rate=tag(log,interval(1e-4,1e-2))",
]  # fmt: skip


def idle(words: list[str], folder: Path) -> tuple[float, float]:
    """The share of the slots' time that no process used, and the seconds in all."""
    env = {**os.environ, "RLKIT_RUNS": str(folder)}
    command = [sys.executable, "-m", "rlkit", "-m", *words, f"hydra.sweep.dir={folder}/sweep"]
    began = time.monotonic()
    with (folder / "log").open("w") as log:
        driver = subprocess.Popen(command, env=env, stdout=log, stderr=log, cwd=folder)
        counts: list[int] = []
        while driver.poll() is None:
            counts.append(min(SLOTS, _running(folder)))
            time.sleep(0.05)
    if driver.returncode:
        raise SystemExit((folder / "log").read_text()[-2000:])
    busy = [i for i, n in enumerate(counts) if n]
    window = counts[busy[0] : busy[-1] + 1]
    return 1 - sum(window) / (SLOTS * len(window)), time.monotonic() - began


def _running(folder: Path) -> int:
    """Trials' processes below a folder."""
    count = 0
    for process in psutil.process_iter(["cmdline"]):
        words = process.info["cmdline"] or []
        count += "submitit.core._submit" in words and any(str(folder) in word for word in words)
    return count


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=30)
    given = parser.parse_args()
    sweepers = {
        "rlkit": ["search=random", f"search.trials={given.trials}", f"search.jobs={SLOTS}", "search.pruner=none"],
        "hydra-optuna-sweeper": [
            "hydra/sweeper=optuna", "hydra/sweeper/sampler=random", "hydra.sweeper.sampler.seed=0",
            "hydra/launcher=local", "hydra.sweeper.direction=maximize", f"hydra.sweeper.n_trials={given.trials}",
            f"hydra.sweeper.n_jobs={SLOTS}",
        ],
    }  # fmt: skip
    print("| sweeper | idle | seconds |\n|---|---|---|")
    for name, words in sweepers.items():
        with tempfile.TemporaryDirectory() as folder:
            share, seconds = idle([*words, *OBJECTIVE], Path(folder))
        print(f"| {name} | {share:.1%} | {seconds:.0f} |", flush=True)


if __name__ == "__main__":
    main()
