"""How off-policy algorithms explore: bounds, noise, warm-up, and schedules that follow the frames."""

import copy

import numpy as np
import pytest
import torch

from rlkit.config.learning import ScheduleConfig
from rlkit.config.off_policy import DQNConfig, NoiseConfig, SACConfig, SARSAConfig, TD3Config, ValueExploration
from rlkit.config.schema import compose
from rlkit.errors import ConfigError
from rlkit.training.checks import check
from rlkit.training.evaluate import lend
from tests.algos.loop import Loop

CARTPOLE, PENDULUM, IDENTITY = "CartPole-v1", "Pendulum-v1", "tests.envs.chain:Identity-v0"
LATER = 10**6
"""Frames after any warm-up."""


def giving(algo, params: list[float]) -> None:
    """Let the policy's network give the same numbers for every observation."""
    algo.actor.infer = lambda obs: np.tile(np.float32(params), (len(obs), 1))


def quiet(cfg) -> Loop:
    """A loop whose policy does nothing by itself: what it does is noise."""
    loop = Loop(IDENTITY, cfg, 4, continuous=True)
    giving(loop.algo, [0.0] if cfg.name == "td3" else [0.0, -30.0])
    return loop


@pytest.mark.parametrize("kind", ["gaussian", "ornstein_uhlenbeck", "pink"])
@pytest.mark.parametrize("mean", [3.0, -3.0])
def test_td3s_noisy_actions_stay_within_the_bounds(kind: str, mean: float):
    loop = Loop(IDENTITY, TD3Config(learning_starts=0, noise=NoiseConfig(kind=kind, std=1.0)), 16, continuous=True)
    giving(loop.algo, [mean])
    action = np.stack([loop.rollout().fields["action"].copy() for _ in range(20)])
    assert np.abs(action).max() == 1
    assert np.abs(action).min() < 0.9
    held = loop.memory.sample(200, gamma=0.9).action
    assert float(held.abs().max()) <= 1


@pytest.mark.parametrize("log_std", [-30.0, -1.0, 5.0])
def test_sacs_deviation_is_bounded_as_in_its_update(log_std: float):
    algo = Loop(PENDULUM, SACConfig(), 64).algo
    giving(algo, [0.3, log_std])
    drawn = copy.deepcopy(algo.rng).standard_normal((64, 1), dtype=np.float32)
    expected = np.tanh(0.3 + np.exp(np.clip(log_std, -20, 2)) * drawn)
    action = algo.act(np.zeros((64, 3), np.float32), frames=LATER, explore=True).action
    np.testing.assert_allclose(action, expected, atol=1e-5)


@pytest.mark.parametrize("make", [SACConfig, TD3Config])
@pytest.mark.parametrize("std", [0.05, 0.2])
def test_gaussian_noise_has_its_deviation_and_is_fresh_at_every_step(make, std: float):
    loop = quiet(make(learning_starts=0, noise=NoiseConfig(kind="gaussian", std=std)))
    noise = np.concatenate([loop.rollout().fields["action"].copy() for _ in range(300)])[..., 0]
    assert noise.std() == pytest.approx(std, rel=0.1)
    assert abs(np.corrcoef(noise[1:].ravel(), noise[:-1].ravel())[0, 1]) < 0.1


@pytest.mark.parametrize("make", [SACConfig, TD3Config])
@pytest.mark.parametrize("every", [4, 100])
def test_ornstein_uhlenbeck_noise_is_its_recurrence_and_begins_at_0_with_an_episode(make, every: int):
    """Also where an episode ends within a rollout: episodes have 10 steps here, rollouts 1 or 25."""
    noise = NoiseConfig(kind="ornstein_uhlenbeck", std=0.05, theta=0.3)
    loop = quiet(make(learning_starts=0, train_every_frames=every, noise=noise))
    rng, level, seen = copy.deepcopy(loop.algo.rng), np.zeros((4, 1), np.float32), 0
    while seen < 50:
        rollout = loop.rollout()
        for action, boundary in zip(rollout.fields["action"], rollout.fields["boundary"], strict=True):
            if make is SACConfig:
                rng.standard_normal((4, 1), dtype=np.float32)  # the policy's own
            level = 0.7 * level + 0.05 * rng.standard_normal((4, 1), dtype=np.float32)
            np.testing.assert_allclose(action, level, atol=1e-6)
            level[boundary] = 0
            seen += 1
    assert rollout.fields["boundary"].any() or every == 4


