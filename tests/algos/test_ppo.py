"""Learning what is known, and the details of Huang et al. 2022 by their effect."""

import numpy as np
import pytest
import torch

from rlkit.algos import ppo
from rlkit.algos.estimates import values_along
from rlkit.algos.ppo import FIELDS
from rlkit.config.algo import PPOConfig
from rlkit.config.learning import ScheduleConfig
from rlkit.config.net import MLPConfig, NetConfig, RecurrentConfig
from rlkit.maths.returns import n_step
from rlkit.runs.folder import read_rows
from tests.algos.loop import Loop
from tests.envs.chain import NativeChain
from tests.training.runs import session


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
@pytest.mark.parametrize("kind", ["sync", "async", "native"])
@pytest.mark.parametrize("ending", ["terminated", "truncated", "both"])
@pytest.mark.parametrize("gae_lambda", [0.0, 0.7, 1.0])
def test_the_targets_that_reach_the_learner_are_right(
    kind: str, ending: str, gae_lambda: float, monkeypatch: pytest.MonkeyPatch
):
    """The truncation oracle: on the chain, targets by hand from the critic's own values of the true states."""
    gamma, chain = 0.9, "tests.envs.chain:Chain-v0"
    cfg = PPOConfig(gamma=gamma, gae_lambda=gae_lambda, n_steps=7)
    if kind == "native":
        monkeypatch.setattr("rlkit.envs.make._native", lambda *_: lambda: NativeChain(2, ending))
    loop = Loop(chain, cfg, 2, ending=ending, vectorization=kind)
    assert loop.envs.backend.name == kind
    rollout = loop.rollout()
    loop.envs.close()
    value = loop.algo.net.infer(np.arange(4, dtype=np.float32)[:, None], 1).astype(np.float64)
    # One episode visits 0, 1, 2 and ends in 3; from its end backwards, each advantage by definition.
    end = 0.0 if ending != "truncated" else value[3]
    delta = [1 + gamma * value[1] - value[0], 1 + gamma * value[2] - value[1], 1 + gamma * end - value[2]]
    decay = gamma * gae_lambda
    whole = [delta[0] + decay * (delta[1] + decay * delta[2]), delta[1] + decay * delta[2], delta[2]]

    fields = rollout.fields
    successors = value[[1, 2, 3, 1, 2, 3, 1]][:, None].repeat(2, 1)
    signals = (fields["reward"], successors, fields["terminated"], fields["boundary"])
    one = [1 + gamma * value[1], 1 + gamma * value[2], 1 + gamma * end]
    three = [1 + gamma * (1 + gamma * one[2]), 1 + gamma * one[2], one[2]]
    for n, targets in ((1, [*one, *one, one[0]]), (3, [*three, *three, one[0]])):
        found = n_step(*signals, gamma=gamma, n=n)
        np.testing.assert_allclose(found, np.array([targets] * 2).T, atol=1e-6)
    expected = [*whole, *whole, delta[0]]  # 7 steps: two episodes, and one step whose successor is state 1
    assert rollout.obs[:, 0, 0].tolist() == [0, 1, 2, 0, 1, 2, 0, 1]
    np.testing.assert_allclose(rollout.fields["advantage"], np.array([expected] * 2).T, atol=1e-6)
    np.testing.assert_allclose(
        rollout.fields["target"], (np.array(expected) + value[[0, 1, 2, 0, 1, 2, 0]])[:, None].repeat(2, 1), atol=1e-6
    )


@pytest.mark.parametrize("continuous", [False, True], ids=["discrete", "continuous"])
def test_it_learns_to_do_what_it_is_told(continuous: bool):
    loop = Loop(
        "tests.envs.chain:Identity-v0",
        PPOConfig(n_steps=32, minibatch_size=64, epochs=10, learning_rate=1e-2, gamma=0.0, log_std_init=-1.0),
        frames=5000,
        continuous=continuous,
    )
    while loop.frames < 5000:
        loop.learn()
    obs = loop.envs.obs
    hits = []
    for _ in range(20):
        action = loop.algo.act(obs, frames=0, explore=False).action
        hits.append(abs(action[:, 0] - obs[:, 0]).mean() if continuous else (action == obs.argmax(1)).mean())
        loop.envs.step(action)
        obs = loop.envs.obs
    assert np.mean(hits) < 0.15 if continuous else np.mean(hits) == 1


