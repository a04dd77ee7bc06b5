"""The replay memory against a naive one that keeps everything in lists."""

import numpy as np
import pytest
import torch
from gymnasium import spaces
from hypothesis import given, settings
from hypothesis import strategies as st

from rlkit.config.memory import PrioritizedConfig, ReplayConfig
from rlkit.memory.replay import ReplayMemory, replay_bytes
from rlkit.types import EnvSpec, Rollout, Update

CPU = torch.device("cpu")
GAMMA = 0.9


class World:
    """Environments with random ends, whose observations tell where they are; pictures are stacks of three."""

    def __init__(self, num_envs: int, pictures: bool, seed: int) -> None:
        self.rng, self.N, self.pictures = np.random.default_rng(seed), num_envs, pictures
        self.ends = 0.15
        self.count = 0
        self.obs = np.stack([self.first() for _ in range(num_envs)])
        space = spaces.Box(0, 255, (3, 4, 4), np.uint8) if pictures else spaces.Box(-np.inf, np.inf, (2,))
        self.spec = EnvSpec(
            id="w",
            num_envs=num_envs,
            observation=space,
            action=spaces.Discrete(5),
            max_episode_steps=None,
            reward_threshold=None,
            stack=3 if pictures else 1,
        )
        self.seen: list[list[tuple]] = [[] for _ in range(num_envs)]  # per environment, in order

    def picture(self) -> np.ndarray:
        return self.rng.integers(0, 256, (1, 4, 4), dtype=np.uint8)

    def first(self) -> np.ndarray:
        self.count += 1
        if not self.pictures:
            return np.array([self.count, self.rng.normal()], np.float32)
        blank = self.picture() if self.rng.random() < 0.5 else np.zeros((1, 4, 4), np.uint8)
        return np.concatenate([blank, blank, self.picture()])

    def after(self, obs: np.ndarray) -> np.ndarray:
        return np.concatenate([obs[1:], self.picture()]) if self.pictures else self.first()

    def rollout(self, steps: int, frames: int = 0) -> Rollout:
        N = self.N
        obs, cut_t, cut_n, cut_obs = [self.obs], [], [], []
        fields: dict[str, list] = {name: [] for name in ("action", "reward", "terminated", "boundary")}
        for t in range(steps):
            successor = np.stack([self.after(o) for o in obs[-1]])
            reward = self.rng.normal(size=N).astype(np.float32)
            action = self.rng.integers(5, size=N)
            terminated = self.rng.random(N) < self.ends
            boundary = terminated | (self.rng.random(N) < self.ends)
            for n in range(N):
                row = (obs[-1][n], action[n], reward[n], terminated[n], boundary[n], successor[n])
                self.seen[n].append(row)
            for name, x in (("action", action), ("reward", reward), ("terminated", terminated), ("boundary", boundary)):
                fields[name].append(x)
            following = successor.copy()
            for n in np.flatnonzero(boundary):
                cut_t.append(t)
                cut_n.append(n)
                cut_obs.append(successor[n])
                following[n] = self.first()
            obs.append(following)
        self.obs = obs[-1]
        return Rollout(
            obs=np.stack(obs),
            fields={name: np.stack(x) for name, x in fields.items()},
            cut_t=np.array(cut_t, np.int64),
            cut_n=np.array(cut_n, np.int64),
            cut_obs=np.stack(cut_obs) if cut_obs else obs[0][:0],
            frames=frames,
        )


def naive(world: World, n: int, s: int, n_step: int) -> tuple:
    """What the transition of environment n at its step s is with n-step returns."""
    rows = world.seen[n]
    total, k = 0.0, s
    while True:
        total += GAMMA ** (k - s) * rows[k][2]
        if rows[k][4] or k - s == n_step - 1 or k == len(rows) - 1:
            break
        k += 1
    return rows[s][0], rows[s][1], total, rows[k][5], GAMMA ** (k - s + 1) * (not rows[k][3])


def make(world: World, cfg: ReplayConfig, **kwargs) -> ReplayMemory:
    return ReplayMemory(cfg, world.spec, total_frames=1000, rng=np.random.default_rng(0), device=CPU, **kwargs)


