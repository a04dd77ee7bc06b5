"""What every algorithm of the table keeps to."""

from pathlib import Path

import numpy as np
import pytest
import torch

from rlkit.algos.table import ALGORITHMS
from rlkit.config import algo as configs
from rlkit.config.schema import SCHEMAS
from rlkit.training import session as session_module
from tests.algos.loop import Loop
from tests.training.runs import StopAfter, session, traces

CONFIGS = {name: getattr(configs, name) for name in ALGORITHMS}
LEARNERS = [name for name in CONFIGS if name != "RandomConfig"]
SPACES = {
    "discrete": "CartPole-v1",
    "continuous": "Pendulum-v1",
    "dictionary": "tests.envs.chain:Switches-v0",
}
TINY = ["frames=1500", "num_envs=4", "net.hidden=[16,16]", "eval.episodes=2", "eval.periodic_episodes=2"]
TINY += ["checkpoint.every_frames=200"]


def test_the_schemas_and_the_table_name_the_same_algorithms():
    assert {cls.__name__ for cls in SCHEMAS["algo"].values()} == set(ALGORITHMS)


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("name", CONFIGS)
def test_actions_and_updates_have_their_shapes(name: str, space: str):
    loop = Loop(SPACES[space], CONFIGS[name]())
    for explore in (True, False):
        action = loop.algo.act(loop.envs.obs, frames=0, explore=explore).action
        assert len(action) == 4
        assert loop.envs.backend.action.contains(loop.envs.to_env(action)[0])
    updates = loop.learn()
    metrics = [u.metrics for u in updates if u.metrics]
    if name in LEARNERS:
        assert {"policy_loss", "entropy", "learning_rate", "grad_norm"} <= metrics[-1].keys()
        assert all(np.isfinite(float(v)) for v in metrics[-1].values() if v is not None)


@pytest.mark.parametrize("env_id", ["CartPole-v1", "Pendulum-v1"])
@pytest.mark.parametrize("name", LEARNERS)
def test_the_gradient_reaches_every_parameter(name: str, env_id: str):
    loop = Loop(env_id, CONFIGS[name](ent_coef=0.01))
    before = {key: w.clone() for key, w in loop.algo.weights().items()}
    loop.learn()
    moved = {key: not torch.equal(w, before[key]) for key, w in loop.algo.weights().items()}
    assert all(moved.values()), moved


@pytest.mark.parametrize("name", CONFIGS)
def test_state_and_weights_move_to_another_instance(name: str):
    one, other = (Loop("CartPole-v1", CONFIGS[name]()) for _ in range(2))
    one.learn()
    other.algo.load_weights({key: w.clone() for key, w in one.algo.weights().items()})
    other.algo.load_state_dict(one.algo.state_dict())
    obs = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)
    one.algo.rng, other.algo.rng = np.random.default_rng(1), np.random.default_rng(1)
    for explore in (True, False):
        actions = [loop.algo.act(obs, frames=0, explore=explore).action for loop in (one, other)]
        np.testing.assert_array_equal(*actions)


@pytest.mark.parametrize("algo", sorted(SCHEMAS["algo"]))
def test_a_resumed_run_equals_one_that_never_stopped(algo: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(session_module, "WATCH_SECONDS", -1)
    overrides = [f"algo={algo}", *TINY]
    session(tmp_path / "whole", overrides)
    stop = StopAfter(500)
    session(tmp_path / "halves", overrides, watcher=stop, stop=stop)
    session(tmp_path / "halves", overrides)
    assert traces(tmp_path / "halves") == traces(tmp_path / "whole")
