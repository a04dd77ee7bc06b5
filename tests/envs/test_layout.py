"""Observations of every space, laid out; what a space does not hold is refused by name."""

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from hypothesis import given, settings
from hypothesis import strategies as st

from rlkit.config.env import EnvConfig
from rlkit.envs.layout import Layout, is_picture
from rlkit.envs.make import make
from rlkit.envs.vector import VectorEnv
from rlkit.envs.view import View
from rlkit.errors import EnvError
from tests.envs.strangers import strange

Box = spaces.Box


def laid_out(space: Any, obs: Any, ignore: tuple[str, ...] = ()) -> list[float]:
    layout = Layout(space, ignore)
    x = layout(obs)
    assert x.shape == layout.space.shape
    return np.asarray(x, np.float64).reshape(-1).tolist()


def test_each_space_by_its_rule():
    assert laid_out(Box(-1, 1, (2,)), np.array([0.5, -1], np.float32)) == [0.5, -1]
    assert laid_out(Box(-1, 1, (2, 2), np.float64), [[0, 1], [2, 3]]) == [0, 1, 2, 3]
    assert laid_out(Box(-1, 1, ()), 0.25) == [0.25]
    assert laid_out(Box(0, 1, (2,), np.bool_), np.array([True, False])) == [1, 0]
    assert laid_out(spaces.Discrete(3, start=-1), 1) == [0, 0, 1]
    assert laid_out(spaces.Discrete(3), np.array([2])) == [0, 0, 1]
    assert laid_out(spaces.MultiDiscrete([2, 3], start=[0, 5]), [1, 5]) == [0, 1, 1, 0, 0]
    assert laid_out(spaces.MultiBinary((2, 2)), [[1, 0], [0, 1]]) == [1, 0, 0, 1]
    dictionary = spaces.Dict({"b": spaces.Discrete(2), "a": spaces.Tuple((Box(-9, 9, (1,)), spaces.Discrete(2)))})
    assert laid_out(dictionary, {"b": 1, "a": ([7], 0), "extra": 3}) == [7, 1, 0, 0, 1]


@settings(deadline=None)
@given(st.integers(0, 2**31 - 1))
def test_parts_agree_with_gymnasium(seed: int):
    space = spaces.Dict(
        {
            "a": Box(-1, 1, (2, 3)),
            "b": spaces.MultiDiscrete([2, 4], start=[1, -1]),
            "c": spaces.Tuple((spaces.Discrete(3, start=2), spaces.MultiBinary(4))),
            "d": spaces.Text(4),
            "e": spaces.OneOf((spaces.Discrete(2), Box(-1, 1, (2,)))),
        }
    )
    space.seed(seed)
    obs = space.sample()
    assert laid_out(space, obs) == spaces.flatten(space, obs).astype(np.float32).tolist()


def test_bytes_are_divided_by_255_in_pictures_alone():
    assert laid_out(Box(0, 255, (3,), np.uint8), np.array([0, 7, 255], np.uint8)) == [0, 7, 255]
    assert max(laid_out(Box(0, 255, (7, 7, 3), np.uint8), np.full((7, 7, 3), 10, np.uint8))) == 10
    for shape in ((32, 32, 3), (1, 24, 24), (20, 20)):
        assert laid_out(Box(0, 255, shape, np.uint8), np.full(shape, 255, np.uint8)) == pytest.approx(
            [1.0] * int(np.prod(shape))
        )
    mixed = spaces.Dict({"camera": Box(0, 255, (36, 36, 1), np.uint8), "speed": Box(-5, 5, (1,))})
    x = laid_out(mixed, {"camera": np.full((36, 36, 1), 51, np.uint8), "speed": [3]})
    assert (x[0], x[-1], len(x)) == (pytest.approx(0.2), 3, 1297)
    assert Layout(mixed).space.high[[0, -1]].tolist() == [1, 5]


@pytest.mark.parametrize("shape", [(40, 44, 3), (3, 40, 44), (40, 44, 1), (1, 40, 44)])
def test_pictures_come_with_their_channels_first(shape: tuple[int, ...]):
    space = Box(0, 255, shape, np.uint8)
    picture = np.arange(np.prod(shape), dtype=np.uint64).astype(np.uint8).reshape(shape)
    for raw, obs in ((space, picture), (spaces.Dict({"camera": space}), {"camera": picture})):
        x = Layout(raw)(obs)
        assert x.shape == (min(shape), 40, 44)
        assert x.dtype == np.uint8
        np.testing.assert_array_equal(x, picture if shape[0] == min(shape) else picture.transpose(2, 0, 1))
    assert is_picture(space)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Mission", r"the part 'mission' of its observation is a Sequence.*\n  leave it out: env\.ignore=\[mission\]"),
        ("Deep", r"'a\.graph' of its observation is a Graph.*\n  leave it out: env\.ignore=\[a\.graph\]"),
        ("Pair", r"'1' of its observation is a Sequence.*\n  leave it out: env\.ignore=\[1\]"),
        ("OnlyWords", r"its observation is a Sequence.*\n  wrap the environment"),
        ("NoSpace", r"its observation_space is None"),
        ("Empty", r"has no numbers"),
        ("NoWidth", r"has no numbers"),
    ],
)
def test_a_part_that_cannot_be_laid_out_is_named_with_the_way_out(name: str, message: str):
    with pytest.raises(EnvError, match=rf"{name}-v0: .*{message}"):
        make(EnvConfig(id=strange(name)), 1)


