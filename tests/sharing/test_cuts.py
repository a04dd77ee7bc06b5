"""The line goes dead in the middle of a transfer, fifty times at a random byte of it, up and down."""

from __future__ import annotations

import random
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from rlkit.errors import SharingError
from rlkit.sharing.client import Repo
from rlkit.sharing.hub import listed, pull, push
from rlkit.sharing.publication import Publication, prepare
from tests.sharing.conftest import contents
from tests.sharing.fake_hub import FakeHub, FakeRepo

CUTS = 50
REPO = Repo("me/runs")


def traffic_of(hub: FakeHub, transfer: Callable[[], object]) -> int:
    """Bytes of a transfer that is not cut."""
    hub.cut_after(plenty := 10**9)
    transfer()
    used = plenty - (hub.budget or 0)
    hub.restore()
    return used


def complaint_of(transfer: Callable[[], object]) -> str:
    """What a transfer complains of; empty if it went through."""
    try:
        transfer()
    except SharingError as error:
        return str(error)
    return ""


def whole_or_absent(repo: FakeRepo, publication: Publication) -> None:
    """Every commit that a reader may ever have seen holds the whole run, its index entry and the page, or nothing."""
    for _, tree in repo.commits:
        there = {path for path in tree if path.startswith(publication.name)}
        if there:
            assert there == {f"{publication.name}/{path}" for path in [*publication.files, "publication.json"]}
            assert {"runs.json", "README.md"} <= set(tree)


def test_a_push_that_is_cut_publishes_nothing_by_halves_and_goes_on(hub: FakeHub, run: Path):
    publication = prepare(run)
    total = traffic_of(hub, lambda: push([publication], "me/runs"))
    whole = hub.tree("me/runs")
    rng, cut = random.Random(0), 0
    for _ in range(CUTS):
        hub.repos.clear()
        hub.objects.clear()
        before = contents(run)
        hub.cut_after(rng.randrange(total))
        if message := complaint_of(lambda: push([publication], "me/runs")):
            cut += 1
            assert re.fullmatch(r"the connection to the Hub failed.*", message), "one line"
        hub.restore()
        assert contents(run) == before
        if repo := hub.repos.get(("datasets", "me/runs")):
            whole_or_absent(repo, publication)
        already = sum(map(len, hub.objects.values()))
        sent = hub.uploaded_bytes
        push([publication], "me/runs")
        assert hub.tree("me/runs") == whole
        assert hub.uploaded_bytes - sent == sum(map(len, hub.objects.values())) - already, "only what was not there"
        whole_or_absent(hub.repos["datasets", "me/runs"], publication)
    assert cut >= CUTS - 5, "the last bytes are of an answer that may be lost without harm"


def test_a_pull_that_is_cut_leaves_no_run_and_goes_on(hub: FakeHub, run: Path, tmp_path: Path):
    shutil.rmtree(run / "session_1")  # fewer files, for time
    push([prepare(run)], "me/runs")
    (name,) = listed(REPO)
    root = tmp_path / "whole"
    total = traffic_of(hub, lambda: pull(name, REPO, root))
    whole = contents(root / name)
    rng, cut, reused = random.Random(1), 0, 0
    for number in range(CUTS):
        root = tmp_path / f"pulled{number}"
        hub.cut_after(rng.randrange(total))
        with pytest.raises(SharingError, match=r"failed|incomplete"):
            pull(name, REPO, root)
        cut += 1
        hub.restore()
        assert not (root / name).exists()
        assert not root.exists() or [p.name for p in root.iterdir()] in ([], [".pull"])
        kept = [path for path in root.rglob("*") if path.is_file() and ".cache" not in path.parts]
        hub.requests.clear()
        pull(name, REPO, root)
        assert contents(root / name) == whole
        assert [p.name for p in root.iterdir()] == [name.split("/")[0]]
        fetched = sum(r.startswith("GET /datasets") for r in hub.requests)
        assert fetched == len(whole) - len(kept) + 1, "what was whole is not fetched again; the index is"
        reused += len(kept)
    assert cut == CUTS
    assert reused
