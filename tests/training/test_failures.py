"""Why a run failed is on disk, and what is not finite is named with its source."""

import json
from pathlib import Path

import pytest

from rlkit import compose, train
from rlkit.errors import EnvError, RlkitError
from rlkit.training import trial
from tests.envs.strangers import strange
from tests.training.runs import session

QUICK = ["frames=640", "num_envs=2", "algo.n_steps=16", "algo.minibatch_size=16", "algo.epochs=1", "net.hidden=[8]"]
QUICK += ["eval.episodes=1", "eval.periodic_episodes=1", "eval.every_frames=100000"]


def failed(*overrides: str) -> tuple[Path, str]:
    with pytest.raises((RlkitError, trial.TrialFaultError)) as raised:
        train(compose([*QUICK, "env=gym", *overrides]), quiet=True)
    return sorted(Path("runs").glob("*/*"))[-1], str(raised.value)


@pytest.mark.parametrize("seeds", [1, 2])
@pytest.mark.parametrize("kind", ["sync", "async"])
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_an_environment_that_raises_leaves_reason_and_traceback(seeds: int, kind: str):
    folder, said = failed(f"env.id={strange('RaisesTwoWords')}", f"seeds={seeds}", f"env.vectorization={kind}")
    assert "7: the simulator was lost" in said
    run, result = (json.loads((folder / name).read_text()) for name in ("run.json", "result.json"))
    for record in (run, result, json.loads((folder / "session_0" / "result.json").read_text())):
        assert record["status"] == "failed"
        assert "TwoWordsError: 7: the simulator was lost" in record["error"]
        assert "step" in record["error"]
        assert "action" in record["error"]
    log = (folder / "run.log").read_text()
    assert "Traceback (most recent call last)" in log
    assert "strangers.py" in log
    assert "the simulator was lost" in log


@pytest.mark.parametrize("seeds", [1, 2])
def test_a_failure_before_the_first_frame_is_there_too(seeds: int):
    folder, said = failed(f"env.id={strange('ResetRaises')}", f"seeds={seeds}")
    assert "ConnectionError: busy" in said
    for name in ("run.json", "result.json"):
        assert "ConnectionError: busy" in json.loads((folder / name).read_text())["error"]


def test_a_process_that_its_environment_ends_is_no_fault_of_rlkit():
    with pytest.raises(trial.TrialError) as raised:
        train(compose([*QUICK, "env=gym", f"env.id={strange('Vanishes')}", "seeds=2"]), quiet=True)
    for seed in (0, 1):
        assert f"seed {seed}: its process ended without an error, exit status 5" in str(raised.value)


def test_a_fault_of_rlkit_is_there_too(monkeypatch: pytest.MonkeyPatch):
    from rlkit.algos.ppo import PPO

    def broken(self: object, batch: object) -> None:
        raise ZeroDivisionError("by zero")

    monkeypatch.setattr(PPO, "update", broken)
    with pytest.raises(ZeroDivisionError):
        train(compose([*QUICK, "env=gym", "env.id=CartPole-v1"]), quiet=True)
    folder = sorted(Path("runs").glob("*/*"))[-1]
    assert json.loads((folder / "result.json").read_text())["error"] == "ZeroDivisionError: by zero"
    assert "Traceback" in (folder / "run.log").read_text()


def test_a_complete_run_has_no_error_and_counts_its_updates():
    result = train(compose([*QUICK, "env=gym", f"env.id={strange('Counted')}"]), quiet=True)
    assert result.data["error"] is None
    assert result.data["updates"] == 40


@pytest.mark.parametrize("name", ["CloseRaises", "CloseExits"])
@pytest.mark.parametrize("kind", ["sync", "async"])
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_close_that_fails_spoils_no_run(name: str, kind: str):
    result = train(compose([*QUICK, "env=gym", f"env.id={strange(name)}", f"env.vectorization={kind}"]), quiet=True)
    assert result.status == "complete"