def test_pink_noise_carries_on_from_one_stretch_to_the_next():
    loop = quiet(TD3Config(learning_starts=0, noise=NoiseConfig(kind="pink", std=0.1)))
    noise = np.concatenate([loop.rollout().fields["action"].copy() for _ in range(1100)])[..., 0]
    assert noise.std() == pytest.approx(0.1, rel=0.3)
    assert np.corrcoef(noise[1:].ravel(), noise[:-1].ravel())[0, 1] > 0.4  # slow, unlike white noise
    assert not np.array_equal(noise[:76], noise[1024:1100])


def test_noise_beside_discrete_actions_is_refused():
    with pytest.raises(ConfigError, match=r"algo.noise.kind=pink is not accepted\n.*none, since CartPole-v1"):
        check(compose(["algo=sac", "env=cartpole", "~tuned", "algo.noise.kind=pink"]))


@pytest.mark.parametrize("cfg", [SACConfig(), TD3Config()], ids=lambda cfg: cfg.name)
def test_a_sampled_evaluation_is_of_the_policy_before_learning_starts_too(cfg):
    algo = Loop(PENDULUM, cfg, 4).algo
    giving(algo, [0.5] if cfg.name == "td3" else [0.5, -20.0])
    obs = np.zeros((4, 3), np.float32)
    assert np.ptp(algo.act(obs, frames=0, explore=True).action) > 0.1  # training draws evenly
    with lend(algo, np.random.default_rng(0)):
        action = algo.act(obs, frames=0, explore=True).action
    np.testing.assert_allclose(action, np.tanh(0.5), atol=1e-5)


def test_a_sampled_evaluation_of_dqn_follows_epsilon_before_learning_starts_too():
    cfg = DQNConfig(learning_starts=1000, exploration=ValueExploration(epsilon=0.0))
    algo = Loop(CARTPOLE, cfg, 64).algo
    obs = np.random.default_rng(1).normal(size=(64, 4)).astype(np.float32)
    best = algo.q.infer(obs).argmax(-1)
    assert not np.array_equal(algo.act(obs, frames=0, explore=True).action, best)
    with lend(algo, np.random.default_rng(0)):
        np.testing.assert_array_equal(algo.act(obs, frames=0, explore=True).action, best)


STEP = ScheduleConfig(kind="piecewise", points=[[40, 1.0], [40, 0.0]])
"""From 1 to 0 at 40 frames."""


@pytest.mark.parametrize(
    "cfg",
    [
        SARSAConfig(n_steps=40, exploration=ValueExploration(epsilon_schedule=STEP)),
        DQNConfig(
            learning_starts=0,
            batch_size=8,
            train_every_frames=160,
            exploration=ValueExploration(epsilon_schedule=STEP),
        ),
        DQNConfig(
            learning_starts=0,
            batch_size=8,
            train_every_frames=160,
            exploration=ValueExploration(kind="boltzmann", temperature=1.0, temperature_schedule=STEP),
        ),
    ],
    ids=["sarsa", "dqn", "boltzmann"],
)
def test_exploration_follows_its_schedule_within_a_rollout(cfg):
    loop = Loop(CARTPOLE, cfg, 4)
    rollout = loop.rollout()
    best = loop.algo.q.infer(rollout.obs[:-1].reshape(160, 4)).argmax(-1).reshape(40, 4)
    greedy = rollout.fields["action"] == best
    assert not greedy[:10].all()
    assert greedy[10:].all()


def test_everything_is_tried_while_repeats_warm_up():
    cfg = DQNConfig(learning_starts=100, exploration=ValueExploration(epsilon=0.0, repeat_exponent=3.0))
    algo = Loop(CARTPOLE, cfg, 64).algo
    obs = np.zeros((64, 4), np.float32)
    best = algo.q.infer(obs).argmax(-1)
    tried = np.stack([algo.act(obs, frames=0, explore=True).action for _ in range(20)])
    assert 0.4 < (tried != best).mean() < 0.6
    algo.repeats.left[:] = 0
    assert np.array_equal(algo.act(obs, frames=100, explore=True).action, best)


