import csv
import json
import math
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from rlkit.cli.app import dispatch
from rlkit.errors import RunFolderError
from rlkit.evidence import plots
from rlkit.evidence.gather import gather
from rlkit.evidence.report import write
from rlkit.evidence.trials import trials_of
from tests.evidence.runs import write_run


class Page(HTMLParser):
    """The addresses and the words of a page, and whether every element is closed."""

    VOID = ("meta", "br", "img", "link")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.words: list[str] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.addresses += [str(value) for name, value in attrs if name in ("src", "href", "xlink:href")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def trials(root: Path, seeds: int):
    """Two algorithms of some seeds: one seed of the second has not ended, and one curve has a NaN."""
    rng = np.random.default_rng(0)
    for algo in ("ppo", "dqn"):
        for seed in range(seeds):
            curve = [(100 * (i + 1), float(rng.normal(10 * i, 2))) for i in range(10)]
            if algo == "dqn" and seed == 0:
                curve[3] = (400, math.nan)
            missing = algo == "dqn" and seed == seeds - 1 and seeds > 1
            score = None if missing else curve[-1][1]
            write_run(root / algo / str(seed), {seed: score}, algo=algo, curve=curve)
    return trials_of(gather([root]))


@pytest.mark.parametrize("seeds", [1, 2, 20])
def test_a_report_has_everything_and_asks_for_nothing(seeds: int, tmp_path: Path):
    page = write(trials(tmp_path / "runs", seeds), tmp_path / "out")
    text = page.read_text()
    found = Page(text)
    assert found.open == []
    assert [a for a in found.addresses if not a.startswith(("#", "data:"))] == []
    assert not re.search(r"url\((?!#)|@import", text.replace("http://www.w3.org", ""))
    words = " ".join(found.words)
    for part in ("Scores", "learning curves over frames", "over training time", "every seed", "performance profile"):
        assert part in words
    for part in ("Differences of the configurations", "SLM-Lab's measures", "rlkit algo=dqn env=cartpole"):
        assert part in words
    assert ("unfinished" in words) == (seeds > 1)
    markdown = (tmp_path / "out" / "report.md").read_text()
    for name in re.findall(r"\]\((plots/[^)]+)\)", markdown):
        assert (tmp_path / "out" / name).stat().st_size > 20
    with (tmp_path / "out" / "plots" / "scores_cartpole.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 * seeds
    assert sum(row["score"] == "" for row in rows) == (seeds > 1)


def test_a_band_by_hand():
    one = (np.array([0.0, 10.0]), np.array([0.0, 10.0]))
    two = (np.array([5.0, 10.0]), np.array([7.0, 14.0]))
    grid, mean, low, high = plots.band([one, two])
    assert list(grid) == [5, 10]
    assert list(mean) == [6, 12]
    # values 5 and 7: deviation sqrt(2), t(0.975, 1) = 12.7062
    assert high[0] - low[0] == pytest.approx(2 * 12.7062 * math.sqrt(2) / math.sqrt(2), abs=1e-3)
    _, _, low, _ = plots.band([one])
    assert np.isnan(low).all()


def test_seeds_without_a_common_stretch_have_no_band(tmp_path: Path):
    write_run(tmp_path / "1", {0: 1.0}, curve=[(100, 1.0)])
    write_run(tmp_path / "2", {1: 1.0}, curve=[(200, 1.0)])
    found = plots.curves(trials_of(gather([tmp_path])), "cartpole")
    assert len(found.rows) == 1
    assert found.svg().startswith("<svg")


def test_hostile_names_are_text(tmp_path: Path):
    evil = "<script>alert(1)</script>"
    write_run(tmp_path / "1", {0: 1.0, 1: 2.0}, env=evil, algo="a|b")
    page = write(trials_of(gather([tmp_path])), tmp_path / "out")
    assert "<script" not in page.read_text()
    assert "<script" not in (tmp_path / "out" / "report.md").read_text()
    assert {p.parent for p in (tmp_path / "out").rglob("*.png")} == {tmp_path / "out" / "plots"}


def test_a_video_goes_into_the_page(tmp_path: Path):
    run = write_run(tmp_path / "1", {0: 1.0})
    (run / "session_0" / "videos").mkdir()
    (run / "session_0" / "videos" / "200.mp4").write_bytes(b"old")
    (run / "session_0" / "videos" / "1000.mp4").write_bytes(b"new")
    page = write(trials_of(gather([tmp_path])), tmp_path / "out").read_text()
    assert "data:video/mp4;base64,bmV3" in page


def test_a_hundred_seeds(tmp_path: Path):
    write_run(tmp_path / "1", {seed: float(seed) for seed in range(100)})
    assert write(trials_of(gather([tmp_path])), tmp_path / "out").stat().st_size < 3e6


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    write_run(tmp_path / "a run" / "1", {0: 1.0, 1: 2.0})
    assert dispatch(["report", "a run", "--out", "here/there"]) == 0
    assert "wrote here/there/index.html" in capsys.readouterr().out
    (tmp_path / "file").write_text("")
    with pytest.raises(RunFolderError, match="file"):
        dispatch(["report", "a run", "--out", "file"])


def test_a_secret_of_an_old_run_does_not_reach_the_page(tmp_path: Path):
    token = "hf_" + "aB3dE5gH7jK9mN1pQ3sT5vX7zB9dF1hJ3l"
    run = write_run(tmp_path / "1", {0: 1.0})
    (run / "run.json").write_text(json.dumps({"command": f"rlkit env.kwargs.key={token}"}))
    write(trials_of(gather([tmp_path])), tmp_path / "out")
    assert [path for path in (tmp_path / "out").rglob("*.*") if token.encode() in path.read_bytes()] == []
