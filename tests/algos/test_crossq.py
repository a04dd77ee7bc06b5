"""CrossQ has batch renormalisation in its critics, or is refused with advice that works."""

import numpy as np
import pytest
import torch
from gymnasium import spaces

from rlkit import compose
from rlkit.errors import ConfigError
from rlkit.training import agent, checks
from rlkit.types import Batch
from tests.algos.loop import space_spec

CROSSQ = ["algo=crossq", "~tuned"]
PLAIN_LAYERS = "critic_net.layers=[{type: linear, out: 8}, {type: layer_norm}]"
NORMAL_LAYERS = "critic_net.layers=[{type: linear, out: 8}, {type: activation}, {type: batch_renorm}]"


@pytest.mark.parametrize(
    "given",
    [
        ["critic_net=null"],
        ["~net@critic_net"],
        ["net@critic_net=mlp"],
        ["critic_net.batch_renorm=false"],
        ["net@critic_net=sequential"],
        ["net@critic_net=sequential", PLAIN_LAYERS],
        ["net=sequential", "critic_net=null"],
        ["env=pong", "net@critic_net=conv"],
        ["env=pong", "net@critic_net=impala"],
        ["env=pong", "critic_net=null"],
    ],
    ids=" ".join,
)
def test_critics_without_batch_renormalisation_are_refused(given: list[str]):
    with pytest.raises(
        ConfigError, match=r"batch renormalisation(.|\n)*net@critic_net=crossq_critic(.|\n)*net@critic_net=crossq_conv"
    ):
        compose([*CROSSQ, *given])


@pytest.mark.parametrize(
    "given",
    [
        [],
        ["net.batch_renorm=true", "critic_net=null"],
        ["net@critic_net=mlp", "critic_net.batch_renorm=true"],
        ["net@critic_net=sequential", NORMAL_LAYERS],
    ],
    ids=" ".join,
)
def test_critics_with_it_are_accepted(given: list[str]):
    assert compose([*CROSSQ, *given]).algo.name == "crossq"


def test_pictures_get_advice_that_works():
    with pytest.raises(ConfigError, match="use net@critic_net=crossq_conv, or algo=sac"):
        checks.check(compose([*CROSSQ, "env=pong"]))
    checks.check(compose(["algo=sac", "env=pong", "~tuned"]))
    config = compose([*CROSSQ, "env=pong", "net@critic_net=crossq_conv", "algo.policy_delay=1"])
    checks.check(config)
    pictures, actions = spaces.Box(0, 255, (4, 84, 84), np.uint8), spaces.Discrete(6)
    algo = agent.build(config, 0, space_spec(pictures, actions), torch.device("cpu"))
    before = algo.critics.flat.weight.clone()
    obs = torch.randint(256, (4, 4, 84, 84), dtype=torch.uint8)
    numbers = {name: torch.ones(4) for name in ("reward", "discount", "weight")}
    algo.update(Batch({"obs": obs, "next_obs": obs.flip(0), "action": torch.arange(4), **numbers}))
    assert not torch.equal(algo.critics.flat.weight, before)
    assert all(value.any() for name, value in algo.critics.nets[0].buffers().items() if name.endswith("mean"))


@pytest.mark.parametrize("algo", ["crossq", "ppo", "sac"])
def test_a_net_for_pictures_is_answered_with_one_for_vectors(algo: str):
    with pytest.raises(ConfigError, match="use net=mlp"):
        checks.check(compose([f"algo={algo}", "~tuned", "net=conv"]))
