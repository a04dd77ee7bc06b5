"""Environments in processes: the same trajectories, and every way in which a worker can fail."""

import os
import signal
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from rlkit.config.env import EnvConfig
from rlkit.envs.make import make
from rlkit.envs.vector import VectorEnv
from rlkit.errors import EnvError
from rlkit.training import checkpoint, logbook
from tests.envs.test_vector import actions, roll, vector
from tests.training.runs import StopAfter, session, traces

pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")


def no_children(within: float = 3) -> bool:
    end = time.monotonic() + within
    while time.monotonic() < end:
        if not [c for c in psutil.Process().children() if c.status() != psutil.STATUS_ZOMBIE]:
            return True
        time.sleep(0.05)
    return False


@pytest.mark.parametrize("env_id", ["CartPole-v1", "Pendulum-v1", "LunarLander-v3", "Hopper-v5"])
def test_bare_sync_async_and_native_give_the_same_trajectories(env_id: str):
    kinds = ("sync", "async", "auto")
    together = {kind: vector(env_id, 3, vectorization=kind) for kind in kinds}
    seen = {kind: roll(envs, 300, 0) for kind, envs in together.items()}
    for envs in together.values():
        envs.close()
    assert seen["sync"] == seen["async"] == seen["auto"]
    # A bare environment walks like row 0 of several that are given its actions.
    bare, three = vector(env_id, 1), vector(env_id, 3)
    rng = np.random.default_rng(0)
    for _ in range(300):
        action = actions(bare, rng)
        step, steps = bare.step(action), three.step(np.repeat(action, 3, 0))
        np.testing.assert_array_equal(bare.obs[0], three.obs[0])
        assert (step.reward[0], step.terminated[0]) == (steps.reward[0], steps.terminated[0])
    assert no_children()


def failing(how: str, timeout: float = 5) -> VectorEnv:
    cfg = EnvConfig(
        id="tests.envs.chain:Broken-v0", kwargs={"how": how}, vectorization="async", timeout_seconds=timeout
    )
    return VectorEnv(make(cfg, 3).backend, cfg, 0)


def step_often(envs: VectorEnv, action: np.ndarray) -> None:
    for _ in range(10):
        envs.step(action)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("raises", "ValueError: the simulator fell over"),
        ("shape", "cannot copy|could not broadcast|shape"),
        ("hangs", "no answer within 1 seconds"),
        ("dies", "its process died"),
    ],
)
def test_a_failing_worker_is_named_with_seed_step_and_action_and_all_are_gone(how: str, message: str):
    envs = failing(how, timeout=1 if how == "hangs" else 20)
    began = time.monotonic()
    where = r"seed \d+, step 4, action 1"
    with pytest.raises(EnvError, match=rf"environment 0 of 3: .*({message})(.|\n)*{where}"):
        step_often(envs, np.ones(3, np.int64))
    assert time.monotonic() - began < 10
    assert no_children()
    envs.close()


def test_a_worker_killed_from_outside_is_named():
    envs = vector("Pendulum-v1", 3, vectorization="async")
    os.kill(envs.backend.envs.processes[1].pid, signal.SIGKILL)  # type: ignore[attr-defined]
    with pytest.raises(EnvError, match="environment 1 of 3: its process died"):
        step_often(envs, np.zeros((3, 1), np.float32))
    assert no_children()


def test_a_run_whose_worker_dies_leaves_a_checkpoint_and_no_child(tiny: list[str], tmp_path: Path):
    overrides = [*tiny, "env=gym", "env.id=tests.envs.chain:Broken-v0", "env.kwargs={how: dies, after: 100}"]
    overrides += ["eval.every_frames=100000", "checkpoint.every_frames=128"]
    with pytest.raises(EnvError, match="its process died"):
        session(tmp_path, [*overrides, "env.vectorization=async", "env.timeout_seconds=20"])
    assert no_children()
    newest = checkpoint.newest(tmp_path / "checkpoints")
    assert newest is not None
    assert newest.name == "384"  # three rollouts of 32 steps of 4 environments were whole


def test_an_asynchronous_run_resumes_to_the_same_bytes(
    tiny: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(logbook, "WATCH_SECONDS", -1)
    overrides = [*tiny, "env=hopper", "env.vectorization=async"]
    session(tmp_path / "whole", overrides)
    stop = StopAfter(512)
    session(tmp_path / "halves", overrides, watcher=stop, stop=stop)
    session(tmp_path / "halves", overrides)
    assert traces(tmp_path / "halves") == traces(tmp_path / "whole")
    session(tmp_path / "sync", [*tiny, "env=hopper", "env.vectorization=sync"])
    assert traces(tmp_path / "sync")["metrics.jsonl"] == traces(tmp_path / "whole")["metrics.jsonl"]
    assert no_children()


def test_a_worker_that_never_starts_is_given_up():
    with pytest.raises(EnvError, match="did not start within 1 seconds"):
        failing("never starts", timeout=1)
    assert no_children()


def test_sessions_in_processes_may_have_environments_in_processes(tiny: list[str]):
    from rlkit import compose, train

    result = train(compose([*tiny, "env=pendulum", "env.vectorization=async", "seeds=2"]), quiet=True)
    assert result.status == "complete"
    assert no_children()


def test_auto_probes_many_slow_environments_and_keeps_its_choice(monkeypatch: pytest.MonkeyPatch):
    from rlkit.envs import make as make_module

    monkeypatch.setattr(make_module, "available_cores", lambda: 2)
    cfg = EnvConfig(id="tests.envs.chain:Slow-v0")
    backend, _, why = make(cfg, 10, probe=True)
    assert backend.name == "async"  # it sleeps, so processes pay even on one core
    assert "sync" in why
    assert "async" in why
    backend.close()
    fast, _, why = make(EnvConfig(id="MountainCar-v0"), 10, probe=True)
    assert (fast.name, why.split(":")[0]) == ("sync", "probed")
    kept, _, why = make(cfg, 10, probe=True, chosen="sync")
    assert (kept.name, why) == ("sync", "as the run began")
    few, _, _ = make(cfg, 8, probe=True)
    assert few.name == "sync"
    assert no_children()
