import gymnasium as gym
import numpy as np

from rlkit.envs.cartpole import CartPole


def test_it_equals_gymnasiums_to_the_bit():
    num_envs, rng = 3, np.random.default_rng(0)
    mine, theirs = CartPole(num_envs), [gym.make("CartPole-v1") for _ in range(num_envs)]
    seeds = [11, 12, 13]
    obs = mine.reset(range(num_envs), seeds)
    for row, env in enumerate(theirs):
        np.testing.assert_array_equal(obs[row], env.reset(seed=seeds[row])[0])
    ended = 0
    for step in range(2000):
        # now and then a policy that balances, so that some episodes reach the time limit
        balancing = (obs[:, 2] + obs[:, 3] > 0).astype(np.int64)
        action = balancing if step > 500 else rng.integers(0, 2, num_envs)
        obs, reward, terminated, truncated, _ = mine.step(action)
        for row, env in enumerate(theirs):
            expected = env.step(action[row])
            np.testing.assert_array_equal(obs[row], expected[0])
            assert (reward[row], terminated[row], truncated[row]) == expected[1:4]
        for row in np.flatnonzero(terminated | truncated).tolist():
            seed = 1000 * row + step
            obs = mine.reset([row], [seed])
            np.testing.assert_array_equal(obs[row], theirs[row].reset(seed=seed)[0])
            ended += 1
    assert ended > 10
    assert mine.steps.max() > 0
