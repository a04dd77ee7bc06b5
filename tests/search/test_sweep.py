"""Searches as a user runs them: real processes, started by submitit, killed and resumed."""

import csv
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import optuna
import psutil
import pytest
import yaml
from optuna.trial import TrialState

from rlkit.runs.folder import read_json
from rlkit.search import study as record
from rlkit.search.display import best_trial
from rlkit.search.study import SweepFolder

TOY = [
    "algo=ppo",
    "env=gym",
    "env.id=tests.envs.chain:Identity-v0",
    "frames=4096",
    "num_envs=4",
    "algo.n_steps=32",
    "algo.epochs=1",
    "net.hidden=[8]",
    "eval.every_frames=512",
    "eval.periodic_episodes=4",
    "eval.episodes=8",
    "checkpoint.every_frames=512",
    "search.jobs=2",
]
CRASHING = "env.id=tests.search.crashing:Crashing-v0"
SPACE = "algo.learning_rate=tag(log,interval(1e-5,1e-1))"


def command(preset: str, *words: str) -> list[str]:
    return [sys.executable, "-m", "rlkit", "-m", f"search={preset}", *TOY, *words]


@pytest.fixture(autouse=True)
def _the_tests_environments_are_found(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))


def search(preset: str, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(preset, *words), capture_output=True, text=True, timeout=300)


def sweep_folder(name: str) -> SweepFolder:
    return SweepFolder.open(Path(os.environ["RLKIT_RUNS"]) / "search" / name)


def trials(folder: SweepFolder) -> list[optuna.trial.FrozenTrial]:
    return folder.study().get_trials()


def no_process_of(folder: SweepFolder) -> bool:
    """Whether nothing that works below the folder is left."""
    return not [
        p for p in psutil.process_iter(["cmdline"]) if any(str(folder.path) in w for w in p.info["cmdline"] or [])
    ]


def test_a_search_prunes_survives_failures_and_goes_on_to_a_larger_total():
    # of four simulators one crashes, and a learning rate of 1e30 diverges
    words = [
        "~tuned", "hydra/sweeper/sampler=grid", "search.min_frames=512", "algo.max_grad_norm=null", CRASHING,
        "algo.learning_rate=choice(1e-2,1e-4,1e30)", "env.kwargs.at=choice(0,100000,200000,20)",
        "search.max_failure_rate=1", "log.every_frames=128",
    ]  # fmt: skip
    done = search("asha", *words, "search.trials=10")
    assert done.returncode == 0, done.stdout + done.stderr
    folder = sweep_folder("ppo_gym_asha")
    first = trials(folder)
    assert len(first) == 10
    by_params = {(t.params["algo.learning_rate"], t.params["++env.kwargs.at"]): t for t in first}
    for (learning_rate, at), t in by_params.items():
        status = t.user_attrs[record.STATUS]
        if at == 20:
            assert (t.state, status) == (TrialState.FAIL, "failed")
            assert "the simulator has crashed" in t.user_attrs[record.ERROR]
            assert "the simulator has crashed" in folder.run(t.number).log.read_text()
        elif learning_rate == 1e30:
            assert (t.state, status) == (TrialState.COMPLETE, "diverged")
            assert t.value <= min(x.value for x in first if x.value is not None)
        else:
            assert t.state in (TrialState.COMPLETE, TrialState.PRUNED)
    assert any(t.state is TrialState.PRUNED for t in first)
    assert any(t.state is TrialState.FAIL for t in first)
    best = best_trial(folder.study())
    saved = yaml.safe_load((folder.path / "optimization_results.yaml").read_text())
    assert (saved["best_trial"], saved["best_value"]) == (best.number, best.value)
    assert read_json(folder.run(best.number).result)["final_return"]["mean"] == best.value
    for name in ("history", "parallel", "intermediate"):
        assert (folder.path / "plots" / f"{name}.png").stat().st_size > 1000
    marked = {
        int(r["trial"])
        for r in csv.DictReader((folder.path / "plots" / "intermediate.csv").read_text().splitlines())
        if r["state"] == "pruned"
    }
    assert marked == {t.number for t in first if t.state is TrialState.PRUNED}
    assert f"trial {best.number}: {best.value:.4g}" in done.stdout
    assert "optuna-dashboard" in done.stdout

    before = {t.number: (t.state, t.value, t.params) for t in first}
    more = search("asha", *words, "search.trials=12")
    assert more.returncode == 0, more.stdout + more.stderr
    assert "10 of 12 trials are there already" in more.stdout
    after = trials(folder)
    assert [t.number for t in after] == list(range(12))
    assert {t.number: (t.state, t.value, t.params) for t in after[:10]} == before

    other = search("asha", *words, "search.trials=12", "algo.epochs=2")
    assert other.returncode == 2
    assert "holds another search" in other.stderr
    assert "algo.epochs=2: given now, not then" in other.stderr
    assert "learning_rate" not in other.stderr


