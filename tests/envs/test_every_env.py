"""Every file of conf/env, and environments of other kinds, train."""

import re
from pathlib import Path

import pytest

from rlkit.config.schema import conf_dir
from rlkit.runs.folder import read_json
from tests.training.runs import session

SHORT = ["frames=2000", "eval.episodes=2", "eval.periodic_episodes=1", "eval.every_frames=1000"]
NAMES = sorted(path.stem for path in (conf_dir() / "env").glob("*.yaml"))
ATARI = [
    n for n in NAMES if n == "atari" or re.search(r"\bgame: (?!null)", (conf_dir() / "env" / f"{n}.yaml").read_text())
]
OTHERS = ["Taxi-v3", "Blackjack-v1", "FrozenLake-v1", "MinAtar/Breakout-v1", "CliffWalking-v1"]


@pytest.mark.parametrize("name", [n for n in NAMES if n not in (*ATARI, "gym")])
def test_ppo_trains_on(name: str, tmp_path: Path):
    result = session(tmp_path, [f"env={name}", *SHORT])
    assert (result["status"], result["frames"] >= 2000) == ("complete", True)
    assert result["final_return"]["mean"] == result["final_return"]["mean"]


@pytest.mark.parametrize("env_id", OTHERS)
def test_ppo_trains_on_the_environment(env_id: str, tmp_path: Path):
    assert session(tmp_path, ["env=gym", f"env.id={env_id}", *SHORT])["status"] == "complete"


@pytest.mark.slow
@pytest.mark.parametrize("name", ATARI)
def test_ppo_plays(name: str, tmp_path: Path):
    game = ["env.game=Boxing"] if name == "atari" else []
    result = session(tmp_path, [f"env={name}", *game, *SHORT, "env.atari.max_emulator_frames=8000"])
    assert result["status"] == "complete"


def test_an_evaluation_is_filmed_and_a_failed_film_stops_nothing(tiny: list[str], tmp_path: Path):
    import imageio.v3 as iio

    session(tmp_path / "a", [*tiny, "eval.every_frames=256", "eval.video_every=2"])
    films = sorted(p.name for p in (tmp_path / "a" / "videos").iterdir())
    assert films == ["1024.mp4", "512.mp4"]
    assert len(iio.imread(tmp_path / "a" / "videos" / "512.mp4", plugin="pyav")) > 5
    blind = ["env=gym", "env.id=tests.envs.chain:Chain-v0", "eval.video_every=1"]
    assert session(tmp_path / "b", [*tiny, *blind])["status"] == "complete"


def test_the_facts_of_a_run_are_kept(tiny: list[str]):
    from rlkit import compose, train

    folder = train(compose([*tiny, "env=gym", "env.id=CartPole-v0"]), quiet=True).folder
    env = read_json(folder / "run.json")["env"]
    assert env["id"] == "CartPole-v1"
    assert env["renamed"].startswith("CartPole-v0 is CartPole-v1 today: ")
    assert (env["backend"], env["reward_threshold"], env["max_episode_steps"]) == ("native", 475.0, 500)
    assert env["frame_skip"] == 1
    assert "rlkit resets" in env["autoreset"]
    assert read_json(folder / "run.json")["memory_mb"] > 0


def test_a_rollout_that_does_not_fit_says_what_to_change(tmp_path: Path):
    from rlkit.errors import ConfigError

    with pytest.raises(ConfigError, match=r"takes [\d.,]+ GiB.*\n.*lower algo\.n_steps or num_envs"):
        session(tmp_path, ["env=pong", "num_envs=8", "algo.n_steps=10_000_000"])


def test_pictures_and_vectors_want_their_nets(tmp_path: Path):
    from rlkit.errors import ConfigError

    with pytest.raises(ConfigError, match="use net=conv"):
        session(tmp_path, ["env=pong", "net=mlp"])
    with pytest.raises(ConfigError, match="use net=mlp"):
        session(tmp_path, ["env=cartpole", "net=conv"])


def test_the_forecast_is_within_a_tenth_of_what_is_allocated():
    import torch

    from rlkit import compose, seeding
    from rlkit.envs.make import make
    from rlkit.envs.vector import VectorEnv
    from rlkit.memory.rollout import RolloutMemory
    from rlkit.training import agent
    from rlkit.training.budget import rollout_bytes
    from rlkit.training.collect import Collector

    config = compose(["env=half_cheetah", "algo.n_steps=512", "algo.minibatch_size=64"])
    backend, spec, _ = make(config.env, 4)
    envs = VectorEnv(backend, config.env, 0)
    algo = agent.build(config, 0, spec, torch.device("cpu"))
    collector = Collector(envs, algo)
    memory = RolloutMemory(seeding.stream(0, "x"), torch.device("cpu"))
    rollout = algo.prepare(collector.collect(0))
    memory.add(rollout)
    fields = next(iter(algo.batches(memory))).fields
    held = rollout.obs.nbytes + sum(a.nbytes for a in rollout.fields.values())
    shuffled = sum(x.element_size() * x[0].numel() * memory.rows for x in fields.values())
    kept = sum(action.nbytes + 128 for action in envs.actions)  # an array's own head
    assert rollout_bytes(spec, 512) == pytest.approx(held + shuffled + kept, rel=0.1)
