"""Run folders that mean harm: a clear line within seconds, or the older checkpoint, and nothing outside is touched."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from rlkit import compose, train
from rlkit.cli.app import dispatch
from rlkit.display.logs import borrowed_log
from rlkit.errors import RlkitError
from tests.hostile.folders import HARMLESS, OLDER, OLDER_FOR_TRAINING, REFUSED, newest

SECONDS, PATIENCE = 5, 60
"""Of the processor, which other work does not count in; and of the clock, for what only waits."""
TINY = [
    "frames=64", "num_envs=2", "algo.n_steps=16", "algo.epochs=1", "algo.minibatch_size=16", "net.hidden=[4]",
    "eval.episodes=1", "eval.periodic_episodes=1", "checkpoint.every_frames=32", "env.max_episode_steps=10",
]  # fmt: skip


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with two checkpoints; never written to."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RLKIT_RUNS", str(tmp_path_factory.mktemp("runs")))
        return train(compose(TINY), quiet=True).folder


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Iterator[Path]:
    """A copy of it, and a limit on the time of the test."""
    target = tmp_path / "given" / "run"
    shutil.copytree(trained, target, symlinks=True)
    (tmp_path / "given" / "written").write_text("")

    def late(*_: object) -> None:
        raise AssertionError(f"it took longer than {SECONDS} seconds")

    timers = {signal.SIGALRM: (signal.ITIMER_REAL, PATIENCE), signal.SIGPROF: (signal.ITIMER_PROF, SECONDS)}
    before = {number: signal.signal(number, late) for number in timers}
    for timer, seconds in timers.values():
        signal.setitimer(timer, seconds)
    with borrowed_log():
        yield target
    for number, (timer, _) in timers.items():
        signal.setitimer(timer, 0)
        signal.signal(number, before[number])
    assert (tmp_path / "given" / "written").read_text() == "", "nothing is written through a link"
    assert not Path("exploded").exists()


def evaluate(run: Path) -> int:
    return dispatch(["evaluate", str(run), "--episodes", "1"])


def resume(run: Path) -> int:
    return dispatch(["resume", str(run), "frames=128"])


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_used_is_refused_in_words(name: str, run: Path):
    REFUSED[name](run)
    for use in (evaluate, resume):
        with pytest.raises(RlkitError) as told:
            use(run)
        lines = str(told.value).splitlines()
        assert 1 <= len(lines) <= 12
        assert max(map(len, lines)) < 1000


@pytest.mark.parametrize("name", OLDER)
def test_the_older_checkpoint_takes_the_place_of_one_that_is_no_good(
    name: str, run: Path, capsys: pytest.CaptureFixture[str]
):
    bad = newest(run)
    OLDER[name](run)
    assert evaluate(run) == 0
    said = capsys.readouterr().err
    assert str(bad) in said
    assert "going back to 32" in said
    assert resume(run) == 0


@pytest.mark.parametrize("name", OLDER_FOR_TRAINING)
def test_training_continues_from_the_older_checkpoint(name: str, run: Path, capsys: pytest.CaptureFixture[str]):
    OLDER_FOR_TRAINING[name](run)
    assert resume(run) == 0
    said = capsys.readouterr().out
    assert "going back to 32" in said
    assert "continuing from 32 frames" in said


@pytest.mark.parametrize("name", HARMLESS)
def test_what_is_no_part_of_a_run_is_left_out(name: str, run: Path, capsys: pytest.CaptureFixture[str]):
    HARMLESS[name](run)
    assert evaluate(run) == 0
    assert resume(run) == 0
    assert "continuing from 64 frames" in capsys.readouterr().out
