"""The parts of scripts/gpu.sh: tests on CUDA, pairs against Stable-Baselines3, and a profile of an update.

    python scripts/gpu.py FILE [--quick]
    python scripts/gpu.py docs/benchmarks/gpu.json --page  # write docs/gpu.md from it

FILE is rewritten after each part, so that it holds what was done when the time is over.
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch

from speed import peers, tasks

ROOT = Path(__file__).resolve().parents[1]
LIMIT_SECONDS = 450
"""After this no new part or pair is started."""
TEST_SECONDS = 150
CUDA = torch.cuda.is_available()
DEVICE = "cuda" if CUDA else "cpu"
SIDES = (("rlkit", DEVICE), ("rlkit", "cpu"), ("sb3", DEVICE))


def cases(quick: bool) -> dict[str, tuple[tasks.Task, int]]:
    """Task and pairs, by name; short, since a card is lent for minutes."""
    every = tasks.load()
    sac, pong = every["sac_half_cheetah"], every["ppo_pong"]
    wide = dataclasses.replace(
        sac, title="SAC HalfCheetah, 2 x 1024", net={"hidden": [1024, 1024], "activation": "relu"}
    )
    found = {
        "ppo_pong": (pong, 16_384, 2),
        "sac_half_cheetah": (sac, 5_000, 3),
        "sac_half_cheetah_1024": (wide, 3_000, 2),
    }
    return {
        name: (
            dataclasses.replace(task, frames=2_048 if quick else frames, settle_frames=1_024, threads=4),
            1 if quick else n,
        )
        for name, (task, frames, n) in found.items()
    }


def tests() -> dict[str, Any]:
    """The suite's part for CUDA."""
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-m",
        "cuda",
        "-n",
        "0",
        "-q",
        "-p",
        "no:cacheprovider",
        "tests/training/test_cuda.py",
    ]
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=TEST_SECONDS, check=False)
    except subprocess.TimeoutExpired as error:
        return {"exit": None, "said": str(error.stdout)[-3000:]}
    print(done.stdout[-4000:], done.stderr[-1000:], flush=True)
    return {"exit": done.returncode, "said": done.stdout.splitlines()[-1:]}


def run(side: str, device: str, task: tasks.Task, seed: int) -> float:
    """Training frames per second of one run."""
    if side == "rlkit":
        other = {**task.other, "device": device, "eval.episodes": 2, "eval.periodic_episodes": 1}
        return float(peers.run_rlkit(dataclasses.replace(task, other=other), seed)["fps"])
    given = {**dataclasses.asdict(task), "peer": "sb3", "seed": seed, "episodes": 2, "device": device}
    command = [sys.executable, str(peers.RUNNER), json.dumps({**given, "spawned": time.time()})]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    return float(json.loads(done.stdout.splitlines()[-1])["fps"])


def profile() -> dict[str, Any]:
    """Kernel launches, waits and time of SAC's update."""
    from torch.profiler import ProfilerActivity

    sys.path.insert(0, str(ROOT))
    from rlkit import compose, seeding
    from rlkit.envs.make import make
    from rlkit.envs.vector import VectorEnv
    from rlkit.memory import build as memory
    from rlkit.training import agent
    from rlkit.training.collect import Collector

    config = compose(["algo=sac", "env=half_cheetah", "~tuned", f"device={DEVICE}", "algo.learning_starts=300"])
    made = make(config.env, 1)
    envs = VectorEnv(made.backend, config.env, 0)
    config = config.settled(False)
    algo = agent.build(config, 0, made.spec, torch.device(DEVICE))
    held = memory.build(
        config.memory, made.spec, total_frames=1000, rng=seeding.stream(0, "x"), device=torch.device(DEVICE)
    )
    collector = Collector(envs, algo)
    for frames in range(400):
        held.add(algo.prepare(collector.collect(frames)))
    batches = [held.sample(256, gamma=0.99, n_step=1) for _ in range(60)]
    for batch in batches[:10]:
        algo.update(batch)
    began = time.perf_counter()
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if CUDA else [])]
    with torch.profiler.profile(activities=activities) as profiled:
        for batch in batches[10:]:
            algo.update(batch)
        if CUDA:
            torch.cuda.synchronize()
    seconds = time.perf_counter() - began
    rows = profiled.key_averages()
    count = {row.key: row.count for row in rows}
    each = len(batches) - 10
    waits = sum(n for key, n in count.items() if "Synchronize" in key or key in ("aten::item", "cudaMemcpyAsync"))
    return {
        "updates": each,
        "ms_per_update": 1000 * seconds / each,
        "kernel_launches_per_update": count.get("cudaLaunchKernel", 0) / each,
        "waits_per_update": waits / each,
        "gpu_ms_per_update": sum(getattr(row, "self_device_time_total", 0) for row in rows) / 1000 / each,
    }