def test_seeds_of_a_trial_advance_together_and_its_pruning_stops_them_all():
    done = search(
        "asha", "~tuned", "search.trials=4", "search.seeds=2", "search.jobs=1", "search.min_frames=512", SPACE
    )
    assert done.returncode == 0, done.stdout + done.stderr
    folder = sweep_folder("ppo_gym_asha")
    for t in trials(folder):
        run = folder.run(t.number)
        each = [read_json(run.session(seed).result) for seed in (1000, 1001)]
        assert {r["status"] for r in each} == {t.user_attrs[record.STATUS]}
        assert each[0]["frames"] == each[1]["frames"]
        if t.state is TrialState.COMPLETE:
            assert t.value == pytest.approx(sum(r["final_return"]["mean"] for r in each) / 2)
    assert {t.state for t in trials(folder)} == {TrialState.COMPLETE, TrialState.PRUNED}


@pytest.mark.parametrize("how", ["driver killed", "Ctrl-C", "Ctrl-C in a terminal", "Ctrl-C without processes"])
def test_an_interrupted_search_goes_on_to_the_same_total(how: str):
    """After Ctrl-C from where the trials then saved: there is no other checkpoint. A terminal sends it to everybody."""
    words = ["~tuned", "search.trials=3", "frames=40960", "eval.every_frames=2048", SPACE]
    words += ["checkpoint.every_frames=" + ("1024" if how == "driver killed" else "40960")]
    words += ["hydra/launcher=basic"] if how == "Ctrl-C without processes" else []
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    process = subprocess.Popen(command("random", *words), start_new_session=True, **pipes)
    root = Path(os.environ["RLKIT_RUNS"]) / "search" / "ppo_gym_random"
    until = time.monotonic() + 120
    while time.monotonic() < until and not any(p.stat().st_size for p in root.glob("trial_*/session_*/eval.jsonl")):
        time.sleep(0.05)
    if how == "driver killed":
        process.kill()
    elif how == "Ctrl-C in a terminal":
        os.killpg(process.pid, signal.SIGINT)
    else:
        process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=120)[0]
    folder = sweep_folder("ppo_gym_random")
    if how == "Ctrl-C without processes":
        assert process.returncode == 130, said
    elif how != "driver killed":
        assert process.returncode == 130, said
        assert "trials save and stop" in said
        assert no_process_of(folder)
    unfinished = [t.number for t in trials(folder) if t.state is TrialState.RUNNING]
    done = search("random", *words)
    assert done.returncode == 0, done.stdout + done.stderr
    assert [t.state for t in trials(folder)] == [TrialState.COMPLETE] * 3
    assert sorted(p.name for p in folder.path.glob("trial_*")) == [f"trial_{n:04d}" for n in range(3)]
    assert no_process_of(folder)
    if how != "driver killed":
        logs = [folder.run(n).log.read_text() for n in unfinished]
        assert any(re.search(r"continuing from [1-9]", log) for log in logs)


def test_a_trial_whose_seeds_all_diverge_counts_as_worse_than_the_others():
    done = search("grid", "~tuned", "search.seeds=2", "search.jobs=1", "algo.learning_rate=1e-2,1e30")
    assert done.returncode == 0, done.stdout + done.stderr
    good, bad = sorted(trials(sweep_folder("ppo_gym_grid")), key=lambda t: t.params["algo.learning_rate"])
    assert [t.user_attrs[record.STATUS] for t in (good, bad)] == ["complete", "diverged"]
    assert bad.state is TrialState.COMPLETE
    assert bad.value < good.value


def test_a_folder_may_have_any_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("RLKIT_RUNS", str(tmp_path / "Müller's (new), a=b & [c] #1"))
    done = search("random", "~tuned", "search.trials=1", "frames=512", SPACE)
    assert done.returncode == 0, done.stdout + done.stderr
    assert [t.state for t in trials(sweep_folder("ppo_gym_random"))] == [TrialState.COMPLETE]


