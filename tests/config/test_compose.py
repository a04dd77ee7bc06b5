from pathlib import Path

import pytest
import yaml

from rlkit import compose
from rlkit.config.algo import PPOConfig
from rlkit.config.algorithms import ALGORITHMS
from rlkit.config.net import MLPConfig
from rlkit.config.run import slug
from rlkit.config.schema import conf_dir, to_yaml
from rlkit.errors import ConfigError, RlkitError


def choices(group: str) -> list[str]:
    return sorted(path.stem for path in (conf_dir() / group).glob("*.yaml"))


def with_id(env: str) -> list[str]:
    return [f"env={env}", *{"gym": ["env.id=CartPole-v1"], "atari": ["env.game=Pong"]}.get(env, [])]


SOME = ["cartpole", "pendulum", "pong"]


@pytest.mark.parametrize(
    ("algo", "env"), [*((a, e) for a in choices("algo") for e in SOME), *(("ppo", e) for e in choices("env"))]
)
def test_every_algorithm_composes_with_every_environment(algo: str, env: str):
    config = compose([f"algo={algo}", *with_id(env)])
    assert config.env.name == env
    assert config.env.today
    assert config.net.name == ("conv" if config.env.atari_game else "auto")


@pytest.mark.parametrize("net", choices("net"))
@pytest.mark.parametrize("algo", choices("algo"))
def test_every_algorithm_composes_with_every_net(algo: str, net: str):
    name = {"gru": "recurrent", "lstm": "recurrent", "crossq_critic": "mlp", "crossq_conv": "sequential"}.get(
        net, net.split("_")[0]
    )
    quiet = ["net.noisy=false"] if algo == "rainbow" and name in ("recurrent", "sequential") else []
    if name == "recurrent" and (not ALGORITHMS[algo].sequences or algo in ("ddqn_per", "rainbow")):
        with pytest.raises(ConfigError, match=r"learns from single steps|replays sequences evenly"):
            compose([f"algo={algo}", f"net={net}", *quiet])
    else:
        assert compose([f"algo={algo}", f"net={net}", "~tuned", *quiet]).net.name == name


@pytest.mark.parametrize("memory", choices("memory"))
@pytest.mark.parametrize("algo", choices("algo"))
def test_every_algorithm_composes_with_its_memories_alone(algo: str, memory: str):
    if memory in ALGORITHMS[algo].memories:
        assert compose([f"algo={algo}", f"memory={memory}"]).memory.name == memory
    else:
        with pytest.raises(ConfigError, match=f"memory={memory} is not for {algo}"):
            compose([f"algo={algo}", f"memory={memory}"])


@pytest.mark.parametrize("tuned", choices("tuned"))
def test_every_tuned_file_composes_with_its_pair(tuned: str):
    if tuned != "none":
        algo = max((a for a in choices("algo") if tuned.startswith(f"{a}_")), key=len)
        env = tuned.removeprefix(f"{algo}_")
        assert compose([f"algo={algo}", f"env={env}"]) != compose([f"algo={algo}", f"env={env}", "~tuned"])
    assert compose(["tuned=none"]) == compose(["~tuned"])


def test_the_readme_command_has_the_promised_numbers():
    config = compose(["algo=ppo", "env=cartpole"])
    assert isinstance(config.algo, PPOConfig)
    assert (config.num_envs, config.algo.n_steps, config.algo.epochs, config.algo.minibatch_size) == (8, 32, 20, 256)
    assert config.frames == 100_000
    assert config.env.id == "CartPole-v1"


def test_the_command_line_beats_tuned_and_tuned_beats_the_algorithm():
    assert compose(["~tuned"]).algo.gamma == 0.99
    assert compose([]).algo.gamma == 0.98
    assert compose(["algo.gamma=0.5"]).algo.gamma == 0.5


def test_the_dataclass_needs_no_hydra():
    assert PPOConfig(n_steps=7).gamma == 0.99


