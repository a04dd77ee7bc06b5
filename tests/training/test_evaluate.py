import numpy as np
import pytest
import torch

from rlkit import compose, seeding
from rlkit.algos.base import Algorithm
from rlkit.config.env import EnvConfig
from rlkit.envs.make import make
from rlkit.training import agent
from rlkit.training.evaluate import Evaluator, Protocol


def untrained(env: str = "cartpole") -> Algorithm:
    config = compose([f"env={env}"])
    spec = make(config.env, 1).spec
    return agent.build(config, 0, spec, torch.device("cpu"))


def test_a_protocol_counts_its_episodes_in_words():
    words = {n: str(Protocol("CartPole-v1", n, True, 500, first_seed=7)) for n in (1, 2)}
    assert words[1].startswith("CartPole-v1, 1 deterministic episode, evaluation seed 7 (")
    assert words[2].startswith("CartPole-v1, 2 deterministic episodes, evaluation seeds 7 to 8 (")


@pytest.mark.parametrize("episodes", [1, 3, 16, 41])
def test_every_episode_has_its_seed_and_is_played_to_its_end(episodes: int):
    algo = untrained()
    score = Evaluator(compose([]).env, 0).score(algo, episodes=episodes, deterministic=True, frames=0)
    assert score.protocol.first_seed == seeding.EVAL_SEEDS
    backend = make(EnvConfig(id="CartPole-v1", vectorization="sync"), 1).backend
    expected = []
    for episode in range(episodes):  # one after the other, in an environment of its own
        obs, total, over = backend.reset([0], [seeding.EVAL_SEEDS + episode]), 0.0, False
        while not over:
            step = backend.step(algo.act(obs, frames=0, explore=False).action)
            obs, total, over = step.obs, total + float(step.reward[0]), bool(step.ended[0])
        expected.append(total)
    assert score.returns == expected
    assert score.lengths == [int(r) for r in expected]


def test_training_streams_are_not_touched():
    algo = untrained()
    before = seeding.generator_state(algo.rng)
    evaluator = Evaluator(compose([]).env, 0)
    sampled = [evaluator.score(algo, episodes=5, deterministic=False, frames=0).returns for _ in range(2)]
    assert sampled[0] == sampled[1]
    assert seeding.generator_state(algo.rng) == before


def test_the_protocol_is_in_words():
    score = Evaluator(compose([]).env, 0).score(untrained(), episodes=2, deterministic=False, frames=0)
    assert str(score.protocol) == (
        "CartPole-v1, 2 sampled episodes, evaluation seeds 1073741824 to 1073741825 (disjoint from training)"
    )


def test_a_random_policy_scores_about_what_is_known():
    score = Evaluator(compose([]).env, 0).random(200)
    assert 20 < score.mean < 25  # 22 on CartPole-v1
    assert score.returns == Evaluator(compose([]).env, 0).random(200).returns
    assert np.mean(Evaluator(EnvConfig(id="MountainCar-v0"), 0).random(3).returns) == -200
