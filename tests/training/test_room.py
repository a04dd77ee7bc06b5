"""What there is no room for is refused before it is made."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from rlkit import compose, train
from rlkit.errors import ConfigError

TOO_MUCH = {
    "num_envs=1000000000": "the environments take",
    "num_envs=1000000000 env=pendulum": "the environments take",
    "num_envs=100000000 env=pong": "the environments take",
    "num_envs=10000000 env=pendulum env.vectorization=async": "the environments take",
    "net.hidden=[1000000000,1000000000]": "net=mlp: its layers",
    "net@critic_net=mlp net.hidden=[8] critic_net.hidden=[3000000,3000000]": "net@critic_net=mlp: its layers",
    "net=gru net.width=10000000 ~tuned": "net=recurrent: its layers",
    "env=pong net.channels=[9000000,9000000,9000000]": "net=conv: its layers",
    "algo=dqn memory.buffer_size=1e15": "memory.buffer_size=1000000000000000: the transitions",
    "algo=ddqn_per memory.buffer_size=1e13": "the transitions",
    "algo.n_steps=1e12": "a rollout of 1000000000000 steps",
}


@pytest.mark.parametrize("words", TOO_MUCH)
def test_it_is_refused_in_words_and_at_once(words: str, tmp_path: Path):
    config, began = compose(words.split()), time.process_time()
    with pytest.raises(ConfigError, match="free") as told:
        train(config, quiet=True)
    assert TOO_MUCH[words] in str(told.value)
    assert time.process_time() - began < 10
    assert not (tmp_path / "runs").exists(), "no folder is made"


@pytest.mark.parametrize(
    "word",
    [
        "threads=1000000",
        "threads=99999999999999999999999999",
        "num_envs=1e30",
        "eval.episodes=1e12",
        "frames=1e300",
        "env.frame_stack=1000000000",
        "env.atari.size=1000000",
        "seeds=1e9",
        "net.hidden=[1.5e30]",
        "algo.epochs=1e99",
    ],
)
def test_numbers_that_nothing_could_count_are_refused(word: str):
    with pytest.raises(ConfigError, match="is not accepted"):
        compose([word])
