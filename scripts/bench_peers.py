"""Frames per second of rlkit and of its peers on the same work, side by side: uv run python scripts/bench_peers.py.

Each peer gets a virtual environment of its own with rlkit's versions of torch, NumPy and the environments. A pair is
one run of rlkit and one of the peer, one after the other, so that a slow spell of the machine meets both. rlkit runs as
a user runs it, `python -m rlkit ...`, with its logs, checkpoints, evaluations and diagnostics. Both end with a final
evaluation of as many deterministic episodes. The tasks are scripts/speed/tasks.yaml; the results go to
docs/benchmarks/speed, a file for each task and peer, from which the tables of docs/performance.md are written.
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import json
import sys
from pathlib import Path
from typing import Any

from speed import document, machine, stats, tasks
from speed.peers import PEERS, BenchError, Peer, import_torch_mb, install, run_peer, run_rlkit

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "docs" / "benchmarks" / "speed"
EPISODES = {"ppo_pong": 30}
"""Of the final evaluation, where rlkit's default for the environment is not 100."""


def compare(name: str, task: tasks.Task, peer: Peer, pairs: int) -> dict[str, Any]:
    """Run the pairs of one task and peer; the record that is stored."""
    runs: dict[str, list[dict[str, Any]]] = {"rlkit": [], peer.name: []}
    for seed in range(pairs):
        print(f"{name}, seed {seed}", flush=True)
        for side in runs:
            run = run_rlkit(task, seed) if side == "rlkit" else run_peer(peer, task, seed, EPISODES.get(name, 100))
            runs[side].append({"seed": seed, "load": machine.load(), **run})
            print(f"  {side:5} {_line(run)}", flush=True)
    rates = {side: [run[stats.rate_of(peer.name)] for run in found] for side, found in runs.items()}
    ratio = stats.spread([mine / theirs for mine, theirs in zip(rates["rlkit"], rates[peer.name], strict=True)])
    print(f"  ratio {ratio['median']:.2f} ({ratio['min']:.2f} to {ratio['max']:.2f})\n", flush=True)
    return {
        **_record(name, task),
        "peer": peer.name,
        "peer_versions": peer.versions,
        "ratio": ratio,
        "runs": runs,
    }


def together(name: str, task: tasks.Task, pairs: int) -> dict[str, Any]:
    """One session alone, and two at once, in turn: what a session keeps of its speed."""
    runs: dict[str, list[dict[str, Any]]] = {"alone": [], "together": []}
    for seed in range(pairs):
        for side, seeds in (("alone", 1), ("together", 2)):
            runs[side].append({"seed": seed, "load": machine.load(), **run_rlkit(task, seed, seeds)})
            print(f"  {side:8} {runs[side][-1]['fps']:,.0f} frames a second and session", flush=True)
    kept = [two["fps"] / one["fps"] for one, two in zip(runs["alone"], runs["together"], strict=True)]
    ratio = stats.spread(kept)
    print(f"{name}: a session beside another keeps {ratio['median']:.0%} of its speed\n", flush=True)
    return {**_record(name, task), "peer": "together", "ratio": ratio, "runs": runs}


def _record(name: str, task: tasks.Task) -> dict[str, Any]:
    return {
        "task": name,
        **dataclasses.asdict(task),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "revision": machine.revision(),
        "import_torch_mb": import_torch_mb(),
        "machine": machine.machine(),
        "versions": machine.versions(),
    }


def _line(run: dict[str, Any]) -> str:
    steady = "" if run["steady_fps"] is None else f" ({run['steady_fps']:,.0f} settled)"
    return (
        f"{run['fps']:>8,.0f} frames a second{steady}, first frame after {run['startup_seconds']:.1f} s, "
        f"{run['frames']:,} frames and {run['updates']:,} updates in {run['wall_seconds']:.1f} s "
        f"({run['cpu_seconds']:.1f} s of processor), {run['rss_mb']:.0f} MB, "
        f"return {run['return']:.1f} ± {run['return_half_width']:.1f}"
    )


def _shrunk(task: tasks.Task, share: float) -> tasks.Task:
    """The same work for a share of the frames, to try things out."""
    frames = int(task.frames * share)
    return dataclasses.replace(task, frames=frames, settle_frames=min(task.settle_frames, frames // 2))


def main() -> int:
    """Run what is asked for, store it, write the tables."""
    known = tasks.load()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", default=",".join(known), help="names of tasks.yaml (default: all)")
    parser.add_argument(
        "--peers", default=",".join(PEERS), help=f"of {', '.join(PEERS)}, together (default: all peers)"
    )
    parser.add_argument("--pairs", type=int, default=3, help="runs of each side (default: 3)")
    parser.add_argument("--threads", type=int, help="of the learner, on both sides (default: what the task says)")
    parser.add_argument("--share", type=float, default=1.0, help="of each task's frames, to try out (default: 1)")
    parser.add_argument(
        "--cache", type=Path, default=Path.home() / ".cache" / "rlkit-peers", help="virtual environments"
    )
    parser.add_argument("--results", type=Path, default=RESULTS, help="where the JSON files go")
    parser.add_argument("--document", action="store_true", help="write the tables of docs/performance.md, run nothing")
    given = parser.parse_args()
    if given.document:
        document.write(ROOT / "docs" / "performance.md", RESULTS)
        return 0
    names, wanted = given.task.split(","), given.peers.split(",")
    for what, asked, accepted in (("task", names, known), ("peer", wanted, [*PEERS, "together"])):
        if unknown := set(asked) - set(accepted):
            raise BenchError(f"unknown {what} {', '.join(unknown)}\n  accepted: {', '.join(accepted)}")
    mine = machine.versions()
    print(f"{machine.machine()}\nrlkit: {mine}", flush=True)
    peers = {name: install(name, given.cache.resolve()) for name in wanted if name in PEERS}
    for peer in peers.values():
        print(f"{peer.name}: {peer.versions}", flush=True)
    print(f"load {machine.load()}\n", flush=True)
    given.results.mkdir(parents=True, exist_ok=True)
    for name in names:
        task = _shrunk(known[name], given.share)
        if given.threads:
            task = dataclasses.replace(task, threads=given.threads)
        for side in wanted:
            if side not in task.goals:
                continue
            if side == "together":
                record = together(name, task, given.pairs)
            else:
                record = compare(name, task, peers[side], given.pairs)
            (given.results / f"{name}.{side}.json").write_text(json.dumps(record, indent=1) + "\n")
    if given.results == RESULTS:
        document.write(ROOT / "docs" / "performance.md", RESULTS)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except BenchError as error:
        sys.exit(f"bench_peers: {error}")
