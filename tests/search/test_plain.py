"""Plain sweeps: separate folders, jobs that are shown, failures that are named, signals that leave no orphan."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from omegaconf import OmegaConf

from rlkit.cli.app import dispatch
from rlkit.errors import ConfigError, RlkitError, RunFolderError
from rlkit.runs.folder import read_json
from rlkit.search.failures import SearchFaultError, SweepError
from rlkit.search.plain import own_folder
from rlkit.search.status import show, standing
from rlkit.training import jobs, train

SMALL = [
    "-m", "algo=ppo", "env=gym", "env.id=tests.search.crashing:Crashing-v0", "~tuned", "frames=512", "num_envs=4",
    "algo.n_steps=32", "algo.epochs=1", "net.hidden=[8]", "eval.episodes=1", "eval.periodic_episodes=1", "name=t",
]  # fmt: skip


@pytest.fixture(autouse=True)
def _command_line(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "argv", ["rlkit"])
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))


def sweeps() -> list[Path]:
    return sorted((Path(os.environ["RLKIT_RUNS"]) / "multirun").iterdir())


def test_each_job_is_announced_and_each_failure_is_named(capfd: pytest.CaptureFixture[str]):
    with pytest.raises(SweepError) as failed:
        dispatch([*SMALL, "env.kwargs.at=0,20", "algo.gamma=0.9,1.5"])
    (sweep,) = sweeps()
    said = capfd.readouterr().out
    assert f"4 jobs; folder runs/multirun/{sweep.name}" in said
    assert f"rlkit status runs/multirun/{sweep.name}" in said
    for n, words in enumerate(("at=0 algo.gamma=0.9", "at=0 algo.gamma=1.5", "at=20 algo.gamma=0.9")):
        assert f"job {n} ({n + 1} of 4): env.kwargs.{words}" in said
    told = str(failed.value)
    assert "3 of 4 jobs failed" in told
    assert "job 1: env.kwargs.at=0 algo.gamma=1.5\n    algo.gamma=1.5 is not accepted" in told
    run = jobs.notes(sweep)[2]["run"]
    assert f"job 2: env.kwargs.at=20 algo.gamma=0.9\n    its run: {Path(run).relative_to(Path.cwd())}\n" in told
    assert "the simulator has crashed" in told
    assert [one.state for one in standing(sweep)] == ["complete", "failed", "failed", "failed"]
    assert ["crashed" in one.why for one in standing(sweep)] == [False, False, True, False]
    assert [one.overrides for one in standing(sweep)][3] == "env.kwargs.at=20 algo.gamma=1.5"


def test_a_fault_of_rlkits_among_the_failures_is_no_mistake_of_the_user(monkeypatch: pytest.MonkeyPatch):
    def run_trial(*args, **kwargs):
        raise AssertionError("a fault")

    monkeypatch.setattr(train, "run_trial", run_trial)
    with pytest.raises(SearchFaultError, match=r"(?s)2 of 2 jobs failed.*job 0: seed=0.*AssertionError: a fault"):
        dispatch([*SMALL, "seed=0,1"])


def test_sweeps_of_one_second_get_folders_of_their_own(tmp_path: Path):
    def config(overrides: list[str]):
        hydra = {"sweep": {"dir": str(tmp_path / "20260101-000000")}, "overrides": {"hydra": overrides}}
        return OmegaConf.create({"hydra": hydra})

    made = [config([]), config([]), config([])]
    for one in made:
        own_folder(one)
    names = [Path(one.hydra.sweep.dir).name for one in made]
    assert names == ["20260101-000000", "20260101-000000_1", "20260101-000000_2"]
    named = config(["hydra.sweep.dir=x"])
    own_folder(named)
    assert Path(named.hydra.sweep.dir).name == "20260101-000000"


def test_jobs_in_processes_of_their_own_are_shown_and_named_too():
    words = [*SMALL, "hydra/launcher=local", "env.kwargs.at=20,0,30"]
    done = subprocess.run([sys.executable, "-m", "rlkit", *words], capture_output=True, text=True, timeout=300)
    assert done.returncode == 2, done.stdout + done.stderr
    for n, at in ((0, 20), (2, 30)):
        assert f"job {n}: failed (env.kwargs.at={at})" in done.stdout
        assert f"job {n}: env.kwargs.at={at}\n    its run: runs/t/" in done.stderr
    assert "job 1: complete at 512 frames" in done.stdout
    assert done.stderr.count("RuntimeError: the simulator has crashed") == 2
    assert "Traceback" not in done.stdout + done.stderr


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_has_the_jobs_save_and_leaves_no_orphan(sent: signal.Signals):
    words = [*SMALL, "hydra/launcher=local", "frames=50000000", "seed=0,1,2", "search.jobs=2"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    process = subprocess.Popen([sys.executable, "-m", "rlkit", *words], start_new_session=True, **pipes)
    runs, until = Path(os.environ["RLKIT_RUNS"]) / "t", time.monotonic() + 120
    while len(list(runs.glob("*/session_*/checkpoints/0"))) < 2 and time.monotonic() < until:
        time.sleep(0.05)
    if sent is signal.SIGINT:  # a terminal sends it to everybody
        os.killpg(process.pid, sent)
    else:
        process.send_signal(sent)
    said = process.communicate(timeout=120)[0]
    assert process.returncode == 130, said
    assert "2 jobs save and stop" in said
    assert "1 job never begun" in said
    assert "Traceback" not in said
    words = [" ".join(p.info["cmdline"] or []) for p in psutil.process_iter(["cmdline"])]
    assert not [line for line in words if str(runs.parent) in line]
    assert [read_json(run / "result.json")["status"] for run in runs.iterdir()] == ["stopped"] * 2
    assert [one.state for one in standing(sweeps()[0])] == ["stopped", "stopped", "never begun"]


@pytest.mark.parametrize("words", [["seed=0,1", "--cfg", "job"], ["--cfg", "hydra"], ["--info", "all"]])
def test_flags_that_do_not_go_with_a_sweep_are_refused(words: list[str]):
    with pytest.raises(ConfigError, match="leave out -m"):
        dispatch([*SMALL, *words])


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("RLKIT_RUNS", str(tmp_path / "file"))
    with pytest.raises(RunFolderError, match="a part of the path is a file"):
        dispatch([*SMALL, "seed=0,1"])
    with pytest.raises(RunFolderError, match="a part of the path is a file"):
        dispatch([*SMALL[1:], "-m", "search=grid", "algo.gamma=0.9,0.99"])
    monkeypatch.setenv("RLKIT_RUNS", str(tmp_path / "runs"))
    with pytest.raises(RlkitError, match="too long"):
        dispatch([*SMALL, "seed=0,1", f"hydra.sweep.subdir={'x' * 300}"])


def test_status_keeps_folders_whole_at_80_columns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setenv("COLUMNS", "80")
    sweep, runs = tmp_path / "sweep", tmp_path / "runs" / "a-rather-long-name-of-a-run_cartpole_v1"
    jobs.note_plan(sweep_made(sweep), [["seed=0", "a=1"], ["seed=1", "a=1"], ["seed=2", "a=1"]], {1: "boom\n  bang"})
    for n in range(2):
        run = runs / f"20260101-00000{n}"
        run.mkdir(parents=True)
        (run / "run.json").write_text('{"status": "failed"}')
        (sweep / ".jobs").mkdir(exist_ok=True)
        (sweep / ".jobs" / f"{n}.json").write_text(f'{{"run": "{run}", "slurm": null, "host": "h"}}')
    (runs / "20260101-000000" / "result.json").write_text('{"frames": 512, "final_return": {"mean": 7.5}}')
    show(sweep)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"folders below {runs.relative_to(Path.cwd())}"
    assert lines[2].split() == ["0", "failed", "512", "7.5", "seed=0", "20260101-000000"]
    assert lines[3].split() == ["1", "failed", "0", "-", "seed=1", "20260101-000001"]
    assert lines[4].split() == ["2", "never", "begun", "0", "-", "seed=2"]
    assert lines[5] == "job 1: boom"
    assert lines[6] == "2 failed, 1 never begun"


def sweep_made(path: Path) -> Path:
    path.mkdir()
    return path


@pytest.mark.parametrize(
    "text", ['{"jobs": 5}', '{"jobs": [5], "failed": {}}', '{"jobs": [], "failed": {"x": 1}}', "{}"]
)
def test_a_plan_of_another_form_is_refused(text: str, tmp_path: Path):
    (tmp_path / "jobs.json").write_text(text)
    with pytest.raises(RlkitError, match="does not list the jobs"):
        standing(tmp_path)
