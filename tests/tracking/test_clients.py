"""The libraries of the trackers themselves, offline: a run that is killed and resumed is one curve in each."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rlkit.runs.folder import RunFolder, read_json, read_rows

pytestmark = [pytest.mark.trackers, pytest.mark.filterwarnings("ignore")]

KEY = "a1b2c3d4e5f6a7b8c9d0a1b2c3d4e5f6a7b8c9d0"
NAMES = ("wandb", "trackio", "mlflow")


@pytest.fixture
def offline(tmp_path: Path) -> dict[str, str]:
    """The environment of a process whose trackers stay on this machine, with a key that must not be found later."""
    for name in NAMES:
        pytest.importorskip(name)
    return {
        **os.environ,
        "RLKIT_RUNS": str(tmp_path / "runs"),
        "WANDB_MODE": "offline",
        "WANDB_API_KEY": KEY,
        "TRACKIO_DIR": str(tmp_path / "trackio"),
        "MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path / 'mlflow.db'}",
        "MLFLOW_TRACKING_TOKEN": KEY,
    }


def rlkit(*words: str) -> list[str]:
    return [sys.executable, "-m", "rlkit", *words]


SMALL = ["algo=ppo", "env=cartpole", "net.hidden=[16]", "eval.episodes=2", "eval.periodic_episodes=2"]


def sent_to_wandb(run: RunFolder) -> list[int]:
    """The steps in wandb's offline files of the first session, file by file."""
    from wandb.proto import wandb_internal_pb2

    steps = []
    for path in sorted(run.session(0).path.glob("wandb/offline-run-*/*.wandb")):
        for data in records(path.read_bytes()):
            record = wandb_internal_pb2.Record()
            record.ParseFromString(data)
            if record.WhichOneof("record_type") == "history":
                steps.append(record.history.step.num)
    return steps


def records(content: bytes) -> list[bytes]:
    """The records of a file of wandb: a header of 7 bytes, then LevelDB's log format in blocks of 32 KiB."""
    found, block, at, whole = [], 32 * 1024, 7, b""
    while at + 7 <= len(content):
        if block - at % block < 7:  # no header fits: the block's end is filled up
            at += block - at % block
            continue
        length, kind = int.from_bytes(content[at + 4 : at + 6], "little"), content[at + 6]
        whole += content[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # whole, or the last part
            found.append(whole)
            whole = b""
    return found


def sent_to_trackio(tmp_path: Path, run: RunFolder) -> list[int]:
    with sqlite3.connect(tmp_path / "trackio" / "rlkit.db") as db:
        query = "SELECT step FROM metrics WHERE run_name = ? ORDER BY id"
        rows = db.execute(query, [read_json(run.session(0).path / "tracking.json")["trackio"]["id"]]).fetchall()
    db.close()
    return [step for (step,) in rows]


def sent_to_mlflow(tmp_path: Path, run: RunFolder, metric: str) -> list[int]:
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=f"sqlite:///{tmp_path / 'mlflow.db'}")
    identity = read_json(run.session(0).path / "tracking.json")["mlflow"]["id"]
    return [point.step for point in client.get_metric_history(identity, metric)]


def the_run(tmp_path: Path) -> RunFolder:
    (folder,) = (tmp_path / "runs").glob("*/*")
    return RunFolder(folder)


def test_a_killed_and_resumed_run_is_one_rising_curve_in_each(offline: dict[str, str], tmp_path: Path):
    words = [
        *SMALL,
        "frames=400000",
        "log.every_frames=2048",
        "checkpoint.every_frames=16384",
        "tracker.every_seconds=0.1",
    ]
    command = rlkit(*words, "tracker=[wandb,trackio,mlflow]")
    process = subprocess.Popen(command, env=offline, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    end = time.monotonic() + 120
    state: dict[str, dict[str, int]] = {}
    while time.monotonic() < end and process.poll() is None:
        if found := list((tmp_path / "runs").glob("*/*/session_0/tracking.json")):
            state = read_json(found[0])
            if set(state) == set(NAMES) and all(one["frames"] > 0 for one in state.values()):
                break
        time.sleep(0.02)
    assert process.poll() is None, "the run ended before all trackers had a row"
    process.send_signal(signal.SIGKILL)
    process.wait()
    run = the_run(tmp_path)
    assert set(state) == set(NAMES)
    resume = rlkit("resume", str(run.path))
    for _ in range(60):  # the process that feeds the trackers sees the end of the killed one, and sends what is left
        done = subprocess.run(resume, env=offline, capture_output=True, text=True, timeout=300, check=False)
        if done.returncode == 0:
            break
    assert done.returncode == 0, done.stderr
    subprocess.run(rlkit("sync", str(run.path), "--to", "wandb"), env=offline, check=True, capture_output=True)

    session = run.session(0)
    frames = sorted({row["frames"] for path in (session.metrics, session.eval) for row in read_rows(path)})
    assert frames[-1] >= 400_000
    assert sent_to_wandb(run) == frames
    assert sent_to_trackio(tmp_path, run) == frames
    logged = [row["frames"] for row in read_rows(session.metrics)]
    assert sent_to_mlflow(tmp_path, run, "train/entropy") == logged
    after = read_json(session.path / "tracking.json")
    assert {name: after[name]["id"] for name in NAMES} == {name: state[name]["id"] for name in NAMES}
    found = [path for path in tmp_path.rglob("*") if path.is_file() and KEY.encode() in path.read_bytes()]
    assert found == []


def test_a_tracker_out_of_reach_leaves_training_as_it_is(offline: dict[str, str], tmp_path: Path):
    away = {"MLFLOW_TRACKING_URI": "http://127.0.0.1:9", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}
    words = [*SMALL, "frames=2048", "tracker=[mlflow,trackio]"]
    done = subprocess.run(
        rlkit(*words), env={**offline, **away}, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    run = the_run(tmp_path)
    assert read_json(run.result)["status"] == "complete"
    assert "mlflow did not take session_0" in done.stdout + done.stderr
    assert f"rlkit sync {run.path} --to mlflow" in done.stdout + done.stderr
    assert sent_to_trackio(tmp_path, run)
    again = subprocess.run(
        rlkit("sync", str(run.path), "--to", "mlflow"), env=offline, capture_output=True, text=True, check=False
    )
    assert again.returncode == 0, again.stderr
    assert sent_to_mlflow(tmp_path, run, "train/entropy") == [r["frames"] for r in read_rows(run.session(0).metrics)]