@pytest.mark.parametrize(
    ("name", "ignore", "width"), [("Mission", ["mission"], 2), ("Deep", ["a.graph"], 3), ("Pair", ["1"], 2)]
)
def test_parts_can_be_left_out(name: str, ignore: list[str], width: int):
    cfg = EnvConfig(id=strange(name), ignore=ignore)
    envs = VectorEnv(make(cfg, 2).backend, cfg, 0)
    assert envs.obs.shape == (2, width)


def test_a_part_that_is_not_there_cannot_be_left_out():
    with pytest.raises(
        EnvError, match=r"env\.ignore=\['misson'\]: its observation has no such part\n  parts: mission, x"
    ):
        make(EnvConfig(id=strange("Mission"), ignore=["misson"]), 1)


REFUSED = [
    ("Above", "its observation is 5; its space says 0 to 4"),
    ("Below", "its observation is 0; its space says 1 to 5"),
    ("DialBeyond", r"its observation is \[0, 3\]"),
    ("Bits", r"its observation is \[0, 2, 1\]; its space says zeros and ones"),
    ("Unit", "float64 from 0.5 to 0.5; its space says bytes"),
    ("Longer", r"has shape \(4,\); its space says \(3,\)"),
    ("One", r"has shape \(1,\); its space says \(3,\)"),
    ("Words", "its observation is .*'a'"),
    ("Nothing", r"has shape \(\); its space says \(3,\)"),
    ("Missing", "the part 'b' of its observation is missing; the environment returned a"),
    ("Swapped", r"the part 'a' of its observation has shape \(3,\); its space says \(2,\)"),
]


def five_steps(cfg: EnvConfig) -> None:
    envs = VectorEnv(make(cfg, 2).backend, cfg, 0)
    for _ in range(5):
        envs.step(np.zeros(2, np.int64))


@pytest.mark.parametrize(("name", "message"), REFUSED)
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
@pytest.mark.parametrize("kind", ["sync", "async"])
def test_an_observation_that_its_space_does_not_hold_is_refused(name: str, message: str, kind: str):
    cfg = EnvConfig(id=strange(name), vectorization=kind)  # type: ignore[arg-type]
    with pytest.raises(EnvError, match=rf"environment [01] of 2: .*({message})"):
        five_steps(cfg)


@pytest.mark.parametrize(("name", "what"), [("Far", "holds 50; its space says -1 to 1"), ("Beyond", "holds 300")])
def test_numbers_outside_of_their_bounds_are_told_once(name: str, what: str):
    from loguru import logger

    told: list[str] = []
    sink = logger.add(lambda message: told.append(str(message)), level="WARNING")
    cfg = EnvConfig(id=strange(name))
    envs = VectorEnv(make(cfg, 1).backend, cfg, 0)
    for _ in range(50):
        envs.step(np.zeros(1, np.int64))
    logger.remove(sink)
    assert len(told) == 1
    assert what in told[0]
    assert envs.obs.max() in (50, 300)  # and nothing is cut off


def test_numbers_are_compared_with_their_bounds_now_and_then():
    """A fault that comes late is found within a thousand steps."""
    layout = Layout(Box(-1, 1, (2,)))
    assert layout.outside(np.array([0, 1 + 1e-6])) is None
    assert layout.outside(np.array([np.nan, 0])) is None  # what is not finite is another check's
    assert "holds -3; its space says -1 to 1" in (layout.outside(np.array([0, -3])) or "")
    part = Layout(spaces.Dict({"x": Box(0, np.inf, (1,)), "y": spaces.Discrete(2)}))
    assert "the part 'x' of its observation holds -2" in (part.outside({"x": [-2.0], "y": 0}) or "")


@pytest.mark.parametrize("stack", [1, 3])
def test_stacks_and_time_are_those_of_gymnasiums_wrappers(stack: int):
    env = gym.make("CartPole-v1")
    theirs = gym.wrappers.TimeAwareObservation(
        gym.wrappers.FlattenObservation(gym.wrappers.FrameStackObservation(env, stack)), normalize_time=True
    )
    view = View(EnvConfig(id="CartPole-v1", frame_stack=stack, time_aware=True), env.observation_space, 500)
    raw = gym.make("CartPole-v1")
    for episode in range(2):
        (obs, _), (expected, _) = raw.reset(seed=episode), theirs.reset(seed=episode)
        np.testing.assert_allclose(view.first(obs), expected, rtol=1e-6)
        for _ in range(8):
            obs, expected = raw.step(1)[0], theirs.step(1)[0]
            np.testing.assert_allclose(view.next(obs), expected, rtol=1e-6)
    assert view.space.shape == theirs.observation_space.shape


def test_stacked_pictures_are_stacked_in_their_channels():
    view = View(EnvConfig(id="x", frame_stack=2), Box(0, 255, (40, 44, 3), np.uint8), None)
    first, second = (np.full((40, 44, 3), value, np.uint8) for value in (1, 2))
    assert view.first(first).shape == view.space.shape == (6, 40, 44)
    x = view.next(second)
    assert [int(channel.mean()) for channel in x] == [1, 1, 1, 2, 2, 2]
    assert view.space.dtype == np.uint8


def test_a_batch_of_observations_is_told_from_one():
    pair = spaces.Dict({"a": Box(-1, 1, (2,)), "b": spaces.Discrete(3)})
    assert Layout(pair).rows({"a": np.zeros(2), "b": 1}) is None
    rows = Layout(pair).rows({"a": np.zeros((4, 2)), "b": np.arange(4)})
    assert rows is not None
    assert [row["b"] for row in rows] == [0, 1, 2, 3]
    assert Layout(spaces.Discrete(3)).rows(2) is None
    assert len(Layout(spaces.Discrete(3)).rows(np.array([0, 1])) or []) == 2
    assert Layout(spaces.Tuple((spaces.Discrete(2), spaces.Discrete(2)))).rows((1, 0)) is None
