"""The traps of ALE 0.12, each by what it would do to the data."""

import copy
import itertools
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest
import torch

from rlkit import compose
from rlkit.config.env import AtariConfig, EnvConfig
from rlkit.envs.atari import Atari, rom_name
from rlkit.envs.make import make
from rlkit.envs.vector import VectorEnv
from rlkit.errors import ConfigError, EnvError
from rlkit.training import agent, logbook
from rlkit.training.play import play
from tests.envs.test_vector import roll
from tests.training.runs import StopAfter, session, traces

FAST = ["num_envs=2", "algo.n_steps=32", "algo.epochs=1", "net.channels=[4]", "net.kernels=[8]", "net.strides=[8]"]
FAST += ["net.hidden=[8]", "eval.every_frames=100000", "eval.periodic_episodes=1", "eval.episodes=1", "frames=512"]
FAST += ["env.atari.max_emulator_frames=2000"]


def breakout(num_envs: int = 2, vectorization: str = "auto", clip: float | None = None, **atari) -> VectorEnv:
    cfg = EnvConfig(game="Breakout", vectorization=vectorization, clip_reward=clip, atari=AtariConfig(**atari))
    return VectorEnv(make(cfg, num_envs).backend, cfg, 0)


def walk(envs: VectorEnv, steps: int, seed: int = 0) -> list:
    rng = np.random.default_rng(seed)
    return [(envs.step(rng.integers(0, 4, envs.num_envs)), envs.obs.copy()) for _ in range(steps)]


def test_a_lost_life_is_terminal_for_learning_and_the_game_goes_on():
    plain, lives = breakout(), breakout(life_loss=True)
    whole, parts = walk(plain, 500), walk(lives, 500)
    for (a, seen_a), (b, seen_b) in zip(whole, parts, strict=True):
        np.testing.assert_array_equal(seen_a, seen_b)  # nothing is reset at a lost life
        np.testing.assert_array_equal(a.cut, b.cut)
        np.testing.assert_array_equal(a.reward, b.reward)
    games, lost = sum(len(s.cut) for s, _ in whole), sum(int(s.terminated.sum()) for s, _ in parts)
    assert games >= 4
    assert lost >= 5 * games
    assert list(plain.recent_returns) == list(lives.recent_returns)
    assert sum(int(s.terminated.sum()) for s, _ in whole) == games


def test_the_successor_of_a_last_step_is_not_the_next_games_first_picture():
    envs = breakout()
    ends = [(step, seen) for step, seen in walk(envs, 500) if len(step.cut)]
    assert ends
    for step, seen in ends:
        for k, row in enumerate(step.cut):
            assert not np.array_equal(step.cut_obs[k], seen[row])
    # and the step after a reset is a real one: the picture moves, nothing is filled in
    first = [seen for _, seen in walk(envs, 3)]
    assert any(not np.array_equal(a, b) for a, b in itertools.pairwise(first))


def test_the_learner_sees_clipped_rewards_and_the_score_stays_whole():
    cfg = EnvConfig(game="SpaceInvaders", clip_reward=1.0)
    envs = VectorEnv(make(cfg, 2).backend, cfg, 0)
    rng, largest = np.random.default_rng(0), 0.0
    while not envs.recent_returns:
        largest = max(largest, float(envs.step(rng.integers(0, 6, 2)).reward.max()))
    assert largest == 1
    assert max(envs.recent_returns) >= 5  # an invader is worth 5 to 30
    assert sum(envs.recent_returns) % 5 == 0


def test_sticky_actions_differ_by_seed_and_repeat_with_it():
    assert roll(breakout(), 200, 0) == roll(breakout(), 200, 0)
    calm = breakout(sticky=0.0)
    assert roll(calm, 200, 0) != roll(breakout(), 200, 0)


@pytest.mark.parametrize("steps", [150, 400, 900])
def test_resets_that_do_not_seed_are_replayed_too(steps: int, monkeypatch: pytest.MonkeyPatch):
    """Seeding takes longer than a short game: it is for every so many steps, and both kinds of reset come back."""
    monkeypatch.setattr(Atari, "seed_every", 300)
    first, second = (breakout(sticky=0.25) for _ in range(2))
    walk(first, steps)
    assert first.finished > first.seeded.sum() or steps == 150  # some games began without a seed of their own
    assert (first.seeded > 0).all() == (steps == 900)
    second.load_state_dict({k: copy.deepcopy(v) for k, v in first.state_dict().items()})
    np.testing.assert_array_equal(second.obs, first.obs)
    assert roll(second, 400, seed=2) == roll(first, 400, seed=2)


