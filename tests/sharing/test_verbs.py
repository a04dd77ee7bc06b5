"""`rlkit push | pull | list` as a user runs them: real processes."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from tests.sharing.conftest import READ, contents
from tests.sharing.fake_hub import FakeHub

RUN = "ppo_cartpole_v1/20260101-120000"


def rlkit(*words: str, **changed: str | None) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, **{k: v for k, v in changed.items() if v is not None}}
    for name in [name for name, value in changed.items() if value is None]:
        env.pop(name, None)
    return subprocess.run(
        [sys.executable, "-m", "rlkit", *words],
        capture_output=True, text=True, timeout=120, env=env, stdin=subprocess.DEVNULL,
    )  # fmt: skip


def test_push_list_pull(hub: FakeHub, run: Path):
    pushed = rlkit("push", str(run), "--yes")
    assert pushed.returncode == 0, pushed.stderr
    assert pushed.stderr == ""
    assert pushed.stdout.startswith(f"{RUN}: ")
    assert pushed.stdout.splitlines()[-1] == f"{hub.url}/datasets/me/runs/tree/main/{RUN}"
    shown = rlkit("list").stdout
    assert RUN in shown
    assert shown.endswith("1 of 1 runs in data set me/runs\n")
    pulled = rlkit("pull", "ppo_*")
    assert pulled.stdout == f"{Path(os.environ['RLKIT_RUNS']) / RUN}: pulled and verified\n"
    assert pulled.stderr == ""


@pytest.mark.parametrize(
    ("words", "changed", "message"),
    [
        (["--yes"], {"HF_TOKEN": None}, "HF_TOKEN is missing"),
        (["--yes"], {"HF_TOKEN": "hf_" + "x" * 34}, "HF_TOKEN is not valid"),
        (["--yes"], {"HF_TOKEN": READ}, "HF_TOKEN may only read"),
        (["--yes", "--repo", "them/runs"], {}, "HF_TOKEN may not do this with data set them/runs"),
        (["--yes"], {"HF_ENDPOINT": "http://127.0.0.1:9"}, "the connection to the Hub failed"),
        (["--yes"], {"HF_DATASET_REPO": None}, "no repository was named: add --repo user/name"),
        ([], {}, "standard input is not a terminal, so the upload cannot be confirmed: add --yes"),
    ],
    ids=["missing", "wrong", "read-only", "no permission", "network down", "no repository", "not confirmed"],
)
def test_what_goes_wrong_is_one_line(
    hub: FakeHub, run: Path, words: list[str], changed: dict[str, str | None], message: str
):
    hub.forbidden.add("them")
    before = contents(run)
    done = rlkit("push", str(run), *words, **changed)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"rlkit: {message}")
    assert contents(run) == before
    assert not hub.repos


@pytest.mark.parametrize("words", [["list"], ["pull", "*"]], ids=["list", "pull"])
def test_a_repository_that_is_not_there_is_one_line(hub: FakeHub, words: list[str], tmp_path: Path):
    done = rlkit(*words)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("rlkit: data set me/runs was not found")
    assert not (tmp_path / "runs").exists()


def test_on_a_terminal_it_asks_for_the_repository_and_before_the_upload(hub: FakeHub, run: Path):
    for answer, uploaded in (("n", False), ("y", True)):
        terminal, inside = pty.openpty()
        env = {k: v for k, v in os.environ.items() if k != "HF_DATASET_REPO"}
        process = subprocess.Popen(
            [sys.executable, "-m", "rlkit", "push", str(run)],
            stdin=inside, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env,
        )  # fmt: skip
        os.write(terminal, f"me/asked\n{answer}\n".encode())
        out, _ = process.communicate(timeout=60)
        os.close(terminal)
        os.close(inside)
        assert process.returncode == 0
        assert "repository (user/name): " in out
        assert "to data set me/asked (new, private)? [y/N]" in out
        assert (("datasets", "me/asked") in hub.repos) == uploaded
