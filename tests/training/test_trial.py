import json
import time
from pathlib import Path

import numpy as np
import pytest

from rlkit import compose, evaluate, load, train
from rlkit.config.schema import to_yaml
from rlkit.runs.folder import RunFolder, read_json
from rlkit.training.interrupt import StopSignal
from rlkit.training.trial import TrialError, create, run_trial
from tests.training.runs import traces

RESULT_KEYS = {
    "schema", "status", "algo", "env_id", "frames", "seeds", "config_hash", "git_sha", "final_return",
    "train_return_100", "best_return", "metrics", "fps", "train_seconds", "wall_seconds", "startup_seconds",
    "peak_rss_mb", "time_split",
}  # fmt: skip
FINAL_KEYS = {"mean", "std", "iqm", "ci95", "ci95_kind", "per_seed", "episodes", "deterministic", "eval_seeds"}
MEASURES = {
    "strength", "max_strength", "final_strength", "sample_efficiency", "training_efficiency", "stability",
    "consistency",
}  # fmt: skip


def check_schema(result: dict, seeds: int) -> None:
    assert result.keys() >= RESULT_KEYS
    assert result["final_return"].keys() == FINAL_KEYS
    assert result["metrics"].keys() == MEASURES
    assert result["time_split"].keys() == {"env", "policy", "learn", "eval", "other"}
    assert result["schema"] == 1
    assert len(result["seeds"]) == len(result["final_return"]["per_seed"]) == seeds
    assert result["train_return_100"].keys() == result["best_return"].keys() == {"mean", "per_seed"}


def test_python_in_six_lines(tiny: list[str], capsys: pytest.CaptureFixture[str]):
    result = train(compose(tiny), quiet=True)
    assert result.status == "complete"
    assert result.final_return.mean == np.mean(evaluate(result.folder, episodes=4).returns)
    check_schema(result.data, seeds=1)
    check_schema(read_json(result.folder / "session_0" / "result.json"), seeds=1)
    names = {p.name for p in result.folder.iterdir()}
    assert names == {
        "config.yaml", "overrides.yaml", "run.json", "result.json", "run.log", "session_0", "plots", ".lock",
    }  # fmt: skip
    assert {p.suffix for p in (result.folder / "plots").iterdir()} == {".png", ".svg", ".csv"}
    run = read_json(result.folder / "run.json")
    assert (run["schema"], run["status"], run["seeds"]) == (1, "complete", [0])
    assert run["env"]["id"] == "CartPole-v1"
    assert run["versions"].keys() >= {"python", "torch", "gymnasium", "rlkit"}
    assert capsys.readouterr().out == ""


def test_a_loaded_agent_acts_on_one_observation_or_many(tiny: list[str]):
    folder = train(compose([*tiny, "env=pendulum"]), quiet=True).folder
    agent = load(folder)
    one, many = agent.act(np.zeros(3, np.float32)), agent.act(np.zeros((5, 3), np.float32))
    assert one.shape == (1,)
    assert many.shape == (5, 1)
    np.testing.assert_array_equal(many[2], one)
    assert -2 <= one[0] <= 2
    assert agent.frames == 1024
    sampled = [float(agent.act(np.zeros(3, np.float32), deterministic=False)[0]) for _ in range(5)]
    assert len(set(sampled)) > 1


def test_seeds_in_processes_equal_seeds_alone(tiny: list[str], tmp_path: Path):
    together = train(compose([*tiny, "seeds=3"]), quiet=True)
    check_schema(together.data, seeds=3)
    assert together.data["seeds"] == [0, 1, 2]
    alone = train(compose([*tiny, "seed=1"]), quiet=True)
    assert traces(together.folder / "session_1") == traces(alone.folder / "session_1")
    final = together.final_return
    assert final.per_seed[1] == alone.final_return.mean
    assert final.mean == pytest.approx(np.mean(final.per_seed))
    assert final.std == pytest.approx(np.std(final.per_seed, ddof=1))
    assert final.ci95 is not None
    assert final.ci95[0] <= final.mean <= final.ci95[1]


def test_a_seed_that_fails_leaves_the_others_and_resume_finishes_it(tiny: list[str], tmp_path: Path):
    """Seed 1 meets a file where its folder should be: the others finish, and it can be made good."""
    config = compose([*tiny, "seeds=3"])
    folder = create(config)
    (folder.path / "session_1").write_text("in the way")
    with pytest.raises(TrialError, match="1 of 3 seeds failed; the results of 2 are kept") as raised:
        run_trial(config, folder, started=time.perf_counter(), quiet=True)
    assert "seed 1: cannot write" in str(raised.value)
    partial = read_json(folder.result)
    assert (partial["status"], partial["seeds"]) == ("failed", [0, 2])
    assert read_json(folder.run)["status"] == "failed"
    before = (folder.path / "session_0" / "result.json").read_bytes()

    (folder.path / "session_1").unlink()
    result = run_trial(config, folder, started=time.perf_counter(), quiet=True)
    assert (result["status"], result["seeds"]) == ("complete", [0, 1, 2])
    assert (folder.path / "session_0" / "result.json").read_bytes() == before


