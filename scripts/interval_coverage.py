"""How often 95 % intervals of the mean over seeds hold the true mean, by simulation: the table of docs/statistics.md.

python scripts/interval_coverage.py            # simulate and write the table: a minute
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, stdtrit

ROOT = Path(__file__).parents[1]
PAGE, STORED = ROOT / "docs" / "statistics.md", ROOT / "docs" / "benchmarks" / "coverage.json"
SEEDS = (3, 4, 5, 6, 8, 10, 15, 20)
EXPERIMENTS, RESAMPLES, BLOCK = 40_000, 1_000, 1_000

Floats = NDArray[np.float64]
Draw = Callable[[np.random.Generator, tuple[int, int]], Floats]


def ceiling(rng: np.random.Generator, shape: tuple[int, int]) -> Floats:
    """Scores that most seeds bring to their bound."""
    return np.minimum(500, rng.normal(495, 15, shape))


def failing(rng: np.random.Generator, shape: tuple[int, int]) -> Floats:
    """One seed in seven fails."""
    return rng.normal(np.where(rng.random(shape) < 1 / 7, -260, -160), 4)


def _ceiling_mean() -> float:
    z = (500 - 495) / 15
    density = math.exp(-z * z / 2) / math.sqrt(2 * math.pi)
    return float(495 * ndtr(z) - 15 * density + 500 * (1 - ndtr(z)))


DISTRIBUTIONS: dict[str, tuple[Draw, float]] = {
    "normal": (lambda rng, shape: rng.normal(100, 20, shape), 100),
    "500 - Exp(10)": (lambda rng, shape: 500 - rng.exponential(10, shape), 490),
    "min(500, N(495, 15))": (ceiling, _ceiling_mean()),
    "one in seven fails": (failing, -160 - 100 / 7),
}


def student(x: Floats, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Student's t, as `results.stats.student_interval`."""
    n = x.shape[1]
    half = stdtrit(n - 1, 0.975) * x.std(1, ddof=1) / math.sqrt(n)
    return x.mean(1) - half, x.mean(1) + half


def johnson(x: Floats, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Student's t moved by the third moment (Johnson 1978)."""
    n = x.shape[1]
    low, high = student(x, rng)
    third = ((x - x.mean(1, keepdims=True)) ** 3).sum(1) * n / ((n - 1) * (n - 2))
    move = third / (6 * n * np.maximum(x.var(1, ddof=1), 1e-12))
    return low + move, high + move


def percentile(x: Floats, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """The percentile bootstrap of the mean."""
    rows = rng.integers(0, x.shape[1], (RESAMPLES, x.shape[1]))  # the same draws for each experiment of a block
    low, high = np.percentile(x[:, rows].mean(2), [2.5, 97.5], axis=1)
    return low, high


KINDS = {"Student's t": student, "Johnson's t": johnson, "percentile bootstrap": percentile}


def measured(name: str, seeds: int) -> dict[str, dict[str, float]]:
    """Coverage and mean width of each kind of interval, for one distribution and number of seeds."""
    draw, mean = DISTRIBUTIONS[name]
    rng = np.random.default_rng([seeds, list(DISTRIBUTIONS).index(name)])
    held = dict.fromkeys(KINDS, 0.0)
    width = dict.fromkeys(KINDS, 0.0)
    for _ in range(EXPERIMENTS // BLOCK):
        x = draw(rng, (BLOCK, seeds))
        for kind, interval in KINDS.items():
            low, high = interval(x, rng)
            held[kind] += float(((low <= mean) & (mean <= high)).sum()) / EXPERIMENTS
            width[kind] += float((high - low).sum()) / EXPERIMENTS
    return {kind: {"coverage": held[kind], "width": width[kind]} for kind in KINDS}


def table(rows: list[dict[str, object]]) -> str:
    """The coverage of each kind, with its mean width as a multiple of Student's t."""
    lines = [f"| scores | seeds | {' | '.join(KINDS)} |", f"|---|---{'|---' * len(KINDS)}|"]
    for row in rows:
        found = row["kinds"]
        assert isinstance(found, dict)
        base = found["Student's t"]["width"]
        cells = [f"{100 * found[kind]['coverage']:.1f} % ({found[kind]['width'] / base:.2f})" for kind in KINDS]
        lines.append(f"| {row['scores']} | {row['seeds']} | {' | '.join(cells)} |")
    return "\n".join(lines)


def written(page: str, rows: list[dict[str, object]]) -> str:
    """The page with the table between its marks."""
    head, _, rest = page.partition("<!-- coverage -->")
    _, _, tail = rest.partition("<!-- /coverage -->")
    return f"{head}<!-- coverage -->\n{table(rows)}\n<!-- /coverage -->{tail}"


def main() -> None:
    """Simulate, store the figures and write the table."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    rows: list[dict[str, object]] = [
        {"scores": name, "seeds": seeds, "kinds": measured(name, seeds)} for name in DISTRIBUTIONS for seeds in SEEDS
    ]
    STORED.write_text("[\n" + ",\n".join(json.dumps(row) for row in rows) + "\n]\n")
    PAGE.write_text(written(PAGE.read_text(), rows))


if __name__ == "__main__":
    main()
