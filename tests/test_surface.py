import subprocess
import sys

import pytest

import rlkit

HEAVY = ("torch", "gymnasium", "optuna", "matplotlib", "numpy")


def test_the_public_names():
    assert rlkit.__all__ == ["compose", "convert", "evaluate", "extend", "load", "resume", "train"]
    for name in rlkit.__all__:
        assert callable(getattr(rlkit, name))


def test_an_unknown_name_says_which_there_are():
    with pytest.raises(AttributeError, match="it has compose, convert, evaluate, extend, load, resume, train"):
        rlkit.trian  # noqa: B018


def imported_by(code: str) -> set[str]:
    run = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    return {line.rsplit("|", 1)[1].strip() for line in run.stderr.splitlines() if line.count("|") == 2}


@pytest.mark.parametrize(
    "code",
    [
        "import sys; sys.argv = ['rlkit', '--help']\nfrom rlkit.cli.app import dispatch; dispatch(['--help'])",
        "from rlkit import compose; compose(['algo=ppo', 'env=cartpole'])",
    ],
    ids=["help", "compose"],
)
def test_help_and_compose_import_nothing_heavy(code: str):
    found = imported_by(code)
    assert {"rlkit.cli.app", "rlkit.config.run"} & found
    assert not found & set(HEAVY)
