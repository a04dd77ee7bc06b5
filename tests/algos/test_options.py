"""Options that the policy-gradient algorithms share."""

import numpy as np
import pytest

from rlkit.algos.estimates import ValueTransform
from rlkit.config.algo import A2CConfig, PPOConfig
from rlkit.config.learning import OptimizerConfig, ScheduleConfig
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
    rollout = loop.rollout()
    fields, transform = rollout.fields, loop.algo.transform
    value = transform.decode(fields["value"])
    target = fields["advantage"] + value
    np.testing.assert_allclose(transform.encode(target), fields["target"], atol=1e-3)
    assert np.abs(fields["target"]).max() < 20 < np.abs(target).max()


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
