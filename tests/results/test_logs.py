"""The log of a host program is as before, once rlkit has done its work."""

from __future__ import annotations

from pathlib import Path

import pytest
from loguru import logger

from rlkit import compose, train
from rlkit.display.logs import borrowed_log, log_to
from rlkit.errors import ConfigError


def handlers() -> list[int]:
    return list(logger._core.handlers)  # type: ignore[attr-defined]


def test_a_hosts_handlers_hear_everything_and_stay(tiny: list[str]):
    with borrowed_log():
        pass  # what an earlier test has left of rlkit's own goes
    heard: list[str] = []
    mine = logger.add(lambda message: heard.append(str(message)), format="{message}")
    before = handlers()
    try:
        train(compose([*tiny, "frames=256"]))
        assert handlers() == before
        logger.info("mine")
        assert heard[-1] == "mine\n"
        assert any("CartPole" in line for line in heard)
    finally:
        logger.remove(mine)


def test_logurus_own_handler_is_put_back_also_after_an_error(capsys: pytest.CaptureFixture[str]):
    with borrowed_log():
        pass
    before = handlers()

    def fail() -> None:
        with borrowed_log():
            log_to(None, lambda text: None)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert handlers() == before


def test_a_second_call_takes_the_place_of_the_first(tmp_path: Path):
    first: list[str] = []
    second: list[str] = []
    with borrowed_log():
        log_to(None, first.append)
        log_to(tmp_path / "run.log", second.append)
        logger.info("x {}", 1)
        logger.debug("y")
    assert (first, second) == ([], ["x 1"])
    lines = (tmp_path / "run.log").read_text().splitlines()
    assert [line.split()[2:] for line in lines] == [["INFO", "x", "1"], ["DEBUG", "y"]]


@pytest.mark.parametrize(
    ("level", "shown"),
    [("", ["i", "w"]), ("debug", ["d", "i", "w"]), ("WARNING", ["w"]), ("trace", ["t", "d", "i", "w"])],
)
def test_the_level_of_what_is_shown_can_be_chosen(
    level: str, shown: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("LOG_LEVEL", level)
    seen: list[str] = []
    with borrowed_log():
        log_to(tmp_path / "run.log", seen.append)
        logger.trace("t")
        logger.debug("d")
        logger.info("i")
        logger.warning("w")
    assert seen == shown
    written = [line.split()[-1] for line in (tmp_path / "run.log").read_text().splitlines()]
    assert written == (["t"] if level == "trace" else []) + ["d", "i", "w"]  # run.log has everything


def test_a_level_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("LOG_LEVEL", "loud")
    with pytest.raises(ConfigError, match=r"LOG_LEVEL=LOUD is not accepted\n  accepted: TRACE, DEBUG, INFO"):
        log_to(None, print)