PAGE = """# rlkit on a GPU

Written by `scripts/gpu.py` from [benchmarks/gpu.json](benchmarks/gpu.json), which `scripts/gpu.sh` measured on {date}:
one {card}, {cores} cores, torch {torch}. The runs are short: take the rates as first figures.

## Speed

Training frames per second, in turn, with the same work on every side; the median of the runs, and their number.

| task | frames | {heads} | rlkit on the GPU / SB3 on the GPU |
|---|---{rule}|
{rows}

## Where an update's time goes

One update of SAC on HalfCheetah (2 x 256, batch 256) launches {launches:.0f} kernels and copies or waits {waits:.0f}
times. The GPU works for {gpu:.2f} ms of it: launches and waits bound the rate, not arithmetic.

## Tests

`uv run pytest -m cuda`: {said}.

The tests cover training with finite losses, first losses equal to the CPU's, equal bytes for equal seeds and for a
resumed run with `deterministic=true`, pictures, and a run of the GPU that acts on the CPU. Two failed. Rainbow did for
a warning of torch that the suite took for an error; it passes since the suite ignores that warning. PPO with `net=gru`
did for a reason that has not been found: do not rely on recurrent networks on CUDA yet.
"""


def page(record: dict[str, Any]) -> str:
    """docs/gpu.md."""
    sides = ("rlkit cuda", "rlkit cpu", "sb3 cuda")
    rows = []
    for case in record["pairs"].values():
        medians = [case["medians"][side] for side in sides]
        shown = [f"{m:,.0f} ({len(case['rates'][side])})" for m, side in zip(medians, sides, strict=True)]
        rows.append(f"| {case['title']} | {case['frames']:,} | {' | '.join(shown)} | {medians[0] / medians[2]:.1f} |")
    profile = record["profile"]
    return PAGE.format(
        card=record["card"],
        cores=record["cores"],
        date=record["date"],
        torch=record["versions"]["torch"],
        heads=" | ".join(side.replace("sb3", "SB3") for side in sides),
        rule="|---" * 4,
        rows="\n".join(rows),
        launches=profile["kernel_launches_per_update"],
        waits=profile["waits_per_update"],
        gpu=profile["gpu_ms_per_update"],
        said=record["tests"]["said"][0],
    )


def main() -> None:
    """Run the parts in turn, or write the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--quick", action="store_true", help="a dry run: little work")
    parser.add_argument("--parts", nargs="*", help="some of tests, profile and the pairs' names; FILE keeps the others")
    parser.add_argument("--pairs", type=int, help="pairs of each case")
    parser.add_argument("--page", action="store_true", help="write docs/gpu.md from FILE, and run nothing")
    given = parser.parse_args()
    if given.page:
        (ROOT / "docs" / "gpu.md").write_text(page(json.loads(given.file.read_text())))
        return
    began = time.monotonic()
    card = torch.cuda.get_device_name() if CUDA else "none"
    record: dict[str, Any] = {
        "date": datetime.date.today().isoformat(),
        "card": card,
        "cores": os.cpu_count(),
        "versions": {"torch": torch.__version__, "cuda": torch.version.cuda},
        "dry_run": given.quick or not CUDA,
        "pairs": {},
    }
    if given.parts and given.file.exists():
        record = {**json.loads(given.file.read_text()), "date": record["date"]}

    def keep(name: str, what: Any) -> None:
        record[name] = what
        given.file.write_text(json.dumps(record, indent=1) + "\n")
        print(f"[{time.monotonic() - began:.0f} s] {name}: {json.dumps(what)[:600]}", flush=True)

    for name, part in (("tests", tests), ("profile", profile)):
        if given.parts and name not in given.parts:
            continue
        try:
            keep(name, part())
        except Exception as error:
            keep(name, f"{type(error).__name__}: {error}")
    for name, (task, pairs) in cases(given.quick).items():
        if given.parts and name not in given.parts:
            continue
        rates: dict[str, list[float]] = {f"{side} {device}": [] for side, device in SIDES}
        for seed in range(given.pairs or pairs):
            for side, device in SIDES:
                if time.monotonic() - began > LIMIT_SECONDS:
                    break
                try:
                    rates[f"{side} {device}"].append(run(side, device, task, seed))
                except Exception as error:
                    print(f"{name} {side} {device}: {error}", flush=True)
        medians = {side: statistics.median(found) if found else None for side, found in rates.items()}
        record["pairs"][name] = {"title": task.title, "frames": task.frames, "rates": rates, "medians": medians}
        keep("pairs", record["pairs"])


if __name__ == "__main__":
    main()
