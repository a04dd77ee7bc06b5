import gymnasium as gym
import numpy as np
import pytest

from rlkit.config.env import EnvConfig
from rlkit.envs.make import make
from rlkit.envs.one import describe
from rlkit.envs.vector import VectorEnv
from rlkit.errors import ConfigError, EnvError
from rlkit.seeding import EVAL_SEEDS, episode_seed

DETERMINISTIC = ("CartPole-v1", "Pendulum-v1", "Acrobot-v1", "LunarLander-v3", "BipedalWalker-v3", "HalfCheetah-v5")


def vector(env_id: str, num_envs: int = 3, root: int = 0, vectorization: str = "auto", **kwargs) -> VectorEnv:
    cfg = EnvConfig(id=env_id, kwargs=kwargs, vectorization=vectorization)
    return VectorEnv(make(cfg, num_envs).backend, cfg, root)


def actions(envs: VectorEnv, rng: np.random.Generator) -> np.ndarray:
    space = envs.backend.action
    if isinstance(space, gym.spaces.Discrete):
        return rng.integers(0, space.n, envs.num_envs)
    return rng.uniform(-1.2, 1.2, (envs.num_envs, *space.shape)).astype(np.float32)


def roll(envs: VectorEnv, steps: int, seed: int) -> list[bytes]:
    rng, seen = np.random.default_rng(seed), []
    for _ in range(steps):
        step = envs.step(actions(envs, rng))
        seen += [x.tobytes() for x in (envs.obs, step.reward, step.terminated, step.boundary, step.cut, step.cut_obs)]
    return seen


@pytest.mark.parametrize("ending", ["terminated", "truncated", "both"])
def test_nothing_is_stored_that_did_not_happen(ending: str):
    """Observations run 0 1 2 | 0 1 2 |, the true successor of 2 is 3, and every reward is a real one."""
    envs = vector("tests.envs.chain:Chain-v0", 2, ending=ending)
    rows = []
    for _ in range(7):
        before = envs.obs[:, 0].copy()
        step = envs.step(np.zeros(2, np.int64))
        rows.append((before.tolist(), step.reward.tolist(), step.terminated.tolist(), step.boundary.tolist()))
        if step.boundary.any():
            assert step.cut.tolist() == [0, 1]
            assert step.cut_obs[:, 0].tolist() == [3, 3]
        assert envs.obs[:, 0].max() < 3
    assert [r[0][0] for r in rows] == [0, 1, 2, 0, 1, 2, 0]
    assert all(r[1] == [1, 1] for r in rows)
    assert [r[3][0] for r in rows] == [False, False, True, False, False, True, False]
    assert [r[2][0] for r in rows] == [ending != "truncated" and r[3][0] for r in rows]
    assert list(envs.recent_returns) == [3.0] * 4
    assert list(envs.recent_lengths) == [3] * 4


@pytest.mark.parametrize("env_id", DETERMINISTIC)
@pytest.mark.parametrize("steps", [0, 37, 700])
def test_replaying_the_actions_brings_every_environment_back(env_id: str, steps: int):
    first = vector(env_id)
    roll(first, steps, seed=1)
    state = first.state_dict()
    state = {k: v.copy() if isinstance(v, np.ndarray) else v for k, v in state.items()}
    second = vector(env_id, root=0)
    second.load_state_dict(state)
    np.testing.assert_array_equal(second.obs, first.obs)
    assert roll(second, 300, seed=2) == roll(first, 300, seed=2)
    assert list(second.recent_returns) == list(first.recent_returns)


def test_a_checkpoint_without_the_last_seeds_is_one_where_every_reset_had_its_own():
    first, second = vector("CartPole-v1"), vector("CartPole-v1")
    roll(first, 90, seed=1)
    state = {k: v.copy() if isinstance(v, np.ndarray) else v for k, v in first.state_dict().items()}
    del state["seeded"], state["since"]
    second.load_state_dict(state)
    assert roll(second, 100, seed=2) == roll(first, 100, seed=2)


def test_native_and_sync_give_the_same_trajectories():
    assert roll(vector("CartPole-v1"), 400, 0) == roll(vector("CartPole-v1", vectorization="sync"), 400, 0)


def test_each_environment_and_episode_has_its_own_seed_below_those_of_evaluation():
    seeds = {episode_seed(root, env, episode) for root in range(3) for env in range(8) for episode in range(50)}
    assert len(seeds) == 3 * 8 * 50
    assert max(seeds) < EVAL_SEEDS
    assert len({tuple(vector("CartPole-v1", 4, root).obs.ravel()) for root in range(5)}) == 5


def test_an_environment_that_does_not_repeat_itself_is_noticed(capsys: pytest.CaptureFixture[str]):
    from loguru import logger

    messages: list[str] = []
    sink = logger.add(lambda m: messages.append(str(m)))
    first = vector("tests.envs.chain:Broken-v0", how="unseeded")
    roll(first, 7, seed=0)
    second = vector("tests.envs.chain:Broken-v0", how="unseeded")
    second.load_state_dict(first.state_dict())
    logger.remove(sink)
    assert any("does not repeat itself" in m for m in messages)
    assert second.lengths.tolist() == [0, 0, 0]
    assert second.obs.tolist() == np.zeros((3, 2)).tolist()


@pytest.mark.parametrize("how", ["nan reward", "nan observation"])
def test_values_that_are_not_finite_are_refused(how: str):
    envs = vector("tests.envs.chain:Broken-v0", how=how)
    obs = np.zeros((9, 3, 2), np.float32)
    for t in range(8):
        obs[t] = envs.obs
        envs.step(np.zeros(3, np.int64))
    obs[8] = envs.obs
    with pytest.raises(
        EnvError, match=rf"environment 0 of 3 returned an? {how.split()[1]}.* that is no finite float32"
    ):
        envs.check(obs)


def test_an_observation_of_another_shape_names_the_environment():
    envs = vector("tests.envs.chain:Broken-v0", how="shape")
    with pytest.raises(EnvError, match=r"environment 0 of 3: its observation has shape \(3,\)"):
        roll(envs, 5, 0)


@pytest.mark.parametrize(
    ("env_id", "message"),
    [
        ("CartPol-v1", "did you mean CartPole-v1"),
        ("nowhere.module:Env-v0", "'nowhere' is not installed"),
        ("CartPole-v99", "not a registered environment"),
    ],
)
def test_an_unknown_id_is_answered(env_id: str, message: str):
    with pytest.raises(EnvError, match=message) as raised:
        vector(env_id)
    assert len(str(raised.value).splitlines()) <= 4


def test_wrong_arguments_of_the_environment_are_shown():
    with pytest.raises(EnvError, match=r"env\.kwargs=\{'gravitas': 1\}"):
        vector("CartPole-v1", gravitas=1)


def test_native_is_refused_where_there_is_none():
    with pytest.raises(ConfigError, match="native for CartPole-v1"):
        vector("Pendulum-v1", vectorization="native")


def test_other_observation_spaces_are_laid_out_flat():
    envs = vector("tests.envs.chain:Identity-v0")
    assert envs.obs.shape == (3, 3)
    assert envs.obs.sum(1).tolist() == [1, 1, 1]


def test_spaces_in_words():
    assert describe(gym.spaces.Discrete(4)) == "one of 4"
    assert describe(gym.spaces.Box(-2, 2, (3,))) == "3 numbers in [-2, 2]"
    assert describe(gym.spaces.Box(-np.inf, np.inf, (3, 2))) == "3 x 2 numbers"
