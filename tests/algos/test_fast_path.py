"""The dense core against its autograd twin: the same training, update by update."""

from itertools import pairwise

import pytest
import torch

from rlkit.algos.policy_gradient import PolicyGradient
from rlkit.config.algo import A2CConfig, A2CSILConfig, AlgoConfig, PPOConfig, PPOSILConfig, ReinforceConfig
from rlkit.config.off_policy import DQNConfig, SACConfig, SARSAConfig, TD3Config, TQCConfig
from rlkit.nets.dense import Dense
from rlkit.nets.traced import Traced
from tests.algos.loop import Loop

CARTPOLE, PENDULUM = "CartPole-v1", "Pendulum-v1"
SOON = {"learning_starts": 40, "batch_size": 32, "train_every_frames": 4}
CASES: dict[str, tuple[str, AlgoConfig]] = {
    "ppo": (CARTPOLE, PPOConfig(n_steps=32, minibatch_size=64, epochs=4, ent_coef=0.01)),
    "ppo, gaussian": (PENDULUM, PPOConfig(n_steps=32, minibatch_size=64, epochs=4)),
    "a2c": (CARTPOLE, A2CConfig(n_steps=8)),
    "a2c, gaussian": (PENDULUM, A2CConfig(n_steps=8)),
    "a2c_sil": (CARTPOLE, A2CSILConfig(n_steps=16)),
    "ppo_sil": (CARTPOLE, PPOSILConfig(n_steps=32, minibatch_size=64, epochs=4)),
    "reinforce": (CARTPOLE, ReinforceConfig()),
    "sarsa": (CARTPOLE, SARSAConfig()),
    "dqn": (CARTPOLE, DQNConfig(**SOON, target_update_every=5)),
    "dqn, in bursts": (CARTPOLE, DQNConfig(**{**SOON, "train_every_frames": 64}, gradient_steps=16)),
    "ddqn, dueling": (CARTPOLE, DQNConfig(**SOON, double=True, dueling=True, tau=0.1, target_update_every=1)),
    "c51": (CARTPOLE, DQNConfig(**SOON, distribution="categorical", v_min=0, v_max=50)),
    "sac": (PENDULUM, SACConfig(**SOON)),
    "sac, choices": (CARTPOLE, SACConfig(**SOON)),
    "td3": (PENDULUM, TD3Config(**SOON)),
    "tqc": (PENDULUM, TQCConfig(**SOON, critics=2, quantiles=5, drop=1)),
}
UPDATES = 50


def train(loop: Loop) -> tuple[list[dict[str, float]], dict[str, torch.Tensor]]:
    """The curves of a training run of at least 50 updates, and the weights after it."""
    curves, updates = [], 0
    while updates < UPDATES:
        for update in loop.learn():
            updates += 1
            scalars = {k: v for k, v in update.report().items() if v is not None and getattr(v, "ndim", 0) == 0}
            curves.append({name: float(value) for name, value in scalars.items()})
    return curves, loop.algo.weights()


def kinds(algo) -> set[type]:
    """The classes of an algorithm's networks."""
    algo = getattr(algo, "base", algo)
    if isinstance(algo, PolicyGradient):
        return {type(net) for net in algo.net.nets}
    networks = algo.networks.values() if hasattr(algo, "networks") else [algo.q]
    return {type(net) for network in networks for net in network.nets}


@pytest.mark.parametrize("case", CASES)
def test_a_run_on_the_dense_core_is_that_of_its_autograd_twin(case: str, monkeypatch: pytest.MonkeyPatch):
    env_id, cfg = CASES[case]
    loops = [Loop(env_id, cfg)]
    monkeypatch.setattr(Dense, "covers", staticmethod(lambda cfg: False))
    loops.append(Loop(env_id, cfg))
    assert [kinds(loop.algo) for loop in loops] == [{Dense}, {Traced}]
    for fast, twin in pairwise(loops):
        twin.algo.load_weights(fast.algo.weights())
        for name, target in getattr(twin.algo, "targets", {}).items():
            target.move_towards(twin.algo.networks[name], 1.0)
    (mine, weights), (theirs, other) = (train(loop) for loop in loops)
    assert len(mine) == len(theirs) >= UPDATES
    assert any(mine)
    for row, twin_row in zip(mine, theirs, strict=True):
        assert row == pytest.approx(twin_row, rel=2e-4, abs=2e-5)
    for name, weight in weights.items():
        torch.testing.assert_close(weight, other[name], rtol=2e-4, atol=2e-5)
