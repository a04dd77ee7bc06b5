from __future__ import annotations

import os
from pathlib import Path

# Before NumPy or torch is imported: workers of pytest-xdist share the cores, more threads would only wait.
os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"))

import pytest


@pytest.fixture(autouse=True)
def _runs_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs go to the test's folder, and the working directory has no ./conf."""
    monkeypatch.setenv("RLKIT_RUNS", str(tmp_path / "runs"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def tiny() -> list[str]:
    """Overrides for a run of a second or less."""
    return [
        "frames=1024",
        "num_envs=4",
        "algo.n_steps=32",
        "algo.epochs=2",
        "algo.minibatch_size=64",
        "net.hidden=[16,16]",
        "eval.episodes=4",
        "eval.periodic_episodes=3",
        "checkpoint.every_frames=256",
    ]
