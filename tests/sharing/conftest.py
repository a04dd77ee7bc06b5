from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

# Before huggingface_hub is imported: it reads these once. No test reaches the network.
os.environ.update(HF_HUB_DISABLE_XET="1", HF_ENDPOINT="http://127.0.0.1:9", HF_HUB_DISABLE_TELEMETRY="1")
os.environ.update(NO_PROXY="127.0.0.1", no_proxy="127.0.0.1")

from rlkit import compose
from rlkit.results.summary import trial_result
from rlkit.runs.folder import read_rows, write_json
from rlkit.runs.provenance import provenance
from rlkit.training.session import run_session
from rlkit.training.trial import create
from tests.sharing.fake_hub import FakeHub

WRITE, READ = "hf_" + "w" * 34, "hf_" + "r" * 34
TINY = [
    "frames=256",
    "num_envs=2",
    "algo.n_steps=32",
    "algo.epochs=1",
    "algo.minibatch_size=64",
    "net.hidden=[8,8]",
    "eval.episodes=2",
    "eval.periodic_episodes=1",
    "checkpoint.every_frames=64",
]


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FakeHub]:
    """A Hub of its own, whose client waits for nothing between two tries."""
    from huggingface_hub import constants, file_download
    from huggingface_hub.utils import _http

    server = FakeHub()
    monkeypatch.setenv("HF_ENDPOINT", server.url)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf_home"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_TOKEN", WRITE)
    monkeypatch.setenv("HF_DATASET_REPO", "me/runs")
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)

    class NoWait:
        def __getattr__(self, name: str) -> object:
            import time

            return (lambda seconds: None) if name == "sleep" else getattr(time, name)

    monkeypatch.setattr(_http, "time", NoWait())
    monkeypatch.setattr(file_download, "time", NoWait())
    yield server
    _http.close_session()
    server.stop()


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real short run over two seeds, both trained in this process; never written to."""
    config = compose(["seeds=2", *TINY])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RLKIT_RUNS", str(tmp_path_factory.mktemp("trained")))
        folder = create(config)
    sessions = [run_session(config, seed, folder.session(seed)) for seed in (0, 1)]
    evals = [read_rows(folder.session(seed).eval) for seed in (0, 1)]
    write_json(folder.run, {"schema": 1, "status": "complete", **provenance()})
    write_json(folder.result, trial_result(config, "complete", sessions, evals))
    (folder.path / ".lock").touch()
    folder.log.write_text("trained\n")
    return folder.path


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    """A copy of the run, to be pushed."""
    target = tmp_path / "mine" / trained.parent.name / "20260101-120000"
    shutil.copytree(trained, target, symlinks=True)
    return target


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of a folder, hidden ones too, links as where they lead."""
    return {
        path.relative_to(folder).as_posix(): bytes(path.readlink()) if path.is_symlink() else path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_symlink() or path.is_file()
    }
