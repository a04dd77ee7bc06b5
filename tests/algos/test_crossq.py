"""CrossQ has batch renormalisation in its critics, or is refused with advice that works."""

import pytest

from rlkit import compose
from rlkit.errors import ConfigError
from rlkit.training import door
from tests.training.runs import session

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


def test_pictures_get_advice_that_works(tmp_path):
    with pytest.raises(ConfigError, match="use net@critic_net=crossq_conv, or algo=sac"):
        door.check(compose([*CROSSQ, "env=pong"]))
    door.check(compose(["algo=sac", "env=pong", "~tuned"]))
    small = ["frames=40", "num_envs=1", "memory.buffer_size=100", "algo.learning_starts=36", "algo.batch_size=4"]
    small += ["eval.episodes=1", "eval.periodic_episodes=1", "env.atari.max_emulator_frames=80"]
    config = [*CROSSQ, "env=pong", "net@critic_net=crossq_conv", *small]
    door.check(compose(config))
    assert session(tmp_path, config)["status"] == "complete"


@pytest.mark.parametrize("algo", ["crossq", "ppo", "sac"])
def test_a_net_for_pictures_is_answered_with_one_for_vectors(algo: str):
    with pytest.raises(ConfigError, match="use net=mlp"):
        door.check(compose([f"algo={algo}", "~tuned", "net=conv"]))
