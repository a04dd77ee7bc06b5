"""Sweeps and searches on a real SLURM of one node, which `scripts/slurm_test_cluster.sh` starts."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from optuna.trial import TrialState

from rlkit.errors import RunFolderError
from rlkit.runs.folder import read_json
from rlkit.search.status import standing
from rlkit.search.study import SweepFolder
from rlkit.training.jobs import notes, submitted

ROOT = Path(__file__).parents[2]
CLUSTER = ROOT / "scripts" / "slurm_test_cluster.sh"
ABLE = bool(shutil.which("slurmctld") and shutil.which("munged")) and hasattr(os, "geteuid") and os.geteuid() == 0
pytestmark = [
    pytest.mark.slurm,
    pytest.mark.skipif(not ABLE, reason="needs root, and Debian's slurmctld, slurmd, slurm-client and munge"),
]
SMALL = [
    "env=cartpole", "~tuned", "frames=2048", "eval.episodes=4", "eval.periodic_episodes=2",
    "hydra.launcher.timeout_min=30", "hydra.launcher.mem_gb=1",
]  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def _cluster() -> Iterator[None]:
    running = subprocess.run(["scontrol", "ping"], capture_output=True, check=False).returncode == 0
    if not running:
        subprocess.run(["bash", str(CLUSTER), "start"], check=True, env={**os.environ, "SLURM_TEST_CPUS": "4"})
    yield
    if not running:
        subprocess.run(["bash", str(CLUSTER), "stop"], check=True)


@pytest.fixture(autouse=True)
def _paths(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", f"{ROOT / 'scripts' / 'slurm'}:{os.environ['PATH']}")  # its sacct
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


def sweep(*words: str) -> list[str]:
    return [sys.executable, "-m", "rlkit", "-m", "hydra/launcher=slurm", *SMALL, *words]


def run(*words: str, timeout: float = 400) -> subprocess.CompletedProcess[str]:
    return subprocess.run(sweep(*words), capture_output=True, text=True, timeout=timeout)


def wait_for(what: Callable[[], object], seconds: float = 180) -> None:
    until = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < until, "waited too long"
        time.sleep(0.2)


def squeue() -> list[str]:
    """Jobs that wait or run; those on their way out are not counted."""
    command = ["squeue", "-h", "-t", "PENDING,RUNNING", "-o", "%i"]
    asked = subprocess.run(command, capture_output=True, text=True, check=True)
    return asked.stdout.split()


def test_six_jobs_of_an_array_finish_and_one_that_fails_leaves_the_others_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    token = "hf" + "_0aB1cD2eF3gH4iJ5kL6mN7oP8qR9sT0u"
    monkeypatch.setenv("HF_TOKEN", token)
    folder = tmp_path / "sweep"
    done = run("algo=ppo,a2c", "seed=0,1,2", f"hydra.sweep.dir={folder}")
    assert done.returncode == 0, done.stdout + done.stderr
    jobs = standing(folder)
    assert [(one.job, one.state) for one in jobs] == [(n, "complete") for n in range(6)]
    ran = {(read_json(one.run / "result.json")["algo"], *read_json(one.run / "run.json")["seeds"]) for one in jobs}
    assert ran == {(algo, seed) for algo in ("ppo", "a2c") for seed in (0, 1, 2)}
    files = [p for place in (folder, *(one.run for one in jobs)) for p in place.rglob("*") if p.is_file()]
    assert any(".submitit" in p.parts and p.suffix == ".sh" for p in files)
    assert not [p for p in files if token.encode() in p.read_bytes()], "neither in scripts and pickles nor in runs"

    other = tmp_path / "other"
    broken = ["env=gym", "env.id=tests.envs.chain:Broken-v0", "env.kwargs.how=raises,never", "env.kwargs.after=100"]
    failed = run(*broken, f"hydra.sweep.dir={other}")
    assert failed.returncode != 0
    assert "the simulator fell over" in failed.stdout + failed.stderr + "".join(
        path.read_text() for path in other.glob(".submitit/*/*log*")
    )
    assert sorted(one.state for one in standing(other)) == ["complete", "failed"]


def test_a_job_that_is_preempted_ends_as_one_that_was_not(tmp_path: Path):
    # a millisecond a frame on any machine: twenty seconds, of which the grace time is ten seconds
    long = [
        "env=gym", "env.id=tests.envs.chain:Slow-v0", "frames=20000", "checkpoint.every_frames=1000",
        "eval.every_frames=2000", "algo=ppo", "seed=3",
    ]  # fmt: skip
    calm = run(*long, f"hydra.sweep.dir={tmp_path / 'calm'}")
    assert calm.returncode == 0, calm.stdout + calm.stderr

    folder = tmp_path / "preempted"
    process = subprocess.Popen(sweep(*long, f"hydra.sweep.dir={folder}", "hydra.launcher.partition=main"))
    wait_for(lambda: list(folder.glob(".jobs/*.json")))
    checkpoints = Path(notes(folder)[0]["run"]) / "session_3" / "checkpoints"
    wait_for(lambda: [p for p in checkpoints.glob("[0-9]*") if int(p.name) > 0])
    job = notes(folder)[0]["slurm"]
    whole_node = ["sbatch", "-p", "high", "--exclusive", "-o", "/dev/null", "--wrap", "sleep 2"]
    subprocess.run(whole_node, check=True, capture_output=True)
    show = ["scontrol", "-o", "show", "job", job]
    wait_for(lambda: "Restarts=1" in subprocess.run(show, capture_output=True, text=True, check=True).stdout)
    # a job that is queued again waits for two minutes; the test does not
    subprocess.run(["scontrol", "update", f"job={job}", "StartTime=now"], check=True)
    assert process.wait(timeout=400) == 0
    (run_before,) = (Path(note["run"]) for note in notes(tmp_path / "calm").values())
    (run_after,) = (Path(note["run"]) for note in notes(folder).values())
    assert "continuing from" in (run_after / "run.log").read_text()
    for name in ("metrics.jsonl", "eval.jsonl"):
        assert (run_after / "session_3" / name).read_bytes() == (run_before / "session_3" / name).read_bytes()
    assert read_json(run_after / "result.json")["final_return"] == read_json(run_before / "result.json")["final_return"]


def test_the_status_of_a_sweep_tells_queued_jobs_from_running_and_cancelled_ones(tmp_path: Path):
    folder = tmp_path / "sweep"
    slow = ["env=gym", "env.id=tests.envs.chain:Slow-v0", "frames=200000", "algo=ppo", "seed=0,1,2"]
    words = [*slow, f"hydra.sweep.dir={folder}", "hydra.launcher.array_parallelism=1"]
    driver = subprocess.Popen(sweep(*words), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def states() -> list[str]:
        try:
            return [one.state for one in standing(folder)]
        except RunFolderError:  # nothing is submitted yet
            return []

    try:
        wait_for(lambda: states() == ["running", "queued", "queued"])
        array = standing(folder)[1].cluster.partition("_")[0]
        subprocess.run(["scancel", f"{array}_2"], check=True)
        wait_for(lambda: states() == ["running", "queued", "never begun"])
        subprocess.run(["scancel", array], check=True)
        wait_for(lambda: states() == ["interrupted", "never begun", "never begun"])
    finally:
        driver.kill()
        driver.wait()
        subprocess.run(["scancel", *submitted(folder).values()], check=False)  # some may be over
        wait_for(lambda: not squeue())


SEARCH = [
    "search=asha", "algo=ppo", "hydra/launcher=slurm", "search.trials=12", "search.jobs=2", "frames=16384",
    "eval.every_frames=1024", "checkpoint.every_frames=4096", "search.min_frames=2048", "algo.n_steps=32", "num_envs=4",
]  # fmt: skip


def test_a_search_prunes_and_one_whose_jobs_and_driver_are_killed_ends_with_its_trials(tmp_path: Path):
    folder = tmp_path / "search"
    words = [*SEARCH, f"hydra.sweep.dir={folder}"]
    driver = subprocess.Popen(sweep(*words), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_for(lambda: len(list(folder.glob("trial_*/session_*/checkpoints/[0-9]*"))) >= 2)
    assert len(squeue()) <= 2
    for _ in range(2):
        wait_for(squeue)
        subprocess.run(["scancel", squeue()[0]], check=True)
        time.sleep(1.0)
    driver.send_signal(signal.SIGKILL)
    driver.wait()
    done = run(*words, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    trials = SweepFolder.open(folder).study().get_trials()
    assert [t.number for t in trials] == list(range(12))
    assert {t.state for t in trials} == {TrialState.COMPLETE, TrialState.PRUNED}
    assert sorted(p.name for p in folder.glob("trial_*")) == [f"trial_{n:04d}" for n in range(12)]
    wait_for(lambda: not squeue(), 60)
    assert {one.state for one in standing(folder)} == {"complete", "pruned"}
    ids = [json.dumps(t.user_attrs["rlkit:job"]["id"]) for t in trials]
    assert len(set(ids)) == 12