@pytest.mark.parametrize("temperature", [0.0, 0.02, 3.0])
def test_expected_sarsa_averages_over_boltzmanns_probabilities(temperature: float):
    exploration = ValueExploration(kind="boltzmann", temperature=temperature)
    cfg = SARSAConfig(gamma=0.9, n_steps=6, expected=True, exploration=exploration)
    loop = Loop("tests.envs.chain:Chain-v0", cfg, 2, ending="truncated")
    rollout = loop.rollout()
    q = torch.from_numpy(loop.algo.q.infer(np.arange(4, dtype=np.float32)[:, None]))
    value = (q * (q / temperature).softmax(-1)).sum(-1) if temperature else q.max(-1).values
    successor = rollout.obs[:-1, :, 0].astype(int) + 1
    np.testing.assert_allclose(rollout.fields["target"], 1 + 0.9 * value.numpy()[successor], atol=1e-5)


HALVES = ScheduleConfig(kind="linear", end=5e-4)
SOON = {"learning_starts": 8, "batch_size": 8, "train_every_frames": 4}


@pytest.mark.parametrize(
    "cfg",
    [
        DQNConfig(**SOON, learning_rate=1e-3, learning_rate_schedule=HALVES),
        SACConfig(**SOON, learning_rate=1e-3, learning_rate_schedule=HALVES),
        TD3Config(**SOON, learning_rate=1e-3, learning_rate_schedule=HALVES),
        SARSAConfig(n_steps=1, learning_rate=1e-3, learning_rate_schedule=HALVES),
    ],
    ids=lambda cfg: cfg.name,
)
def test_the_learning_rate_of_every_optimiser_follows_the_schedule(cfg):
    loop = Loop(CARTPOLE if cfg.name in ("dqn", "sarsa") else PENDULUM, cfg, 4, frames=80)
    for rollout in range(20):
        reports = [u.report() for u in loop.learn() if u.report()]
        expected = 1e-3 * (1 - rollout / 40)
        optims = [*loop.algo.optims.values()] if hasattr(loop.algo, "optims") else [loop.algo.optim]
        if cfg.name == "sac":
            optims.append(loop.algo.temperature.optim)
        assert [o.learning_rate for o in optims] == pytest.approx([expected] * len(optims))
        assert all(r["learning_rate"] == pytest.approx(expected) for r in reports)


def test_a_learning_rate_of_the_temperature_that_is_given_stays():
    cfg = SACConfig(**SOON, learning_rate=1e-3, learning_rate_schedule=HALVES, alpha_lr=0.02)
    loop = Loop(PENDULUM, cfg, 4, frames=80)
    before = float(loop.algo.temperature.log_alpha.flat.weight)
    while loop.algo.updates < 1:
        loop.learn()
    assert abs(float(loop.algo.temperature.log_alpha.flat.weight) - before) == pytest.approx(
        0.02, rel=1e-3
    )  # Adam's first step
    for _ in range(5):
        loop.learn()
    assert loop.algo.temperature.optim.learning_rate == 0.02


def test_a_given_temperature_follows_its_schedule():
    cfg = SACConfig(**SOON, alpha=0.4, alpha_schedule=ScheduleConfig(kind="linear", end=0.2))
    loop = Loop(PENDULUM, cfg, 4, frames=80)
    seen = []
    while loop.frames < 80:
        seen += [float(u.report()["alpha"]) for u in loop.learn()]
    np.testing.assert_allclose(seen, [0.4 - 0.2 * frames / 80 for frames in range(8, 80, 4)], rtol=1e-5)


@pytest.mark.parametrize(("bound", "target"), [(0.97, -100.0), (1.03, 100.0)])
def test_a_learnt_temperature_stays_within_its_bounds(bound: float, target: float):
    low, high = (bound, 10.0) if bound < 1 else (0.1, bound)
    cfg = SACConfig(**SOON, target_entropy=target, alpha_lr=0.02, alpha_min=low, alpha_max=high)
    loop = Loop(PENDULUM, cfg, 4)
    while loop.algo.updates < 5:
        loop.learn()
    assert float(loop.algo.temperature.alpha) == pytest.approx(bound, rel=1e-5)
    assert float(loop.algo.temperature.log_alpha.flat.weight.exp()) == pytest.approx(bound, rel=1e-5)