def test_after_a_restart_they_are_too(monkeypatch: pytest.MonkeyPatch):
    """Which begins games anew that are under way, and gives a seed to the others."""
    monkeypatch.setattr(Atari, "seed_every", 100_000)
    first, second = breakout(), breakout()
    walk(first, 300)
    assert not first.seeded.any()
    assert first.finished
    first.restart()
    assert first.since.tolist() == first.lengths.tolist() == [0, 0]
    assert (first.seeded == first.episode).all()
    walk(first, 300)
    assert (first.seeded < first.episode).any()
    second.load_state_dict({k: copy.deepcopy(v) for k, v in first.state_dict().items()})
    assert roll(second, 200, seed=2) == roll(first, 200, seed=2)


def test_a_game_that_was_not_seeded_has_luck_of_its_own():
    envs = breakout(1)
    starts = [obs.tobytes() for step, obs in walk(envs, 2_000) if len(step.cut)]
    assert envs.seeded.tolist() == [0]
    assert len({*starts}) > 1


def test_options_of_the_picture():
    colour = breakout(grayscale=False, size=42, stack=2)
    assert colour.obs.shape == (2, 6, 42, 42)
    assert colour.obs.dtype == np.uint8
    assert make(EnvConfig(game="Breakout", atari=AtariConfig(full_action_space=True)), 1).spec.action.n == 18
    sync = breakout(vectorization="sync")
    assert sync.obs.shape == (2, 4, 84, 84)


@pytest.mark.parametrize("kind", ["native", "sync"])
def test_the_step_limit_is_in_steps(kind: str):
    cfg = EnvConfig(game="Pong", vectorization=kind, max_episode_steps=60)
    made = make(cfg, 1)
    envs = VectorEnv(made.backend, cfg, 0)
    lengths = [t for t in range(1, 125) if len(envs.step(np.zeros(1, np.int64)).cut)]
    assert made.spec.max_episode_steps == 60
    assert lengths[0] <= 60
    assert lengths[0] >= 50  # the no-ops of the start may count


def test_settings_that_are_not_for_atari_are_refused():
    for setting in ({"frame_stack": 2}, {"time_aware": True}):
        with pytest.raises(ConfigError, match=r"use env\.atari\.stack"):
            make(EnvConfig(game="Pong", **setting), 1)


def test_names_of_games():
    known = {"SpaceInvaders": "space_invaders", "Pong": "pong", "MsPacman": "ms_pacman", "UpNDown": "up_n_down"}
    assert {game: rom_name(game) for game in known} == known
    with pytest.raises(EnvError, match="did you mean ALE/Breakout-v5"):
        make(EnvConfig(game="Brekout"), 1)


@pytest.mark.parametrize("kind", ["native", "sync"])
def test_pong_with_sticky_actions_resumes_to_the_same_bytes(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(logbook, "WATCH_SECONDS", -1)
    overrides = ["env=pong", *FAST, f"env.vectorization={kind}", "checkpoint.every_frames=128"]
    session(tmp_path / "whole", overrides)
    stop = StopAfter(256)
    session(tmp_path / "halves", overrides, watcher=stop, stop=stop)
    session(tmp_path / "halves", overrides)
    assert traces(tmp_path / "halves") == traces(tmp_path / "whole")


def test_a_video_shows_the_screen_in_colour(tmp_path: Path):
    config = compose(["env=pong", *FAST])
    spec = make(config.env, 1).spec
    algo = agent.build(config, 0, spec, torch.device("cpu"))
    from rlkit.envs.transforms import ObservationTransform

    seen = ObservationTransform(config.env, spec.observation.shape or ())
    actor = agent.Agent(config, 0, 0, algo, seen)
    play(actor, video=tmp_path / "pong.mp4", episodes=1, deterministic=False)
    pictures = iio.imread(tmp_path / "pong.mp4", plugin="pyav")
    assert pictures.shape[1:] == (210, 160, 3)
    assert len({p.tobytes() for p in pictures}) > 10
    assert np.ptp(pictures[50].reshape(-1, 3).astype(int), 0).max() > 50
