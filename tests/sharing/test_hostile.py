"""Repositories that mean harm: each is refused as a whole, and nothing outside the target is touched."""

from __future__ import annotations

import hashlib
import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rlkit import load
from rlkit.errors import SharingError
from rlkit.sharing.client import Repo
from rlkit.sharing.hub import listed, pull, push
from rlkit.sharing.publication import prepare
from tests.sharing.conftest import contents
from tests.sharing.fake_hub import FakeHub, Stored, Tree

RUN = "ppo_cartpole_v1/20260101-120000"
REPO = Repo("me/runs")
Edit = Callable[[Tree], None]


class Bomb:
    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path("exploded"),)


PICKLE = pickle.dumps(Bomb())


def entry(data: bytes) -> dict[str, Any]:
    return {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def remanifest(tree: Tree, change: Callable[[dict[str, Any]], None]) -> None:
    """Change the manifest, and the index with it, as one would who wants to be believed."""
    manifest = json.loads(tree[f"{RUN}/publication.json"].data)
    change(manifest)
    data = json.dumps(manifest).encode()
    tree[f"{RUN}/publication.json"] = Stored(data)
    reindex(tree, lambda runs: runs[RUN].update(manifest=hashlib.sha256(data).hexdigest()))


def reindex(tree: Tree, change: Callable[[dict[str, Any]], Any]) -> None:
    index = json.loads(tree["runs.json"].data)
    change(index["runs"])
    tree["runs.json"] = Stored(json.dumps(index).encode())


def with_file(path: str, data: bytes = b"{}", kind: str = "file") -> Edit:
    """A file that the manifest vouches for."""

    def edit(tree: Tree) -> None:
        tree[f"{RUN}/{path}"] = Stored(data, kind)
        remanifest(tree, lambda manifest: manifest["files"].update({path: entry(data)}))

    return edit


def changed(path: str, data: bytes, kind: str = "file") -> Edit:
    return lambda tree: tree.update({f"{RUN}/{path}": Stored(data, kind)})


def altered(path: str) -> Edit:
    """Same size, another content."""
    return lambda tree: tree.update({f"{RUN}/{path}": Stored(tree[f"{RUN}/{path}"].data[:-1] + b"!")})


def renamed(name: str) -> Edit:
    return lambda tree: reindex(tree, lambda runs: runs.update({name: runs.pop(RUN)}))


HOSTILE: dict[str, tuple[Edit, str]] = {
    "traversal in the manifest": (with_file("../../evil.json"), "no path within a run"),
    "traversal in the middle": (with_file("plots/../../../evil.json"), "no path within a run"),
    "absolute path": (with_file("/tmp/evil.json"), "no path within a run"),
    "backslashes": (with_file("..\\..\\evil.json"), "no path within a run"),
    "drive": (with_file("C:evil.json"), "no path within a run"),
    "hidden file": (with_file(".env"), "no path within a run"),
    "traversal in the index": (renamed("../../evil/run"), "no name of a run"),
    "absolute name in the index": (renamed("/etc/run"), "no name of a run"),
    "hidden name in the index": (renamed(".ssh/run"), "no name of a run"),
    "session that leads elsewhere": (
        lambda tree: reindex(tree, lambda runs: runs[RUN].update(session="../../x")),
        "what it cannot",
    ),
    "link that the manifest has": (with_file("link.json", b"/etc/passwd", "symlink"), "a link, perhaps"),
    "link that it has not": (changed("link", b"/etc/passwd", "symlink"), "a link, perhaps"),
    "link for a file": (changed("config.yaml", b"/etc/passwd", "symlink"), "a link, perhaps"),
    "pickle": (with_file("session_0/weights.pkl", PICKLE), "no pickle is ever taken"),
    "torch file": (with_file("session_0/weights.pt", PICKLE), "no pickle is ever taken"),
    "program": (with_file("setup.py", b"import os"), "no pickle is ever taken"),
    "pickle under another name": (with_file("session_0/extra.json", PICKLE), "is a pickle"),
    "pickle that no manifest has": (changed("session_0/weights.pkl", PICKLE), "not in the run's manifest"),
    "wrong content": (altered("config.yaml"), "does not have the hash"),
    "wrong weights": (altered("session_0/checkpoints/256/weights.safetensors"), "does not have the hash"),
    "wrong size": (changed("config.yaml", b"x" * 100_000), "by the manifest"),
    "missing file": (lambda tree: tree.__delitem__(f"{RUN}/config.yaml"), "no file of the repository"),
    "another manifest": (altered("publication.json"), "does not have the hash that runs.json gives"),
    "too large": (
        lambda tree: remanifest(tree, lambda m: m["files"]["config.yaml"].update(bytes=2**40)),
        "the limit 10 GB",
    ),
    "negative size": (
        lambda tree: remanifest(tree, lambda m: m["files"]["config.yaml"].update(bytes=-1)),
        "no size and hash",
    ),
    "twice but for case": (with_file("CONFIG.yaml"), "collides with another path on case-insensitive"),
    "no files": (lambda tree: remanifest(tree, lambda m: m.update(files={})), "lists no files"),
    "deep JSON": (lambda tree: tree.update({"runs.json": Stored(b"[" * 100_000)}), "not of schema 1"),
    "index that is a list": (lambda tree: tree.update({"runs.json": Stored(b"[]")}), "not of schema 1"),
    "a run inside another": (
        lambda tree: reindex(tree, lambda runs: runs.update({f"{RUN}/session_0/checkpoints/9": dict(runs[RUN])})),
        "lies inside another run",
    ),
    "index that is a link": (lambda tree: tree.update({"runs.json": Stored(b"x", "symlink")}), "no file"),
}


@pytest.mark.parametrize(("edit", "message"), HOSTILE.values(), ids=HOSTILE.keys())
def test_it_is_refused_and_nothing_is_touched(hub: FakeHub, run: Path, tmp_path: Path, edit: Edit, message: str):
    push([prepare(run)], "me/runs")
    tree = dict(hub.repos["datasets", "me/runs"].commits[-1][1])
    edit(tree)
    hub.repos["datasets", "me/runs"].commit(tree)
    root = tmp_path / "deep" / "down" / "pulled"
    before = contents(tmp_path)
    for attempt in (lambda: pull("*", REPO, root), lambda: load("hf://me/runs")):
        with pytest.raises(SharingError, match=message) as caught:
            attempt()
        assert "\n" not in str(caught.value)
    root.mkdir(parents=True, exist_ok=True)
    assert contents(tmp_path) == before, "not even a part of it stays"
    assert not [p for p in root.rglob("*") if p.name != ".pull"]


def test_a_link_in_the_place_of_the_target_is_not_followed(hub: FakeHub, run: Path, tmp_path: Path):
    push([prepare(run)], "me/runs")
    (tmp_path / "elsewhere").mkdir()
    target = tmp_path / "pulled" / RUN
    target.parent.mkdir(parents=True)
    target.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(SharingError, match="is there already"):
        pull(RUN, REPO, tmp_path / "pulled")
    assert not list((tmp_path / "elsewhere").iterdir())


def test_a_run_that_would_lie_inside_one_of_mine_is_refused(hub: FakeHub, run: Path, tmp_path: Path):
    """Else its checkpoint would be the newest of mine."""
    push([prepare(run)], "me/runs")
    tree = dict(hub.repos["datasets", "me/runs"].commits[-1][1])
    inner = f"{RUN}/session_0/checkpoints/000000999999"
    tree = {path.replace(RUN, inner): stored for path, stored in tree.items()}
    reindex(tree, lambda runs: runs.update({inner: runs.pop(RUN)}))
    hub.repos["datasets", "me/runs"].commit(tree)
    mine = tmp_path / "pulled" / RUN
    mine.mkdir(parents=True)
    (mine / "config.yaml").write_text("mine")
    before = contents(tmp_path)
    with pytest.raises(SharingError, match="would lie inside the run"):
        pull("*", REPO, tmp_path / "pulled")
    assert contents(tmp_path) == before


def test_what_is_here_and_differs_is_not_overwritten(hub: FakeHub, run: Path, tmp_path: Path):
    push([prepare(run)], "me/runs")
    ((folder, _),) = pull(RUN, REPO, tmp_path / "pulled")
    (folder / "run.json").write_text("mine")
    with pytest.raises(SharingError, match=r"run.json in it differs; move it away"):
        pull(RUN, REPO, tmp_path / "pulled")
    assert (folder / "run.json").read_text() == "mine"


def test_escape_sequences_of_an_index_do_not_reach_the_terminal(
    hub: FakeHub, run: Path, capsys: pytest.CaptureFixture[str]
):
    from rlkit.cli import verbs

    push([prepare(run)], "me/runs")
    tree = dict(hub.repos["datasets", "me/runs"].commits[-1][1])
    reindex(tree, lambda runs: runs[RUN].update(algo="\x1b]0;owned\x07", seeds="many", score=7, bytes="x"))
    hub.repos["datasets", "me/runs"].commit(tree)
    assert RUN in listed(REPO)
    verbs.run("list", [])
    shown = capsys.readouterr().out
    assert RUN in shown
    assert "\x1b" not in shown
