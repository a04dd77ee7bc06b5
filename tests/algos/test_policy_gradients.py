"""A2C and REINFORCE against closed forms."""

import numpy as np
import pytest
import torch

from rlkit.config.algo import A2CConfig, ReinforceConfig
from rlkit.maths.distributions import Bernoulli, Categorical, Gaussian
from rlkit.maths.losses import a2c_loss
from tests.algos.loop import Loop
from tests.maths.test_losses import assert_closed, make_case


@pytest.mark.parametrize("dist", [Categorical(3), Gaussian(2), Bernoulli(2)], ids=lambda d: type(d).__name__)
@pytest.mark.parametrize("ent", [0.0, 0.03])
def test_a2cs_closed_gradient_is_that_of_its_loss(dist, ent: float):
    dist, batch = make_case(dist, rows=32, dtype=torch.float64)
    policy = torch.randn(32, dist.outputs + dist.free, dtype=torch.float64)
    value = torch.randn(32, dtype=torch.float64)
    assert_closed(a2c_loss, (policy, value), batch, dist=dist, vf_coef=0.5, ent_coef=ent)


@pytest.mark.parametrize("ending", ["terminated", "truncated"])
def test_a2cs_estimates_on_the_chain(ending: str):
    value = None
    for returns in ("gae", "nstep", "mc"):
        cfg = A2CConfig(gamma=0.9, gae_lambda=0.7, n_steps=3, returns=returns, nstep=2)
        loop = Loop("tests.envs.chain:Chain-v0", cfg, 1, ending=ending)
        rollout = loop.rollout()
        value = loop.algo.net.infer(np.arange(4, dtype=np.float32)[:, None], 1).astype(np.float64)
        end = 0.9 * value[3] * (ending == "truncated")
        delta = [1 + 0.9 * value[1] - value[0], 1 + 0.9 * value[2] - value[1], 1 + end - value[2]]
        expected = {
            "gae": [delta[0] + 0.63 * (delta[1] + 0.63 * delta[2]), delta[1] + 0.63 * delta[2], delta[2]],
            "nstep": [1 + 0.9 * (1 + 0.9 * value[2]) - value[0], 1 + 0.9 * (1 + end) - value[1], 1 + end - value[2]],
            "mc": [1 + 0.9 * (1 + 0.9 * (1 + end)) - value[0], 1 + 0.9 * (1 + end) - value[1], 1 + end - value[2]],
        }[returns]
        np.testing.assert_allclose(rollout.fields["advantage"][:, 0], expected, atol=1e-6)


def test_reinforce_learns_from_the_same_number_of_whole_episodes_of_every_environment():
    loop = Loop("CartPole-v1", ReinforceConfig(episodes=2, baseline="none", normalize_advantage="none", gamma=1.0))
    frames = 0
    for _ in range(3):
        rollout = loop.rollout()
        frames += rollout.steps * 4
        assert loop.frames == frames  # the steps that are not learnt from count too
        assert frames > loop.memory.rows
        valid, boundary = rollout.fields["valid"], rollout.fields["boundary"]
        assert (valid & boundary).sum(0).tolist() == [2, 2, 2, 2]
        for n in range(4):
            last = np.flatnonzero(valid[:, n])[-1]
            assert boundary[last, n]
            assert valid[: last + 1, n].all()
            # undiscounted and without a baseline, an advantage is the steps left in the episode
            ends = np.flatnonzero(boundary[: last + 1, n])
            expected = np.concatenate([np.arange(e - s, 0, -1) for s, e in zip([-1, ends[0]], ends, strict=True)])
            np.testing.assert_allclose(rollout.fields["advantage"][: last + 1, n], expected, atol=1e-4)
        assert loop.memory.rows == valid.sum()


def test_every_rollout_of_reinforce_begins_with_new_episodes():
    loop = Loop("CartPole-v1", ReinforceConfig())
    first = [loop.rollout().obs[0].copy() for _ in range(3)]
    assert all(np.abs(obs).max() <= 0.05 for obs in first)  # CartPole's first states
    assert not np.array_equal(first[0], first[1])


def test_a_mean_baseline_centres_the_returns():
    loop = Loop("CartPole-v1", ReinforceConfig(baseline="mean"))
    fields = loop.rollout().fields
    assert fields["advantage"][fields["valid"]].mean() == pytest.approx(0, abs=1e-3)


@pytest.mark.parametrize("cfg", [A2CConfig(n_steps=32, learning_rate=1e-2, gamma=0.0), ReinforceConfig(gamma=0.0)])
def test_they_learn_to_do_what_they_are_told(cfg):
    loop = Loop("tests.envs.chain:Identity-v0", cfg, frames=10_000)
    while loop.frames < 10_000:
        loop.learn()
    hits = []
    for _ in range(20):
        action = loop.algo.act(loop.envs.obs, frames=0, explore=False).action
        hits.append((action == loop.envs.obs.argmax(1)).mean())
        loop.envs.step(action)
    assert np.mean(hits) == 1
