"""Suites of environments, and the families' values for an algorithm on a suite."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from rlkit import compose
from rlkit.config.schema import conf_dir

SUITES = ("atari", "box2d", "classic", "mujoco")
OF = {"atari": "pong", "mujoco": "hopper", "box2d": "bipedal_walker", "classic": "cartpole"}


def read(group: str, name: str) -> Any:
    return yaml.safe_load((conf_dir() / group / f"{name}.yaml").read_text())


def names(group: str) -> list[str]:
    return sorted(path.stem for path in (conf_dir() / group).glob("*.yaml"))


def suite_of(env: str) -> str | None:
    for entry in read("env", env)["defaults"]:
        if entry == "atari":
            return "atari"
        if isinstance(entry, dict) and "override /suite" in entry:
            return str(entry["override /suite"])
    return None


@pytest.mark.parametrize("env", [name for name in names("env") if name not in ("gym", "atari")])
def test_every_environment_is_of_a_suite(env: str):
    assert suite_of(env) in SUITES
    assert compose(["algo=random", f"env={env}"]).frames == read("suite", suite_of(env) or "")["frames"]


@pytest.mark.parametrize("family", [name for name in names("family") if name != "none"])
def test_the_values_of_a_family_reach_the_run_unless_dropped(family: str):
    algo, _, suite = family.rpartition("_")
    given = [f"algo={algo}", f"env={OF[suite]}"]
    values = read("family", family)
    base = read("family", values["defaults"][0]) if "defaults" in values else values
    run = compose(given)
    assert run.num_envs == base["num_envs"]
    for key, value in base["algo"].items():
        if not isinstance(value, dict):
            assert getattr(run.algo, key) == (float(value) if isinstance(value, str) else value)
    assert compose([*given, "num_envs=3"]).num_envs == 3
    assert compose([*given, "~family"]) != run


@pytest.mark.parametrize("tuned", [name for name in names("tuned") if name != "none"])
def test_a_family_does_not_change_a_pair_that_was_tuned_without_it(tuned: str):
    env = max((name for name in names("env") if tuned.endswith(f"_{name}")), key=len)
    given = [f"algo={tuned.removesuffix(f'_{env}')}", f"env={env}"]
    if (conf_dir() / "family" / f"{given[0].removeprefix('algo=')}_{suite_of(env)}.yaml").exists():
        assert compose(given) == compose([*given, "~family"])


def test_a_suite_can_be_chosen_for_any_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    run = compose(["algo=ppo", "env=gym", "env.id=Hopper-v5", "suite=mujoco"])
    assert (run.frames, run.num_envs, run.env.normalize_obs) == (1_000_000, 1, True)
    for dropped in ("suite=none", "suite=null"):
        assert compose(["algo=ppo", "env=hopper", dropped]).num_envs == 8
    assert not compose(["algo=ppo", "env=hopper", "family=null"]).env.normalize_obs
