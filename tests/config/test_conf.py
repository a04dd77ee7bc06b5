"""conf/ and the dataclasses agree; recipes, settings of a machine and debugging presets take their place."""

import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from tests.training.runs import session

from rlkit import compose
from rlkit.cli.verbs import run as verb
from rlkit.config.algorithms import ALGORITHMS
from rlkit.config.describe import walk
from rlkit.config.explain import explain
from rlkit.config.run import RunConfig
from rlkit.config.schema import SCHEMAS, conf_dir
from rlkit.errors import ConfigError, DivergedError
from rlkit.runs.folder import read_rows

ROOT = Path(__file__).parents[2]
LOW_TO_HIGH = ["algo", "suite", "env", "local", "family", "tuned", "experiment", "debug", "legacy"]


def test_the_files_state_every_key_as_the_dataclasses_have_it():
    done = subprocess.run(
        [sys.executable, ROOT / "scripts" / "write_conf.py", "--check"], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("cls", [RunConfig, *[row.config for row in ALGORITHMS.values()], *SCHEMAS["net"].values()])
def test_every_key_has_a_meaning(cls: type):
    silent = {key for key, field in walk(cls) if not field.about and field.inner is None}
    assert silent <= {"name", "search.name", "algo", "env", "net", "memory"}


@pytest.mark.parametrize("name", sorted(path.stem for path in (conf_dir() / "experiment").glob("*.yaml")))
def test_every_experiment_composes(name: str):
    assert compose([f"experiment={name}"]).algo.name == name.split("_")[0]
    assert compose([f"experiment={name}", "algo.gamma=0.5"]).algo.gamma == 0.5


@pytest.mark.parametrize("highest", range(len(LOW_TO_HIGH) + 1))
def test_of_all_that_set_a_key_the_last_wins(highest: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    defaults = "[/schema/env/env@env, override /suite: mine, _self_]"
    env = f"# @package _global_\ndefaults: {defaults}\nenv: {{name: mine, id: CartPole-v1}}\n"
    algo = "# @package _global_\ndefaults: [ppo, _self_]\n"
    heads = {"algo": algo, "env": env}
    names = dict.fromkeys(LOW_TO_HIGH, "mine") | {"local": "machine", "family": "mine_mine", "tuned": "mine_mine"}
    for number, group in enumerate(LOW_TO_HIGH):
        file = tmp_path / "conf" / group / f"{names[group]}.yaml"
        file.parent.mkdir(parents=True)
        setting = f"frames: {1000 + number}\nalgo: {{gamma: 0.{10 + number}}}\n" if number < highest else ""
        file.write_text(heads.get(group, "# @package _global_\n") + setting)
    given = ["algo=mine", "env=mine", "experiment=mine", "debug=mine", "+legacy=mine"]
    config, known = compose(given), RunConfig.__dataclass_fields__["frames"].default
    assert config.frames == (999 + highest if highest else known)
    assert config.algo.gamma == (pytest.approx((9 + highest) / 100) if highest else 0.99)
    config = compose([*given, "frames=7777", "algo.gamma=0.5"])
    assert (config.frames, config.algo.gamma) == (7777, 0.5)
    sources = {row.key: row.source for row in explain(["frames", "algo.gamma"], given)}
    last = LOW_TO_HIGH[highest - 1]
    if highest:
        assert set(sources.values()) == {f"conf/{last}/{names[last]}.yaml"}


def test_an_experiment_chooses_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "conf" / "experiment").mkdir(parents=True)
    recipe = (
        "# @package _global_\ndefaults: [override /algo: sac, override /memory: prioritized, _self_]\nframes: 5000\n"
    )
    (tmp_path / "conf" / "experiment" / "mine.yaml").write_text(recipe)
    config = compose(["experiment=mine", "env=pendulum"])
    assert (config.algo.name, config.memory.name, config.frames) == ("sac", "prioritized", 5000)


def test_settings_of_a_machine_are_taken_where_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    assert compose([]).threads == 1
    (tmp_path / "conf" / "local").mkdir(parents=True)
    (tmp_path / "conf" / "local" / "machine.yaml").write_text("# @package _global_\nthreads: 3\n")
    assert compose([]).threads == 3
    assert compose(["threads=2"]).threads == 2
    (found,) = explain(["threads"])
    assert found.source == "conf/local/machine.yaml"


@pytest.mark.parametrize("word", ["tuned=cartpool", "experiment=ppo_mujoko", "debug=fas"])
def test_a_choice_that_is_not_there_is_refused(word: str):
    with pytest.raises(ConfigError, match=r"unknown choice(.|\n)*accepted"):
        compose([word])


def test_fast_has_everything_in_it(tmp_path: Path):
    assert session(tmp_path, ["debug=fast", "algo=dqn"])["status"] == "complete"
    assert len(read_rows(tmp_path / "eval.jsonl")) == 2
    assert len(read_rows(tmp_path / "metrics.jsonl")) == 10


def test_nan_names_what_is_not_finite_first(tmp_path: Path):
    wild = ["debug=nan", "algo=ppo", "env=cartpole", "~tuned", "frames=2000", "eval.episodes=2", "algo.vf_coef=1e38"]
    with pytest.raises(DivergedError, match=r"diverged: .* is not finite"):
        session(tmp_path, [*wild, "algo.learning_rate=1e30", "algo.max_grad_norm=null", "eval.periodic_episodes=2"])
    assert compose(["debug=nan"]).debug.check_finite


def test_profile_writes_its_tables(tmp_path: Path):
    session(tmp_path, ["debug=profile", "algo=ppo", "frames=1024", "eval.episodes=2", "eval.periodic_episodes=2"])
    assert "update" in (tmp_path / "profile.txt").read_text()
    assert (tmp_path / "profile.pstats").exists()


def every_key(values: object, prefix: str = "") -> list[str]:
    if not isinstance(values, dict) or not values:
        return [prefix.rstrip(".")]
    return [key for name, value in values.items() for key in every_key(value, f"{prefix}{name}.")]


@pytest.mark.parametrize("algo", sorted(ALGORITHMS))
def test_every_key_can_be_explained(algo: str):
    given = [f"algo={algo}"]
    config = dataclasses.asdict(compose(given))
    found = {row.key: row for row in explain([], given)}
    keys = {key for key in every_key(config) if not key.startswith(("trial.", "env.kwargs", "algo.optimizer.kwargs"))}
    assert keys - {"critic_net"} <= set(found)
    for key in keys & set(found):
        value: object = config
        for part in key.split("."):
            value = value[part]
        assert found[key].value == value
    assert found["algo.gamma"].source.startswith("conf/")


def test_a_folder_of_ones_own_is_searched(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "mine" / "experiment").mkdir(parents=True)
    recipe = "# @package _global_\nalgo: {gamma: 0.77}\n"
    (tmp_path / "mine" / "experiment" / "recipe.yaml").write_text(recipe)
    words = ["algo.gamma", "experiment=recipe", "--config-dir", str(tmp_path / "mine")]
    assert verb("explain", words) == 0
    said = capsys.readouterr().out
    assert "algo.gamma = 0.77" in said
    assert f"set by: {tmp_path / 'mine' / 'experiment' / 'recipe.yaml'}" in said


def test_the_source_of_a_value_is_named():
    given = ["algo=ppo", "env=cartpole", "algo.gamma=0.9", "net.hidden=[8]"]
    found = {row.key: row.source for row in explain(["algo", "net.hidden", "env.id", "num_envs"], given)}
    tuned = yaml.safe_load((conf_dir() / "tuned" / "ppo_cartpole.yaml").read_text())
    assert found["algo.gamma"] == found["net.hidden"] == "command line"
    assert "learning_rate" in tuned["algo"]
    assert found["algo.learning_rate"] == found["num_envs"] == "conf/tuned/ppo_cartpole.yaml"
    assert found["algo.clip_coef"] == "conf/algo/ppo.yaml"
    assert found["env.id"] == "conf/env/cartpole.yaml"
    with pytest.raises(ConfigError, match=r"unknown key algo.clpi_coef\n  did you mean algo.clip_coef"):
        explain(["algo.clpi_coef"])
