"""How often a pruner keeps a curve that is as good as the best, on stored learning curves, and what it saves.

    python scripts/bench_pruning.py collect SWEEP... --to docs/benchmarks/curves.json
    python scripts/bench_pruning.py measure docs/benchmarks/curves.json

`collect` reads the full curves of searches without a pruner. `measure` draws 50 of them with replacement 500 times,
runs them as the trials of a search, four at a time, and counts the draws in which a curve within 1 % of the draw's best
final return is not ended.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.trial import TrialState

from rlkit import compose
from rlkit.config.search import SearchConfig
from rlkit.runs.folder import read_rows, write_text
from rlkit.search import study as record
from rlkit.search.job import ranked
from rlkit.search.study import SweepFolder, make_pruner

DRAWS, TRIALS, AT_ONCE, CLOSE = 500, 50, 4, 0.01
POINTS = 20
"""Evaluations that a curve was to have; those with long rollouts have fewer."""
RULES = (
    "asha", "asha search.min_frames=40%", "asha search.reduction_factor=3", "median", "median search.min_frames=40%"
)  # fmt: skip


def collect(sweeps: list[str], to: Path) -> None:
    """Write the curves of complete trials: environment, algorithm, budget, reports and final return."""
    curves = []
    for path in sweeps:
        folder = SweepFolder.open(path)
        study = folder.study()
        about = study.user_attrs[record.SEARCH]
        for trial in study.get_trials():
            if trial.state is not TrialState.COMPLETE or trial.user_attrs[record.STATUS] != "complete":
                continue
            rows = read_rows(folder.run(trial.number).session(1000).eval)
            curves.append(
                {
                    "algo": about["choices"]["algo"],
                    "env": about["choices"]["env"],
                    "budget": about["frames"],
                    "frames": [row["frames"] for row in rows],
                    "returns": [round(row["mean"], 2) for row in rows],
                    "final": round(trial.values[0], 2),
                }
            )
    to.parent.mkdir(parents=True, exist_ok=True)
    write_text(to, "[\n" + ",\n".join(json.dumps(curve) for curve in curves) + "\n]\n")
    print(f"{len(curves)} curves in {to}")


def play(curves: list[dict[str, Any]], search: SearchConfig, seed: int) -> tuple[set[int], float]:
    """One search over the curves, several at a time; returns those that ran to the end, and the share of frames."""
    budget = curves[0]["budget"]
    every = budget // POINTS
    study = optuna.create_study(
        direction="maximize",
        pruner=make_pruner(search, budget, every),
        sampler=optuna.samplers.RandomSampler(seed=seed),
    )
    waiting, kept, ran = list(range(len(curves))), set(), 0
    running: list[tuple[int, optuna.Trial, int]] = []
    rng = np.random.default_rng(seed)
    while waiting or running:
        while waiting and len(running) < AT_ONCE:
            running.append((waiting.pop(0), study.ask(), 0))
        which, trial, at = running.pop(int(rng.integers(len(running))))
        returns = curves[which]["returns"]
        step = curves[which]["frames"][at] // every * every
        if step >= budget or at + 1 == len(returns):
            study.tell(trial, curves[which]["final"])
            kept.add(which)
            ran += budget
            continue
        trial.report(ranked(returns[at], returns[:at]), step)
        if trial.should_prune():
            study.tell(trial, state=TrialState.PRUNED)
            ran += step
        else:
            running.append((which, trial, at + 1))
    return kept, ran / (budget * len(curves))


def measure(path: Path) -> None:
    """Print the table."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    everything = json.loads(path.read_text())
    print(f"{len(everything)} curves; {DRAWS} draws of {TRIALS} with replacement, {AT_ONCE} at a time\n")
    print("| environment | curves | rule | draws that keep one within 1 % | frames run |")
    print("|---|---|---|---|---|")
    for env in sorted({curve["env"] for curve in everything}):
        curves = [curve for curve in everything if curve["env"] == env]
        finals = np.array([curve["final"] for curve in curves])
        for rule in RULES:
            words = f"search.pruner={rule}".replace("40%", str(curves[0]["budget"] * 2 // 5)).split()
            search = compose(words).search
            rng = np.random.default_rng(0)
            kept_one, shares = 0, []
            for draw in range(DRAWS):
                drawn = rng.integers(len(curves), size=TRIALS)
                kept, share = play([curves[i] for i in drawn], search, draw)
                best = finals[drawn].max()
                kept_one += any(finals[drawn[k]] >= best - CLOSE * abs(best) for k in kept)
                shares.append(share)
            name = rule.replace("search.", "")
            print(f"| {env} | {len(curves)} | {name} | {kept_one / DRAWS:.1%} | {np.mean(shares):.0%} |", flush=True)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    one = verbs.add_parser("collect")
    one.add_argument("sweeps", nargs="+")
    one.add_argument("--to", type=Path, required=True)
    two = verbs.add_parser("measure")
    two.add_argument("curves", type=Path)
    given = parser.parse_args()
    if given.verb == "collect":
        collect(given.sweeps, given.to)
    else:
        measure(given.curves)


if __name__ == "__main__":
    main()
