"""Microseconds of rlkit's pieces beside plain autograd code in the same process: uv run python scripts/bench_core.py.

An update, an acting step, a collected frame and a sampled batch, for the shapes of scripts/speed/tasks.yaml. Both sides
take turns, and the figure is the median of the rounds. Each run is appended to docs/benchmarks/speed/core.jsonl and
compared with the one before on the same machine, so that a slowdown is seen; the exit status does not depend on it.

`--memory` fills rollout and replay memories instead, each in a process of its own, and prints how much the resident
memory grew beside what rlkit had said before. `--profile TASK` trains one under cProfile, and keeps its hottest
functions.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"))  # before NumPy

from loguru import logger

from speed import document, machine

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "docs" / "benchmarks" / "speed"
SLOWER = 1.15
"""A figure this many times that of the run before is pointed out."""


def pace(run: Callable[[], Any], seconds: float) -> int:
    """Calls that take about so long."""
    run()  # first calls allocate
    began, calls = time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        run()
        calls += 1
    return max(1, calls)


def seconds_of(run: Callable[[], Any], calls: int) -> float:
    """Of one call, over so many."""
    began = time.perf_counter()
    for _ in range(calls):
        run()
    return (time.perf_counter() - began) / calls


def measure(rounds: int, seconds: float) -> dict[str, Any]:
    """Time every case; the record that is kept."""
    from speed.cases import every_case
    from speed.products import products, sgemm_gflops

    print("| case | µs | autograd µs | ratio | products alone µs | at the sgemm rate µs |")
    print("|---" * 6 + "|")
    found: dict[str, Any] = {}
    for case in every_case():
        sides = {
            "ours": case.ours,
            "theirs": case.theirs,
            "products": products(list(case.passes)) if case.passes else None,
        }
        runs = {side: run for side, run in sides.items() if run is not None}
        calls = {side: pace(run, seconds) for side, run in runs.items()}
        times: dict[str, list[float]] = {side: [] for side in runs}
        for _ in range(rounds):
            for side, run in runs.items():
                units = case.their_units if side == "theirs" else case.units
                times[side].append(seconds_of(run, calls[side]) * 1e6 / units)
        row: dict[str, Any] = {side: statistics.median(values) for side, values in times.items()}
        if case.passes:
            row["sgemm_gflops"] = sgemm_gflops()
            row["floor"] = sum(one.operations for one in case.passes) / row["sgemm_gflops"] / 1e3
        found[case.name] = row
        print(document.core_row(case.name, row), flush=True)
    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="minutes"),
        "revision": machine.revision(),
        "load": machine.load(),
        "machine": machine.machine(),
        "versions": machine.versions(),
        "cases": found,
    }


def compare(record: dict[str, Any], history: list[dict[str, Any]]) -> None:
    """Say what became slower since the last run on the same machine."""
    before = next((old for old in reversed(history) if old["machine"] == record["machine"]), None)
    if before is None:
        print("\nthe first run on this machine: nothing to compare with")
        return
    print(
        f"\ncompared with {before['date']}, revision {before['revision']}, load {before['load']} (now {record['load']})"
    )
    for name, row in record["cases"].items():
        old = before["cases"].get(name)
        if old is None:
            continue
        change = row["ours"] / old["ours"]
        # What is no part of rlkit tells how the machine fares.
        others = f", autograd {row['theirs'] / old['theirs']:.2f}" if "theirs" in row and "theirs" in old else ""
        print(f"  {change:5.2f} x {name}{others}{'   SLOWER' if change > SLOWER else ''}")


def main() -> None:
    """Measure, compare, append; or one of the other modes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9, help="turns of each side (default: 9)")
    parser.add_argument("--seconds", type=float, default=0.2, help="of each turn (default: 0.2)")
    parser.add_argument("--results", type=Path, default=RESULTS, help="where history and results are")
    parser.add_argument("--memory", action="store_true", help="predicted and measured memory")
    parser.add_argument("--profile", metavar="TASK", help="the hottest functions of a task")
    parser.add_argument("--share", type=float, default=1.0, help="of the frames that --profile trains (default: 1)")
    parser.add_argument("--fill", help=argparse.SUPPRESS)
    given = parser.parse_args()
    logger.remove()
    if given.fill:
        from speed import footprint

        footprint.fill(given.fill)
        return
    given.results.mkdir(parents=True, exist_ok=True)
    if given.memory:
        from speed import footprint

        keep(given.results / "memory.json", {"rows": footprint.measure()})
    elif given.profile:
        from speed import hottest

        keep(given.results / f"{given.profile}.profile.json", hottest.profile(given.profile, given.share))
    else:
        record = measure(given.rounds, given.seconds)
        path = given.results / "core.jsonl"
        history = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
        compare(record, history)
        with path.open("a") as file:
            file.write(json.dumps(record) + "\n")
    if given.results == RESULTS:
        document.write(ROOT / "docs" / "performance.md", RESULTS)


def keep(path: Path, found: dict[str, Any]) -> None:
    """Write a result with the machine that it was measured on."""
    facts = {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "revision": machine.revision(),
        "machine": machine.machine(),
        "versions": machine.versions(),
    }
    path.write_text(json.dumps({**facts, **found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
