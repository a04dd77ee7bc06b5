"""A resumed run's rows are those of a run that never stopped, and what happens where the memory was not saved."""

import json
from pathlib import Path

import pytest

from rlkit import compose
from rlkit.config.algorithms import ALGORITHMS
from rlkit.config.off_policy import OffPolicyConfig
from rlkit.runs.folder import SessionFolder
from rlkit.runs.manifest import newest
from rlkit.training import logbook
from rlkit.training.interrupt import StopSignal
from rlkit.training.session import Session
from tests.training.runs import StopAfter, session, traces

EVERY_ROW = ["frames=160", "log.every_frames=1", "eval.every_frames=160", "eval.episodes=1", "eval.periodic_episodes=1"]
SMALL = ["num_envs=4", "net.hidden=[8]", "~tuned"]
OWN = {
    "crossq": ["critic_net.hidden=[8]"],
    "sac": ["algo.policy_delay=3"],
    "ppo": ["algo.minibatch_size=8", "algo.target_kl=1e-4"],
    "ppo_sil": ["algo.minibatch_size=8", "algo.target_kl=1e-4"],
}
STOPS = (68, 72)
"""Frames after which a row follows before an update that reports everything, for the algorithms that update rarely."""


@pytest.fixture(autouse=True)
def _watch_every_rollout(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(logbook, "WATCH_SECONDS", -1)


def overrides(algo: str) -> list[str]:
    env = "env=pendulum" if ALGORITHMS[algo].actions[0] == "Box" else "env=cartpole"
    given = [f"algo={algo}", env, *SMALL, *EVERY_ROW, *OWN.get(algo, [])]
    if issubclass(ALGORITHMS[algo].config, OffPolicyConfig):
        return [*given, "algo.learning_starts=40", "algo.batch_size=8", "algo.train_every_frames=6"]
    return [*given, "algo.n_steps=4"] if algo != "reinforce" else given


SCHEDULES = {
    "learning_rate": ["algo.learning_rate_schedule.kind=linear"],
    "alpha": ["algo.alpha=0.2", "algo.alpha_schedule.kind=linear", "algo.alpha_schedule.end=0.1"],
}


@pytest.mark.parametrize(
    ("algo", "schedule"),
    [
        *((algo, "") for algo in sorted(ALGORITHMS)),
        *((algo, "learning_rate") for algo in ("dqn", "sac", "td3", "tqc", "crossq")),
        *((algo, "alpha") for algo in ("sac", "crossq")),
    ],
)
def test_every_row_of_a_resumed_run_is_that_of_the_whole_run(algo: str, schedule: str, tmp_path: Path):
    given = [*overrides(algo), *SCHEDULES.get(schedule, [])]
    session(tmp_path / "whole", given)
    for at in STOPS:
        stop = StopAfter(at)
        session(tmp_path / f"{at}", given, watcher=stop, stop=stop)
        session(tmp_path / f"{at}", given)
        assert traces(tmp_path / f"{at}") == traces(tmp_path / "whole")


@pytest.mark.parametrize("algo", ["sac", "dqn"])
def test_a_checkpoint_without_the_latest_metrics_still_loads(algo: str, tmp_path: Path):
    """As those of earlier versions are."""
    stop = StopAfter(80)
    session(tmp_path, overrides(algo), watcher=stop, stop=stop)
    path = tmp_path / "checkpoints" / "80"
    from rlkit.training import checkpoint

    parts = checkpoint.load_parts(path)
    del parts["session"]["reporting"]
    parts["algo"].pop("reported", None)
    checkpoint.save(tmp_path / "checkpoints", 80, checkpoint.load_weights(path), parts, 2)
    assert session(tmp_path, overrides(algo))["status"] == "complete"


@pytest.mark.parametrize(
    ("starts", "batch", "waits"), [(40, 8, 40), (0, 24, 24), (4, 24, 24)], ids=["starts", "batch", "larger"]
)
@pytest.mark.parametrize("memory", ["replay", "prioritized"])
def test_without_the_memorys_contents_updates_wait_until_it_has_filled(
    starts: int, batch: int, waits: int, memory: str, tmp_path: Path
):
    given = ["algo=dqn", "env=cartpole", *SMALL, *EVERY_ROW, f"memory={memory}", "memory.save=false"]
    given += [f"algo.learning_starts={starts}", f"algo.batch_size={batch}", "algo.train_every_frames=4"]
    stop = StopAfter(80)
    session(tmp_path, given, watcher=stop, stop=stop)
    resumed = Session(
        compose(given), 0, SessionFolder(tmp_path), None, None, StopSignal(), 0.0, newest(tmp_path / "checkpoints")
    )
    before, rows = resumed.algo.updates, []
    assert resumed.memory.rows == 0
    update = resumed.algo.update

    def spied(drawn):
        rows.append(resumed.memory.rows)
        return update(drawn)

    resumed.algo.update = spied
    resumed.run()
    resumed.close()
    assert rows[0] == waits + 4  # the frames after these bring updates
    owed = (160 - 80 - waits) // 4
    assert resumed.algo.updates - before == len(rows) == pytest.approx(owed, abs=1)


def test_an_uninterrupted_run_begins_at_learning_starts_whatever_the_batch(tmp_path: Path):
    given = ["algo=dqn", "env=cartpole", *SMALL, *EVERY_ROW, "algo.learning_starts=8", "algo.batch_size=64"]
    session(tmp_path, [*given, "algo.train_every_frames=4", "memory.save=false"])
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [row["train/updates"] for row in rows[:4]] == [0, 0, 1, 2]


@pytest.mark.parametrize("algo", ["dqn", "ppo", "a2c_sil"])
def test_episodes_that_cannot_be_continued_leave_nothing_behind(algo: str, tmp_path: Path):
    """An environment that draws from an unseeded generator: after a resume new episodes begin."""
    unseeded = ["env=gym", "env.id=tests.envs.chain:Broken-v0", "env.kwargs.how=unseeded", "num_envs=2", "~tuned"]
    net = ["net=gru", "net.width=4"] if algo == "ppo" else ["net.hidden=[8]"]
    given = [f"algo={algo}", *unseeded, *net, *EVERY_ROW]
    given += ["algo.learning_starts=8", "algo.batch_size=8"] if algo == "dqn" else ["algo.n_steps=6"]
    stop = StopAfter(60)
    session(tmp_path, given, watcher=stop, stop=stop)
    resumed = Session(
        compose(given), 0, SessionFolder(tmp_path), None, None, StopSignal(), 0.0, newest(tmp_path / "checkpoints")
    )
    assert resumed.envs.interrupted
    assert resumed.envs.lengths.tolist() == [0, 0]
    assert resumed.collector.state is None
    if algo == "dqn":
        latest = resumed.memory.table[resumed.memory._row(resumed.memory.written - 1)]
        assert latest[:, resumed.memory.layout.span["boundary"].start].tolist() == [1, 1]
    if algo == "a2c_sil":
        trail = resumed.algo.episodes.trail
        assert trail.start.tolist() == [trail.length] * 2
    assert resumed.run()["status"] == "complete"
    resumed.close()
