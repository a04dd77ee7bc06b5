"""Self-imitation: returns of whole episodes, its loss, its place beside the base."""

import numpy as np
import pytest
import torch

from rlkit import compose
from rlkit.config.algo import A2CSILConfig, PPOSILConfig, SILConfig
from rlkit.errors import ConfigError
from rlkit.maths.distributions import Bernoulli, Categorical, Gaussian
from rlkit.maths.losses import sil_gradient, sil_loss
from rlkit.maths.returns import gae
from rlkit.memory.episodes import EpisodeMemory
from rlkit.types import Rollout
from tests.algos.loop import Loop
from tests.maths.test_losses import assert_closed, make_case


@pytest.mark.parametrize("bound", [None, 0.6])
@pytest.mark.parametrize("dist", [Categorical(3), Gaussian(2), Bernoulli(2)], ids=lambda d: type(d).__name__)
def test_the_closed_gradient_is_that_of_the_loss(dist, bound: float | None):
    dist, batch = make_case(dist, rows=32, dtype=torch.float64)
    generator = torch.Generator().manual_seed(0)
    batch.fields["ret"], batch.fields["weight"] = (
        torch.rand(32, dtype=torch.float64, generator=generator) * 2 for _ in range(2)
    )
    policy = torch.randn(32, dist.outputs + dist.free, dtype=torch.float64, generator=generator)
    value = torch.randn(32, dtype=torch.float64, generator=generator)
    coefs = {"dist": dist, "coef": 0.7, "vf_coef": 0.3, "clip": bound}
    assert_closed(sil_loss, (policy, value), batch, **coefs)
    worse = value >= batch.ret
    assert worse.any()
    for gradient in sil_gradient(policy, value, batch, **coefs):
        assert (gradient[worse] == 0).all()  # nothing is learnt where V >= R


def test_one_row_by_hand():
    dist, batch = make_case(Categorical(2), rows=1)
    batch.fields.update(ret=torch.tensor([3.0]), weight=torch.tensor([0.5]), action=torch.tensor([1]))
    loss = sil_loss(torch.zeros(1, 2), torch.tensor([1.0]), batch, dist=dist, coef=2.0, vf_coef=0.1, clip=None)
    assert float(loss.value) == pytest.approx(2 * (0.5 * 2 * np.log(2) + 0.1 * 0.5 * 0.5 * 4))
    assert loss.stats["advantage"].tolist() == [2.0]


def test_a_bound_holds_for_the_policys_part_and_the_values_gradient():
    dist, batch = make_case(Categorical(2), rows=1)
    batch.fields.update(ret=torch.tensor([3.0]), weight=torch.tensor([0.5]), action=torch.tensor([1]))
    given, coefs = (torch.zeros(1, 2), torch.tensor([-2.0]), batch), {"coef": 2.0, "vf_coef": 0.1, "clip": 1.0}
    loss = sil_loss(*given, dist=dist, **coefs)
    assert float(loss.value) == pytest.approx(2 * (0.5 * 1 * np.log(2) + 0.1 * 0.5 * (5 - 0.5)))
    assert loss.stats["advantage"].tolist() == [1.0]
    assert sil_gradient(*given, dist=dist, **coefs)[1].tolist() == [pytest.approx(2 * 0.1 * 0.5 * -1)]


def life_lost(rewards: list[list[float]], terminated: list[list[bool]], cut: list[tuple[int, int]]) -> Rollout:
    """A rollout `[T, N]` whose episodes end at `cut` (t, n) alone; a step may terminate before."""
    reward, ends = np.array(rewards, np.float32), np.array(terminated)
    T, N = reward.shape
    boundary = ends.copy()
    for t, n in cut:
        boundary[t, n] = True
    fields = {"action": np.zeros((T, N), np.int64), "reward": reward, "terminated": ends, "boundary": boundary}
    fields["next_value"] = np.full((T, N), 10.0, np.float32)
    cut_t, cut_n = np.array(cut, np.int64).reshape(-1, 2).T
    obs = np.arange((T + 1) * N, dtype=np.float32).reshape(T + 1, N, 1)
    return Rollout(obs=obs, fields=fields, cut_t=cut_t, cut_n=cut_n, cut_obs=obs[cut_t, cut_n], frames=0)


