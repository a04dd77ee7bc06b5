"""Virtual environments of the peers, and one run of either side."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from speed.machine import versions
from speed.tasks import Task

SHARED = ("torch", "numpy", "gymnasium", "mujoco", "ale-py")
"""Packages that a peer gets in rlkit's own version."""

PEERS: dict[str, list[str]] = {
    "sb3": ["stable-baselines3==2.9.2", "opencv-python-headless"],
    "sbx": ["sbx-rl==0.28.0", "stable-baselines3==2.9.2"],
}
"""Peer -> what its virtual environment holds, beside the shared packages."""

EXTRAS = "gymnasium[atari,classic-control,mujoco]"
ASK = "import sys, json; from importlib.metadata import version; print(json.dumps([version(n) for n in sys.argv[1:]]))"
"""A program that prints the versions of packages."""

RUNNER = Path(__file__).with_name("run_sb3.py")


class BenchError(Exception):
    """A comparison cannot be made, or would not be fair."""


@dataclass(frozen=True)
class Peer:
    """A peer that is installed."""

    name: str
    python: Path
    versions: dict[str, str]


def install(name: str, cache: Path) -> Peer:
    """The peer's virtual environment, made where it is not yet there.

    Raises:
        BenchError: it cannot be made, or a shared package has another version than here.
    """
    folder, mine = cache / name, versions()
    python = folder / "bin" / "python"
    wanted = [
        *PEERS[name],
        *(f"{package}=={mine[package]}" for package in SHARED),
        "gymnasium[atari,classic-control,mujoco]",
    ]
    uv = shutil.which("uv")
    if not python.exists():
        make = [uv, "venv", "-q", "--python", sys.executable] if uv else [sys.executable, "-m", "venv"]
        _run([*make, str(folder)])
    listed = folder / "wanted.txt"
    if not listed.exists() or listed.read_text().split() != wanted:
        tool = (
            [uv, "pip", "install", "-q", "--python", str(python)] if uv else [str(python), "-m", "pip", "install", "-q"]
        )
        _run([*tool, *wanted])
        listed.write_text("\n".join(wanted))
    own = [requirement.split("==")[0] for requirement in PEERS[name]] + (["jax"] if name == "sbx" else [])
    theirs = dict(zip([*own, *SHARED], json.loads(_run([str(python), "-c", ASK, *own, *SHARED])), strict=True))
    for package in SHARED:
        if theirs[package] != mine[package]:
            raise BenchError(
                f"{name} has {package} {theirs[package]}, rlkit has {mine[package]}: their speeds cannot be compared\n"
                f"  remove {folder} to have it made anew"
            )
    return Peer(name, python, theirs)


def _run(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise BenchError(f"{' '.join(command[:4])} ... failed\n{done.stderr[-2000:]}")
    return done.stdout


def run_peer(peer: Peer, task: Task, seed: int, episodes: int) -> dict[str, Any]:
    """Train a task with a peer; see `_finish` for what comes back."""
    given = {**dataclasses.asdict(task), "peer": peer.name, "seed": seed, "episodes": episodes}
    out, cost = _measured(
        lambda spawned: [str(peer.python), str(RUNNER), json.dumps({**given, "spawned": spawned})], task.threads, {}
    )
    return _finish(json.loads(out.splitlines()[-1]), cost, episodes)


def run_rlkit(task: Task, seed: int, seeds: int = 1) -> dict[str, Any]:
    """Train a task with `python -m rlkit`, everything that is on by default left on."""
    with tempfile.TemporaryDirectory() as runs:
        command = [sys.executable, "-m", "rlkit", *task.overrides(seed), f"seeds={seeds}", "name=bench"]
        _, cost = _measured(lambda spawned: command, task.threads, {"RLKIT_RUNS": runs})
        (folder,) = (Path(runs) / "bench").iterdir()
        result = json.loads((folder / "result.json").read_text())
        session = folder / f"session_{seed}"
        timing, metrics = (
            [json.loads(line) for line in (session / name).read_text().splitlines()]
            for name in ("timing.jsonl", "metrics.jsonl")
        )
    last = timing[-1]
    settled = next((row for row in timing if row["frames"] >= task.settle_frames), last)
    stretch = last["train_seconds"] - settled["train_seconds"]
    # Its own start-up ends before the first frame; what its clock does not see (the interpreter's start and end) is
    # counted in full.
    unseen = cost["wall_seconds"] - result["wall_seconds"]
    found = {
        "frames": result["frames"],
        "updates": metrics[-1]["train/updates"],
        "fps": result["fps"],
        "steady_fps": (last["frames"] - settled["frames"]) / stretch if stretch else None,
        "startup_seconds": result["startup_seconds"] + unseen,
        "train_return_100": result["train_return_100"]["mean"],
        "return": result["final_return"]["mean"],
        "return_std": result["final_return"]["std"],
        "train_seconds": result["train_seconds"],
        "time_split": result["time_split"],
    }
    return _finish(found, cost, result["final_return"]["episodes"])


def import_torch_mb() -> float:
    """The peak memory of a process that does nothing but import torch: what no one here can go below."""
    return _measured(lambda spawned: [sys.executable, "-c", "import torch"], 1, {})[1]["rss_mb"]


def _measured(command: Any, threads: int, more: dict[str, str]) -> tuple[str, dict[str, float]]:
    """What a command printed, and what it cost: wall and processor seconds, peak memory in MiB."""
    limits = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), str(threads))
    env = os.environ | limits | more
    # Images of containers often set it; without bytecode a start-up is the time to compile torch, on both sides.
    env.pop("PYTHONDONTWRITEBYTECODE", None)
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        spawned = time.time()
        process = subprocess.Popen(command(spawned), stdout=out, stderr=err, env=env)
        try:
            _, status, usage = os.wait4(process.pid, 0)
        except BaseException:
            process.kill()
            raise
        wall = time.time() - spawned
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        err.seek(0)
        if process.returncode:
            raise BenchError(
                f"a run failed with exit status {process.returncode}\n{(err.read() or out.read())[-3000:]}"
            )
        cost = {"wall_seconds": wall, "cpu_seconds": usage.ru_utime + usage.ru_stime, "rss_mb": usage.ru_maxrss / 1024}
        return out.read(), cost


def _finish(found: dict[str, Any], cost: dict[str, float], episodes: int) -> dict[str, Any]:
    """A run as it is stored: rates, seconds, memory, and the final policy's mean return with its 95 % half-width."""
    half = 1.96 * found["return_std"] / episodes**0.5
    return {**found, "return_half_width": half, "episodes": episodes, **cost}
