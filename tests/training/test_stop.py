"""Ctrl-C within a rollout or an evaluation: the state before it is saved, and resuming gives the same bytes."""

from pathlib import Path
from typing import Any

import pytest

from rlkit.errors import EnvError
from rlkit.training import logbook
from rlkit.training import session as session_module
from rlkit.training.interrupt import StopSignal
from tests.envs.strangers import strange
from tests.training.runs import session, traces


class StopWithin(StopSignal):
    """Asks for a stop at the n-th look at it; give it as stop."""

    def __init__(self, looks: int) -> None:
        self.looks = looks
        super().__init__()

    @property
    def requested(self) -> bool:
        self.looks -= 1
        return self.looks < 0

    @requested.setter
    def requested(self, value: bool) -> None:
        pass


SMALL = ["num_envs=2", "net.hidden=[8,8]", "eval.episodes=2", "eval.periodic_episodes=2", "eval.every_frames=100"]
ALGOS = {
    "reinforce": ["algo=reinforce", "frames=600"],
    "ppo": ["algo=ppo", "algo.n_steps=64", "algo.minibatch_size=32", "frames=600"],
    "dqn": ["algo=dqn", "algo.learning_starts=50", "algo.batch_size=16", "frames=300"],
    "repeats": ["algo=dqn", "algo.learning_starts=50", "algo.exploration.repeat_exponent=2", "frames=300"],
    "noise": ["algo=td3", "algo.learning_starts=50", "algo.noise.kind=ornstein_uhlenbeck", "frames=300"],
}


@pytest.mark.parametrize("algo", ALGOS)
def test_wherever_a_stop_comes_the_run_goes_on_to_the_same_bytes(
    algo: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(session_module, "LONG_ROLLOUT_SECONDS", -1)  # as if each rollout took long
    env = "env=pendulum" if algo == "noise" else "env=cartpole"
    overrides = [*SMALL, *ALGOS[algo], env, "env.normalize_obs=true", "checkpoint.every_frames=150"]
    overrides += ["~tuned", "env.max_episode_steps=60"]
    whole = session(tmp_path / "whole", overrides)
    looks = 20
    for _ in range(300):
        result = session(tmp_path / "parts", overrides, stop=StopWithin(looks))
        looks = looks * 3 // 2 % 700 + 30
        if result["status"] == "complete":
            break
        assert result["status"] == "stopped"
    assert traces(tmp_path / "parts") == traces(tmp_path / "whole")
    for key in ("final_return", "best_return", "random_return", "updates"):
        assert result[key] == whole[key]


def test_a_stop_before_the_first_frame_leaves_a_run_that_can_be_resumed(tmp_path: Path):
    overrides = [*SMALL, *ALGOS["ppo"], "env=cartpole", "~tuned"]
    first = session(tmp_path / "parts", overrides, stop=StopWithin(0))
    assert (first["status"], first["frames"]) == ("stopped", 0)
    session(tmp_path / "parts", overrides)
    session(tmp_path / "whole", overrides)
    assert traces(tmp_path / "parts") == traces(tmp_path / "whole")


@pytest.mark.parametrize("baseline", ["none", "mean", "value"])
def test_reinforce_ends_where_no_episode_does(tmp_path: Path, baseline: str):
    overrides = ["algo=reinforce", "env=gym", f"env.id={strange('Endless')}", "frames=400", "num_envs=2"]
    overrides += ["eval.episodes=1", "eval.periodic_episodes=1", f"algo.baseline={baseline}", "eval.every_frames=400"]
    result = session(tmp_path, overrides)
    assert result["frames"] == 400  # two episodes that were cut at half the budget
    assert result["updates"] == 1


def test_a_long_evaluation_shows_a_sign_of_life(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(logbook, "WATCH_SECONDS", -1)
    seen: list[Any] = []

    class Watcher:
        def facts(self, seed: int, facts: dict[str, Any]) -> None:
            seen.append("facts")

        def progress(self, progress: Any) -> None:
            seen.append(progress.doing)

    session(tmp_path, [*SMALL, *ALGOS["ppo"], "env=cartpole", "~tuned"], watcher=Watcher())
    assert seen[0] == "facts"  # the run is introduced before anything takes long
    assert seen[1].startswith("random actions: 0 of 2 episodes")
    assert "evaluation: 1 of 2 episodes" in seen
    assert seen[-1] == ""


def test_evaluations_are_as_parallel_as_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from rlkit.training import evaluate as module

    made: list[str] = []
    real = module.make

    def note(*args: Any, **kwargs: Any) -> Any:
        result = real(*args, **kwargs)
        made.append(result.backend.name)
        return result

    monkeypatch.setattr(module, "make", note)
    session(tmp_path / "async", [*SMALL, *ALGOS["ppo"], "env=pendulum", "~tuned", "env.vectorization=async"])
    assert set(made) == {"async"}
    scores = []
    for kind in ("async", "sync"):
        result = session(
            tmp_path / kind, [*SMALL, *ALGOS["ppo"], "env=pendulum", "~tuned", f"env.vectorization={kind}"]
        )
        scores.append(result["final_return"])
    assert scores[0] == scores[1]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("NaN", "an observation is no finite float32 number"),
        ("RewardNaN", "a reward is no finite float32 number"),
        ("Raises", "simulator was lost"),
    ],
)
def test_a_fault_in_an_evaluation_is_named_with_seed_and_step(name: str, message: str, tmp_path: Path):
    overrides = [*SMALL, *ALGOS["ppo"], "env=gym", f"env.id={strange(name)}", "eval.periodic_episodes=200"]
    with pytest.raises(
        EnvError,
        match=rf"{name}-v0, in an evaluation: (.|\n)*{message}(.|\n)*seed \d+, (step \d+, action|after \d+ steps)",
    ):
        session(tmp_path, overrides)
