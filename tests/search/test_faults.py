"""A search whose driver and trials are killed over and over ends with exactly its trials."""

import os
import random
import signal
import subprocess
import time
from pathlib import Path

import psutil
import pytest
from optuna.trial import TrialState

from rlkit.runs.folder import read_json, read_rows
from rlkit.search import study as record
from tests.search.test_sweep import SPACE, command, no_process_of, sweep_folder, trials

TRIALS, DRIVER_KILLS, WORKER_KILLS = 40, 10, 30
WORDS = [
    "~tuned", f"search.trials={TRIALS}", "search.max_failure_rate=1", SPACE,
    "frames=16384", "eval.every_frames=2048", "checkpoint.every_frames=2048",
]  # fmt: skip


def workers(root: Path) -> list[psutil.Process]:
    """The processes that train a trial below a folder."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        words = process.info["cmdline"] or []
        if "submitit.core._submit" in words and any(str(root) in word for word in words):
            found.append(process)
    return found


@pytest.mark.fault
def test_driver_and_workers_killed_at_random_moments(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    rng = random.Random(0)
    root = Path(os.environ["RLKIT_RUNS"]) / "search" / "ppo_gym_random"
    killed_workers, numbers = 0, []
    for round_ in range(DRIVER_KILLS + 1):
        driver = subprocess.Popen(command("random", *WORDS), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        share = WORKER_KILLS * (round_ + 1) // (DRIVER_KILLS + 1)
        while killed_workers < share and driver.poll() is None:
            time.sleep(rng.uniform(0.2, 4.0))
            if found := workers(root):
                rng.choice(found).send_signal(signal.SIGKILL)
                killed_workers += 1
        if round_ < DRIVER_KILLS:
            time.sleep(rng.uniform(0.0, 2.0))
            assert driver.poll() is None, "the search was over before all the kills"
            driver.kill()
            driver.wait()
    assert driver.wait(timeout=1200) == 0
    folder = sweep_folder("ppo_gym_random")
    over = trials(folder)
    numbers = [t.number for t in over]
    assert numbers == list(range(TRIALS))
    assert {t.state for t in over} == {TrialState.COMPLETE}
    assert sorted(p.name for p in folder.path.glob("trial_*")) == [f"trial_{n:04d}" for n in range(TRIALS)]
    for t in over:
        session = folder.run(t.number).session(1000)
        result = read_json(session.result)
        assert result["final_return"]["mean"] == t.value
        frames = [row["frames"] for row in read_rows(session.eval)]
        assert frames == sorted(set(frames))  # no row twice: what a killed process wrote after its checkpoint is cut
        assert max(t.intermediate_values) <= result["frames"] == t.user_attrs[record.FRAMES]
    assert no_process_of(folder)
    assert killed_workers == WORKER_KILLS
