"""Training on a real GPU; skipped where there is none."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from rlkit import load
from rlkit.runs.folder import read_rows
from rlkit.training import logbook
from tests.training.runs import StopAfter, session, traces

pytestmark = [pytest.mark.cuda, pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU with CUDA")]
SMALL = ["~tuned", "frames=600", "num_envs=2", "eval.episodes=2", "eval.periodic_episodes=2", "log.every_frames=1"]
SMALL += ["checkpoint.every_frames=200", "env.max_episode_steps=100"]
OFF = ["algo.learning_starts=100", "algo.batch_size=32", "algo.train_every_frames=4"]
CASES = {
    "ppo": ["algo=ppo", "env=cartpole", "algo.n_steps=50"],
    "ppo, gaussian": ["algo=ppo", "env=pendulum", "algo.n_steps=50"],
    "ppo, recurrent": ["algo=ppo", "env=cartpole", "net=gru", "algo.n_steps=50"],
    "a2c": ["algo=a2c", "env=cartpole"],
    "sarsa": ["algo=sarsa", "env=cartpole"],
    "dqn": ["algo=ddqn_per", "env=cartpole", *OFF],
    "rainbow": ["algo=rainbow", "env=cartpole", *OFF],
    "sac": ["algo=sac", "env=pendulum", *OFF],
    "sac, discrete": ["algo=sac", "env=cartpole", *OFF],
    "crossq": ["algo=crossq", "env=pendulum", "critic_net.hidden=[64]", *OFF],
    "td3": ["algo=td3", "env=pendulum", *OFF],
    "tqc": ["algo=tqc", "env=pendulum", *OFF],
}
PICTURES = ["algo=ppo", "env=pong", "algo.n_steps=32", "algo.minibatch_size=64", "num_envs=2", "frames=256"]


def losses(folder: Path) -> list[dict[str, float]]:
    rows = read_rows(folder / "metrics.jsonl")
    return [{k: v for k, v in row.items() if k.startswith("train/") and v is not None} for row in rows]


@pytest.mark.parametrize("case", CASES)
def test_it_trains_and_begins_as_on_the_cpu(case: str, tmp_path: Path):
    for device in ("cuda", "cpu"):
        result = session(tmp_path / device, [*CASES[case], *SMALL, f"device={device}", "deterministic=true"])
        assert result["status"] == "complete"
    mine, theirs = losses(tmp_path / "cuda"), losses(tmp_path / "cpu")
    assert all(math.isfinite(x) for row in mine for x in row.values())
    first, other = next((a, b) for a, b in zip(mine, theirs, strict=False) if len(a) > 2)
    for name, x in other.items():
        assert first[name] == pytest.approx(x, rel=0.02, abs=0.02), name


def test_pictures_train(tmp_path: Path):
    assert session(tmp_path, [*SMALL, *PICTURES, "device=cuda"])["status"] == "complete"
    assert all(math.isfinite(x) for row in losses(tmp_path) for x in row.values())


@pytest.mark.parametrize("case", ["ppo", "dqn", "sac", "crossq"])
def test_equal_seeds_are_equal_and_a_resumed_run_is_the_whole_run(case: str, tmp_path: Path, monkeypatch):
    monkeypatch.setattr(logbook, "WATCH_SECONDS", -1)
    given = [*CASES[case], *SMALL, "device=cuda", "deterministic=true"]
    session(tmp_path / "whole", given)
    session(tmp_path / "again", given)
    assert traces(tmp_path / "whole") == traces(tmp_path / "again")
    stop = StopAfter(300)
    session(tmp_path / "halves", given, watcher=stop, stop=stop)
    session(tmp_path / "halves", given)
    assert traces(tmp_path / "halves") == traces(tmp_path / "whole")


def test_a_run_of_the_gpu_acts_on_the_cpu(tmp_path: Path, monkeypatch):
    from rlkit import compose, train

    monkeypatch.setenv("RLKIT_RUNS", str(tmp_path))
    result = train(compose([*CASES["sac"], *SMALL, "device=cuda"]), quiet=True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    agent = load(result.folder)
    assert agent.act(np.zeros(3, np.float32)).shape == (1,)