@pytest.mark.parametrize(
    ("lost", "over", "returns"),
    [
        ([1], True, [1.9, 1.0, 1.9, 1.0]),
        ([], True, [3.439, 2.71, 1.9, 1.0]),
        ([0, 1, 2], True, [1.0, 1.0, 1.0, 1.0]),
        ([2], False, [2.71, 1.9, 1.0, 10.0]),
        ([], False, [10.0, 10.0, 10.0, 10.0]),
    ],
    ids=["one life", "no life", "every step", "then cut", "cut"],
)
@pytest.mark.parametrize("split", [4, 2, 1])
def test_returns_end_where_a_life_is_lost(lost: list[int], over: bool, returns: list[float], split: int):
    """Rewards 1, gamma 0.9; V of the successor of a truncated episode is 10. Across rollouts of any length."""
    memory = EpisodeMemory(10, 1, gamma=0.9, alpha=0.6, beta=0.1)
    terminated = [[t in lost or (over and t == 3)] for t in range(4)]
    for start in range(0, 4, split):
        ends = [(3 - start, 0)] if start + split == 4 else []
        memory.add(life_lost([[1.0]] * split, terminated[start : start + split], ends))
    np.testing.assert_allclose(memory.fields["ret"][:4], returns, rtol=1e-5)


def test_targets_and_imitated_returns_agree_where_lives_are_lost():
    rollout = life_lost(
        [[1.0, 2.0]] * 5, [[False, True], [True, False], [False] * 2, [False] * 2, [True] * 2], [(4, 0), (4, 1)]
    )
    memory, fields = EpisodeMemory(20, 2, gamma=0.9, alpha=0.6, beta=0.1), rollout.fields
    memory.add(rollout)
    zeros = np.zeros_like(fields["reward"])
    targets = gae(fields["reward"], zeros, zeros, fields["terminated"], fields["boundary"], gamma=0.9, lam=1.0)
    np.testing.assert_allclose(memory.fields["ret"][:10], targets.T.ravel(), rtol=1e-6)


def test_steps_of_an_interrupted_episode_are_dropped():
    memory = EpisodeMemory(10, 1, gamma=0.9, alpha=0.6, beta=0.1)
    memory.add(life_lost([[5.0]] * 3, [[False]] * 3, []))
    memory.interrupt()
    memory.add(life_lost([[1.0]] * 2, [[False], [True]], [(1, 0)]))
    assert memory.rows == 2
    np.testing.assert_allclose(memory.fields["ret"][:2], [1.9, 1.0], rtol=1e-6)


def test_an_unfinished_episode_of_an_older_checkpoint_is_taken_over():
    """Such checkpoints do not say which steps terminated; where no lives are lost, none has."""
    one, other = (EpisodeMemory(10, 1, gamma=0.9, alpha=0.6, beta=0.1) for _ in range(2))
    one.add(life_lost([[1.0]] * 3, [[False]] * 3, []))
    state = one.state_dict()
    del state["trail"]["fields"]["terminated"]
    other.load_state_dict(state)
    for memory in (one, other):
        memory.add(life_lost([[1.0]], [[True]], [(0, 0)]))
        np.testing.assert_allclose(memory.fields["ret"][:4], [3.439, 2.71, 1.9, 1.0], rtol=1e-5)


@pytest.mark.parametrize("kind", ["normalize", "symlog"])
def test_returns_are_imitated_in_the_critics_own_units(kind: str):
    cfg = A2CSILConfig(n_steps=30, gamma=0.9, value_transform=kind)
    loop = Loop("tests.envs.chain:Chain-v0", cfg, 2)
    loop.rollout()
    *_, batch = loop.algo.batches(loop.memory)
    held = loop.algo.episodes.fields["ret"][batch.index.numpy()]
    np.testing.assert_allclose(batch.ret.numpy(), loop.algo.base.transform.encode(held), rtol=1e-5)
    assert np.abs(batch.ret.numpy() - held).max() > 0.3


def test_new_steps_have_the_largest_priority_and_none_is_forgotten():
    loop = Loop("tests.envs.chain:Chain-v0", A2CSILConfig(n_steps=3), 2)
    loop.rollout()
    episodes = loop.algo.episodes
    assert episodes.priorities.tree[np.arange(6)].tolist() == [1.0] * 6
    episodes.priorities.update(np.arange(6), np.array([0, 0, 0, 0, 0, 4.0]))
    assert (episodes.priorities.tree[np.arange(5)] > 0).all()  # of no gain, and still drawn now and then
    loop.rollout()
    np.testing.assert_allclose(episodes.priorities.tree[np.arange(5, 12)], 4**0.6, rtol=1e-5)