def test_environments_are_closed_where_a_session_fails(monkeypatch: pytest.MonkeyPatch):
    from rlkit.envs.adapter import Adapter

    counts = {"made": 0, "closed": 0}
    init, close = Adapter.__init__, Adapter.close

    def counting(self: Adapter, *args: object) -> None:
        counts["made"] += 1
        init(self, *args)  # type: ignore[arg-type]

    def closing(self: Adapter) -> None:
        counts["closed"] += 1
        close(self)

    monkeypatch.setattr(Adapter, "__init__", counting)
    monkeypatch.setattr(Adapter, "close", closing)
    failed(f"env.id={strange('ResetRaises')}")
    assert counts["made"] == counts["closed"] > 0


PLAIN = ["frames=640", "num_envs=2", "net.hidden=[8]", "eval.episodes=1", "eval.periodic_episodes=1"]
PLAIN += ["eval.every_frames=100000", "env=gym"]
SOON = {"dqn": ["algo.learning_starts=50"], "sac": ["algo.learning_starts=50"]}


@pytest.mark.parametrize("algo", ["ppo", "a2c", "dqn", "sac", "sarsa", "reinforce"])
def test_a_last_observation_that_nothing_is_learnt_from_may_be_anything(algo: str, tmp_path: Path):
    result = session(tmp_path, [*PLAIN, f"algo={algo}", *SOON.get(algo, []), f"env.id={strange('LastNaN')}"])
    assert result["status"] == "complete"
    assert result["updates"] > 0


@pytest.mark.parametrize("algo", ["ppo", "dqn", "sarsa"])
def test_a_truncated_last_observation_must_be_finite(algo: str, tmp_path: Path):
    with pytest.raises(EnvError, match=r"environment \d of 2 returned the last observation of a truncated episode"):
        session(tmp_path, [*PLAIN, f"algo={algo}", *SOON.get(algo, []), f"env.id={strange('LastCutNaN')}"])


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("RewardNaN", []),
        ("RewardInf", ["env.clip_reward=1"]),
        ("RewardInf", ["env.sign_reward=true"]),
        ("RewardNaN", ["env.normalize_reward=true"]),
        ("RewardNaNPicture", ["net.channels=[4]", "net.kernels=[8]", "net.strides=[8]"]),
    ],
)
@pytest.mark.parametrize("algo", ["ppo", "dqn", "random"])
def test_a_reward_that_is_not_finite_is_the_environments_fault(
    algo: str, name: str, options: list[str], tmp_path: Path
):
    net = ["net=conv", *options] if name.endswith("Picture") else options
    with pytest.raises(
        EnvError, match=r"environment \d of 2 returned a reward that is no finite float32 number\n  seed \d+"
    ) as raised:
        session(tmp_path, [*PLAIN, f"algo={algo}", *SOON.get(algo, []), f"env.id={strange(name)}", *net])
    assert "diverged" not in str(raised.value)


@pytest.mark.parametrize("options", [[], ["env.normalize_obs=true"]])
@pytest.mark.parametrize("algo", ["ppo", "dqn"])
def test_an_observation_that_is_not_finite_is_the_environments_fault(algo: str, options: list[str], tmp_path: Path):
    with pytest.raises(
        EnvError, match=r"environment \d of 2 returned an observation.*that is no finite float32 number"
    ):
        session(tmp_path, [*PLAIN, f"algo={algo}", *SOON.get(algo, []), f"env.id={strange('NaN')}", *options])


@pytest.mark.parametrize("frames", [200, 999])
def test_a_run_that_never_learnt_says_so(frames: int, tmp_path: Path):
    from loguru import logger

    told: list[str] = []
    sink = logger.add(lambda message: told.append(str(message)), level="WARNING")
    overrides = ["algo=dqn", "env=cartpole", "~tuned", f"frames={frames}", "algo.learning_starts=1000"]
    result = session(tmp_path, [*overrides, "eval.episodes=1", "eval.periodic_episodes=1"])
    logger.remove(sink)
    assert result["updates"] == 0
    assert any("no update was made" in line for line in told)
    assert any("algo.learning_starts=1,000" in line for line in told)
