"""Options that the policy-gradient algorithms share."""

import copy

import numpy as np
import pytest

from rlkit.algos.estimates import ValueTransform
from rlkit.algos.ppo import FIELDS
from rlkit.config.algo import A2CConfig, PPOConfig, ReinforceConfig
from rlkit.config.learning import OptimizerConfig, ScheduleConfig
from rlkit.maths.losses import ppo_gradient
from rlkit.maths.running import RunningRange
from tests.algos.loop import Loop

RETURNS = np.array([-300.0, -1.0, 0.0, 0.5, 20.0], np.float32)


def test_symlog_is_its_formula_and_its_inverse():
    transform = ValueTransform("symlog")
    coded = transform.encode(RETURNS)
    np.testing.assert_allclose(coded, [-np.log(301), -np.log(2), 0, np.log(1.5), np.log(21)], rtol=1e-6)
    np.testing.assert_allclose(transform.decode(coded), RETURNS, rtol=1e-5)


def test_normalised_values_follow_all_targets_so_far():
    transform = ValueTransform("normalize")
    np.testing.assert_array_equal(transform.decode(RETURNS), RETURNS)  # before anything was seen
    transform.learn(RETURNS[:2])
    transform.learn(RETURNS[2:])
    coded = transform.encode(RETURNS)
    assert coded.mean() == pytest.approx(0, abs=1e-6)
    assert coded.std() == pytest.approx(1, rel=1e-5)
    np.testing.assert_allclose(transform.decode(coded), RETURNS, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", ["normalize", "symlog"])
def test_advantages_are_in_units_of_reward_whatever_the_critic_gives(kind: str):
    loop = Loop("Pendulum-v1", A2CConfig(value_transform=kind, returns="mc", n_steps=40, gamma=0.9), 2)
    loop.learn()
    transform = loop.algo.transform
    before = copy.deepcopy(transform)
    fields = loop.rollout().fields
    value = before.decode(fields["value"])
    target = fields["advantage"] + value
    np.testing.assert_allclose(transform.encode(target), fields["target"], atol=1e-3)
    assert np.abs(fields["target"]).max() < 20 < np.abs(target).max()


@pytest.mark.parametrize("kind", ["none", "normalize", "symlog"])
@pytest.mark.parametrize("env_id", ["Pendulum-v1", "CartPole-v1"])
def test_value_clipping_stops_no_gradient_before_the_first_step_of_a_rollout(kind: str, env_id: str):
    """The critic has not moved yet, so every row is at the middle of its interval."""
    cfg = PPOConfig(value_transform=kind, clip_value=True, n_steps=32, minibatch_size=32, epochs=2)
    loop = Loop(env_id, cfg, 4)
    for _ in range(4):
        rollout = loop.rollout()
        output = loop.algo.net.infer(rollout.obs[:-1].reshape(128, -1), 1).reshape(32, 4)
        np.testing.assert_allclose(rollout.fields["value"], output, rtol=1e-5, atol=1e-5)
        (batch,) = loop.memory.minibatches(128, FIELDS)
        policy, value = (out.detach() for out in loop.algo.outputs(batch))
        coefs = {"clip_coef": 0.2, "vf_coef": 0.5, "ent_coef": 0.0, "clip_value": True}
        _, d_value = ppo_gradient(policy, value, batch, dist=loop.algo.dist, **coefs)
        assert (d_value != 0).all()
        for minibatch in loop.algo.batches(loop.memory):
            loop.algo.update(minibatch)


def test_the_range_is_a_slow_mean_of_percentiles_and_at_least_one():
    running = RunningRange()
    running.update(np.linspace(0, 100, 101))
    assert running.width == pytest.approx(90)
    running.update(np.linspace(0, 200, 101))
    assert running.width == pytest.approx(90 + 0.01 * 90)
    small = RunningRange()
    small.update(np.array([0.1, 0.2]))
    assert small.width == 1.0


def test_percentile_advantages_are_divided_by_the_range():
    plain, scaled = (
        Loop("Pendulum-v1", A2CConfig(normalize_advantage=kind, n_steps=50), 4) for kind in ("none", "percentile")
    )
    one, other = plain.rollout().fields, scaled.rollout().fields
    width = scaled.algo.return_range.width
    assert width > 1
    np.testing.assert_allclose(other["advantage"] * width, one["advantage"], rtol=1e-5, atol=1e-5)
    value = plain.algo.net.infer(plain.collector.obs[:-1].reshape(200, 3), 1).reshape(50, 4)
    low, high = np.percentile(one["advantage"] + value, (5, 95))  # of the returns, not of the advantages
    assert width == pytest.approx(high - low, rel=1e-4)
    low, high = np.percentile(one["advantage"], (5, 95))
    assert width != pytest.approx(high - low, rel=1e-4)


def test_small_returns_are_not_blown_up_by_percentiles():
    plain, scaled = (
        Loop("tests.envs.chain:Identity-v0", A2CConfig(normalize_advantage=kind, n_steps=20, gamma=0.0), 4)
        for kind in ("none", "percentile")
    )
    one, other = plain.rollout().fields["advantage"].copy(), scaled.rollout().fields["advantage"]
    np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("baseline", ["none", "mean", "value"])
def test_percentiles_of_reinforce_are_of_the_steps_that_are_learnt_from(baseline: str):
    cfg = ReinforceConfig(baseline=baseline, normalize_advantage="percentile", gamma=1.0)
    loop = Loop("CartPole-v1", cfg, 4)
    fields = loop.rollout().fields
    valid, steps = fields["valid"], []
    for n in range(4):
        length = int(valid[:, n].sum())
        steps += range(1, length + 1)
    width = np.ptp(np.percentile(steps, (5, 95)))
    assert loop.algo.return_range.width == pytest.approx(width, rel=1e-3)


def test_the_entropy_coefficient_follows_its_schedule():
    cfg = PPOConfig(n_steps=25, ent_coef=0.1, ent_coef_schedule=ScheduleConfig(kind="linear"))
    loop = Loop("CartPole-v1", cfg, 4, frames=200)
    assert [loop.learn()[-1].report()["ent_coef"] for _ in range(3)] == pytest.approx([0.1, 0.05, 0.0])


VARIANTS = {
    "tanh_gaussian": {"distribution": "tanh_gaussian", "ent_coef": 0.001},
    "beta": {"distribution": "beta", "ent_coef": 0.001},
    "state-dependent": {"state_dependent_std": True},
    "symlog": {"value_transform": "symlog"},
    "normalised value": {"value_transform": "normalize", "clip_value": True},
    "percentile": {"normalize_advantage": "percentile"},
    "rmsprop": {"optimizer": OptimizerConfig(name="rmsprop", eps=1e-5)},
    "adamw": {"optimizer": OptimizerConfig(name="adamw", weight_decay=0.01)},
    "NAdam": {"optimizer": OptimizerConfig(name="NAdam")},
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_each_option_learns_the_identity_within_5000_frames(variant: str):
    cfg = PPOConfig(n_steps=32, minibatch_size=64, epochs=10, learning_rate=3e-3, gamma=0.0, **VARIANTS[variant])
    loop = Loop("tests.envs.chain:Identity-v0", cfg, frames=5000, continuous=True)
    while loop.frames < 5000:
        loop.learn()
    rng = np.random.default_rng(0)
    obs = rng.uniform(-1, 1, (200, 1)).astype(np.float32)
    error = np.abs(loop.envs.to_env(loop.algo.act(obs, frames=5000, explore=False).action) / 3 - obs)
    assert error.mean() < 0.15
