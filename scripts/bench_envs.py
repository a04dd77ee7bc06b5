"""Steps per second of every backend, beside plain Gymnasium, in one run: uv run python scripts/bench_envs.py.

Random actions, resets included. Each cell is the median of three rounds, the backends taking turns within a round, so
that a slow spell of the machine meets all of them. `auto` names the backend that rlkit would take.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from pathlib import Path

import ale_py
import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from rlkit.config.env import EnvConfig
from rlkit.cores import available_cores
from rlkit.envs.backends import Backend
from rlkit.envs.make import make
from rlkit.errors import RlkitError

TASKS = {
    "CartPole-v1": (1, 8, 16),
    "Pendulum-v1": (1, 8, 16),
    "LunarLander-v3": (1, 8, 16),
    "Hopper-v5": (1, 8, 16),
    "HalfCheetah-v5": (1, 8, 16),
    "ALE/Pong-v5": (1, 8),
}
KINDS = ("native", "sync", "async", "envpool")


class Plain:
    """Gymnasium's own synchronous vector environment with its automatic resets."""

    def __init__(self, env_id: str, num_envs: int) -> None:
        def one() -> gym.Env:
            if not env_id.startswith("ALE/"):
                return gym.make(env_id)
            env = gym.wrappers.AtariPreprocessing(gym.make(env_id, frameskip=1))
            return gym.wrappers.FrameStackObservation(env, 4)

        self.envs = SyncVectorEnv([one] * num_envs, autoreset_mode=AutoresetMode.SAME_STEP)

    def rate(self, seconds: float) -> float:
        """Steps per second over so many seconds."""
        self.envs.reset(seed=0)
        actions = [self.envs.action_space.sample() for _ in range(64)]
        steps, began = 0, time.perf_counter()
        while (took := time.perf_counter() - began) < seconds:
            self.envs.step(actions[steps % 64])
            steps += 1
        return steps * self.envs.num_envs / took

    def close(self) -> None:
        """Close the environments."""
        self.envs.close()


class Ours:
    """A backend of rlkit, reset by hand as `VectorEnv` does."""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend

    def rate(self, seconds: float) -> float:
        """Steps per second over so many seconds."""
        backend, n = self.backend, self.backend.num_envs
        backend.reset(range(n), list(range(n)))
        actions = [np.stack([backend.action.sample() for _ in range(n)]) for _ in range(64)]
        steps, began = 0, time.perf_counter()
        while (took := time.perf_counter() - began) < seconds:
            ended = backend.step(actions[steps % 64]).ended
            if ended.any():
                rows = np.flatnonzero(ended).tolist()
                backend.reset(rows, [steps + row for row in rows])
            steps += 1
        return steps * n / took

    def close(self) -> None:
        """Close the environments."""
        self.backend.close()


def measure(env_id: str, num_envs: int, seconds: float) -> dict[str, object]:
    """One row of the table."""
    runners: dict[str, Plain | Ours] = {"gymnasium": Plain(env_id, num_envs)}
    for kind in KINDS:
        try:
            cfg = EnvConfig(id=env_id, vectorization=kind)
            runners[kind] = Ours(make(cfg, num_envs, threads=available_cores()).backend)
        except RlkitError:
            continue
    auto = make(EnvConfig(id=env_id), num_envs, probe=True)
    auto.backend.close()
    rates: dict[str, list[float]] = {name: [] for name in runners}
    for _ in range(3):
        for name, runner in runners.items():
            rates[name].append(runner.rate(seconds))
    for runner in runners.values():
        runner.close()
    return {
        "env": env_id,
        "num_envs": num_envs,
        "auto": auto.backend.name,
        **{name: round(statistics.median(r)) for name, r in rates.items()},
    }


def main() -> None:
    """Print the table as it grows, and write it to docs/environments.md's data file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=1.0, help="of each measurement")
    parser.add_argument("--only", default="", help="part of an environment's id")
    parser.add_argument("--json", type=Path, help="write the rows here")
    given = parser.parse_args()
    columns = ("gymnasium", *KINDS)
    machine = f"{platform.machine()}, {available_cores()} cores, Python {platform.python_version()}"
    print(f"{machine}, gymnasium {gym.__version__}\n")
    print(f"| environment | envs | {' | '.join(columns)} | auto | auto / best of gymnasium, native, sync, async |")
    print("|---" * (len(columns) + 4) + "|")
    gym.register_envs(ale_py)
    rows = []
    for env_id, sizes in TASKS.items():
        for num_envs in sizes if given.only in env_id else ():
            row = measure(env_id, num_envs, given.seconds)
            rows.append(row)
            best = max(float(row.get(c, 0)) for c in columns if c != "envpool")  # type: ignore[arg-type]
            cells = " | ".join(f"{row[c]:,}" if c in row else "-" for c in columns)
            ratio = float(row[str(row["auto"])]) / best  # type: ignore[arg-type]
            print(f"| {env_id} | {num_envs} | {cells} | {row['auto']} | {ratio:.2f} |", flush=True)
    if given.json:
        given.json.write_text(json.dumps({"machine": machine, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
