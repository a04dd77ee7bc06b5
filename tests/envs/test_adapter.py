"""What an environment may return or do wrong, and what is made of it."""

import os
import sys
from pathlib import Path

import numpy as np
import pytest
from loguru import logger

from rlkit.config.env import EnvConfig
from rlkit.envs import make as make_module
from rlkit.envs.make import make
from rlkit.envs.vector import VectorEnv
from rlkit.errors import EnvError
from tests.envs.strangers import strange

pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
KINDS = ["sync", "async"]


def walk(name: str, kind: str, steps: int = 120) -> VectorEnv:
    cfg = EnvConfig(id=strange(name), vectorization=kind)  # type: ignore[arg-type]
    envs = VectorEnv(make(cfg, 2).backend, cfg, 0)
    for _ in range(steps):
        envs.step(np.ones(2, np.int64))
    envs.close()
    return envs


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "name", ["RewardOne1", "RewardOne2D", "RewardList", "RewardWhole", "RewardHalf", "RewardTensor", "RewardDecimal"]
)
def test_rewards_of_one_element_are_numbers(name: str, kind: str):
    assert set(walk(name, kind, 20).recent_returns) == {10.0}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("RewardVector", r"its reward has 2 elements .*\n  wrap the environment so that it returns one"),
        ("RewardPair", r"its reward has 2 elements"),
        ("RewardNone", "its reward is None; a number is needed"),
        ("RewardText", "its reward is '1.0' of type str"),
        ("RewardComplex", r"its reward is \(1\+0j\) of type complex"),
        ("RewardNothing", "its reward is an array of float64 and shape"),
        ("FlagText", "terminated is 'False' of type str; true or false is needed"),
        ("FlagTwo", "truncated is 2 of type int"),
        ("OldStep", "step returned 4 values; Gymnasium's step returns"),
        ("NoStep", "step returned None"),
        ("OldReset", "reset returned an array of float32 .*; Gymnasium's reset returns"),
        (
            "Raises",
            r"RuntimeError: the simulator was lost\n  raised in .*strangers\.py, line \d+, in fail: raise error",
        ),
        ("RaisesTwoWords", "TwoWordsError: 7: the simulator was lost"),
        ("RaisesNothing", r"AssertionError without a message\n  raised in .*strangers\.py"),
        ("RaisesKey", "KeyError: 'joint'"),
        ("Exits", r"the environment called sys\.exit\(0\)"),
        ("ExitsWithWords", r"the environment called sys\.exit\('no licence'\)"),
        ("ResetRaises", "ConnectionError: busy"),
    ],
)
def test_what_is_wrong_is_named_with_row_seed_and_step(name: str, message: str, kind: str):
    with pytest.raises(
        EnvError, match=rf"environment \d of 2: {message}(.|\n)*\n  seed \d+, (step \d+, action 1|while)"
    ):
        walk(name, kind)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["FlagArray", "FlagInt", "FlagNone", "Lambda", "NoInfo"])
def test_flags_and_infos_of_other_kinds_pass(name: str, kind: str):
    assert set(walk(name, kind, 20).recent_lengths) == {10}


@pytest.mark.parametrize("name", ["CloseRaises", "CloseExits"])
def test_a_close_that_fails_is_logged_and_the_others_are_closed(name: str, monkeypatch: pytest.MonkeyPatch):
    told: list[str] = []
    sink = logger.add(lambda message: told.append(str(message)), level="WARNING")
    walk(name, "sync", 3)
    logger.remove(sink)
    assert len(told) == 2
    assert all("failed while it was closed" in line for line in told)


@pytest.mark.parametrize("kind", KINDS)
def test_environments_that_differ_are_refused(kind: str):
    with pytest.raises(EnvError, match=r"observation_space|observation space"):
        walk("Differs", kind)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("ConstructorRaises", "could not be made: FileNotFoundError: level.json"),
        ("ConstructorExits", r"sys\.exit\(0\)"),
    ],
)
def test_a_constructor_that_fails_is_named(name: str, message: str):
    with pytest.raises(EnvError, match=message):
        walk(name, "sync")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("import sys\nsys.exit(0)\n", r"importing leaving failed: the environment called sys\.exit\(0\)"),
        ("raise ValueError('no display')\n", "importing leaving failed: ValueError: no display"),
        ("assert False\n", "importing leaving failed: AssertionError without a message"),
        ("import json\njson.loads('{')\n", "importing leaving failed: JSONDecodeError: Expecting"),
    ],
)
def test_a_module_that_fails_while_it_is_imported_is_named(
    text: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "leaving.py").write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "leaving", raising=False)
    with pytest.raises(EnvError, match=message):
        make(EnvConfig(id="leaving:Gone-v0"), 1)


def test_the_environments_made_before_a_failure_are_closed():
    closed = []

    class Closing:
        observation_space = action_space = None

        def close(self) -> None:
            closed.append(self)

    def failing() -> None:
        raise EnvError("the third")

    from rlkit.envs.backends import Sync

    with pytest.raises(EnvError, match="the third"):
        Sync([Closing, Closing, failing])  # type: ignore[list-item]
    assert len(closed) == 2


def test_auto_steps_in_this_process_where_processes_fail(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(make_module, "available_cores", lambda: 2)
    monkeypatch.setattr(make_module, "SLOW_STEP_SECONDS", 0.0)

    def broken(*args: object) -> None:
        raise EnvError("daemonic processes are not allowed to have children")

    monkeypatch.setattr(make_module, "Async", broken)
    backend, _, why = make(EnvConfig(id=strange("Lambda")), 10, probe=True)
    assert backend.name == "sync"
    assert "async fails here (daemonic processes" in why


def test_what_fails_in_the_probe_is_told(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(make_module, "available_cores", lambda: 2)
    with pytest.raises(EnvError, match=r"simulator was lost(.|\n)*10 environments were tried with random actions"):
        make(EnvConfig(id=strange("Raises")), 10, probe=True)


def test_constructors_without_a_render_mode_are_made_and_cannot_draw():
    make(EnvConfig(id=strange("Counted")), 1).backend.close()
    with pytest.raises(EnvError, match="draws no pictures: its constructor takes no render_mode"):
        make(EnvConfig(id=strange("Counted")), 1, render_mode="rgb_array")


def test_a_render_mode_of_the_users_own_reaches_the_environment():
    backend = make(EnvConfig(id="CartPole-v1", kwargs={"render_mode": "rgb_array"}), 1).backend
    backend.reset([0], [0])
    assert backend.render().ndim == 3
    backend.close()


def test_a_directory_that_an_environment_changes_to_moves_no_file(tiny: list[str], tmp_path: Path):
    from rlkit import compose, evaluate, train

    os.environ["RLKIT_RUNS"] = "relative"
    try:
        result = train(compose([*tiny, "env=gym", f"env.id={strange('Chdir')}"]), quiet=True)
        assert result.status == "complete"
        assert result.folder == tmp_path / "relative" / result.folder.parent.name / result.folder.name
        assert (result.folder / "plots" / "learning_curve.png").exists()
        assert evaluate(result.folder, episodes=1).mean == 10
    finally:
        os.chdir(tmp_path)


def test_a_memory_of_a_console_is_a_vector():
    envs = VectorEnv(make(EnvConfig(id="ALE/Pong-v5", kwargs={"obs_type": "ram"}), 1).backend, EnvConfig(id="x"), 0)
    assert envs.obs.shape == (1, 128)
    assert envs.obs.dtype == np.float32
    envs.close()
