"""What every algorithm of the table keeps to."""

import copy
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch

from rlkit.algos.base import Algorithm
from rlkit.config import algo as configs
from rlkit.config.algorithms import ALGORITHMS
from rlkit.config.env import EnvConfig
from rlkit.config.off_policy import OffPolicyConfig
from rlkit.config.schema import compose, schemas
from rlkit.envs.make import make
from rlkit.errors import ConfigError
from rlkit.training import logbook
from rlkit.training.checks import check_actions
from tests.algos.loop import Loop
from tests.training.runs import StopAfter, session, traces

ROWS = {row.config.__name__: row for row in ALGORITHMS.values()}
CONFIGS = {name: row.config for name, row in ROWS.items()}
POLICY_GRADIENTS = [name for name, cls in CONFIGS.items() if issubclass(cls, configs.PolicyGradientConfig)]
LEARNERS = [name for name in CONFIGS if name != "RandomConfig"]
SPACES = {
    "discrete": "CartPole-v1",
    "continuous": "Pendulum-v1",
    "dictionary": "tests.envs.chain:Switches-v0",
}
KINDS = {"discrete": "Discrete", "continuous": "Box", "dictionary": "MultiBinary"}


def takes(name: str) -> list[str]:
    """Spaces whose actions an algorithm takes."""
    return [space for space, kind in KINDS.items() if kind in ROWS[name].actions]


PAIRS = [(name, space) for name in CONFIGS for space in takes(name)]
TINY = ["frames=1500", "num_envs=4", "net.hidden=[16,16]", "eval.episodes=2", "eval.periodic_episodes=2"]
TINY += ["checkpoint.every_frames=200"]
SOON = {"learning_starts": 8, "batch_size": 16, "train_every_frames": 2}


def config(name: str, **kwargs):
    cls = CONFIGS[name]
    return cls(**(SOON if issubclass(cls, OffPolicyConfig) else {}), **kwargs)


def learnt(loop: Loop) -> list:
    """The updates of the first rollouts that brought some."""
    for _ in range(20):
        if updates := loop.learn():
            return updates
    return []


def test_every_row_names_a_class_that_exists_and_a_schema():
    assert set(schemas()["algo"]) == set(ALGORITHMS)
    for name, row in ALGORITHMS.items():
        assert name in {row.config.name, "ddqn", "ddqn_per", "rainbow"}
        for path in [row.path] if isinstance(row.path, str) else row.path.values():
            module, _, cls = path.rpartition(".")
            assert issubclass(getattr(import_module(module), cls), Algorithm)
        assert isinstance(row.path, str) or set(row.path) == set(row.actions)


@pytest.mark.parametrize(("name", "space"), PAIRS)
def test_actions_and_updates_have_their_shapes(name: str, space: str):
    loop = Loop(SPACES[space], config(name))
    for frames in (0, 100):  # drawn at random while an off-policy algorithm warms up
        for explore in (True, False):
            action = loop.algo.act(loop.envs.obs, frames=frames, explore=explore).action
            assert len(action) == 4
            assert loop.envs.backend.action.contains(loop.envs.to_env(action)[0])
    metrics = [u.report() for u in learnt(loop) if u.report()]
    if name in POLICY_GRADIENTS:
        assert {"policy_loss", "entropy", "learning_rate", "grad_norm"} <= metrics[-1].keys()
    if name in LEARNERS:
        assert all(np.isfinite(float(v)) for v in metrics[-1].values() if v is not None)


@pytest.mark.parametrize("name", [name for name in CONFIGS if len(takes(name)) < len(SPACES)])
def test_actions_that_it_does_not_take_are_refused(name: str):
    for space in set(SPACES) - set(takes(name)):
        spec = make(EnvConfig(id=SPACES[space]), 1).spec
        with pytest.raises(ConfigError, match=r"takes .*\n  use"):
            check_actions(compose([f"algo={CONFIGS[name].name}", "~tuned"]), spec, pictures=False)


@pytest.mark.parametrize(("name", "space"), [pair for pair in PAIRS if pair[0] in LEARNERS])
def test_the_gradient_reaches_every_parameter(name: str, space: str):
    if space == "dictionary":
        return
    loop = Loop(SPACES[space], config(name, **({"ent_coef": 0.01} if name in POLICY_GRADIENTS else {})))
    before = {key: w.clone() for key, w in loop.algo.weights().items()}
    for _ in range(6):  # the policy may be updated later than the critics
        loop.learn()
    moved = {key: not torch.equal(w, before[key]) for key, w in loop.algo.weights().items()}
    assert all(moved.values()), moved


@pytest.mark.parametrize("name", CONFIGS)
def test_state_and_weights_move_to_another_instance(name: str):
    env_id = SPACES[takes(name)[0]]
    one, other = (Loop(env_id, config(name)) for _ in range(2))
    learnt(one)
    other.algo.load_weights({key: w.clone() for key, w in one.algo.weights().items()})
    other.algo.load_state_dict(copy.deepcopy(one.algo.state_dict()))
    obs = np.random.default_rng(0).normal(size=(4, *one.envs.obs.shape[1:])).astype(np.float32)
    for loop in (one, other):
        loop.algo.rng = np.random.default_rng(1)
    for explore in (True, False):
        actions = [loop.algo.act(obs, frames=100, explore=explore).action for loop in (one, other)]
        np.testing.assert_array_equal(*actions)


@pytest.mark.parametrize("algo", sorted(ALGORITHMS))
def test_a_resumed_run_equals_one_that_never_stopped(algo: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(logbook, "WATCH_SECONDS", -1)
    overrides = [
        f"algo={algo}",
        "env=pendulum" if ALGORITHMS[algo].actions == ("Box",) else "env=cartpole",
        "~tuned",
        *TINY,
    ]
    if issubclass(ALGORITHMS[algo].config, OffPolicyConfig):
        overrides += ["algo.learning_starts=100", "algo.batch_size=16", "algo.train_every_frames=3"]
        overrides += ["memory.buffer_size=700"]  # the ring goes round
    if algo == "crossq":
        overrides += ["critic_net.hidden=[16]"]
    session(tmp_path / "whole", overrides)
    stop = StopAfter(500)
    session(tmp_path / "halves", overrides, watcher=stop, stop=stop)
    session(tmp_path / "halves", overrides)
    assert traces(tmp_path / "halves") == traces(tmp_path / "whole")