def test_stopping_a_trial_stops_its_processes_and_resume_completes_it(tiny: list[str], monkeypatch: pytest.MonkeyPatch):
    config = compose([*tiny, "seeds=2", "frames=400000", "checkpoint.every_frames=4096"])
    folder = create(config)

    class Soon(StopSignal):
        """Ctrl-C as soon as both seeds have trained to a checkpoint."""

        @property
        def requested(self) -> bool:
            return all(list((folder.path / f"session_{s}" / "checkpoints").glob("[1-9]*")) for s in (0, 1))

        @requested.setter
        def requested(self, value: bool) -> None:
            pass

    with monkeypatch.context() as patched:
        patched.setattr("rlkit.training.trial.StopSignal", Soon)
        result = run_trial(config, folder, started=time.perf_counter(), quiet=True)
    assert result["status"] == "stopped"
    frames = [read_json(folder.session(s).result)["frames"] for s in (0, 1)]
    assert all(0 < f < 400_000 for f in frames)
    assert json.loads(folder.run.read_text())["status"] == "stopped"
    # To a budget that is within reach of a test: the stopped sessions count as done there.
    smaller = compose([f"frames={max(frames) + 1}"], base=folder.config)
    assert run_trial(smaller, RunFolder(folder.path), started=time.perf_counter(), quiet=True)["status"] == "complete"


def run_again(config, folder) -> dict:
    return run_trial(config, RunFolder(folder.path), started=time.perf_counter(), quiet=True)


def test_a_trial_is_complete_only_when_every_seed_reached_the_budget(tiny: list[str]):
    config = compose([*tiny, "seeds=2"])
    folder = create(config)
    assert run_again(config, folder)["status"] == "complete"
    for file in folder.path.glob("session_1/checkpoints/[0-9]*/weights.safetensors"):
        file.write_bytes(b"")
    longer = compose(["frames=1536"], base=folder.config)
    folder.config.write_text(to_yaml(longer))
    with pytest.raises(TrialError, match="1 of 2 seeds failed"):
        run_again(longer, folder)
    result = read_json(folder.result)
    assert (result["status"], result["seeds"]) == ("failed", [0])  # seed 1's old score is not of this budget
    assert read_json(folder.run)["status"] == "failed"


def test_two_processes_cannot_train_one_run(tiny: list[str]):
    from rlkit.errors import RunFolderError
    from rlkit.runs.lock import alone

    config = compose(tiny)
    folder = create(config)
    with alone(folder.path, "trained"), pytest.raises(RunFolderError, match="is being trained by another process"):
        run_again(config, folder)
    assert run_again(config, folder)["status"] == "complete"


def test_an_environment_that_prints_disturbs_no_trial(tiny: list[str]):
    talk = ["env=gym", "env.id=tests.envs.chain:Talks-v0", "seeds=2"]
    folder = train(compose([*tiny, *talk]), quiet=True).folder
    assert "3\n" in (folder / "run.log").read_text()


def test_a_run_tells_its_earlier_commands(tiny: list[str]):
    config = compose(tiny)
    folder = create(config)
    run_again(config, folder)
    longer = compose(["frames=1536"], base=folder.config)
    run_again(longer, folder)
    run = read_json(folder.run)
    assert run["config_hash"] == read_json(folder.result)["config_hash"]
    assert [e["status"] for e in run["earlier"]] == ["complete"]
    assert read_json(folder.result)["wall_seconds"] == read_json(folder.session(0).result)["wall_seconds"]


def test_a_diverged_run_leaves_a_result_that_says_so(tiny: list[str]):
    from rlkit.errors import DivergedError

    config = compose([*tiny, "env=pendulum", "algo.learning_rate=1e30", "log.every_frames=100000"])
    folder = create(config)
    with pytest.raises(DivergedError, match="not finite"):
        run_again(config, folder)
    result = read_json(folder.result)
    assert result["status"] == read_json(folder.run)["status"] == "diverged"
    assert result["final_return"]["mean"] is None
    assert [p.name for p in folder.session(0).checkpoints.glob("[0-9]*")] == ["0"]


def test_a_run_of_another_machine_acts_on_the_cpu(tiny: list[str]):
    from rlkit.errors import RunFolderError

    folder = train(compose(tiny), quiet=True).folder
    config = folder / "config.yaml"
    config.write_text(config.read_text().replace("device: auto", "device: cuda:7"))
    assert load(folder).config.device == "cpu"
    with pytest.raises(RunFolderError, match="is no session's folder"):
        load(folder / "session_x")


def test_what_does_not_fit_is_said_before_a_folder_exists(tmp_path: Path):
    from rlkit.errors import ConfigError

    for wrong, message in (("net=conv", "use net=mlp"), ("device=cuda:7", "is not on this machine")):
        with pytest.raises(ConfigError, match=message):
            train(compose([wrong]), quiet=True)
    assert not (tmp_path / "runs").exists()


def test_actions_that_no_algorithm_takes_are_refused_at_the_door(tmp_path: Path):
    from rlkit.errors import EnvError

    with pytest.raises(EnvError, match="accepted: Discrete, MultiDiscrete, MultiBinary, Box"):
        train(compose(["env=gym", "env.id=tests.envs.chain:Speaks-v0"]), quiet=True)
    assert not (tmp_path / "runs").exists()
