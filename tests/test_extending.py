"""docs/extending.md, run as it stands."""

import dataclasses
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from rlkit.config.algo import PPOConfig
from rlkit.config.algorithms import extend
from rlkit.errors import ConfigError
from rlkit.runs.folder import read_json

PAGE = (Path(__file__).parents[1] / "docs" / "extending.md").read_text()


FILES = ("my_algo.py", "conf/algo/rwr.yaml", "", "my_dqn.py", "conf/algo/mdqn.yaml", "conf/net/mine.yaml")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in zip(FILES, re.findall(r"```(?:python|yaml|bash)\n(.*?)```", PAGE, re.DOTALL), strict=True):
        if name:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text)
    return tmp_path


def rlkit(folder: Path, *arguments: str, extensions: str = "my_algo") -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "RLKIT_EXTENSIONS": extensions, "RLKIT_RUNS": str(folder / "runs")}
    command = [sys.executable, "-m", "rlkit", *arguments]
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=300)


def test_the_example_learns_resumes_and_takes_seeds_and_nets(folder: Path):
    shorter = ["algo=rwr", "env=cartpole", "eval.episodes=20", "eval.periodic_episodes=5"]
    done = rlkit(folder, *shorter, "frames=30000", "algo.temperature=0.3", "name=one")
    assert done.returncode == 0, done.stdout + done.stderr
    result = next((folder / "runs" / "one").glob("*/result.json"))
    assert read_json(result)["final_return"]["mean"] > 100
    more = rlkit(folder, "resume", str(result.parent), "frames=31000")
    assert more.returncode == 0, more.stdout + more.stderr
    two = rlkit(folder, *shorter, "frames=2000", "seeds=2", "net=mine", "name=two")
    assert two.returncode == 0, two.stdout + two.stderr
    wrong = rlkit(folder, *shorter, "algo.temperature=0")
    assert wrong.returncode == 2
    assert "algo.temperature=0" in wrong.stderr + wrong.stdout


def test_the_off_policy_example_learns_and_resumes(folder: Path):
    given = ["algo=mdqn", "env=cartpole", "eval.episodes=20", "eval.periodic_episodes=5", "algo.learning_starts=500"]
    given += ["algo.batch_size=128", "algo.train_every_frames=2", "algo.target_update_every=100", "name=m"]
    done = rlkit(folder, *given, "frames=12000", "memory=prioritized", extensions="my_dqn")
    assert done.returncode == 0, done.stdout + done.stderr
    result = next((folder / "runs" / "m").glob("*/result.json"))
    assert read_json(result)["final_return"]["mean"] > 60  # random actions have 22
    more = rlkit(folder, "resume", str(result.parent), "frames=12500", extensions="my_dqn")
    assert more.returncode == 0, more.stdout + more.stderr
    wrong = rlkit(folder, "algo=mdqn", "env=pendulum", extensions="my_dqn")
    assert wrong.returncode == 2
    assert "algo=mdqn takes Discrete actions" in wrong.stderr + wrong.stdout


def test_an_extension_that_cannot_be_imported_is_named(folder: Path):
    failed = rlkit(folder, "algo=rwr", extensions="my_agol")
    assert failed.returncode == 2
    assert "importing my_agol failed" in failed.stderr + failed.stdout


def test_the_examples_have_sixty_lines_of_code_or_fewer():
    examples = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert len(examples) == 2
    for code in examples:
        assert len([line for line in code.splitlines() if line.strip()]) <= 60


def test_a_name_that_is_taken_and_a_field_that_is_unknown_are_refused():
    with pytest.raises(ConfigError, match="already"):
        extend("a2c", PPOConfig, "x.Y")
    with pytest.raises(ConfigError, match="name: str = 'other'"):
        extend("other", PPOConfig, "x.Y")
    mine = dataclasses.make_dataclass("Mine", [("name", str, "mine")], bases=(PPOConfig,), kw_only=True)
    with pytest.raises(ConfigError, match=r"action is not known\n  accepted: actions, bounded_actions"):
        extend("mine", mine, "x.Y", action=("Box",))
