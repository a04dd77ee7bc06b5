"""The page of `rlkit ui`: what it lists, what it refuses, and that strange folders do not harm it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from rlkit.ui.server import application
from tests.evidence.runs import write_run

HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    root = tmp_path / "runs"
    write_run(root / "a" / "20260101-000000", {0: 90.0, 1: 110.0})
    write_run(root / "b", {0: 50.0}, algo="dqn", algo_gamma=0.9)
    return root


@pytest.fixture
def client(runs: Path) -> TestClient:
    return TestClient(application(runs), base_url="http://127.0.0.1")


def test_every_run_is_listed_with_its_figures(client: TestClient):
    rows = {row["id"]: row for row in client.get("/api/runs").json()["runs"]}
    assert set(rows) == {"a/20260101-000000", "b"}
    figures = [rows["b"][key] for key in ("algo", "env", "seeds", "frames")]
    assert figures == ["dqn", "cartpole", 1, 300]
    assert rows["a/20260101-000000"]["seeds"] == 2


def test_a_curve_has_the_rows_of_each_seed_and_goes_on_where_it_was_left(client: TestClient, runs: Path):
    whole = client.get("/api/curves", params={"run": "b"}).json()
    assert json.dumps([10.0, 50.0, 100.0])[1:-1].replace(" ", "") in json.dumps(whole).replace(" ", "")
    with (runs / "b" / "session_0" / "eval.jsonl").open("a") as file:
        file.write(json.dumps({"frames": 400, "updates": 40, "mean": 321.0, "returns": [321.0]}) + "\n")
    later = json.dumps(client.get("/api/curves", params={"run": "b", "after": "0:300"}).json())
    assert "321.0" in later
    assert "10.0" not in later


def test_differences_are_the_keys_in_which_runs_differ(client: TestClient):
    found = client.get("/api/differences", params=[("run", "a/20260101-000000"), ("run", "b")]).json()
    assert found["algo.gamma"] == ["0.99", "0.9"]
    assert "env.id" not in found


@pytest.mark.parametrize("name", ["..", "../x", "%2e%2e", "a/../../x", "/etc", "nothing", "a/../b", "link", "b\0"])
def test_nothing_outside_of_the_folder_is_read(client: TestClient, runs: Path, tmp_path: Path, name: str):
    write_run(tmp_path / "x", {0: 1.0})
    (runs / "link").symlink_to(tmp_path / "x")
    for path in ("/api/run", "/api/curves"):
        assert client.get(path, params={"run": name}).status_code == 404
    assert client.get(f"/video/{name}/videos/1.mp4".replace("\0", "%00")).status_code == 404
    assert "link" not in {row["id"] for row in client.get("/api/runs").json()["runs"]}


@pytest.mark.parametrize("path", ["config.yaml", "run.json", "session_0/eval.jsonl"])
def test_only_videos_and_reports_are_files_that_are_sent(client: TestClient, path: str):
    assert client.get(f"/video/b/{path}").status_code == 404
    assert client.get(f"/report/b/{path}").status_code == 404


def test_a_film_is_sent_as_a_film(client: TestClient, runs: Path):
    films = runs / "b" / "session_0" / "videos"
    films.mkdir()
    (films / "100.mp4").write_bytes(b"film")
    assert client.get("/api/run", params={"run": "b"}).json()["videos"] == ["b/session_0/videos/100.mp4"]
    answer = client.get("/video/b/session_0/videos/100.mp4")
    assert (answer.content, answer.headers["content-type"]) == (b"film", "video/mp4")


def test_other_hosts_and_other_methods_are_refused(client: TestClient):
    assert client.get("/api/runs", headers={"host": "evil.example"}).status_code == 400
    for method in ("post", "put", "delete"):
        assert getattr(client, method)("/api/runs").status_code == 405


def test_every_answer_has_the_policies(client: TestClient):
    for path in ("/", "/api/runs", "/static/app.js", "/api/run?run=none"):
        headers = client.get(path).headers
        assert "script-src 'self'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"


def test_a_hostile_name_is_data(client: TestClient, runs: Path):
    write_run(runs / HOSTILE, {0: 1.0})
    answer = client.get("/api/runs")
    assert HOSTILE in {row["id"] for row in answer.json()["runs"]}
    assert answer.headers["content-type"].startswith("application/json")
    assert "innerHTML" not in client.get("/static/app.js").text


def test_a_broken_run_is_listed_with_its_problem(client: TestClient, runs: Path):
    for name, text in (("torn", "{a: ["), ("alias", "a: &a [1]\nb: " + "[*a, " * 40), ("empty", "")):
        (runs / name).mkdir()
        (runs / name / "config.yaml").write_text(text)
    (runs / "fifo").mkdir()
    os.mkfifo(runs / "fifo" / "config.yaml")
    rows = {row["id"]: row for row in client.get("/api/runs").json()["runs"]}
    assert {"torn", "alias", "fifo", "b"} <= set(rows)
    assert rows["torn"]["status"] == rows["fifo"]["status"] == "unreadable"
    assert rows["torn"]["problem"]
    assert rows["b"]["status"] != "unreadable"


def test_no_secret_is_shown(client: TestClient, runs: Path):
    token = "hf_" + "a" * 34
    (runs / "b" / "run.json").write_text(json.dumps({"command": f"HF_TOKEN={token} rlkit algo=dqn"}))
    (runs / "b" / "run.log").write_text(f"token {token}\n")
    assert token not in client.get("/api/run", params={"run": "b"}).text


def test_the_verb_answers_on_the_loopback_address_alone_and_ends_with_ctrl_c(runs: Path):
    import signal
    import urllib.request

    started = subprocess.Popen(
        [sys.executable, "-m", "rlkit", "ui", str(runs), "--port", "0", "--no-open"], stdout=subprocess.PIPE, text=True
    )
    try:
        assert started.stdout is not None
        address = started.stdout.readline().split()[0]
        assert address.startswith("http://127.0.0.1:")
        with urllib.request.urlopen(f"{address}/api/runs", timeout=30) as answer:
            assert len(json.load(answer)["runs"]) == 2
        port = address.rpartition(":")[2]
        taken = subprocess.run(
            [sys.executable, "-m", "rlkit", "ui", str(runs), "--port", port, "--no-open"],
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert taken.returncode == 2
        assert f"--port {port} cannot be used" in taken.stderr
        started.send_signal(signal.SIGINT)
        assert started.wait(30) == 0
    finally:
        started.kill()
        started.communicate()


def test_values_of_yaml_that_json_does_not_have_break_nothing(client: TestClient, runs: Path):
    (runs / "dated").mkdir()
    (runs / "dated" / "config.yaml").write_text("algo: {name: 2020-01-01}\nenv: {name: !!binary aGk=, id: x}\n")
    assert "dated" in {row["id"] for row in client.get("/api/runs").json()["runs"]}
    assert client.get("/api/run", params={"run": "dated"}).status_code in (200, 422)


def test_a_sweep_shows_no_run_outside_of_the_folder(client: TestClient, runs: Path, tmp_path: Path):
    outside = write_run(tmp_path / "x", {0: 1.0})
    (runs / "sweep" / ".jobs").mkdir(parents=True)
    (runs / "sweep" / ".jobs" / "0.json").write_text(json.dumps({"run": str(outside), "overrides": []}))
    answer = client.get("/api/search", params={"search": "sweep"})
    assert answer.status_code in (200, 422)
    assert not answer.json().get("lines")
