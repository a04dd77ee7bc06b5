"""What a signal asks of a session."""

import os
import signal
import time

import pytest

from rlkit.training import interrupt
from rlkit.training.interrupt import Interrupts, StopSignal, make_room


def send(number: int) -> None:
    os.kill(os.getpid(), number)
    time.sleep(0.01)  # a handler of Python's runs at the next instruction


def test_one_ctrl_c_may_come_twice_and_a_second_one_ends_at_once(monkeypatch: pytest.MonkeyPatch):
    with StopSignal() as stop:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGINT):
            send(number)
        assert stop.requested
        monkeypatch.setattr(interrupt, "ECHO_SECONDS", 0.0)
        with pytest.raises(KeyboardInterrupt):
            send(signal.SIGINT)


@pytest.mark.parametrize("ignored", [False, True], ids=["terminal", "nohup"])
def test_a_terminal_that_is_closed_is_a_stop_unless_that_is_ignored(ignored: bool):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN if ignored else signal.SIG_DFL)
    try:
        with StopSignal() as stop:
            if not ignored:
                send(signal.SIGHUP)
            assert stop.requested is not ignored
        assert signal.getsignal(signal.SIGHUP) is (signal.SIG_IGN if ignored else signal.SIG_DFL)
        with Interrupts():
            assert (signal.getsignal(signal.SIGHUP) is signal.SIG_IGN) is ignored
    finally:
        signal.signal(signal.SIGHUP, before)


def test_near_the_time_limit_a_job_saves_and_is_then_queued_again(monkeypatch: pytest.MonkeyPatch):
    """Submitit's own handler, which queues the job and ends the process, is called once everything is saved."""
    queued: list[int] = []
    before = signal.signal(signal.SIGUSR2, lambda number, frame: queued.append(number))
    try:
        with StopSignal() as stop:
            make_room()
            assert queued == []
            send(signal.SIGUSR2)
            assert stop.requested
            assert queued == []
        make_room()
        assert queued == [signal.SIGUSR2]
        make_room()
        assert queued == [signal.SIGUSR2], "once"
    finally:
        signal.signal(signal.SIGUSR2, before)


def test_a_preempted_job_saves_and_goes_on(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("SLURM_JOB_ID", "1")
    with StopSignal() as stop:
        send(signal.SIGTERM)
        assert not stop.requested
        assert stop.save_due()
        assert not stop.save_due()
