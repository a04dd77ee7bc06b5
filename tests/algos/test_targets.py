"""Target networks, and what else an update of the off-policy algorithms is made of beside its gradient."""

import numpy as np
import pytest
import torch
from gymnasium import spaces

from rlkit.algos.base import Setting
from rlkit.algos.sac_discrete import DiscreteSAC
from rlkit.config.net import MLPConfig
from rlkit.config.off_policy import DQNConfig, SACConfig, SARSAConfig, TD3Config
from rlkit.maths import q_learning
from tests.algos.loop import Loop, space_spec
from tests.algos.test_off_policy import CARTPOLE, PENDULUM, SOON, ready


@pytest.mark.parametrize("every", [1, 3, 5])
@pytest.mark.parametrize("num_envs", [1, 4])
def test_a_burst_is_rated_by_the_target_network_that_its_updates_meet(every: int, num_envs: int):
    cfg = DQNConfig(**SOON, train_every_frames=16, gradient_steps=8, target_update_every=every, learning_rate=0.01)
    loop = Loop(CARTPOLE, cfg, num_envs)
    bursts = 0
    while loop.algo.updates < 24:
        loop.rollout()
        for batch in loop.algo.batches(loop.memory):
            if "next_z" in batch.fields:
                torch.testing.assert_close(batch.next_z, loop.algo.target.predict(batch.next_obs)[0])
                bursts += 1
            loop.algo.update(batch)
    assert (bursts > 0) == (every > 1)


@pytest.mark.parametrize("delay", [1, 2, 3])
@pytest.mark.parametrize("every", [1, 2])
def test_td3s_targets_follow_after_every_so_many_updates_of_the_policy(delay: int, every: int):
    loop = Loop(PENDULUM, TD3Config(**SOON, policy_delay=delay, target_update_every=every), 1)
    algo, moved = loop.algo, {name: [] for name in ("actor", "critic", "policy")}
    while algo.updates < 12:
        loop.rollout()
        for batch in algo.batches(loop.memory):
            before = {name: t.flat.weight.clone() for name, t in algo.targets.items()}
            before["policy"] = algo.actor.flat.weight.clone()
            algo.update(batch)
            now = {**{name: t.flat.weight for name, t in algo.targets.items()}, "policy": algo.actor.flat.weight}
            for name, weight in now.items():
                if not torch.equal(weight, before[name]):
                    moved[name].append(algo.updates)
    assert moved["policy"] == list(range(delay, 13, delay))
    assert moved["actor"] == moved["critic"] == list(range(delay * every, 13, delay * every))


@pytest.mark.parametrize("cfg", [SACConfig(**SOON, policy_delay=2), SACConfig(**SOON, target_update_every=3)])
def test_sacs_targets_follow_after_every_so_many_updates_of_the_critics(cfg):
    loop = Loop(PENDULUM, cfg, 1)
    algo, moved = loop.algo, []
    while algo.updates < 9:
        loop.rollout()
        for batch in algo.batches(loop.memory):
            before = algo.targets["critic"].flat.weight.clone()
            algo.update(batch)
            if not torch.equal(before, algo.targets["critic"].flat.weight):
                moved.append(algo.updates)
    assert moved == list(range(cfg.target_update_every, 10, cfg.target_update_every))


def test_td3s_smoothed_target_actions_stay_within_the_bounds():
    loop, batch = ready(PENDULUM, TD3Config(**SOON, target_noise=0.3))
    algo, seen = loop.algo, []
    algo.targets["actor"].predict = lambda obs: [torch.full((len(obs), 1), 3.0)]
    predict = algo.targets["critic"].predict

    def rate(obs, action):
        seen.append(action[:, -1].clone())
        return predict(obs, action)

    algo.targets["critic"].predict = rate
    algo.update(batch)
    assert float(seen[0].max()) == 1
    assert float(seen[0].min()) < 0.99
    assert float(seen[0].min()) >= np.tanh(3) - 0.5 - 1e-6  # the noise is clipped too