@settings(deadline=None, max_examples=40)
@given(
    num_envs=st.integers(1, 3),
    pictures=st.booleans(),
    lengths=st.lists(st.integers(1, 9), min_size=1, max_size=8),
    size=st.integers(6, 40),
    n_step=st.integers(1, 4),
    prioritized=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_what_is_drawn_is_what_happened(num_envs, pictures, lengths, size, n_step, prioritized, seed):
    world = World(num_envs, pictures, seed)
    cfg = (PrioritizedConfig if prioritized else ReplayConfig)(buffer_size=size)
    memory = make(world, cfg)
    for steps in lengths:
        memory.add(world.rollout(steps))
    written = sum(lengths)
    assert memory.written == written
    assert 0 < memory.rows <= memory.steps * num_envs
    if not pictures:
        assert memory.rows == min(written, memory.steps) * num_envs
    batch = memory.sample(64, gamma=GAMMA, n_step=n_step)
    for b, index in enumerate(batch.index.tolist()):
        ring, n = divmod(index, num_envs)
        step = max(s for s in range(written) if s % memory.steps == ring)
        assert memory.first <= step
        obs, action, reward, next_obs, discount = naive(world, n, step, n_step)
        np.testing.assert_array_equal(batch.obs[b].numpy(), obs)
        np.testing.assert_array_equal(batch.next_obs[b].numpy(), next_obs)
        assert int(batch.action[b]) == action
        assert float(batch.reward[b]) == pytest.approx(float(reward), abs=1e-5)
        assert float(batch.discount[b]) == pytest.approx(discount, abs=1e-6)
    assert batch.obs.dtype == (torch.uint8 if pictures else torch.float32)


@pytest.mark.parametrize("pictures", [False, True])
def test_its_state_moves_to_another(pictures: bool):
    world = World(2, pictures, 0)
    one, other = (make(world, PrioritizedConfig(buffer_size=30)) for _ in range(2))
    for _ in range(4):
        one.add(world.rollout(6))
    batch = one.sample(8, gamma=GAMMA)
    one.feedback(batch, Update(priority=lambda: torch.arange(8.0)))
    other.load_state_dict(one.state_dict())
    other.rng = np.random.default_rng(5)
    one.rng = np.random.default_rng(5)
    more = world.rollout(6)
    for memory in (one, other):
        memory.add(more)
    a, b = (memory.sample(32, gamma=GAMMA, n_step=3) for memory in (one, other))
    for name in a.fields:
        assert torch.equal(a.fields[name], b.fields[name]), name


def test_uniform_draws_are_even_over_what_is_held():
    world = World(3, False, 0)
    memory = make(world, ReplayConfig(buffer_size=30))
    for _ in range(5):
        memory.add(world.rollout(5))
    drawn = np.concatenate([memory.sample(100, gamma=GAMMA).index.numpy() for _ in range(300)])
    counts = np.bincount(drawn, minlength=30)
    assert ((counts - 1000) ** 2 / 1000).sum() < 66  # chi-square, 29 degrees of freedom: one in ten thousand


def test_the_newest_are_in_every_batch_when_combined():
    world = World(2, False, 0)
    memory = make(world, ReplayConfig(buffer_size=100, combined=True))
    memory.add(world.rollout(20))
    memory.add(world.rollout(3))
    for _ in range(5):
        assert set(range(40, 46)) <= set(memory.sample(16, gamma=GAMMA).index.tolist())


def test_equal_priorities_weigh_one_and_beta_rises_to_one():
    world = World(2, False, 0)
    memory = make(world, PrioritizedConfig(buffer_size=100, beta=0.4))
    memory.add(world.rollout(20, frames=0))
    assert memory.beta == pytest.approx(0.4)
    np.testing.assert_array_equal(memory.sample(16, gamma=GAMMA).weight.numpy(), 1)
    memory.add(world.rollout(20, frames=500))
    assert memory.beta == pytest.approx(0.7)
    memory.add(world.rollout(20, frames=1000))
    assert memory.beta == pytest.approx(1.0)


def test_contents_may_lie_on_disk_and_be_left_out_of_checkpoints(tmp_path):
    world = World(2, True, 0)
    memory = make(world, ReplayConfig(buffer_size=50, on_disk=True, save=False), folder=tmp_path)
    memory.add(world.rollout(20))
    assert (tmp_path / "memory.bin").stat().st_size == memory.frames.held.nbytes
    assert isinstance(memory.frames.held, np.memmap)
    other = make(world, ReplayConfig(buffer_size=50, save=False))
    other.load_state_dict(memory.state_dict())
    assert other.rows == 0
    assert memory.sample(8, gamma=GAMMA).obs.shape == (8, 3, 4, 4)


def test_a_million_atari_frames_are_forecast_and_take_less_than_8_gib():
    pictures = spaces.Box(0, 255, (4, 84, 84), np.uint8)
    spec = EnvSpec(
        id="a",
        num_envs=8,
        observation=pictures,
        action=spaces.Discrete(6),
        max_episode_steps=None,
        reward_threshold=None,
        stack=4,
    )
    for cfg in (ReplayConfig(buffer_size=1_000_000), PrioritizedConfig(buffer_size=1_000_000)):
        memory = ReplayMemory(cfg, spec, total_frames=1, rng=np.random.default_rng(0), device=CPU)
        held = memory.frames.held.nbytes + memory.numbers.nbytes + memory.table.nbytes
        held += 0 if memory.priorities is None else memory.priorities.tree.nodes.nbytes
        assert replay_bytes(cfg, spec) == pytest.approx(held, rel=0.01)
        assert held < 8 * 2**30


@pytest.mark.parametrize("pictures", [False, True])
@pytest.mark.parametrize("num_envs", [1, 3])
def test_nothing_runs_across_an_interruption(pictures: bool, num_envs: int):
    """As where an environment cannot be brought back to where it was, and new episodes begin."""
    world = World(num_envs, pictures, seed=1)
    memory = ReplayMemory(
        ReplayConfig(buffer_size=200 * num_envs),
        world.spec,
        total_frames=10**6,
        rng=np.random.default_rng(0),
        device=CPU,
    )
    world.ends = 0.0
    before = world.rollout(5)
    memory.add(before)
    memory.interrupt()
    world.obs = np.stack([world.first() for _ in range(num_envs)])
    after = world.rollout(5)
    memory.add(after)
    rows = np.arange(10 * num_envs)
    memory._draw = lambda size: rows
    batch = memory.sample(len(rows), gamma=1.0, n_step=4)
    reward = np.concatenate([before.fields["reward"], after.fields["reward"]])
    for t in range(10):
        end = min(t + 4, 5 if t < 5 else 10)
        got = batch.reward.view(10, num_envs)[t].numpy()
        np.testing.assert_allclose(got, reward[t:end].sum(0), rtol=1e-5)
    obs = batch.obs.view(10, num_envs, *batch.obs.shape[1:]).numpy()
    np.testing.assert_array_equal(obs, np.concatenate([before.obs[:-1], after.obs[:-1]]))
    assert float(batch.discount.min()) == 1  # truncated, not terminated


@pytest.mark.parametrize(("steps", "capacity"), [(6, 50), (30, 12)])
def test_stretches_begin_at_every_step_from_the_oldest_to_the_last_that_has_room(steps: int, capacity: int):
    world = World(2, False, seed=0)
    world.ends = 0.0
    cfg = ReplayConfig(buffer_size=2 * capacity)
    memory = ReplayMemory(cfg, world.spec, total_frames=10**6, rng=np.random.default_rng(0), device=CPU)
    memory.add(world.rollout(steps))
    batch = memory.sample_sequences(400, 4)
    held = min(steps, capacity)
    first = {float(step[0][0]) for row in world.seen for step in row[steps - held : steps - 3]}
    assert set(batch.obs[:400, 0].tolist()) == first
    assert len(memory.sample_sequences(1, 99).action) == held
