import pytest

from rlkit import compose
from rlkit.config.names import fate_of
from rlkit.errors import ConfigError

RENAMED = {
    "CartPole-v0": "CartPole-v1",
    "Taxi-v3": "Taxi-v4",
    "Pendulum-v0": "Pendulum-v1",
    "LunarLander-v2": "LunarLander-v3",
    "LunarLanderContinuous-v2": "LunarLanderContinuous-v3",
    "BipedalWalker-v2": "BipedalWalker-v3",
    "BipedalWalkerHardcore-v2": "BipedalWalkerHardcore-v3",
    "Hopper-v2": "Hopper-v5",
    "HalfCheetah-v4": "HalfCheetah-v5",
    "InvertedDoublePendulum-v2": "InvertedDoublePendulum-v5",
    "PongNoFrameskip-v4": "ALE/Pong-v5",
    "BreakoutDeterministic-v4": "ALE/Breakout-v5",
    "SpaceInvaders-v0": "ALE/SpaceInvaders-v5",
    "VideoPinball-v0": "ALE/VideoPinball-v5",
    "RoboschoolHopper-v1": "Hopper-v5",
    "RoboschoolInvertedDoublePendulum-v1": "InvertedDoublePendulum-v5",
    "RoboschoolAnt-v1": "Ant-v5",
}
GONE = [
    "RoboschoolAtlasForwardWalk-v1", "RoboschoolHumanoidFlagrunHarder-v1", "HalfCheetahBulletEnv-v0", "vizdoom-v0",
    "VizDoom-v0", "UnityWalker", "3dball", "2DBall", "tennis", "gridworld", "SLM/Pavlovian-v0", "playground/CheetahRun",
]  # fmt: skip
TODAY = [
    "CartPole-v1",
    "Acrobot-v1",
    "MountainCar-v0",
    "MountainCarContinuous-v0",
    "ALE/Pong-v5",
    "Hopper-v5",
]


@pytest.mark.parametrize(("old", "new"), RENAMED.items())
def test_old_names_become_todays_and_say_what_changed(old: str, new: str):
    fate = fate_of(old)
    assert fate is not None
    assert fate.successor == new
    assert len(fate.words) > 20
    env = compose(["env=gym", f"env.id={old}"]).env
    assert env.today == new
    assert env.atari_game == (new.removeprefix("ALE/").removesuffix("-v5") if "ALE" in new else None)


@pytest.mark.parametrize("old", GONE)
def test_names_without_a_successor_say_where_to_look(old: str):
    with pytest.raises(ConfigError, match=f"env.id={old} has no successor\n  .+"):
        compose(["env=gym", f"env.id={old}"])


@pytest.mark.parametrize("name", TODAY)
def test_names_of_today_stay(name: str):
    assert fate_of(name) is None
    assert compose(["env=gym", f"env.id={name}"]).env.today == name


def test_every_successor_exists():
    from rlkit.envs.make import find

    for new in set(RENAMED.values()):
        assert find(new).id == new