def test_two_drivers_of_one_folder_are_one_too_many():
    words = ["~tuned", "search.trials=2", "frames=40960", SPACE]
    first = subprocess.Popen(command("random", *words), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    root = Path(os.environ["RLKIT_RUNS"]) / "search" / "ppo_gym_random"
    until = time.monotonic() + 120
    while time.monotonic() < until and not list(root.glob("trial_*")):
        time.sleep(0.05)
    second = search("random", *words)
    assert second.returncode == 2
    assert "is being searched by another process" in second.stderr
    assert first.wait(timeout=120) == 0


def test_only_the_best_keep_checkpoints_and_a_grid_is_walked_whole():
    done = search(
        "grid", "~tuned", "search.keep=1", "hydra/launcher=basic", "algo.learning_rate=1e-2,1e-5", "algo.gamma=0.9,0.99"
    )
    assert done.returncode == 0, done.stdout + done.stderr
    folder = sweep_folder("ppo_gym_grid")
    found = {(t.params["algo.learning_rate"], t.params["algo.gamma"]) for t in trials(folder)}
    assert len(found) == len(trials(folder)) == 4
    log = (folder.path / "search.log").read_text()
    assert [log.count(f"trial {n}: complete at") for n in range(4)] == [1] * 4
    kept = [p.parts[-3] for p in folder.path.glob("trial_*/session_*/checkpoints")]
    assert kept == [folder.run(best_trial(folder.study()).number).path.name]


def test_several_objectives_leave_a_front_of_best_trials():
    done = search(
        "random", "~tuned", "hydra/launcher=basic", "hydra/sweeper/sampler=nsgaii", "search.trials=4", SPACE,
        "search.metric=[final_return,train_seconds]", "search.direction=[maximize,minimize]",
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    folder = sweep_folder("ppo_gym_random")
    results = [read_json(folder.run(t.number).result) for t in trials(folder)]
    assert [t.values for t in trials(folder)] == [[r["final_return"]["mean"], r["train_seconds"]] for r in results]
    front = {t.number for t in folder.study().best_trials}
    shown = yaml.safe_load((folder.path / "optimization_results.yaml").read_text())
    assert {one["trial"] for one in shown["solutions"]} == front


def test_a_search_whose_trials_fail_is_given_up_and_goes_on_when_told_to():
    words = ["~tuned", "hydra/launcher=basic", CRASHING, "algo.learning_rate=1e-2,1e-3,1e-4,1e-5"]
    words += ["env.kwargs.at=0,20,30"]
    given_up = search("grid", *words, "frames=512", "hydra.sweeper.sampler.seed=1", "search.max_failure_rate=0.3")
    assert given_up.returncode == 2, given_up.stdout
    assert re.search(r"trials failed; the last with: .*the simulator has crashed", given_up.stderr)
    assert "search.max_failure_rate=1" in given_up.stderr
    begun = len(trials(sweep_folder("ppo_gym_grid")))
    assert 5 <= begun < 12
    done = search("grid", *words, "frames=512", "hydra.sweeper.sampler.seed=1", "search.max_failure_rate=1")
    assert done.returncode == 0, done.stderr
    states = [t.state for t in trials(sweep_folder("ppo_gym_grid"))]
    assert (len(states), states.count(TrialState.COMPLETE)) == (12, 4)


def test_no_trial_is_begun_after_the_time():
    words = ["~tuned", "hydra/launcher=basic", "search.trials=3", "frames=512", SPACE]
    done = search("random", *words, "search.timeout_minutes=0.0001")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "search.timeout_minutes is over" in done.stdout + done.stderr
    assert len(trials(sweep_folder("ppo_gym_random"))) < 3
    assert search("random", *words).returncode == 0
    assert len(trials(sweep_folder("ppo_gym_random"))) == 3


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["algo.lerning_rate=interval(1e-4,1e-2)"], "did you mean algo.learning_rate"),
        (["algo.alpha_lr=interval(1e-4,1e-2)"], "unknown key algo.alpha_lr"),
        (["algo.gamma=interval(0.9,3.0)"], "algo.gamma=1.95 is not accepted"),
        (["algo.gamma=0.9"], "nothing to search"),
        (["seed=0,1", SPACE], "search.seeds=3"),
    ],
)
def test_a_wrong_space_is_refused_before_the_first_trial(words: list[str], said: str):
    done = search("grid", "hydra/launcher=basic", *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert len(done.stderr.splitlines()) <= 12
    assert not (Path(os.environ["RLKIT_RUNS"]) / "search").exists()


def test_a_search_without_m_is_refused_with_the_command():
    done = subprocess.run(
        [sys.executable, "-m", "rlkit", "search=asha", "env=cartpole"], capture_output=True, text=True
    )
    assert done.returncode == 2
    assert "add -m: rlkit -m search=asha env=cartpole" in done.stderr
