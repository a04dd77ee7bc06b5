"""What submitit keeps of the jobs of a sweep."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import yaml

SECRET = "0123456789abcdef0123456789abcdef01234567"


def test_the_pickles_of_a_sweep_hold_no_secret_and_are_for_the_owner_alone(tiny: list[str]):
    Path("conf/env").mkdir(parents=True)
    Path("needing.py").write_text(
        "from gymnasium.envs.classic_control import CartPoleEnv\n"
        "from gymnasium.envs.registration import register\n"
        "class Needing(CartPoleEnv):\n"
        "    def __init__(self, api_key, render_mode=None):\n"
        "        super().__init__(render_mode=render_mode)\n"
        "        assert len(api_key) == 40\n"
        "register('Needing-v0', entry_point=Needing, max_episode_steps=20)\n"
    )
    env = {"defaults": ["gym", "_self_"], "id": "needing:Needing-v0", "kwargs": {"api_key": SECRET}}
    Path("conf/env/mine.yaml").write_text(yaml.safe_dump(env))
    words = [*tiny, "frames=128", "env=mine", "seed=0,1", "hydra/launcher=local"]
    done = subprocess.run(
        [sys.executable, "-m", "rlkit", "-m", *words], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    (folder,) = Path("runs/multirun").glob("*/.submitit")
    assert folder.stat().st_mode & 0o777 == 0o700
    assert len(list(folder.glob("*/*_submitted.pkl"))) == 2
    holding = [path for path in Path().rglob("*") if path.is_file() and SECRET.encode() in path.read_bytes()]
    assert holding == [Path("conf/env/mine.yaml")]
