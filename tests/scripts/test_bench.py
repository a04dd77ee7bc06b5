from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import pytest

import bench_core
from rlkit.config.schema import compose
from speed import document, peers, stats, tasks
from speed.cases import every_case
from speed.products import Pass
from speed.run_sb3 import arguments

TASKS = tasks.load()


@pytest.mark.parametrize("name", TASKS)
def test_rlkit_gets_every_setting_of_a_task(name: str) -> None:
    task = TASKS[name]
    config = compose(dataclasses.replace(task, threads=2).overrides(seed=3))
    assert (config.frames, config.num_envs, config.seed, config.threads) == (task.frames, task.num_envs, 3, 2)
    for key, value in task.settings.items():
        found: Any = config.algo
        for part in tasks.SPELLED.get(key, key).split("."):
            found = getattr(found, part)
        assert found == value, key
        assert not (isinstance(value, str) and value[0].isdigit()), f"{key}: YAML took {value} for a word"
    for key, value in task.net.items():
        assert getattr(config.net, key) == value


def test_the_first_task_is_the_readmes_first_command() -> None:
    mine = dataclasses.asdict(compose(TASKS["ppo_cartpole"].overrides()))
    assert mine == dataclasses.asdict(compose(["algo=ppo", "env=cartpole"]))


def test_peers_get_the_same_settings_by_their_names() -> None:
    ppo = arguments({**dataclasses.asdict(TASKS["ppo_cartpole"]), "peer": "sb3"})
    assert (ppo["n_steps"], ppo["n_epochs"], ppo["batch_size"]) == (32, 20, 256)
    assert (ppo["gamma"], ppo["gae_lambda"]) == (0.98, 0.8)
    assert (ppo["learning_rate"](0.25), ppo["clip_range"](0.5)) == pytest.approx((2.5e-4, 0.1))
    assert arguments({**dataclasses.asdict(TASKS["ppo_cartpole_long"]), "peer": "sb3"})["learning_rate"] == 3e-4
    dqn = arguments({**dataclasses.asdict(TASKS["dqn_cartpole"]), "peer": "sbx"})
    assert (dqn["train_freq"], dqn["gradient_steps"], dqn["buffer_size"]) == (256, 128, 100_000)
    assert dqn["exploration_fraction"] == pytest.approx(0.16)
    assert "max_grad_norm" not in dqn


