"""A loaded agent takes what the environment returns and gives what its `step` takes."""

from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
import torch

from rlkit import compose, evaluate, load, train
from rlkit.errors import DivergedError, EnvError
from rlkit.training.agent import Agent
from tests.envs.strangers import strange

SPACES = ["Ram", "Tiles", "Grey", "DictOfRam", "Mixed"]
ACTS = [
    "ActHalves",
    "ActScalar",
    "ActMatrix",
    "ActWhole",
    "ActBytes",
    "ActStart",
    "ActDials",
    "ActByteDials",
    "ActSwitches",
]
BUILT_IN = ["FrozenLake-v1", "Blackjack-v1", "CliffWalking-v1", "Pendulum-v1", "tests.envs.chain:Switches-v0"]


def trained(tiny: list[str], *overrides: str) -> Agent:
    short = ["frames=128", "eval.episodes=1", "eval.periodic_episodes=1", "env.max_episode_steps=20"]
    return load(train(compose([*tiny, *short, *overrides]), quiet=True).folder)


def plays(agent: Agent, env_id: str, **kwargs: object) -> None:
    env = gym.make(env_id, **kwargs)  # type: ignore[arg-type]
    agent.reset()
    obs, _ = env.reset(seed=0)
    for deterministic in (True, False):
        for _ in range(5):
            action = agent.act(obs, deterministic=deterministic)
            assert env.action_space.contains(action), action
            obs, _, terminated, truncated, _ = env.step(action)
            if terminated or truncated:
                obs, _ = env.reset()
                agent.reset()
    env.close()


@pytest.mark.parametrize("env_id", [*BUILT_IN, *map(strange, (*SPACES, *ACTS))])
def test_every_space(tiny: list[str], env_id: str):
    plays(trained(tiny, "env=gym", f"env.id={env_id}"), env_id)


@pytest.mark.parametrize("option", ["env.frame_stack=3", "env.time_aware=true", "env.normalize_obs=true", "net=gru"])
def test_every_option(tiny: list[str], option: str):
    tiny = [word for word in tiny if not word.startswith("net.hidden")]
    plays(trained(tiny, "env=cartpole", option), "CartPole-v1")


def test_parts_that_are_left_out_may_be_there(tiny: list[str]):
    agent = trained(tiny, "env=gym", f"env.id={strange('Pair')}", "env.ignore=[1]")
    plays(agent, strange("Pair"))


@pytest.mark.parametrize("channels_first", [False, True])
def test_pictures_in_either_order_of_channels(channels_first: bool):
    env_id = strange("Channels" if channels_first else "Picture")
    words = ["env=gym", f"env.id={env_id}", "net=conv", "net.channels=[4]", "net.kernels=[8]", "net.strides=[8]"]
    small = ["net.hidden=[8]", "num_envs=2", "algo.n_steps=16", "algo.epochs=1", "algo.minibatch_size=32"]
    plays(trained(words, *small), env_id)


def test_an_agent_acts_as_in_its_evaluation(tiny: list[str]):
    agent = trained(tiny, "env=cartpole", "env.frame_stack=2", "env.time_aware=true", "env.max_episode_steps=500")
    env = gym.make("CartPole-v1")
    total = 0.0
    obs, _ = env.reset(seed=2**30)
    over = False
    while not over:
        obs, reward, terminated, truncated, _ = env.step(agent.act(obs))
        total, over = total + float(reward), terminated or truncated
    folder = sorted(Path("runs").glob("*/*"))[-1]
    assert evaluate(folder, episodes=1).returns == [total]


def test_several_observations_give_several_actions(tiny: list[str]):
    agent = trained(tiny, "env=cartpole")
    obs = np.random.default_rng(0).uniform(-0.1, 0.1, (5, 4)).astype(np.float32)
    several = agent.act(obs)
    assert several.shape == (5,)
    for row, action in zip(obs, several, strict=True):
        assert agent.act(row) == action
    pairs = trained(tiny, "env=gym", "env.id=tests.envs.chain:Switches-v0")
    batch = {"a": np.array([0, 1, 1]), "b": np.zeros((3, 3), np.int8)}
    assert pairs.act(batch).shape == (3, 2)


def test_an_observation_of_another_environment_is_refused(tiny: list[str]):
    agent = trained(tiny, "env=cartpole")
    with pytest.raises(EnvError, match=r"has shape \(3,\); its space says \(4,\)"):
        agent.act(np.zeros(3, np.float32))
    with pytest.raises(EnvError, match=r"shape"):
        agent.act({"a": 1})


def test_weights_that_are_not_finite_are_not_scored(tiny: list[str], monkeypatch: pytest.MonkeyPatch):
    result = train(compose([*tiny, "frames=128"]), quiet=True)
    from rlkit.training import agent as module

    weights = module.checkpoint.load_weights

    def spoilt(path: Path) -> dict[str, torch.Tensor]:
        found = weights(path)
        next(iter(found.values())).view(-1)[0] = float("nan")
        return found

    monkeypatch.setattr(module.checkpoint, "load_weights", spoilt)
    with pytest.raises(DivergedError, match=r"the weight \S+ of the checkpoint at 128 frames is not finite"):
        evaluate(result.folder, episodes=1)
