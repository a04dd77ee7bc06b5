"""The command in odd surroundings: modules of the working directory, paths with odd letters, completion."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from rlkit.cli import app
from rlkit.cli.completion import offered
from rlkit.cli.help import WIDTH, text
from rlkit.runs.folder import read_json, runs_root

MODULES = ("torch", "numpy", "queue", "logging", "yaml", "signal", "secrets", "hydra", "gymnasium", "tensorboard")
RLKIT = Path(sys.executable).with_name("rlkit")


@pytest.mark.parametrize("words", [[sys.executable, "-m", "rlkit"], [str(RLKIT)]], ids=["module", "script"])
def test_a_file_of_the_working_directory_hides_no_module(words: list[str], tiny: list[str]):
    for name in MODULES:
        Path(f"{name}.py").write_text("raise ImportError('this is not the module')\n")
    Path("mine.py").write_text(
        "from gymnasium.envs.registration import register\n"
        "register('Mine-v0', entry_point='gymnasium.envs.classic_control:CartPoleEnv', max_episode_steps=20)\n"
    )
    given = [*tiny, "frames=128", "seeds=2", "env=gym", "env.id=mine:Mine-v0"]
    done = subprocess.run([*words, *given], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    (result,) = Path("runs").glob("*/*/result.json")
    assert read_json(result)["status"] == "complete"


def test_a_module_that_is_hidden_all_the_same_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    module = type(sys)("queue")
    module.__file__ = str(Path("queue.py").absolute())
    monkeypatch.setitem(sys.modules, "queue", module)

    def fails(arguments: object) -> int:
        raise AttributeError("module 'queue' has no attribute 'Queue'")

    monkeypatch.setattr(app, "dispatch", fails)
    monkeypatch.setattr(sys, "path", list(sys.path))
    with pytest.raises(SystemExit) as ended:
        app.main()
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert f"{Path('queue.py').absolute()} is taken for the module queue" in said
    assert "rename it" in said


@pytest.mark.parametrize(
    ("value", "root"),
    [("", "runs"), ("  ", "runs"), ("~/rr", str(Path.home() / "rr")), ("a b", "a b"), ("/x/[y]", "/x/[y]")],
)
def test_the_folder_of_runs(value: str, root: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("RLKIT_RUNS", value)
    assert runs_root() == Path(root).absolute()


def test_commands_can_be_copied_from_the_card_whatever_the_path(tiny: list[str]):
    """A space, what rich takes for markup, quotes, and more letters than a line of 80 columns has."""
    root = Path("50% ü [bold]x[/] it's") / ("long" * 20)
    environment = {**os.environ, "RLKIT_RUNS": str(root), "COLUMNS": "80"}
    done = subprocess.run(
        [sys.executable, "-m", "rlkit", *tiny, "frames=128"],
        capture_output=True,
        text=True,
        timeout=120,
        env=environment,
    )
    assert done.returncode == 0, done.stderr
    (run,) = root.glob("*/*")
    shown = {line.split()[0]: line.split(maxsplit=1)[1] for line in done.stdout.splitlines() if line.startswith("  ")}
    assert shown["folder"] == str(run)
    assert shlex.split(shown["evaluate"]) == ["rlkit", "evaluate", str(run)]
    assert shlex.split(shown["play"]) == ["rlkit", "play", str(run), "--video", "play.mp4"]
    assert shlex.split(shown["resume"].removesuffix(" frames=<more>")) == ["rlkit", "resume", str(run)]


def test_the_help_fits_eighty_columns():
    assert max(map(len, text().splitlines())) <= WIDTH


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("rlkit re", ["resume", "retrain", "report"]),
        ("rlkit pu", ["push", "pull"]),
        ("rlkit resume runs/", []),
        ("rlkit evaluate ", []),
        ("rlkit ", None),
        ("rlkit algo=p", None),
        ("rlkit algo=ppo re", None),
    ],
)
def test_verbs_are_completed_and_files_behind_them(line: str, words: list[str] | None):
    assert offered(line) == words


@pytest.mark.parametrize(
    "words", [["evaluate", "/"], ["evaluate", "x" * 5000], ["resume", "a\nb"], ["evaluate", "mine"]]
)
def test_a_run_that_is_none_is_refused_at_once(words: list[str]):
    from rlkit.errors import RlkitError

    Path("mine").write_text("")
    with pytest.raises(RlkitError) as told:
        app.dispatch(words)
    assert ("is a file" in str(told.value)) == (words[1] == "mine")


@pytest.mark.parametrize(
    "words",
    [
        ["--cfg", "job", "-m", "seed=0,1"],
        ["--resolve"],
        ["--info", "all", "--resolve"],
        ["--cfg", "job", "--resolve", "env.kwargs.x=${nokey}"],
        ["-sc", "bogus"],
        ["--experimental-rerun", "x"],
        ["-m", "tuned=ppo_cartpole,ppo_cartpol"],
        ["algo=td3", "env=cartpole", "tuned=td3_cartpole"],
    ],
)
def test_flags_of_hydras_that_do_not_fit_are_wrong_input(words: list[str]):
    done = subprocess.run([sys.executable, "-m", "rlkit", *words], capture_output=True, text=True, timeout=120)
    assert done.returncode in (0, 2)
    assert "an error in rlkit itself" not in done.stderr
    assert "Traceback" not in done.stderr