@pytest.mark.parametrize("torch_version", ["the same", "another"])
def test_a_peer_with_another_torch_is_refused(
    torch_version: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = peers.versions()

    def run(command: list[str]) -> str:
        if "-c" not in command:
            return ""
        asked = command[command.index("-c") + 2 :]
        found = {name: mine.get(name, "1.0") for name in asked}
        if torch_version == "another":
            found["torch"] = "1.13.0"
        return json.dumps([found[name] for name in asked])

    monkeypatch.setattr(peers, "_run", run)
    (tmp_path / "sb3").mkdir()
    if torch_version == "another":
        with pytest.raises(peers.BenchError, match=r"sb3 has torch 1\.13\.0, rlkit has"):
            peers.install("sb3", tmp_path)
    else:
        assert peers.install("sb3", tmp_path).versions["torch"] == mine["torch"]


def test_a_failing_run_is_an_error_with_its_last_words() -> None:
    with pytest.raises(peers.BenchError, match=r"exit status 3(.|\n)*out of luck"):
        peers._measured(lambda spawned: ["sh", "-c", "echo out of luck >&2; exit 3"], 1, {})
    out, cost = peers._measured(lambda spawned: ["sh", "-c", "echo $OMP_NUM_THREADS $MORE"], 2, {"MORE": "x"})
    assert out.split() == ["2", "x"]
    assert cost["wall_seconds"] > 0


def test_statistics_of_runs() -> None:
    assert stats.spread([3.0, 1.0, 2.0]) == {"median": 2.0, "min": 1.0, "max": 3.0}
    assert stats.interval([5.0], 0.7) == (5.0, 0.7)
    mean, half = stats.interval([1.0, 2.0, 3.0], 9.0)
    assert mean == 2.0
    assert half == pytest.approx(4.30 / math.sqrt(3))


def test_operations_of_products() -> None:
    assert Pass((2, 3), 1, 5, "forward").operations == 2 * 5 * 2 * 3
    # Two networks, 2 -> 3 -> 1: forward and weights' gradients of both layers, the input's gradient of the second.
    assert Pass((2, 3, 1), 2, 5, "learn").operations == 2 * (2 * 2 * 5 * (6 + 3) + 2 * 5 * 3)
    assert Pass((2, 3, 1), 1, 5, "through").operations == 2 * 2 * 5 * (6 + 3)


def _run(fps: float) -> dict[str, Any]:
    split = {"env": 0.2, "policy": 0.1, "learn": 0.4, "eval": 0.2, "other": 0.1}
    return {
        "frames": 1000, "updates": 100, "fps": fps, "steady_fps": fps, "startup_seconds": 2.0, "wall_seconds": 10.0,
        "cpu_seconds": 9.0, "rss_mb": 300.0, "return": 200.0, "return_half_width": 5.0, "train_seconds": 1000 / fps,
        "time_split": split,
    }  # fmt: skip


def _record() -> dict[str, Any]:
    task = TASKS["ppo_cartpole"]
    facts = {"cpu": "some processor", "cores": 2, "memory_gib": 8, "system": "Linux", "environment": {}}
    runs = {"rlkit": [_run(2000), _run(4000), _run(3000)], "sb3": [_run(1000), _run(1000), _run(1000)]}
    return {
        "task": "ppo_cartpole", **dataclasses.asdict(task), "peer": "sb3", "ratio": stats.spread([2.0, 4.0, 3.0]),
        "runs": runs, "date": "2026-01-02", "revision": "abc", "machine": facts, "versions": {"torch": "2.0"},
        "peer_versions": {"stable-baselines3": "2.9.2"}, "import_torch_mb": 250.0,
    }  # fmt: skip


def test_tables_are_written_between_their_comments_and_nowhere_else(tmp_path: Path) -> None:
    results = tmp_path / "speed"
    results.mkdir()
    page = tmp_path / "performance.md"
    names = list(document.tables(results))
    empty = "# Title\n\n" + "".join(f"before {n}\n\n<!-- {n} -->\nold\n<!-- /{n} -->\n\n" for n in names) + "end\n"
    page.write_text(empty)
    document.write(page, results)
    assert page.read_text() == empty.replace("old", "Not measured yet.")

    (results / "ppo_cartpole.sb3.json").write_text(json.dumps(_record()))
    document.write(page, results)
    first = page.read_text()
    assert (
        "| SB3 | some processor | 1,000 | 3,000 | **3.00** (2.00 to 4.00; 3) | 4 | 200.0 ± 0.0 | 200.0 ± 0.0 |" in first
    )
    assert "some processor, 2 cores" in first
    assert "imports this build of torch takes 250 MB" in first
    assert "| 25% | 12% | 50% | 12% | 333 | 1,667 |" in first
    document.write(page, results)
    assert page.read_text() == first


def test_the_page_has_every_table() -> None:
    text = (Path(document.__file__).parents[2] / "docs" / "performance.md").read_text()
    for name in document.tables(Path("nowhere")):
        assert text.count(f"<!-- {name} -->") == text.count(f"<!-- /{name} -->") == 1


def test_every_piece_runs_on_both_sides() -> None:
    names = []
    for case in every_case():
        case.ours()
        case.theirs()
        names.append(case.name)
    assert len(names) == len(set(names)) == 14


def test_a_slowdown_is_pointed_out(capsys: pytest.CaptureFixture[str]) -> None:
    here = {"cpu": "this"}
    old = {"date": "d", "revision": "r", "load": 1.0, "machine": here}
    history = [
        {**old, "cases": {"a": {"ours": 10.0, "theirs": 20.0}, "b": {"ours": 10.0}}},
        {**old, "machine": {"cpu": "that"}, "cases": {"a": {"ours": 1.0}}},
    ]
    new = {**old, "cases": {"a": {"ours": 12.0, "theirs": 20.0}, "b": {"ours": 10.5}, "c": {"ours": 1.0}}}
    bench_core.compare(new, history)
    lines = capsys.readouterr().out.splitlines()
    assert any("1.20 x a, autograd 1.00   SLOWER" in line for line in lines)
    assert any(line.strip() == "1.05 x b" for line in lines)
