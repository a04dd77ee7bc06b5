"""Recurrent policies: what learning sees is what acting did, and nothing is remembered across episodes."""

from pathlib import Path

import numpy as np
import pytest
import torch

from rlkit import load
from rlkit.config.algo import A2CConfig, PPOConfig, ReinforceConfig
from rlkit.config.net import MLPConfig, RecurrentConfig
from rlkit.envs.make import make
from rlkit.seeding import EVAL_SEEDS
from rlkit.training import logbook
from tests.algos.loop import Loop
from tests.training.runs import StopAfter, session, traces

NET = RecurrentConfig(hidden=[8], width=6, sequence_length=5)
ALGORITHMS = [PPOConfig(n_steps=23, minibatch_size=40), A2CConfig(n_steps=23), ReinforceConfig(episodes=2)]


@pytest.mark.parametrize("cell", ["gru", "lstm"])
@pytest.mark.parametrize("cfg", ALGORITHMS, ids=lambda cfg: cfg.name)
def test_sequences_give_what_acting_gave(cfg, cell: str):
    net = RecurrentConfig(hidden=[8], width=6, cell=cell, sequence_length=5)
    loop = Loop("CartPole-v1", cfg, 4, net=net)
    for _ in range(2):  # the second rollout of steps begins in the middle of episodes
        rollout = loop.rollout()
        assert rollout.state is not None
        fields = ("obs", "action", "params", "value", "advantage")
        seen = 0
        for batch in loop.algo.minibatches(loop.memory, 40, fields):
            policy, value = (out.detach() for out in loop.algo.outputs(batch))
            torch.testing.assert_close(policy, batch.params, atol=1e-5, rtol=1e-5)
            torch.testing.assert_close(value, batch.value, atol=1e-5, rtol=1e-5)
            seen += len(batch.action)
            assert len(batch.obs) % 5 == 0
        assert seen == loop.memory.rows == rollout.fields.get("valid", rollout.fields["boundary"] | True).sum()
    assert rollout.fields["boundary"].any()
    assert all(np.isfinite(float(v)) for u in loop.learn() for v in u.report().values() if v is not None)


def test_reinforce_begins_every_rollout_without_a_memory():
    """Its episodes are new ones, also where the rollout before ended in the middle of an episode."""
    loop = Loop("CartPole-v1", ReinforceConfig(), 4, net=NET)
    for _ in range(3):
        rollout = loop.rollout()
        assert (rollout.state[0] == 0).all()
        assert (rollout.state[1] != 0).any()
    assert (loop.collector.state != 0).any()


def test_every_row_is_seen_once_an_epoch():
    loop = Loop("CartPole-v1", PPOConfig(n_steps=23), 4, net=NET)
    rollout = loop.rollout()
    rollout.fields["number"] = np.arange(23 * 4).reshape(23, 4)
    seen = torch.cat([b.number for b in loop.memory.sequences(30, 5, ("obs", "number"))])
    assert sorted(seen.tolist()) == list(range(23 * 4))


@pytest.mark.parametrize("ending", ["terminated", "truncated"])
def test_a_truncated_episode_is_bootstrapped_with_the_memory_it_had(ending: str):
    loop = Loop("tests.envs.chain:Chain-v0", A2CConfig(gamma=0.9, n_steps=6, returns="mc"), 1, net=NET, ending=ending)
    rollout = loop.rollout()
    state = np.zeros((1, 6), np.float32)
    for at in range(4):
        (_, value), state = loop.algo.net.advance(np.array([[at]], np.float32), state)
    end = 0.9 * float(value[0]) * (ending == "truncated")
    target = (rollout.fields["advantage"] + rollout.fields["value"])[:, 0]
    expected = [1 + 0.9 * (1 + 0.9 * (1 + end)), 1 + 0.9 * (1 + end), 1 + end]
    np.testing.assert_allclose(target, expected * 2, atol=1e-5)
    assert (rollout.state[3] == 0).all()
    assert (rollout.state[2] != 0).any()


OVERRIDES = ["net=gru", "net.width=8", "net.sequence_length=8", "frames=1500", "num_envs=4", "eval.episodes=20"]
OVERRIDES += ["eval.periodic_episodes=2", "checkpoint.every_frames=200", "algo.n_steps=25"]


def test_a_resumed_run_equals_one_that_never_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(logbook, "WATCH_SECONDS", -1)
    session(tmp_path / "whole", OVERRIDES)
    stop = StopAfter(500)
    session(tmp_path / "halves", OVERRIDES, watcher=stop, stop=stop)
    session(tmp_path / "halves", OVERRIDES)
    assert traces(tmp_path / "halves") == traces(tmp_path / "whole")


def test_an_evaluation_forgets_between_episodes_and_so_does_a_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from rlkit import compose, train

    monkeypatch.setenv("RLKIT_RUNS", str(tmp_path))
    result = train(compose(OVERRIDES), quiet=True)
    agent = load(result.folder)
    env = make(agent.config.env, 1).backend
    returns = []
    for episode in range(20):  # 16 at a time in the evaluation
        agent.reset()
        obs, total, over = env.reset([0], [EVAL_SEEDS + episode]), 0.0, [False]
        while not over[0]:
            obs, reward, _, _, over = env.step(agent.act(obs.copy()))
            total += float(reward[0])
        returns.append(total)
    assert np.mean(returns) == result.final_return.mean
    agent.act(obs)
    again = [agent.algo.net.advance(obs, state)[0][0] for state in (agent._actor.state, 0 * agent._actor.state)]
    assert not np.array_equal(*again)  # it does remember


@pytest.mark.slow
@pytest.mark.parametrize("net", [RecurrentConfig(sequence_length=33), RecurrentConfig(cell="lstm", sequence_length=33)])
def test_a_delayed_recall_is_learnt_with_a_memory_and_not_without(net):
    cfg = PPOConfig(n_steps=66, minibatch_size=528, epochs=4, learning_rate=3e-3, gae_lambda=1.0, ent_coef=0.01)
    scores = {}
    for name, shape in {"memory": net, "none": MLPConfig()}.items():
        loop = Loop("tests.envs.chain:Recall-v0", cfg, 16, frames=150_000, net=shape)
        while loop.frames < 150_000:
            loop.learn()
        scores[name] = np.mean(loop.envs.recent_returns)
    assert scores["memory"] > 0.95
    assert 0.3 < scores["none"] < 0.7