@pytest.mark.parametrize("ending", ["terminated", "truncated"])
@pytest.mark.parametrize("steps", [2, 3, 7])
def test_returns_are_those_of_whole_episodes_across_rollouts(ending: str, steps: int):
    cfg = A2CSILConfig(gamma=0.9, n_steps=steps, learning_rate=1e-12)
    loop = Loop("tests.envs.chain:Chain-v0", cfg, 2, ending=ending)
    for _ in range(6):
        loop.rollout()
    episodes = loop.algo.episodes
    finished = 6 * steps // 3
    assert episodes.rows == 2 * 3 * finished
    end = 0.9 * float(loop.algo.base.net.infer(np.array([[3]], np.float32), 1)[0]) * (ending == "truncated")
    at = episodes.fields["obs"][: episodes.rows, 0].astype(int)
    expected = np.array([1 + 0.9 * (1 + 0.9 * (1 + end)), 1 + 0.9 * (1 + end), 1 + end])
    np.testing.assert_array_equal(at, np.tile([0, 1, 2], 2 * finished))
    np.testing.assert_allclose(episodes.fields["ret"][: episodes.rows], expected[at], atol=1e-6)


def test_the_oldest_steps_make_room():
    cfg = A2CSILConfig(n_steps=3, sil=SILConfig(buffer_size=7))
    loop = Loop("tests.envs.chain:Chain-v0", cfg, 2)
    for rollout in range(4):
        loop.rollout()
        assert loop.algo.episodes.rows == min(7, 6 * (rollout + 1))
    assert sorted(loop.algo.episodes.fields["obs"][:, 0].astype(int).tolist()) == [0, 0, 1, 1, 2, 2, 2]


def test_an_episode_longer_than_the_memory_leaves_its_end():
    loop = Loop("tests.envs.chain:Chain-v0", A2CSILConfig(n_steps=3, sil=SILConfig(buffer_size=2)), 1)
    loop.rollout()
    assert sorted(loop.algo.episodes.fields["obs"][:, 0].tolist()) == [1, 2]


@pytest.mark.parametrize("cfg", [A2CSILConfig(n_steps=8), PPOSILConfig(n_steps=8, minibatch_size=16, epochs=2)])
def test_updates_on_episodes_follow_those_of_the_base(cfg):
    loop = Loop("tests.envs.chain:Chain-v0", cfg)
    loop.rollout()
    sources = [batch.source for batch in loop.algo.batches(loop.memory) if not loop.algo.update(batch).priority]
    of_base = 1 if isinstance(cfg, A2CSILConfig) else 4
    assert sources == [""] * of_base + ["episodes"] * 4
    metrics = loop.learn()[-1].report()
    assert {"sil_policy_loss", "sil_value_loss", "sil_share", "policy_loss", "entropy", "learning_rate"} <= set(metrics)


def test_before_an_episode_has_ended_there_is_nothing_to_imitate():
    loop = Loop("CartPole-v1", A2CSILConfig(n_steps=2))
    loop.rollout()
    assert len(list(loop.algo.batches(loop.memory))) == 1


def test_priorities_follow_the_advantage_of_the_step_before():
    loop = Loop("tests.envs.chain:Chain-v0", A2CSILConfig(n_steps=30))
    loop.rollout()
    *_, batch = loop.algo.batches(loop.memory)
    value = loop.algo.base.net.predict(batch.obs)[1]
    gain = (batch.ret - value).clamp(min=0).numpy().astype(np.float64)
    loop.algo.update(batch)
    mine = loop.algo.episodes.priorities.tree[batch.index.numpy()]
    np.testing.assert_allclose(mine, (gain + 1e-6) ** 0.6, rtol=1e-4)


def test_a_recurrent_net_is_refused_before_anything_begins():
    with pytest.raises(ConfigError, match=r"a2c_sil learns from single steps.*\n.*accepted: mlp"):
        compose(["algo=a2c_sil", "net=gru"])


def test_an_update_on_episodes_is_a_step_with_the_coefficients_of_the_config():
    cfg = A2CSILConfig(n_steps=30, max_grad_norm=None, sil=SILConfig(coef=0.5, vf_coef=0.2, clip_advantage=0.3))
    loop = Loop("tests.envs.chain:Chain-v0", cfg)
    loop.rollout()
    *_, batch = loop.algo.batches(loop.memory)
    net = loop.algo.base.net
    sil_loss(*net(batch.obs), batch, dist=loop.algo.base.dist, coef=0.5, vf_coef=0.2, clip=0.3).backward()
    expected, before = net.flat.grad.clone(), net.flat.weight.clone()
    for slot in net.flat.slots.values():
        slot.fresh = True
    loop.algo.update(batch)
    torch.testing.assert_close(net.flat.grad, expected)
    assert not torch.equal(net.flat.weight, before)