@pytest.mark.parametrize("dials", [False, True], ids=["MultiBinary", "MultiDiscrete"])
def test_it_sets_switches_and_dials_from_a_dictionary(dials: bool):
    cfg = PPOConfig(n_steps=32, minibatch_size=64, epochs=10, learning_rate=1e-2, gamma=0.0)
    loop = Loop("tests.envs.chain:Switches-v0", cfg, frames=5000, dials=dials)
    while loop.frames < 5000:
        loop.learn()
    rewards = [loop.envs.step(loop.algo.act(loop.envs.obs, frames=0, explore=False).action).reward for _ in range(20)]
    assert np.mean(rewards) == 1


def test_an_endless_truncated_loop_has_the_value_of_an_endless_one():
    """Reward 1 for ever, cut every 3 steps: V = 1 / (1 - gamma) everywhere, if truncation is right."""
    cfg = PPOConfig(gamma=0.8, n_steps=64, minibatch_size=64, epochs=8, learning_rate=1e-2)
    loop = Loop("tests.envs.chain:Chain-v0", cfg, frames=20_000, ending="truncated")
    while loop.frames < 20_000:
        loop.learn()
    values = loop.algo.net.infer(np.arange(3, dtype=np.float32)[:, None], 1)
    np.testing.assert_allclose(values, 5, atol=0.25)


def test_old_log_probabilities_are_those_of_the_acting_policy():
    loop = Loop("CartPole-v1", PPOConfig(n_steps=8))
    rollout = loop.rollout()
    fields = rollout.fields
    now = loop.algo.net.infer(rollout.obs[:-1].reshape(32, 4), 0)
    expected = loop.algo.dist.log_prob(torch.from_numpy(now), torch.from_numpy(fields["action"].reshape(32)))
    np.testing.assert_allclose(fields["log_prob"].reshape(32), expected.numpy(), atol=1e-6)


def test_every_row_is_in_one_minibatch_of_each_epoch():
    loop = Loop("CartPole-v1", PPOConfig(n_steps=25, minibatch_size=30, epochs=3))
    rollout = loop.rollout()
    batches = list(loop.algo.batches(loop.memory))
    assert [len(b) for b in batches] == [30, 30, 30, 10] * 3
    everything = np.sort(rollout.fields["target"].reshape(-1))
    orders = [torch.cat([b.target for b in batches[i : i + 4]]).numpy() for i in (0, 4, 8)]
    for order in orders:
        np.testing.assert_array_equal(np.sort(order), everything)
    assert not np.array_equal(orders[0], orders[1])


def test_the_schedules_follow_the_frames():
    cfg = PPOConfig(n_steps=25, learning_rate=1e-3, clip_coef=0.2, clip_coef_schedule=ScheduleConfig(kind="linear"))
    loop = Loop("CartPole-v1", cfg, frames=1000)
    seen = []
    while loop.frames < 1000:
        loop.rollout()
        seen.append((loop.algo.optim.learning_rate, loop.algo.clip_coef))
    np.testing.assert_allclose(seen, [(1e-3 * (1 - k / 10), 0.2 * (1 - k / 10)) for k in range(10)], rtol=1e-6)


def test_target_kl_ends_the_updates_of_a_rollout_before_the_step():
    cfg = PPOConfig(n_steps=64, minibatch_size=32, epochs=20, learning_rate=0.05, target_kl=0.01)
    loop = Loop("CartPole-v1", cfg)
    updates = loop.learn()
    assert 1 < len(updates) < 20 * 8
    assert all(u.report()["approx_kl"] <= 0.015 for u in updates[:-1])
    assert updates[-1].report()["approx_kl"] > 0.015
    before = loop.algo.net.flat.weight.clone()
    (batch,) = loop.memory.minibatches(256, FIELDS)
    loop.algo.update(batch)
    assert torch.equal(loop.algo.net.flat.weight, before)


