"""Odd text, odd places and odd keys: nothing is forged, replaced or lost."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from rlkit.errors import RunFolderError, SpecError
from rlkit.legacy.convert import convert
from tests.legacy.specs import DQN, PPO, changed, old, one, write
from tests.legacy.test_convert import composed, kinds, values


@pytest.mark.parametrize("key", ["a\ud800", "a\nrefused: forged", "\x1b[31mred", "a\u202eb"])
def test_odd_keys_are_shown_without_their_odd_letters(tmp_path: Path, key: str) -> None:
    spec = changed(DQN, env={**DQN["env"], key: 5})
    spec["search"] = {key: {"gamma__choice": [1, 2]}}
    conversion = convert(write(tmp_path, {"it": spec}), out=tmp_path, report=tmp_path / "all.json")[0]
    assert conversion.path is not None
    text = conversion.path.with_suffix(".report.txt").read_text()
    assert text.count("?") >= 2
    assert all(line.isprintable() for line in text.splitlines())
    assert "refused: forged" not in text.splitlines()
    assert composed(conversion).frames == 2000
    named = [line["key"] for line in json.loads((tmp_path / "all.json").read_text())[0]["keys"]]
    assert f"env.{key}" in named


def test_the_name_of_a_file_puts_nothing_into_the_configuration(tmp_path: Path) -> None:
    path = write(tmp_path, {"it": DQN}, "a\nframes: 7\n#.json")
    conversion = convert(path, out=tmp_path)[0]
    assert yaml.safe_load(conversion.yaml)["frames"] == 2000
    assert "\nframes: 7" not in conversion.yaml + conversion.report.text()
    with pytest.raises(SpecError) as caught:
        convert(write(tmp_path, "{", "b\n\x1b[2J.json"), out=tmp_path)
    assert str(caught.value).startswith("b??[2J.json")


def test_the_report_does_not_replace_the_spec_or_a_configuration(tmp_path: Path) -> None:
    path = write(tmp_path, {"it": DQN})
    before = path.read_bytes()
    with pytest.raises(SpecError, match="the spec file itself"):
        convert(path, out=tmp_path, report=tmp_path / "conf" / ".." / "specs.json")
    with pytest.raises(SpecError, match="where a configuration goes"):
        convert(path, out=tmp_path, report=tmp_path / "conf" / "legacy" / "specs" / "it.yaml")
    assert path.read_bytes() == before
    assert not (tmp_path / "conf" / "legacy").exists()


def test_an_older_conversion_of_a_refused_spec_is_named(tmp_path: Path) -> None:
    conversion = one(tmp_path, DQN)
    with pytest.raises(SpecError, match="an older conversion is still at") as caught:
        one(tmp_path, changed(DQN, agent__algorithm__gamma=5))
    assert str(conversion.path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_cannot_be_written_names_its_own_option(tmp_path: Path) -> None:
    path = write(tmp_path, {"it": DQN})
    file = write(tmp_path, "", "file")
    with pytest.raises(RunFolderError, match="--out DIR"):
        convert(path, out=file)
    with pytest.raises(RunFolderError, match="--report FILE"):
        convert(path, out=tmp_path, report=file / "x.txt")


def test_one_key_written_in_two_ways_is_refused(tmp_path: Path) -> None:
    spec = copy.deepcopy(DQN)
    spec["agent"]["algorithm.gamma"] = 0.5
    with pytest.raises(SpecError, match=r"agent\.algorithm\.gamma: there twice"):
        one(tmp_path, spec)


def test_keys_of_a_target_network_are_known_without_one(tmp_path: Path) -> None:
    conversion = one(tmp_path, changed(PPO, agent__net__update_type="polyak", agent__net__polyak_coef=0.1), strict=True)
    assert kinds(conversion)["agent.net.update_type"] == "dropped"
    assert "ppo has no target network" in conversion.report.text()


V1: dict[str, Any] = {
    "agent": {
        "name": "A2C",
        "algorithm": {
            "name": "ActorCritic",
            "action_policy": "default",
            "gamma": 0.99,
            "use_GAE": True,
            "lamda": 0.95,
            "add_entropy": True,
            "entropy_weight": 0.02,
            "num_epis_to_collect": 5,
            "training_frequency": 1,
            "policy_loss_weight": 1.0,
            "val_loss_weight": 0.5,
        },
        "memory": {"name": "OnPolicyReplay"},
        "net": {
            "type": "MLPseparate",
            "hid_layers": [64],
            "hid_layers_activation": "tanh",
            "clamp_grad": False,
            "clamp_grad_val": 1.0,
            "optim_actor": {"name": "Adam", "lr": 0.01},
            "optim_critic": {"name": "Adam", "lr": 0.01},
            "loss": {"name": "mse_loss"},
            "polyak_weight": 0.9,
        },
    },
    "env": {"name": "CartPole-v0", "max_timestep": None, "max_episode": 100},
    "meta": {"max_session": 1, "max_trial": 1, "train_mode": True},
}


def test_a_spec_of_version_1(tmp_path: Path) -> None:
    conversion = one(tmp_path, old(V1), strict=True)
    assert conversion.report.era == "v1"
    found = values(conversion)
    assert (found["algo.returns"], found["algo.gae_lambda"], found["algo.ent_coef"]) == ("gae", 0.95, 0.02)
    assert (found["algo.vf_coef"], found["algo.learning_rate"], found["algo.max_grad_norm"]) == (0.5, 0.01, None)
    assert (found["env.id"], found["frames"]) == ("CartPole-v1", 100 * 200)
    text = conversion.report.text()
    assert "clamp_grad is false: no bound" in text
    assert "num_epis_to_collect=5 (an old name of agent.algorithm.training_frequency, which is there too)" in text
    assert "a2c has no target network" in text
    assert composed(conversion).algo.name == "a2c"


@pytest.mark.parametrize("option", [[[1], [2]], [{"a": 1}, {"a": 1}], [[], []]])
def test_odd_options_of_a_layer(tmp_path: Path, option: Any) -> None:
    arc = {"modules": {"body": {"Sequential": [{"LazyConv2d": {"out_channels": 8, "kernel_size": option}}]}}}
    with pytest.raises(SpecError, match="a whole number is wanted"):
        one(tmp_path, changed(PPO, agent__net={"type": "TorchArcNet", "arc": arc}))
