from pathlib import Path

import numpy as np
import pytest

from rlkit import compose, load
from rlkit.config.env import EnvConfig
from rlkit.envs.make import make
from rlkit.envs.transforms import ObservationTransform, RewardTransform
from rlkit.envs.vector import VectorEnv
from rlkit.maths.running import RunningMoments
from rlkit.training import session as session_module
from rlkit.training.evaluate import Evaluator
from tests.envs.test_vector import actions
from tests.training.runs import StopAfter, session, traces

NORMAL = ["env=pendulum", "env.normalize_obs=true", "env.normalize_reward=true", "env.clip_reward=5"]


@pytest.mark.parametrize("sizes", [[1] * 50, [3, 1, 40, 7], [1000]])
def test_moments_are_numpys_on_everything_seen(sizes: list[int]):
    rng = np.random.default_rng(0)
    batches = [rng.normal([1e3, -2, 0], [5, 0.1, 1e-3], (n, 3)).astype(np.float32) for n in sizes]
    moments = RunningMoments((3,))
    for batch in batches:
        moments.update(batch)
    everything = np.concatenate(batches).astype(np.float64)
    np.testing.assert_allclose(moments.mean, everything.mean(0), rtol=1e-9)
    np.testing.assert_allclose(moments.var, everything.var(0), rtol=1e-6)


def test_the_statistics_are_of_what_the_policy_saw():
    cfg = EnvConfig(id="Pendulum-v1", normalize_obs=True)
    envs = VectorEnv(make(cfg, 3).backend, cfg, 0)
    rng, seen = np.random.default_rng(0), [envs.raw.copy()]
    for _ in range(450):
        envs.step(actions(envs, rng))
        seen.append(envs.raw.copy())
    everything = np.concatenate(seen).astype(np.float64)
    np.testing.assert_allclose(envs.seen.moments.mean, everything.mean(0), atol=1e-6)
    np.testing.assert_allclose(envs.seen.moments.var, everything.var(0), atol=1e-6)
    expected = (seen[-1] - everything.mean(0)) / np.sqrt(everything.var(0) + 1e-8)
    np.testing.assert_allclose(envs.obs, expected, atol=1e-4)


@pytest.mark.parametrize("num_envs", [1, 2])
def test_rewards_are_divided_by_the_deviation_of_the_running_return(num_envs):
    cfg = EnvConfig(id="Pendulum-v1", normalize_reward=True)
    transform, rng = RewardTransform(cfg, num_envs, gamma=0.9), np.random.default_rng(0)
    running, seen = np.zeros(num_envs), []
    for _ in range(200):
        reward, ended = rng.normal(size=num_envs).astype(np.float32), np.flatnonzero(rng.random(num_envs) < 0.1)
        running = 0.9 * running + reward
        seen.append(running.copy())
        expected = reward / np.sqrt(np.concatenate(seen).var() + 1e-8)
        np.testing.assert_allclose(transform(reward, ended), expected, rtol=1e-4)
        running[ended] = 0


def test_clip_and_sign():
    reward, ended = np.array([-3.0, 0.0, 0.5], np.float32), np.zeros(0, int)
    assert RewardTransform(EnvConfig(id="x", clip_reward=1.0), 3, 0.9)(reward, ended).tolist() == [-1, 0, 0.5]
    assert RewardTransform(EnvConfig(id="x", sign_reward=True), 3, 0.9)(reward, ended).tolist() == [-1, 0, 1]
    assert RewardTransform(EnvConfig(id="x"), 3, 0.9)(reward, ended) is reward


def test_the_score_is_of_unscaled_rewards():
    cfg = EnvConfig(id="Pendulum-v1", normalize_reward=True, clip_reward=0.1)
    plain = EnvConfig(id="Pendulum-v1")
    scaled, unscaled = (VectorEnv(make(c, 2).backend, c, 0) for c in (cfg, plain))
    for envs in (scaled, unscaled):
        rng = np.random.default_rng(0)
        for _ in range(200):
            last = envs.step(actions(envs, rng))
    assert list(scaled.recent_returns) == list(unscaled.recent_returns)
    assert abs(last.reward).max() > 0.1


def test_evaluation_uses_the_statistics_and_leaves_them(tiny: list[str], tmp_path: Path):
    config = compose(NORMAL)
    seen = ObservationTransform(config.env, (3,))
    seen.learn(np.random.default_rng(0).normal(7, 2, (100, 3)))
    before = seen.moments.mean.copy()
    shown: list[np.ndarray] = []

    class Looks:
        rng = None

        def act(self, obs, state=None, **_):
            shown.append(obs.copy())
            from rlkit.types import Action

            return Action(np.zeros((len(obs), 1), np.float32))

    Evaluator(config.env, 0, seen).score(Looks(), episodes=2, deterministic=True, frames=0)
    np.testing.assert_array_equal(seen.moments.mean, before)
    raw = make(config.env, 2).backend.reset([0, 1], [2**30, 2**30 + 1])
    np.testing.assert_allclose(shown[0], np.clip((raw - seen.shift) * seen.scale, -10, 10), rtol=1e-5)


def test_a_resumed_run_continues_the_statistics(tiny: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(session_module, "WATCH_SECONDS", -1)
    overrides = [*tiny, *NORMAL]
    session(tmp_path / "whole", overrides)
    stop = StopAfter(512)
    session(tmp_path / "halves", overrides, watcher=stop, stop=stop)
    session(tmp_path / "halves", overrides)
    assert traces(tmp_path / "halves") == traces(tmp_path / "whole")


def test_a_loaded_agent_has_the_statistics(tiny: list[str]):
    from rlkit import evaluate, train

    result = train(compose([*tiny, *NORMAL]), quiet=True)
    agent = load(result.folder)
    assert agent.seen.moments.count > 1000
    assert evaluate(result.folder).mean == result.final_return.mean


def test_frame_stack_time_and_another_limit():
    cfg = EnvConfig(id="Pendulum-v1", frame_stack=3, time_aware=True, max_episode_steps=50)
    made = make(cfg, 2)
    envs = VectorEnv(made.backend, cfg, 0)
    assert made.spec.max_episode_steps == 50
    assert envs.obs.shape == (2, 10)
    first = envs.obs.copy()
    rng = np.random.default_rng(0)
    for _ in range(25):
        envs.step(actions(envs, rng))
    np.testing.assert_array_equal(first[:, 0:3], first[:, 6:9])  # a new episode repeats its first observation
    assert envs.obs[0, 9] == pytest.approx(0.5)
    for _ in range(25):
        step = envs.step(actions(envs, rng))
    assert step.cut.tolist() == [0, 1]
    assert not step.terminated.any()