@pytest.mark.parametrize(("text", "frames"), [("1e6", 1_000_000), ("1_000_000", 1_000_000), ("250000", 250_000)])
def test_whole_numbers_may_be_written_in_several_ways(text: str, frames: int):
    value = compose([f"frames={text}"]).frames
    assert value == frames
    assert isinstance(value, int)


def test_a_critic_net_of_its_own():
    config = compose(["net@critic_net=mlp_relu_256"])
    assert isinstance(config.critic_net, MLPConfig)
    assert config.critic_net.hidden == [256, 256]
    assert compose([]).critic_net is None


def test_env_kwargs_take_any_key():
    assert compose(["env.kwargs.sutton_barto_reward=true"]).env.kwargs == {"sutton_barto_reward": True}


def test_a_saved_config_loads_to_the_same(tmp_path: Path):
    config = compose(["net@critic_net=mlp_relu_256", "seeds=3", "algo.target_kl=0.02", "env.kwargs={a: 1}"])
    path = tmp_path / "config.yaml"
    path.write_text(to_yaml(config))
    assert compose(base=path) == config
    assert compose(["frames=5", "algo.gamma=0.5"], base=path).frames == 5
    assert yaml.safe_load(path.read_text())["algo"]["name"] == "ppo"


@pytest.mark.parametrize(
    "text", ["${oc.env:HOME}", r"\${x}", r"a\\${b}\c", "${", "$x ${a.b} ${first:1,2}", "{a: 1}", "???x"]
)
def test_a_saved_text_stays_as_it_is(text: str, tmp_path: Path):
    """`${...}` in a run from elsewhere asks nothing of this machine's environment."""
    config = compose([])
    config.env.kwargs["x"] = {"y": [text]}
    (tmp_path / "config.yaml").write_text(to_yaml(config))
    assert compose(base=tmp_path / "config.yaml").env.kwargs == {"x": {"y": [text]}}


def test_a_saved_config_that_is_broken_is_named_with_its_line(tmp_path: Path):
    path = tmp_path / "config.yaml"
    path.write_text(to_yaml(compose([])) + "algo: [1\n")
    with pytest.raises(RlkitError, match=f"{path}:.* is not valid YAML"):
        compose(base=path)
    path.write_text(to_yaml(compose([])).replace("layer_norm: false", "layer_norm: 0"))
    with pytest.raises(ConfigError, match=r"net.layer_norm=0 is not accepted\n  accepted: true or false"):
        compose(base=path)


def test_a_saved_config_refuses_typos_and_other_choices(tmp_path: Path):
    path = tmp_path / "config.yaml"
    path.write_text(to_yaml(compose([])))
    with pytest.raises(ConfigError, match=r"unknown key algo\.gama\n  did you mean algo\.gamma"):
        compose(["algo.gama=0.5"], base=path)
    with pytest.raises(ConfigError, match="a saved run keeps its env"):
        compose(["env=pendulum"], base=path)
    path.write_text(path.read_text().replace("name: ppo\n", "name: pppo\n", 1))
    with pytest.raises(ConfigError, match=r"algo\.name=pppo is not known"):
        compose(base=path)


def test_a_group_in_the_working_directory_is_found():
    folder = Path("conf/tuned")
    folder.mkdir(parents=True)
    (folder / "ppo_pendulum.yaml").write_text("# @package _global_\nalgo: {gamma: 0.123}\n")
    assert compose(["env=pendulum", "tuned=ppo_pendulum"]).algo.gamma in (0.123, compose(["env=pendulum"]).algo.gamma)
    (folder / "mine.yaml").write_text("# @package _global_\nalgo: {gamma: 0.123}\n")
    assert compose(["tuned=mine"]).algo.gamma == 0.123


def test_the_name_comes_from_the_algorithm_and_the_id():
    assert compose(["env=pendulum"]).name == "ppo_pendulum_v1"
    assert slug("ALE/Pong-v5") == "ale_pong_v5"
    assert compose(["name=a/b-c.1"]).name == "a/b-c.1"
