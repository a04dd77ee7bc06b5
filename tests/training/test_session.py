import math
from pathlib import Path

import pytest
from loguru import logger

from rlkit import compose, train
from rlkit.errors import ConfigError, DivergedError, EnvError
from rlkit.runs.folder import read_rows
from rlkit.training import checkpoint, logbook
from tests.training.runs import StopAfter, session, traces

ENVS = {
    "cartpole": ["env=cartpole"],
    "pendulum": ["env=pendulum"],
    "separate": ["net@critic_net=mlp", "critic_net.hidden=[8]"],
}

SIMULATORS = {env: [f"env={env}"] for env in ("lunar_lander", "bipedal_walker", "hopper")}


@pytest.fixture(autouse=True)
def _watch_every_rollout(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(logbook, "WATCH_SECONDS", -1)


@pytest.mark.parametrize("env", ENVS)
def test_the_same_seed_leaves_the_same_bytes_and_another_seed_others(env: str, tiny: list[str], tmp_path: Path):
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        session(tmp_path / name, [*tiny, *ENVS[env]], seed)
    assert traces(tmp_path / "a") == traces(tmp_path / "b")
    assert traces(tmp_path / "a")["metrics.jsonl"] != traces(tmp_path / "c")["metrics.jsonl"]


@pytest.mark.parametrize(
    ("env", "at"),
    [*((env, at) for env in ENVS for at in (128, 512, 896)), *((env, 512) for env in SIMULATORS)],
)
def test_a_stopped_and_resumed_run_equals_one_that_never_stopped(env: str, at: int, tiny: list[str], tmp_path: Path):
    overrides = [*tiny, *(ENVS | SIMULATORS)[env]]
    session(tmp_path / "whole", overrides)
    stop = StopAfter(at)
    stopped = session(tmp_path / "halves", overrides, watcher=stop, stop=stop)
    assert (stopped["status"], stopped["frames"]) == ("stopped", at)
    assert stopped["final_return"]["mean"] != stopped["final_return"]["mean"]  # NaN: not scored
    resumed = session(tmp_path / "halves", overrides)
    assert resumed["status"] == "complete"
    assert traces(tmp_path / "halves") == traces(tmp_path / "whole")


def test_rows_after_the_checkpoint_and_a_torn_line_are_written_again(tiny: list[str], tmp_path: Path):
    session(tmp_path / "whole", tiny)
    stop = StopAfter(512)
    session(tmp_path / "torn", tiny, watcher=stop, stop=stop)
    with (tmp_path / "torn" / "metrics.jsonl").open("a") as file:  # as a kill between two checkpoints leaves it
        file.write('{"frames": 640, "x": 1}\n{"frames": 7')
    session(tmp_path / "torn", tiny)
    assert traces(tmp_path / "torn") == traces(tmp_path / "whole")
    frames = [row["frames"] for row in read_rows(tmp_path / "torn" / "metrics.jsonl")]
    assert frames == sorted(set(frames))


def test_a_finished_session_is_not_trained_again(tiny: list[str], tmp_path: Path):
    first = session(tmp_path / "s", tiny)
    changed = (tmp_path / "s" / "result.json").stat().st_mtime_ns
    again = session(tmp_path / "s", tiny)
    assert again["final_return"] == first["final_return"]
    assert (tmp_path / "s" / "result.json").stat().st_mtime_ns == changed
    assert session(tmp_path / "s", [*tiny, "frames=1536"])["frames"] == 1536


def test_the_metrics_have_what_users_look_for(tiny: list[str], tmp_path: Path):
    result = session(tmp_path / "s", [*tiny, "log.every_frames=128", "eval.every_frames=256"])
    rows = read_rows(tmp_path / "s" / "metrics.jsonl")
    assert [row["frames"] for row in rows] == list(range(128, 1025, 128))
    wanted = {"approx_kl", "clip_fraction", "entropy", "explained_variance", "policy_loss", "value_loss"}
    assert {f"train/{name}" for name in wanted | {"learning_rate", "grad_norm", "updates"}} <= rows[-1].keys()
    assert 0 < rows[0]["train/entropy"] <= math.log(2) + 1e-6
    evals = read_rows(tmp_path / "s" / "eval.jsonl")
    assert [row["frames"] for row in evals] == [256, 512, 768, 1024]
    assert all(len(row["returns"]) == 3 for row in evals)
    assert result["best_return"]["mean"] == max(row["mean"] for row in evals)
    assert list((tmp_path / "s").glob("events.out.tfevents.*"))
    assert sorted(p.name for p in (tmp_path / "s" / "checkpoints").iterdir()) == ["1024", "768", "latest"]
    assert sum(result["time_split"].values()) == pytest.approx(1)


@pytest.mark.parametrize("algo", ["dqn", "sarsa"])
@pytest.mark.parametrize("kind", ["epsilon_greedy", "boltzmann"])
def test_the_metrics_say_what_exploration_draws_with(algo: str, kind: str, tmp_path: Path):
    name = {"epsilon_greedy": "epsilon", "boltzmann": "temperature"}[kind]
    schedule = f"algo.exploration.{name}_schedule"
    explore = [f"algo.exploration.kind={kind}", f"algo.exploration.{name}=0.8", f"{schedule}.kind=linear"]
    ends = [f"{schedule}.end=0.2", f"{schedule}.end_frames=400"]
    learning = ["algo.learning_starts=64", "memory.buffer_size=1000"] if algo == "dqn" else []
    short = ["frames=600", "log.every_frames=100", "eval.episodes=1", "eval.periodic_episodes=1", "num_envs=4"]
    session(tmp_path / "s", [f"algo={algo}", "net.hidden=[8]", *explore, *ends, *learning, *short])
    rows = [row for row in read_rows(tmp_path / "s" / "metrics.jsonl") if f"train/{name}" in row]
    assert len(rows) >= 5
    for row in rows:
        expected = 0.8 - 0.6 * min(1, row["frames"] / 400)
        assert row[f"train/{name}"] == pytest.approx(expected, abs=0.6 * 64 / 400)  # a rollout before, at the most
    assert rows[-1][f"train/{name}"] == pytest.approx(0.2)


@pytest.mark.parametrize("algo", ["ppo", "a2c_sil", "reinforce", "dqn", "sarsa", "sac", "td3", "random"])
def test_norms_of_weights_and_gradients_are_logged_on_demand(algo: str, tmp_path: Path):
    env = "pendulum" if algo in ("sac", "td3") else "cartpole"
    small = ["frames=600", "num_envs=4", "log.every_frames=200", "eval.episodes=1", "eval.periodic_episodes=1"]
    learning = ["algo.learning_starts=64"] if algo in ("dqn", "sac", "td3") else []
    words = [f"algo={algo}", f"env={env}", "~tuned", *small, *learning, "log.norms=true"]
    if algo != "random":
        words += ["net.hidden=[8]"]
    session(tmp_path / "s", words)
    newest = checkpoint.newest(tmp_path / "s" / "checkpoints")
    weights = checkpoint.load_weights(newest)
    row = read_rows(tmp_path / "s" / "metrics.jsonl")[-1]
    found = {name.removeprefix("train/weight_norm/") for name in row if name.startswith("train/weight_norm/")}
    assert found == set(weights)
    for name in found:
        assert row[f"train/weight_norm/{name}"] == pytest.approx(float(weights[name].norm()), rel=1e-5)
    gradients = [value for name, value in row.items() if name.startswith("train/gradient_norm/")]
    assert len(gradients) == len(found)
    assert any(value > 0 for value in gradients) == bool(found)


def test_rows_are_shown_on_demand(tiny: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    said: list[str] = []
    handler = logger.add(lambda message: said.append(str(message)), format="{message}")
    try:
        session(tmp_path / "a", tiny)
        assert not [line for line in said if "train/entropy" in line]
        monkeypatch.setenv("LOG_METRICS", "true")
        session(tmp_path / "b", tiny)
        rows = [line for line in said if "train/entropy" in line]
        assert len(rows) == len(read_rows(tmp_path / "b" / "metrics.jsonl"))
        assert rows[0].startswith("seed 0: frames 128, rollout/episodes")
        monkeypatch.setenv("LOG_METRICS", "maybe")
        with pytest.raises(ConfigError, match=r"LOG_METRICS=maybe is not accepted"):
            train(compose(tiny), quiet=True)
        assert not (tmp_path / "runs").exists()
    finally:
        logger.remove(handler)


def test_tensorboard_reads_the_events(tiny: list[str], tmp_path: Path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    session(tmp_path / "s", tiny)
    events = EventAccumulator(str(tmp_path / "s")).Reload()
    rows = read_rows(tmp_path / "s" / "metrics.jsonl")
    scalars = events.Scalars("train/entropy")
    assert [s.step for s in scalars] == [row["frames"] for row in rows]
    assert scalars[-1].value == pytest.approx(rows[-1]["train/entropy"])
    assert events.Scalars("eval/return")


def test_the_pruner_hears_every_evaluation_and_can_stop(tiny: list[str], tmp_path: Path):
    heard: list[tuple[int, float]] = []

    def judge(frames: int, value: float) -> str | None:
        heard.append((frames, value))
        return "pruned" if frames >= 512 else None

    result = session(tmp_path / "s", [*tiny, "eval.every_frames=256"], judge=judge)
    assert [frames for frames, _ in heard] == [256, 512]
    assert (result["status"], result["frames"]) == ("pruned", 512)
    assert session(tmp_path / "s", tiny)["status"] == "pruned"


def test_a_run_that_diverges_says_so_and_keeps_its_checkpoint(tiny: list[str], tmp_path: Path):
    wild = [*tiny, "algo.learning_rate=1e30", "algo.max_grad_norm=null", "env=pendulum", "log.every_frames=128"]
    with pytest.raises(DivergedError, match="diverged: train/") as raised:
        session(tmp_path / "s", [*wild, "checkpoint.every_frames=128"])
    assert "algo.learning_rate" in str(raised.value)


def test_an_environment_that_fails_is_reported_and_leaves_the_last_checkpoint(tiny: list[str], tmp_path: Path):
    overrides = [*tiny, "env=gym", "env.id=tests.envs.chain:Broken-v0", "env.kwargs.how=nan reward"]
    with pytest.raises(EnvError, match="no finite float32"):
        session(tmp_path / "s", overrides)
