"""The intervals and the example of the pages are what the library says of the scores beside them."""

import re
from pathlib import Path

import pytest
from tests.evidence.runs import write_run

from rlkit.evidence.gather import gather
from rlkit.evidence.power import told
from rlkit.evidence.trials import trials_of
from rlkit.results.stats import share_below_worst, student_interval

ROOT = Path(__file__).parents[2]
NUMBER = r"-?\d+(?:\.\d+)?"


def rows() -> list[dict[str, str]]:
    """The rows of the tables of docs/algorithms that have each seed."""
    found = []
    for page in sorted((ROOT / "docs" / "algorithms").glob("*.md")):
        head: list[str] = []
        for line in page.read_text().splitlines():
            cells = [cell.strip() for cell in line.strip("|").split("|")] if line.startswith("|") else []
            if "each seed" in cells or not cells:
                head = cells
            elif head and re.match(NUMBER, cells[head.index("score")]):
                found.append({"page": page.name, **dict(zip(head, cells, strict=True))})
    return found


def seeds(row: dict[str, str]) -> list[float]:
    return [float(x) for x in re.findall(NUMBER, row["each seed"])]


@pytest.mark.parametrize("row", rows(), ids=lambda row: f"{row['page']}-{row['task']}")
def test_scores_and_intervals_are_those_of_the_seeds(row: dict[str, str]):
    values = seeds(row)
    score = re.match(NUMBER, row["score"])
    assert score is not None
    assert float(score[0]) == pytest.approx(sum(values) / len(values), abs=0.06)
    low, high = student_interval(values) or (0, 0)
    assert row["95 % interval"] == f"{low:.1f} to {high:.1f}"
    assert f"**{score[0]}** ({row['95 % interval']})" in (ROOT / "README.md").read_text()


def test_there_are_rows():
    assert len(rows()) >= 28


def test_the_example_of_power(tmp_path: Path):
    (row,) = (row for row in rows() if (row["page"], row["task"]) == ("ppo.md", "LunarLander-v3"))
    write_run(tmp_path / "1", dict(enumerate(seeds(row))), env="lunar_lander")
    (trial,) = trials_of(gather([tmp_path]))
    assert "\n".join(told(trial, "20", 0.8)) in (ROOT / "docs" / "comparing.md").read_text()


def test_what_few_seeds_cannot_tell():
    page = (ROOT / "docs" / "statistics.md").read_text().replace("\n ", "")
    assert f"{share_below_worst(4):.0%}".replace("%", " %") + " for 4 seeds" in page
    assert f"{share_below_worst(10):.0%}".replace("%", " %") + " for 10, whatever" in page
    assert f"{(6 / 7) ** 4:.0%}".replace("%", " %") + " for 4 seeds" in page