@pytest.mark.parametrize(("kl", "stops"), [(0.0099, False), (0.0149, False), (0.0151, True)])
def test_updates_end_beyond_one_and_a_half_times_target_kl(kl: float, stops: bool, monkeypatch: pytest.MonkeyPatch):
    loop = Loop("CartPole-v1", PPOConfig(n_steps=16, minibatch_size=16, epochs=2, target_kl=0.01))
    loop.rollout()
    ppo_loss = ppo.ppo_loss

    def measured(*args, **kwargs):
        loss = ppo_loss(*args, **kwargs)
        loss.evaluated = loss.value, {**loss.stats, "approx_kl": torch.tensor(kl)}
        return loss

    monkeypatch.setattr(ppo, "ppo_loss", measured)
    before = loop.algo.net.flat.weight.clone()
    batches = [loop.algo.update(batch) for batch in loop.algo.batches(loop.memory)]
    assert len(batches) == (1 if stops else 8)
    assert torch.equal(loop.algo.net.flat.weight, before) == stops


def test_the_gradient_is_clipped_over_actor_and_critic_together():
    loop = Loop("CartPole-v1", PPOConfig(n_steps=32, minibatch_size=128, epochs=1, max_grad_norm=0.01))
    loop.learn()
    norm = torch.linalg.vector_norm(loop.algo.net.flat.grad).item()
    assert norm == pytest.approx(0.01, rel=1e-3)
    assert loop.algo.optim.grad_norm > 0.01


def test_a_gradient_reaches_every_parameter():
    for env_id in ("CartPole-v1", "Pendulum-v1"):
        loop = Loop(env_id, PPOConfig(n_steps=32, minibatch_size=128, epochs=1, ent_coef=0.01))
        before = {k: v.clone() for k, v in loop.algo.weights().items()}
        loop.learn()
        for name, weight in loop.algo.weights().items():
            assert not torch.equal(weight, before[name]), name


def test_statistics_are_those_of_the_last_minibatch():
    loop = Loop("CartPole-v1", PPOConfig(n_steps=32, minibatch_size=64, epochs=2))
    updates = loop.learn()
    assert len(updates) == 4
    assert {"approx_kl", "clip_fraction", "explained_variance", "entropy", "grad_norm"} <= updates[-1].report().keys()


@pytest.mark.parametrize("seed", [0, 1])
def test_cartpole_is_being_learnt_by_the_first_half_of_the_readme_run(seed: int, tmp_path):
    """A quick check of learning, above what a broken update reaches (20 to 60) on any CPU; README has the table."""
    result = session(tmp_path, ["eval.episodes=20", "frames=50000"], seed)
    assert result["final_return"]["mean"] > 120
    assert len(read_rows(tmp_path / "metrics.jsonl")) > 50


def test_every_minibatch_has_standard_advantages_of_its_own():
    loop = Loop("CartPole-v1", PPOConfig(n_steps=33, minibatch_size=20), 4)
    loop.rollout()
    before = loop.memory.fields["advantage"].clone()
    sizes = []
    for batch in loop.algo.minibatches(loop.memory, 20, FIELDS):
        sizes.append(len(batch.advantage))
        assert batch.advantage.mean().item() == pytest.approx(0, abs=1e-5)
        assert batch.advantage.std().item() == pytest.approx(1, abs=1e-4)
    assert sizes == [20] * 6 + [12]
    (whole,) = loop.algo.minibatches(loop.memory, 200, FIELDS)  # more than there are
    assert whole.advantage.std().item() == pytest.approx(1, abs=1e-4)
    assert torch.equal(loop.memory.fields["advantage"], before)


@pytest.mark.parametrize("net", [MLPConfig(hidden=[8], shared=True), RecurrentConfig(hidden=[8], width=8)])
def test_values_that_came_with_acting_are_those_of_a_pass_over_the_rollout(net: NetConfig):
    """Where policy and value share a trunk; at successors that no action was taken in too."""
    loop = Loop("tests.envs.chain:Chain-v0", PPOConfig(n_steps=7), 2, net=net, ending="truncated")
    rollout = loop.collector.collect(0)
    quick = values_along(loop.algo.net, rollout)
    del rollout.fields["critic"]
    for mine, whole in zip(quick, values_along(loop.algo.net, rollout), strict=True):
        np.testing.assert_allclose(mine, whole, rtol=1e-5, atol=1e-6)


def test_separate_networks_give_no_values_while_acting():
    loop = Loop("tests.envs.chain:Chain-v0", PPOConfig(n_steps=7), 2)
    assert "critic" not in loop.collector.collect(0).fields
