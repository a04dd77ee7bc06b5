from pathlib import Path

import numpy as np
import pytest

from rlkit import compose, load
from rlkit.config.env import EnvConfig
from rlkit.envs.make import make
from rlkit.envs.transforms import ObservationTransform, RewardTransform
from rlkit.envs.vector import VectorEnv
from rlkit.maths.running import RunningMoments
from rlkit.training import logbook
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


NORMAL_REWARD = EnvConfig(id="Pendulum-v1", normalize_reward=True)
UNCLIPPED = EnvConfig(id="Pendulum-v1", normalize_reward=True, clip_reward=1e9)
NONE_ENDED = np.zeros(0, int)


class OfStableBaselines:
    """The rewards of Stable-Baselines3's VecNormalize, by its recurrence (Chan et al. 1979 from count 1e-4, var 1)."""

    def __init__(self, num_envs: int, gamma: float) -> None:
        self.gamma, self.mean, self.var, self.count = gamma, 0.0, 1.0, 1e-4
        self.returns = np.zeros(num_envs)

    def __call__(self, reward: np.ndarray, ended: np.ndarray) -> np.ndarray:
        self.returns = self.returns * self.gamma + reward
        mean, var, count = self.returns.mean(), self.returns.var(), len(reward)
        delta, total = mean - self.mean, self.count + count
        squares = self.var * self.count + var * count + delta**2 * self.count * count / total
        self.mean, self.var, self.count = self.mean + delta * count / total, squares / total, total
        self.returns[ended] = 0
        return np.clip(reward / np.sqrt(self.var + 1e-8), -10, 10)


@pytest.mark.parametrize("num_envs", [1, 2, 8])
@pytest.mark.parametrize("scale", [1e-3, 1.0, 300.0])
def test_rewards_are_those_of_stable_baselines(num_envs: int, scale: float):
    transform, theirs = RewardTransform(NORMAL_REWARD, num_envs, gamma=0.9), OfStableBaselines(num_envs, 0.9)
    rng = np.random.default_rng(0)
    for _ in range(200):
        reward = (scale * rng.normal(size=num_envs)).astype(np.float32)
        ended = np.flatnonzero(rng.random(num_envs) < 0.1)
        np.testing.assert_allclose(transform(reward, ended), theirs(reward, ended), rtol=1e-5)


@pytest.mark.parametrize("num_envs", [1, 3])
def test_rewards_are_those_of_gymnasiums_wrapper(num_envs: int):
    """Where no episode terminates: theirs leaves out the running return at a step that does."""
    import gymnasium as gym
    from gymnasium.wrappers.vector import NormalizeReward

    same_step = {"autoreset_mode": gym.vector.AutoresetMode.SAME_STEP}
    made = gym.make_vec("Pendulum-v1", num_envs, vectorization_mode="sync", vector_kwargs=same_step)
    plain = gym.make_vec("Pendulum-v1", num_envs, vectorization_mode="sync", vector_kwargs=same_step)
    theirs, transform = NormalizeReward(made, gamma=0.95), RewardTransform(UNCLIPPED, num_envs, gamma=0.95)
    for env in (theirs, plain):
        env.reset(seed=0)
    rng = np.random.default_rng(0)
    for _ in range(450):
        action = rng.uniform(-2, 2, (num_envs, 1)).astype(np.float32)
        _, reward, terminated, truncated, _ = plain.step(action)
        mine = transform(reward, np.flatnonzero(terminated | truncated))
        np.testing.assert_allclose(mine, theirs.step(action)[1], rtol=1e-4)
    theirs.close()
    plain.close()


@pytest.mark.parametrize(
    "rewards",
    [[-6.0, -6.2, -5.9], [1.0] * 4, [0.0] * 50 + [1.0], [1e-6] * 3, [-1e4, 1.0], [0.0, 0.0, -100.0]],
    ids=["pendulum", "equal", "sparse", "small", "large", "crash"],
)
@pytest.mark.parametrize("num_envs", [1, 8])
def test_no_normalised_reward_is_larger_than_ten(rewards: list[float], num_envs: int):
    transform = RewardTransform(NORMAL_REWARD, num_envs, gamma=0.99)
    given = [transform(np.full(num_envs, r, np.float32), NONE_ENDED) for r in rewards]
    assert np.abs(given).max() <= 10
    assert all(np.sign(g[0]) == np.sign(r) for g, r in zip(given, rewards, strict=True))


