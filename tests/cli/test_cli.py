"""The command as a user runs it: real processes, real signals."""

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.training.runs import traces

from rlkit.cli.help import text
from rlkit.runs.folder import read_json, read_rows

RLKIT = [sys.executable, "-m", "rlkit"]


def rlkit(*words: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*RLKIT, *words], capture_output=True, text=True, timeout=120, cwd=cwd)


def only_run(name: str) -> Path:
    (folder,) = (Path(os.environ["RLKIT_RUNS"]) / name).iterdir()
    return folder


def test_help_shows_verbs_groups_and_examples():
    shown = rlkit("--help").stdout
    assert shown == text() + "\n"
    for part in (
        "rlkit resume RUN",
        "rlkit evaluate RUN",
        "rlkit play RUN",
        "algo       a2c, a2c_sil, crossq, ddqn",
        "env        acrobot, ant, atari",
    ):
        assert part in shown
    assert shown.split("examples:")[1].count("  rlkit ") == 4


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["algo.clpi_coef=0.3"], "did you mean algo.clip_coef"),
        (["env=cartpol"], "did you mean env=cartpole"),
        (["+algo.typo=1"], "unknown key algo.typo"),
        (["seeds=0"], "seeds=0"),
        (["env=gym", "env.id=CartPol-v1"], "did you mean CartPole-v1"),
        (["resme", "x"], "did you mean rlkit resume"),
        (["resume", "nowhere"], "nowhere does not exist"),
        (["-m", "seed=0,1", "algo.gamma=1.5"], "algo.gamma=1.5"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_wrong_input_is_answered_shortly_with_status_2(words: list[str], message: str):
    done = rlkit(*words)
    assert done.returncode == 2
    assert message in done.stderr
    assert len(done.stderr.splitlines()) <= 12
    assert "Traceback" not in done.stderr
    assert "Error executing" not in done.stderr
    assert not list(Path(os.environ["RLKIT_RUNS"]).glob("ppo*")), "nothing is left behind"


def test_a_faulty_file_in_config_dir_is_named(tmp_path: Path):
    (tmp_path / "mine" / "algo").mkdir(parents=True)
    (tmp_path / "mine" / "algo" / "mine.yaml").write_text(
        "# @package _global_\ndefaults: [ppo, _self_]\nalgo: {gama: 1}\n"
    )
    done = rlkit("--config-dir", "mine", "algo=mine")
    assert done.returncode == 2
    assert "mine/algo/mine.yaml" in done.stderr
    assert "did you mean algo.gamma" in done.stderr


def test_cfg_shows_the_whole_configuration():
    shown = rlkit("--cfg", "job", "env=pendulum").stdout
    assert "id: Pendulum-v1" in shown
    assert "clip_coef: 0.2" in shown


def test_train_evaluate_play_resume(tiny: list[str], tmp_path: Path):
    done = rlkit(*tiny, "log.console_seconds=0.01")
    assert done.returncode == 0, done.stderr
    assert "ppo on CartPole-v1: seed 0, 1,024 frames" in done.stdout
    assert "of 1,024 frames" in done.stdout
    assert "score" in done.stdout
    run = only_run("ppo_cartpole_v1")
    assert (run / "overrides.yaml").read_text().startswith("- frames=1024")

    scored = rlkit("evaluate", str(run))
    mean = read_json(run / "result.json")["final_return"]["mean"]
    assert f"{mean:.2f}" in scored.stdout
    assert "4 deterministic episodes, evaluation seeds 1073741824 to 1073741827" in scored.stdout

    assert rlkit("play", str(run), "--video", "x.mp4").returncode == 0
    assert Path("x.mp4").stat().st_size > 1000

    again = rlkit("resume", str(run))
    assert again.returncode == 2
    assert "is complete at 1,024 frames" in again.stderr
    assert rlkit("resume", str(run), "algo.gamma=0.5").returncode == 2
    further = rlkit("resume", str(run), "frames=1536")
    assert further.returncode == 0, further.stderr
    assert "algo.learning_rate is scheduled (linear)" in further.stdout
    assert read_json(run / "result.json")["frames"] == 1536
    assert [r["frames"] for r in read_rows(run / "session_0" / "metrics.jsonl")][-1] == 1536


def test_a_sweep_makes_a_run_of_each_and_survives_a_bad_one(tiny: list[str]):
    done = rlkit("-m", *tiny, "algo.gamma=0.9,1.5,0.95")
    assert done.returncode == 2
    assert "algo.gamma=1.5" in done.stderr
    runs = sorted((Path(os.environ["RLKIT_RUNS"]) / "ppo_cartpole_v1").iterdir())
    assert [read_json(run / "result.json")["status"] for run in runs] == ["complete"] * 2


def wait_for(pattern: str, seconds: float = 60) -> Path:
    """The first path below the runs that matches, once it is there."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for path in Path(os.environ["RLKIT_RUNS"]).glob(pattern):
            return path
        time.sleep(0.005)
    raise AssertionError(f"{pattern} did not appear")


@pytest.mark.parametrize("env", ["cartpole", "pendulum"])
def test_a_killed_run_resumes_to_the_same_bytes(env: str, tiny: list[str]):
    budget = ["frames=20000", "checkpoint.every_frames=4000", f"env={env}"]
    assert rlkit(*tiny, *budget, "name=whole").returncode == 0
    process = subprocess.Popen([*RLKIT, *tiny, *budget, "name=killed"], stdout=subprocess.DEVNULL)
    wait_for("killed/*/session_0/checkpoints/8*")
    process.send_signal(signal.SIGKILL)
    process.wait()
    run = only_run("killed")
    assert not (run / "result.json").exists()
    done = rlkit("resume", str(run))
    assert done.returncode == 0, done.stderr
    assert "continuing from" in done.stdout
    assert traces(run / "session_0") == traces(only_run("whole") / "session_0")
    whole, killed = (read_json(only_run(n) / "result.json") for n in ("whole", "killed"))
    for key in ("final_return", "train_return_100", "best_return", "metrics", "frames"):
        assert killed[key] == whole[key]


@pytest.mark.parametrize("seeds", [1, 2])
def test_ctrl_c_saves_says_how_to_go_on_and_exits_130(seeds: int, tiny: list[str]):
    process = subprocess.Popen(
        [*RLKIT, *tiny, "frames=10_000_000", f"seeds={seeds}", "log.every_frames=1000"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_for(f"*/*/session_{seeds - 1}/checkpoints/[0-9]*")
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    run = only_run("ppo_cartpole_v1")
    assert f"rlkit resume {run.relative_to(Path.cwd())}" in stderr
    assert "Traceback" not in stderr
    assert read_json(run / "run.json")["status"] == "stopped"
    for seed in range(seeds):
        stopped = read_json(run / f"session_{seed}" / "result.json")
        assert stopped["status"] == "stopped"
        assert (run / f"session_{seed}" / "checkpoints" / str(stopped["frames"])).is_dir()


@pytest.mark.parametrize(("number", "reader"), [(signal.SIGINT, "tee log"), (signal.SIGHUP, "head -1")])
def test_a_run_whose_reader_goes_away_saves_and_says_so(number: int, reader: str, tiny: list[str]):
    """Ctrl-C reaches all of a pipeline, and closing a terminal too: whoever reads the output ends at once."""
    command = (
        f"exec {shlex.join([*RLKIT, *tiny, 'frames=10_000_000', 'log.console_seconds=0.1'])} > >({reader} > /dev/null)"
    )
    process = subprocess.Popen(
        ["bash", "-c", command],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        stdin=subprocess.DEVNULL,
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),  # the tests may run under nohup
    )
    try:
        wait_for("*/*/session_0/checkpoints/[1-9]*")
        os.killpg(process.pid, number)
        _, stderr = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130
    run = only_run("ppo_cartpole_v1")
    assert f"rlkit resume {run.relative_to(Path.cwd())}" in stderr
    assert read_json(run / "run.json")["status"] == read_json(run / "result.json")["status"] == "stopped"


def test_a_truncated_checkpoint_is_one_clear_line_and_nothing_changes(tiny: list[str]):
    assert rlkit(*tiny).returncode == 0
    run = only_run("ppo_cartpole_v1")
    for file in run.glob("session_0/checkpoints/[0-9]*/weights.safetensors"):
        file.write_bytes(file.read_bytes()[:100])
    before = {p: p.read_bytes() for p in sorted(run.rglob("*")) if p.is_file() and p.name != "run.log"}
    for words in (["evaluate", str(run)], ["resume", str(run), "frames=5000"]):
        done = rlkit(*words)
        assert done.returncode == 2
        assert "no checkpoint verifies" in done.stderr
        assert "weights.safetensors is truncated" in done.stderr
        assert "Traceback" not in done.stderr
    after = {p: p.read_bytes() for p in sorted(run.rglob("*")) if p.is_file() and p.name != "run.log"}
    changed = {p.name for p in before if before[p] != after.get(p)}
    assert changed <= {"config.yaml", "run.json"}, "results and checkpoints stay as they were"


def test_an_environment_that_raises_is_named(tiny: list[str]):
    broken = ["env=gym", "env.id=tests.envs.chain:Broken-v0", "env.kwargs.how=raises"]
    done = subprocess.run(
        [*RLKIT, *tiny, *broken], capture_output=True, text=True, timeout=60, cwd=Path(__file__).parents[2]
    )
    assert done.returncode == 2
    assert "in an evaluation: ValueError: the simulator fell over" in done.stderr
    assert "Traceback" not in done.stderr
    assert json.loads((only_run("ppo_tests_envs_chain_broken_v0") / "run.json").read_text())["status"] == "failed"


def test_an_error_of_ours_leaves_its_traceback_in_a_file(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    from rlkit.cli import app

    def fails(arguments: object) -> int:
        raise ZeroDivisionError("never mind")

    monkeypatch.setattr(app, "dispatch", fails)
    with pytest.raises(SystemExit) as ended:
        app.main()
    assert ended.value.code == 1
    said = capsys.readouterr().err
    assert "an error in rlkit itself: ZeroDivisionError: never mind" in said
    assert "in fails" in Path(said.split("traceback: ")[1].strip()).read_text()