@pytest.mark.parametrize("tau", [1.0, 0.005])
@pytest.mark.parametrize("make", [SACConfig, TD3Config])
def test_targets_take_over_running_statistics(make, tau: float):
    net = MLPConfig(hidden=[8], activation="relu", batch_renorm=True)
    loop = Loop(PENDULUM, make(**SOON, tau=tau), net=net)
    algo = loop.algo
    first = {name: value.clone() for name, value in algo.targets["critic"].nets[0].buffers().items()}
    while algo.updates < 4:
        loop.learn()
    mine, theirs = algo.targets["critic"].nets[0].buffers(), algo.critics.nets[0].buffers()
    assert mine
    for name, value in theirs.items():
        torch.testing.assert_close(mine[name], value)
        assert not torch.equal(mine[name], first[name])


@pytest.mark.parametrize("double", [False, True])
def test_the_target_of_noisy_layers_draws_noise_of_its_own_for_every_update(double: bool):
    loop, batch = ready(CARTPOLE, DQNConfig(**SOON, double=double), net=MLPConfig(hidden=[8], noisy=True))
    algo, noises = loop.algo, []
    for _ in range(2):
        algo.update(batch)
        noises += [layer.noise_in.clone() for net in (algo.q, algo.target) for layer in net.nets[0].noisy]
    assert all(noise.any() for noise in noises)
    by_shape = [n.tolist() for n in noises]
    assert len({tuple(n) for n in by_shape}) == len(by_shape)


def test_noisy_sarsa_draws_noise_while_it_acts_and_none_when_scored():
    algo = Loop(CARTPOLE, SARSAConfig(), net=MLPConfig(hidden=[8], noisy=True)).algo
    noises = []
    for explore in (True, True, False):
        algo.act(np.zeros((4, 4), np.float32), frames=0, explore=explore)
        noises.append(algo.q.nets[0].noisy[0].noise_in.clone())
    assert noises[0].any()
    assert not torch.equal(noises[0], noises[1])
    assert not noises[2].any()


@pytest.mark.parametrize("make", [SACConfig, TD3Config])
def test_a_priority_is_the_mean_size_of_both_critics_errors(make, monkeypatch: pytest.MonkeyPatch):
    loop, batch = ready(PENDULUM, make(**SOON))
    algo = loop.algo
    algo.critics.flat.weight.add_(0.3 * torch.randn(algo.critics.flat.weight.shape))  # the two differ
    name, seen = ("rlkit.algos.sac" if make is SACConfig else "rlkit.algos.td3"), []

    def spied(q, target, weight):
        seen.append((q.detach() - target).abs())
        return q_learning.critics_loss(q, target, weight)

    monkeypatch.setattr(f"{name}.critics_loss", spied)
    priority = algo.update(batch).priority()
    one, other = seen[0]
    assert (one - other).abs().max() > 0.05
    torch.testing.assert_close(priority, (one + other) / 2, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("distribution", ["quantile", "categorical"])
def test_the_priority_of_a_distribution(distribution: str):
    """Of quantiles the size of the mean's error; of categorical distributions the cross entropy, as in Rainbow."""
    loop, batch = ready(CARTPOLE, DQNConfig(**SOON, distribution=distribution, atoms=7))
    algo = loop.algo
    rows = torch.arange(len(batch))
    z = algo.q.predict(batch.obs)[0][rows, batch.action]
    following = algo.target.predict(batch.next_obs)[0]
    best = following[rows, algo.values.mean(following).argmax(-1)]
    if distribution == "quantile":
        expected = (z.mean(-1) - batch.reward - batch.discount * best.mean(-1)).abs()
    else:
        target = q_learning.project(best.softmax(-1), algo.values.support, batch.reward, batch.discount)
        expected = -(target * z.log_softmax(-1)).sum(-1)
    torch.testing.assert_close(algo.update(batch).priority(), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("choices", "entropy"), [(2, 0.3466), (18, 1.4452)])
def test_the_target_entropy_of_discrete_actions_is_half_of_the_uniform_policys(choices: int, entropy: float):
    setting = Setting(
        spec=space_spec(spaces.Box(-1, 1, (2,)), spaces.Discrete(choices)),
        net=MLPConfig(hidden=[4]),
        critic_net=None,
        total_frames=100,
        device=torch.device("cpu"),
        init=torch.Generator(),
        acting=np.random.default_rng(0),
    )
    assert DiscreteSAC(SACConfig(), setting).temperature.target_entropy == pytest.approx(entropy, abs=1e-4)
    assert DiscreteSAC(SACConfig(target_entropy=0.7), setting).temperature.target_entropy == 0.7