def test_a_bound_that_is_given_takes_the_place_of_ten_and_comes_after_the_division():
    reward = np.array([200.0], np.float32)
    bound = EnvConfig(id="x", normalize_reward=True, clip_reward=0.5)
    assert RewardTransform(bound, 1, 0.9)(reward, NONE_ENDED).tolist() == [0.5]
    assert RewardTransform(UNCLIPPED, 1, 0.9)(reward, NONE_ENDED)[0] == pytest.approx(100, rel=1e-3)
    transforms = [RewardTransform(cfg, 2, 0.9) for cfg in (bound, UNCLIPPED)]
    rng = np.random.default_rng(0)
    for _ in range(50):  # the statistics are of the rewards before they are clipped
        given, whole = (t(100 * rng.normal(size=2).astype(np.float32), NONE_ENDED) for t in transforms)
        rng = np.random.default_rng(rng.integers(2**31))
    assert np.abs(given).max() <= 0.5
    assert np.abs(whole).max() < 10


def test_statistics_of_older_checkpoints_are_taken_over():
    """They began without a prior; their count is whole."""
    transform = RewardTransform(UNCLIPPED, 2, gamma=0.9)
    moments = {"count": 4, "mean": np.array(1.0), "squares": np.array(36.0)}
    transform.load_state_dict({"moments": moments, "returns": np.array([1.0, 2.0])})
    assert float(transform.moments.var) == 9
    given = transform(np.array([3.0, -1.0], np.float32), NONE_ENDED)
    seen = np.array([0.9 + 3, 1.8 - 1])
    squares = 36 + seen.var() * 2 + (seen.mean() - 1) ** 2 * 4 * 2 / 6
    np.testing.assert_allclose(given, np.array([3, -1]) / np.sqrt(squares / 6), rtol=1e-6)


def test_new_episodes_begin_with_a_running_return_of_0():
    cfg = EnvConfig(id="CartPole-v1", normalize_reward=True)
    envs = VectorEnv(make(cfg, 2).backend, cfg, 0)
    for _ in range(4):
        envs.step(np.zeros(2, int))
    assert envs.valued.returns.min() > 3
    saved = envs.state_dict()
    envs.restart()
    assert envs.valued.returns.tolist() == [0, 0]
    assert envs.valued.moments.count > 8  # the statistics stay
    saved["obs_hash"] = "of an environment that does not repeat itself"
    saved["rewards"]["returns"] = np.array([3.0, 4.0])
    other = VectorEnv(make(cfg, 2).backend, cfg, 0)
    other.load_state_dict(saved)
    assert other.lengths.tolist() == [0, 0]
    assert other.valued.returns.tolist() == [0, 0]


@pytest.mark.parametrize("num_envs", [1, 4])
def test_the_first_observations_are_standardised_without_a_leap(num_envs: int):
    """A row deviates from the mean of n rows that it is one of by at most the root of n - 1 deviations."""
    cfg = EnvConfig(id="x", normalize_obs=True, clip_obs=1e9)
    seen, rng = ObservationTransform(cfg, (3,)), np.random.default_rng(0)
    for n in range(1, 20):
        obs = np.concatenate([rng.normal(50, 1e-3, (num_envs, 2)), np.full((num_envs, 1), 7.0)], 1).astype(np.float32)
        seen.learn(obs)
        assert np.abs(seen(obs)).max() <= np.sqrt(n * num_envs) * 1.01
        assert (seen(obs)[:, 2] == 0).all()  # what never varies


def test_observations_are_clipped_at_clip_obs():
    cfg = EnvConfig(id="x", normalize_obs=True, clip_obs=2.5)
    seen = ObservationTransform(cfg, (2,))
    seen.learn(np.random.default_rng(0).normal(0, 1, (1000, 2)))
    assert seen(np.array([[1e3, -1e3]], np.float32)).tolist() == [[2.5, -2.5]]
    inside = np.array([[1.0, -1.0]], np.float32)
    np.testing.assert_allclose(seen(inside), (inside - seen.shift) * seen.scale)


def test_true_successors_of_ended_episodes_are_standardised_too():
    """They are what a truncated episode is bootstrapped from."""
    cfg = EnvConfig(id="tests.envs.chain:Chain-v0", normalize_obs=True, kwargs={"ending": "truncated"})
    envs = VectorEnv(make(cfg, 2).backend, cfg, 0)
    for _ in range(2):
        envs.step(np.zeros(2, int))
    shift, scale = envs.seen.shift.copy(), envs.seen.scale.copy()
    step = envs.step(np.zeros(2, int))
    assert step.cut.tolist() == [0, 1]
    np.testing.assert_allclose(step.cut_obs, (np.full((2, 1), 3.0) - shift) * scale, rtol=1e-6)


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
    monkeypatch.setattr(logbook, "WATCH_SECONDS", -1)
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
