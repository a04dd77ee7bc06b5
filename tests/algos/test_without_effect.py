"""Options that would do nothing beside the others are refused, and their neighbours are not."""

import pytest

from rlkit import compose
from rlkit.config.schema import to_yaml
from rlkit.errors import ConfigError

IDLE = {
    "algo=crossq algo.tau=0.01": "no target networks",
    "algo=crossq algo.target_update_every=2": "no target networks",
    "algo=sac env=pendulum algo.noise.std=0.2": "algo.noise.kind=none",
    "algo=sac env=pendulum algo.noise.kind=pink algo.noise.std=0.2": "whose deviation is learnt",
    "algo=td3 env=pendulum algo.noise.theta=0.2": "ornstein_uhlenbeck alone",
    "algo=dqn algo.atoms=11": "algo.distribution=categorical or quantile",
    "algo=dqn algo.distribution=quantile algo.v_max=3": "categorical alone",
    "algo=rainbow algo.loss=squared": "another loss",
    "algo=dqn algo.exploration.temperature=2": "boltzmann alone",
    "algo=sarsa algo.exploration.temperature=2": "boltzmann alone",
    "algo=a2c algo.nstep=3": "algo.returns=nstep alone",
}


@pytest.mark.parametrize("given", IDLE)
def test_options_without_effect_are_refused(given: str):
    key = given.split()[-1].split("=")[0]
    with pytest.raises(ConfigError) as raised:
        compose([*given.split(), "~tuned"])
    assert str(raised.value).startswith(f"{key}=")
    assert IDLE[given] in str(raised.value)


EFFECT = [
    "algo=sac algo.tau=0.01",
    "algo=sac algo.alpha=0.2 algo.alpha_lr=1e-3",  # conversions of legacy specs write both
    "algo=sac env=pendulum algo.noise.kind=gaussian algo.noise.std=0.2",
    "algo=td3 env=pendulum algo.noise.kind=ornstein_uhlenbeck algo.noise.theta=0.2",
    "algo=dqn algo.distribution=quantile algo.atoms=11",
    "algo=rainbow algo.v_max=100",
    "algo=dqn algo.loss=squared",
    "algo=dqn algo.exploration.kind=boltzmann algo.exploration.temperature=2",
    "algo=a2c algo.returns=nstep algo.nstep=3",
    "algo=crossq algo.tau=0.005",
]


@pytest.mark.parametrize("given", EFFECT)
def test_options_with_an_effect_and_defaults_are_accepted(given: str):
    compose([*given.split(), "~tuned"])


def test_a_saved_run_that_has_an_option_without_effect_still_loads(tmp_path):
    config = compose(["algo=crossq"])
    config.algo.tau = 0.01
    path = tmp_path / "config.yaml"
    path.write_text(to_yaml(config))
    assert compose(base=path).algo.tau == 0.01
