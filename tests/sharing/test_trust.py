"""A run from the Hub imports no module of this machine that the user has not named."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import yaml

from rlkit import compose, evaluate, load
from rlkit.cli.app import dispatch
from rlkit.errors import RlkitError, SharingError
from rlkit.sharing import trust
from rlkit.sharing.client import Repo
from rlkit.sharing.hub import pull, push
from rlkit.sharing.publication import MANIFEST, prepare
from tests.sharing.fake_hub import FakeHub

SPY = "from pathlib import Path\nPath('imported').write_text('')\n"


def naming(run: Path, env_id: str) -> Path:
    """The run with another environment in its configuration."""
    config = yaml.safe_load((run / "config.yaml").read_text())
    config["env"]["id"] = env_id
    (run / "config.yaml").write_text(yaml.safe_dump(config))
    return run


@pytest.fixture
def spy(monkeypatch: pytest.MonkeyPatch) -> str:
    """A module of the working directory that leaves a file when it is imported."""
    Path("spying.py").write_text(SPY)
    monkeypatch.syspath_prepend(str(Path.cwd()))
    monkeypatch.delitem(sys.modules, "spying", raising=False)
    return "spying"


@pytest.mark.parametrize("module", ["spying", "spying:more", "antigravity", "spying.below", "os"])
def test_a_pulled_run_imports_nothing(module: str, spy: str, hub: FakeHub, run: Path):
    push([prepare(naming(run, f"{module}:CartPole-v9"))], "me/runs")
    address = f"hf://me/runs/{run.parent.name}/{run.name}"
    ((pulled, _),) = pull("*", Repo("me/runs"), Path("runs"))
    for use in (
        lambda: load(address),
        lambda: evaluate(pulled),
        lambda: load(pulled / "session_1"),
        lambda: dispatch(["evaluate", address, "--episodes", "1"]),
        lambda: dispatch(["play", str(pulled), "--video", "x.mp4"]),
        lambda: dispatch(["resume", str(pulled), "frames=100000"]),
        lambda: load(pulled, trust=["another"]),
    ):
        with pytest.raises(SharingError, match="--trust"):
            use()
    assert not Path("imported").exists()
    assert "antigravity" not in sys.modules


def test_what_the_user_names_is_imported(spy: str, hub: FakeHub, run: Path):
    (naming(run, "spying:CartPole-v1") / MANIFEST).write_text("{}")
    assert load(run, trust=["spying"]).frames > 0
    assert Path("imported").exists()
    Path("imported").unlink()
    assert load(run).frames > 0, "the program has imported it itself"
    assert dispatch(["evaluate", str(run), "--seed", "0", "--episodes", "1", "--trust", "spying"]) == 0


def test_a_run_of_ones_own_needs_no_word(spy: str, run: Path):
    assert not trust.foreign(run)
    assert load(naming(run, "spying:CartPole-v1")).frames > 0
    assert Path("imported").exists()


@pytest.mark.parametrize("words", [["env=cartpole"], ["env=pong"], ["env=gym", "env.id=MinAtar/Breakout-v1"]])
def test_registered_environments_need_no_word(words: list[str], tmp_path: Path):
    (tmp_path / MANIFEST).write_text("{}")
    trust.check(tmp_path, compose(words).env, ())


@pytest.mark.parametrize("text", ["${oc.env:HOME}", "${oc.env:HF_TOKEN,x}:Foo-v0", "${oc.decode:x}"])
def test_a_pulled_configuration_asks_nothing_of_the_environment(text: str, hub: FakeHub, run: Path):
    push([prepare(naming(run, text))], "me/runs")
    ((pulled, _),) = pull("*", Repo("me/runs"), Path("runs"))
    with pytest.raises(RlkitError) as told:
        load(pulled)
    assert "$" in str(told.value)
    assert str(Path.home()) not in str(told.value).replace(str(Path.cwd()), "")


def test_a_value_that_was_hidden_is_missed_by_name(run: Path):
    config = yaml.safe_load((run / "config.yaml").read_text())
    config["env"]["kwargs"] = {"key": "[hidden]"}
    (run / "config.yaml").write_text(json.dumps(config))
    for use in (lambda: load(run), lambda: dispatch(["resume", str(run), "frames=100000"])):
        with pytest.raises(RlkitError, match=r"\[hidden\] in place of env.kwargs.key"):
            use()
