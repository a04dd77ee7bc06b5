"""The losses at the end of short runs of seed 0: a change that should not alter learning keeps them.

`python -m tests.training.test_golden` writes `golden.json` again, where a change of learning is meant.
"""

import json
import tempfile
from pathlib import Path

import pytest

from rlkit.config.algorithms import ALGORITHMS
from rlkit.config.off_policy import OffPolicyConfig
from rlkit.runs.folder import read_rows
from tests.training.runs import session

PATH = Path(__file__).parent / "golden.json"
NAMES = ("policy_loss", "value_loss", "entropy", "sil_policy_loss", "sil_value_loss", "loss", "critic_loss", "q")
FAST = ["frames=1024", "num_envs=4", "log.every_frames=1", "eval.episodes=2", "eval.periodic_episodes=2"]
LEARNERS = [name for name, row in sorted(ALGORITHMS.items()) if row.learns]


def overrides(algo: str) -> list[str]:
    env = "pendulum" if ALGORITHMS[algo].actions == ("Box",) else "cartpole"
    given = [f"algo={algo}", f"env={env}", "~tuned", *FAST, "net.hidden=[32,32]"]
    if issubclass(ALGORITHMS[algo].config, OffPolicyConfig):
        # Batch renormalisation multiplies the rounding of a processor: by 2 % after 50 updates, 0.1 % after 25.
        starts = 924 if algo == "crossq" else 824
        return [*given, f"algo.learning_starts={starts}", "algo.train_every_frames=4", "algo.batch_size=64"]
    return [*given, "algo.n_steps=32"] if algo not in ("reinforce", "random") else given


def last_losses(algo: str, folder: Path) -> dict[str, float]:
    """The losses of the last row that has any, after at least one step of each optimiser."""
    session(folder, overrides(algo))
    rows = [row for row in read_rows(folder / "metrics.jsonl") if "train/grad_norm" in row or "train/q" in row]
    assert len(rows) > 1
    return {name: rows[-1][f"train/{name}"] for name in NAMES if f"train/{name}" in rows[-1]}


@pytest.mark.parametrize("algo", LEARNERS)
def test_the_last_losses_are_those_of_before(algo: str, tmp_path: Path):
    golden = json.loads(PATH.read_text())[algo]
    assert last_losses(algo, tmp_path / "s") == {
        name: pytest.approx(x, rel=0.01, abs=1e-6) for name, x in golden.items()
    }


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        losses = {algo: last_losses(algo, Path(folder) / algo) for algo in LEARNERS}
    rounded = {algo: {name: float(f"{x:.6g}") for name, x in found.items()} for algo, found in losses.items()}
    PATH.write_text(json.dumps(rounded, indent=1) + "\n")
