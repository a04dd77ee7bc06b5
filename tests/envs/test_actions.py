"""A policy's actions in the type, the bounds and the shape of the action space."""

import numpy as np
import pytest
from gymnasium import spaces
from hypothesis import given, settings
from hypothesis import strategies as st

from rlkit import compose
from rlkit.config.env import EnvConfig
from rlkit.envs.actions import ActionMap
from rlkit.envs.make import make
from rlkit.envs.vector import VectorEnv
from rlkit.errors import ConfigError, EnvError
from rlkit.training.checks import check
from tests.envs.strangers import ACTIONS, Acted, strange

FLOATS = st.floats(-1e6, 1e6, width=32)


@settings(deadline=None, max_examples=300)
@given(low=FLOATS, width=st.floats(0, 1e6, width=32), action=st.floats(-3, 3, width=32))
def test_scaled_actions_never_leave_their_bounds(low: float, width: float, action: float):
    low32 = np.float32(low)
    space = spaces.Box(low32, np.float32(low32 + np.float32(width)), (1,))
    for x in (action, -1.0, 1.0):
        mapped = ActionMap(space)(np.array([[x]], np.float32))
        assert space.contains(mapped[0]), (space, mapped)


def test_the_ends_and_the_middle_of_a_box():
    space = spaces.Box(np.array([-2, 0], np.float32), np.array([2, 10], np.float32))
    scaled = ActionMap(space)(np.array([[-1, -1], [0, 0], [1, 1], [9, -9]], np.float32))
    assert scaled.tolist() == [[-2, 0], [0, 5], [2, 10], [2, 0]]


def test_a_single_bound_clips_and_no_bound_passes():
    space = spaces.Box(np.array([0, -np.inf, -np.inf], np.float32), np.array([np.inf, 0, np.inf], np.float32))
    mapped = ActionMap(space)(np.array([[-3, -3, -3], [3, 3, 3]], np.float32))
    assert mapped.tolist() == [[0, -3, -3], [3, 0, 3]]


@pytest.mark.parametrize(("low", "high", "kind"), [(-5, 5, np.int64), (0, 10, np.int32), (250, 255, np.uint8)])
def test_whole_numbers_are_drawn_evenly(low: int, high: int, kind: type):
    rng = np.random.default_rng(0)
    mapped = ActionMap(spaces.Box(low, high, (1,), kind))(rng.uniform(-1, 1, (20_000, 1)).astype(np.float32))
    assert mapped.dtype == kind
    values, counts = np.unique(mapped, return_counts=True)
    assert values.tolist() == list(range(low, high + 1))
    expected = 20_000 / (high - low + 1)
    assert np.abs(counts - expected).max() < 6 * np.sqrt(expected)


def test_the_largest_whole_numbers_do_not_wrap_around():
    for kind in (np.int64, np.int32, np.uint8):
        info = np.iinfo(kind)
        space = spaces.Box(info.min, info.max, (1,), kind)
        assert space.contains(ActionMap(space)(np.array([[1.0]], np.float32))[0])
        assert space.contains(ActionMap(space)(np.array([[-1.0]], np.float32))[0])


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("kind", ["sync", "async"])
@pytest.mark.parametrize("name", ACTIONS)
def test_environments_get_what_their_space_holds(name: str, kind: str):
    cfg = EnvConfig(id=strange(f"Act{name}"), vectorization=kind)  # type: ignore[arg-type]
    envs = VectorEnv(make(cfg, 2).backend, cfg, 0)
    rng = np.random.default_rng(0)
    space = envs.backend.action
    for _ in range(33):
        if isinstance(space, spaces.Box):
            action = rng.normal(0, 1.5, (2, max(1, int(np.prod(space.shape))))).astype(np.float32)
            action = action.reshape(2, *space.shape)
        elif isinstance(space, spaces.Discrete):
            action = rng.integers(0, space.n, 2)
        else:
            most = space.nvec.reshape(-1) if isinstance(space, spaces.MultiDiscrete) else 2
            action = rng.integers(0, most, (2, int(np.prod(space.shape))))
        envs.step(action)
    saved = envs.state_dict()["actions"]
    assert saved.dtype == space.dtype
    envs.close()


def test_a_run_saves_and_replays_actions_of_small_types(tiny: list[str], tmp_path, monkeypatch: pytest.MonkeyPatch):
    from rlkit.training import logbook
    from tests.training.runs import StopAfter, session, traces

    monkeypatch.setattr(logbook, "WATCH_SECONDS", -1)
    overrides = [*tiny, "env=gym", f"env.id={strange('ActByteDials')}"]
    session(tmp_path / "whole", overrides)
    stop = StopAfter(300)
    session(tmp_path / "halves", overrides, watcher=stop, stop=stop)
    session(tmp_path / "halves", overrides)
    assert traces(tmp_path / "halves") == traces(tmp_path / "whole")


@pytest.mark.parametrize(
    ("algo", "env_id", "message"),
    [
        (
            "td3",
            "CartPole-v1",
            r"td3 takes Box actions, CartPole-v1 has Discrete\(2\)\n  use algo=ppo, a2c, dqn or sac",
        ),
        ("dqn", "Pendulum-v1", r"dqn takes Discrete actions, Pendulum-v1 has Box"),
        ("sarsa", strange("ActDials"), r"sarsa takes Discrete actions, .*\n  use algo=ppo, a2c or reinforce"),
        ("sac", strange("ActHalves"), r"two bounds in each dimension"),
        ("crossq", strange("ActUnbounded"), r"two bounds in each dimension"),
        ("sac", "CarRacing-v3", r"no pictures together with Box actions"),
        ("td3", "CarRacing-v3", r"no pictures together with Box actions"),
    ],
)
def test_actions_that_the_algorithm_does_not_take_are_refused_at_the_door(algo: str, env_id: str, message: str):
    with pytest.raises(ConfigError, match=message):
        check(compose([f"algo={algo}", "env=gym", f"env.id={env_id}"]))


@pytest.mark.parametrize("name", ["ActNothing", "ActEmpty", "ActWords", "ActDict"])
@pytest.mark.parametrize("algo", ["ppo", "random"])
def test_actions_that_no_algorithm_takes_are_refused_at_the_door(algo: str, name: str):
    with pytest.raises(EnvError, match=f"{name}-v0 has actions .*\n  accepted: "):
        check(compose([f"algo={algo}", "env=gym", f"env.id={strange(name)}"]))


def test_every_kind_of_action_was_given():
    """`Acted` notes what it was given; a scalar Box is an array, a Discrete action a number of NumPy."""
    Acted.given.clear()
    cfg = EnvConfig(id=strange("ActScalar"))
    envs = VectorEnv(make(cfg, 1).backend, cfg, 0)
    envs.step(np.array([0.5], np.float32))
    assert Acted.given == [1.0]
