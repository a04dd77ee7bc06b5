"""The net follows the observation where none was named."""

from pathlib import Path

import pytest
import torch

from rlkit import compose, load, train
from rlkit.config.net import AutoConfig, ConvConfig, MLPConfig
from rlkit.errors import ConfigError
from rlkit.training.checks import check
from tests.envs.strangers import strange

SHORT = ["frames=64", "num_envs=2", "eval.episodes=1", "eval.periodic_episodes=1", "env=gym"]


@pytest.mark.parametrize("name", ["Picture", "Channels", "Wrapped"])
@pytest.mark.parametrize("algo", ["ppo", "a2c", "dqn", "sac"])
def test_pictures_bring_convolutions(algo: str, name: str):
    config = check(compose([f"algo={algo}", "env=gym", f"env.id={strange(name)}"]))
    assert isinstance(config.net, ConvConfig)


@pytest.mark.parametrize("name", ["Ram", "Board", "Tiles", "Thumb", "Mixed", "Counted"])
def test_everything_else_brings_an_mlp(name: str):
    config = check(compose(["env=gym", f"env.id={strange(name)}", "net.hidden=[32]"]))
    assert type(config.net) is MLPConfig
    assert config.net.hidden == [32]


@pytest.mark.parametrize(
    ("net", "name"), [("mlp", "Picture"), ("conv", "Ram"), ("gru", "Channels"), ("impala", "Tiles")]
)
def test_a_net_that_was_named_and_does_not_fit_is_refused(net: str, name: str):
    with pytest.raises(ConfigError, match=r"net=\w+: .* observes"):
        check(compose([f"net={net}", "env=gym", f"env.id={strange(name)}"]))


def test_what_was_settled_is_stored_and_loads(tmp_path: Path):
    run = train(compose([*SHORT, f"env.id={strange('Picture')}", "algo.n_steps=16", "algo.epochs=1"]), quiet=True)
    assert "name: conv" in (run.folder / "config.yaml").read_text()
    agent = load(run.folder)
    assert isinstance(agent.config.net, ConvConfig)


def test_gains_and_noise_pass_to_the_convolutions():
    config = compose(["algo=rainbow", "env=gym", f"env.id={strange('Picture')}", "net.value_gain=0.5"])
    assert isinstance(config.net, AutoConfig)
    settled = config.settled(pictures=True)
    assert isinstance(settled.net, ConvConfig)
    assert (settled.net.noisy, settled.net.value_gain) == (config.net.noisy, 0.5)


def test_a_gpu_is_taken_for_pictures_whose_net_was_not_named(monkeypatch: pytest.MonkeyPatch):
    from rlkit.training.process import choose_device

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    config = compose(["env=gym", f"env.id={strange('Picture')}"])
    assert choose_device(config.settled(pictures=True))[0] == "cuda"
    assert choose_device(config.settled(pictures=False))[0] == "cpu"
