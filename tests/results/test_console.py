import io

import pytest
from rich.console import Console

from rlkit import compose
from rlkit.display.console import Display, show_card
from rlkit.display.logs import log_to
from rlkit.results.progress import Phases, Progress
from rlkit.results.stats import KIND


def progress(seed: int = 0, frames: int = 50_000) -> Progress:
    split = Phases(env=1, policy=1, learn=2).split()
    metrics = {"train/entropy": 0.5, "train/explained_variance": None}
    return Progress(seed, frames, 100_000, 12_345.0, 4.0, 123.4, float("nan"), 40_960, split, metrics)


def result(seeds: list[int], status: str = "complete") -> dict:
    n = len(seeds)
    mean = None if status == "stopped" else 481.25
    return {
        "status": status, "algo": "ppo", "env_id": "CartPole-v1", "frames": 100_096, "seeds": seeds,
        "final_return": {
            "mean": mean, "std": 3.5, "iqm": 480.0, "ci95": [478.0, 484.5] if n > 1 else None,
            "ci95_kind": KIND if n > 1 else None,
            "per_seed": [None if mean is None else mean - seed for seed in seeds],
            "episodes": 100, "deterministic": True, "eval_seeds": "disjoint from training",
        },
        "train_return_100": {"mean": 470.0, "per_seed": [470.0] * n}, "fps": 12_000.0, "wall_seconds": 75.0,
    }  # fmt: skip


def test_a_terminal_gets_a_panel_with_everything(tmp_path):
    screen = Console(file=io.StringIO(), force_terminal=True, width=110, color_system=None)
    display = Display(compose(["seeds=2"]), tmp_path, screen)
    assert display.live is not None
    display.progress(progress(0))
    display.progress(progress(1, 100_000))
    screen.print(display._panel())
    text = screen.file.getvalue()
    for part in (
        "50,000",
        "12,345",
        "123.4",
        "4.0s",
        "entropy 0.5",
        "learning 50%",
        "environment 25%",
        "saved at 40,960",
    ):
        assert part in text
    assert "explained_variance" not in text


def test_elsewhere_a_plain_line_now_and_then(tmp_path):
    pipe = Console(file=io.StringIO(), width=200)
    display = Display(compose(["log.console_seconds=1e-9", "seeds=2"]), tmp_path, pipe)
    log_to(None, display.show)
    with display:
        display.progress(progress())
    assert pipe.file.getvalue() == (
        "seed 0: 50,000 of 100,000 frames (50%), 12,345 a second, 4.0s left, return 123.4\n"
    )


@pytest.mark.parametrize("seeds", [[0], [0, 1, 2]])
def test_the_card_has_score_protocol_and_what_to_do_next(seeds: list[int], tmp_path):
    page = Console(file=io.StringIO(), width=160)
    show_card(result(seeds), tmp_path, page)
    text = page.file.getvalue()
    for part in (
        "481.2 ± 3.5",
        "100 deterministic episodes",
        "disjoint from training",
        "1m 15s",
        "rlkit resume",
        "rlkit play",
    ):
        assert part in text
    several = len(seeds) > 1
    assert ("95 % interval 478.0 to 484.5 (Student's t over seeds)" in text) == several
    # 1 - 0.05 ** (1 / 3) = 0.632
    assert ("seed 2: 479.2; up to 63% of further seeds may end below it" in text) == several


def test_a_stopped_run_has_no_score(tmp_path):
    page = Console(file=io.StringIO(), width=160)
    show_card(result([0], "stopped"), tmp_path, page)
    assert "not scored" in page.file.getvalue()
