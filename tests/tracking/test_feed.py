"""What reaches a tracker, with one that keeps a list."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any, ClassVar

import pytest
import yaml

from rlkit import compose, train
from rlkit.cli.verbs import run as verb
from rlkit.errors import ConfigError, RlkitError
from rlkit.runs.folder import RunFolder, read_rows
from rlkit.runs.lock import BusyError, alone
from rlkit.tracking import clients, feed
from rlkit.training.trial import create


class Listed:
    """A tracker whose runs are lists, by identity."""

    runs: ClassVar[dict[str, list[tuple[int, dict[str, float]]]]] = {}
    described: ClassVar[list[clients.Described]] = []
    ended: ClassVar[list[str]] = []

    def begin(self, session: clients.Described, identity: str | None) -> str:
        self.described.append(session)
        self.identity = identity or f"r{len(self.runs)}"
        self.runs.setdefault(self.identity, [])
        return self.identity

    def log(self, frames: int, values: dict[str, float]) -> None:
        self.runs[self.identity].append((frames, values))

    def end(self, status: str) -> None:
        self.ended.append(status)


class Broken(Listed):
    def log(self, frames: int, values: dict[str, float]) -> None:
        raise ConnectionError("no route, with api_key=Zq81xKfj22LmPw")


@pytest.fixture(autouse=True)
def _listed(monkeypatch: pytest.MonkeyPatch):
    for name in ("runs", "described", "ended"):
        monkeypatch.setattr(Listed, name, type(getattr(Listed, name))())
    monkeypatch.setitem(clients.CLIENTS, "wandb", Listed)
    monkeypatch.setitem(clients.CLIENTS, "mlflow", Broken)
    monkeypatch.setattr(clients, "installed", lambda name: True)


def trained(tiny: list[str], *more: str) -> RunFolder:
    return RunFolder.open(train(compose([*tiny, "log.every_frames=128", *more]), quiet=True).folder)


def frames_of(run: RunFolder, seed: int = 0) -> list[int]:
    session = run.session(seed)
    return sorted({row["frames"] for path in (session.metrics, session.eval) for row in read_rows(path)})


def test_every_row_is_sent_once_in_the_order_of_frames(tiny: list[str]):
    run = trained(tiny, "seeds=2")
    assert feed.sync(run.path, ["wandb"], tell=pytest.fail) == {"wandb": 2 * len(frames_of(run))}
    assert feed.sync(run.path, ["wandb"], tell=pytest.fail) == {"wandb": 0}
    for seed, sent in enumerate(Listed.runs.values()):
        assert [frames for frames, _ in sent] == frames_of(run, seed)
        last = read_rows(run.session(seed).metrics)[-1]
        assert sent[-1][1]["train/entropy"] == last["train/entropy"]
        assert sent[-1][1]["eval/return"] == read_rows(run.session(seed).eval)[-1]["mean"]
        assert sent[-1][1]["time/fps"] > 0
    assert {d.group for d in Listed.described} == {f"ppo_cartpole_v1/{run.path.name}"}
    assert [d.name for d in Listed.described] == ["seed 0", "seed 1"]
    assert Listed.ended == ["complete", "complete"]


def test_a_larger_budget_continues_the_same_run(tiny: list[str]):
    from rlkit import resume

    run = trained(tiny)
    feed.sync(run.path, ["wandb"], tell=pytest.fail)
    resume(run.path, ["frames=1536"])
    feed.sync(run.path, ["wandb"], tell=pytest.fail)
    (sent,) = Listed.runs.values()
    assert [frames for frames, _ in sent] == frames_of(run)
    assert max(frames_of(run)) == 1536


def test_the_latest_frames_wait_while_more_may_be_written_of_them(tiny: list[str]):
    run = trained(tiny)
    rows = feed.rows_of(run.session(0), 0, all_written=False)
    assert [frames for frames, _ in rows] == frames_of(run)[:-1]
    assert feed.rows_of(run.session(0), 512, all_written=True)[0][0] == 640


def test_who_is_killed_between_the_note_and_the_row_sends_no_row_twice(tiny: list[str], monkeypatch):
    run = trained(tiny)

    def killed(self: Listed, frames: int, values: dict[str, float]) -> None:
        self.runs[self.identity].append((frames, values))
        if frames == 512:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Listed, "log", killed)
        with pytest.raises(KeyboardInterrupt):
            feed.sync(run.path, ["wandb"], tell=pytest.fail)
    feed.sync(run.path, ["wandb"], tell=pytest.fail)
    (sent,) = Listed.runs.values()
    assert [frames for frames, _ in sent] == frames_of(run)


def test_a_row_that_a_tracker_refuses_is_sent_by_the_next(tiny: list[str], monkeypatch: pytest.MonkeyPatch):
    run, told = trained(tiny), []
    sends = Listed.log

    def refusing(self: Listed, frames: int, values: dict[str, float]) -> None:
        if frames == 384:
            raise ConnectionError("gone")
        sends(self, frames, values)

    with monkeypatch.context() as patch:
        patch.setattr(Listed, "log", refusing)
        feed.sync(run.path, ["wandb"], tell=told.append)
    assert len(told) == 1
    feed.sync(run.path, ["wandb"], tell=pytest.fail)
    (sent,) = Listed.runs.values()
    assert [frames for frames, _ in sent] == frames_of(run)


def test_of_a_run_that_is_trained_the_latest_frames_wait(tiny: list[str]):
    run = trained(tiny)
    with alone(run.path, "trained"):
        assert feed.sync(run.path, ["wandb"], tell=pytest.fail) == {"wandb": len(frames_of(run)) - 1}
    assert feed.sync(run.path, ["wandb"], tell=pytest.fail) == {"wandb": 1}


def test_numbers_alone_are_sent(tmp_path: Path, tiny: list[str]):
    run = trained(tiny)
    path = run.session(0).metrics
    first = '{"frames": 5, "a": 1, "b": null, "c": NaN, "d": "text", "e": true, "f": Infinity}'
    path.write_text(first + '\n{"frames": 6}\n')
    rows = feed.rows_of(run.session(0), 0, all_written=True)
    assert rows[0] == (5, {"a": 1.0})
    assert 6 not in dict(rows)


def test_a_tracker_that_fails_is_told_of_and_the_others_go_on(tiny: list[str]):
    run, told = trained(tiny, "seeds=2"), []
    assert feed.sync(run.path, ["mlflow", "wandb"], tell=told.append)["wandb"] == 2 * len(frames_of(run))
    assert len(told) == 2
    assert "no route" in told[0]
    assert f"rlkit sync {run.path} --to mlflow" in told[0]
    assert "Zq81xKfj22LmPw" not in "".join(told)


def test_the_configuration_goes_without_secrets(tiny: list[str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MY_API_KEY", "Zq81xKfj22LmPw")
    run = trained(tiny)
    values = yaml.safe_load(run.config.read_text())
    values["name"] = "Zq81xKfj22LmPw"
    run.config.write_text(yaml.safe_dump(values))
    feed.sync(run.path, ["wandb"], tell=pytest.fail)
    (described,) = Listed.described
    assert described.config["algo"]["gamma"] == values["algo"]["gamma"]
    assert "Zq81xKfj22LmPw" not in json.dumps(described.config)


def test_trials_of_a_search_are_one_group(tiny: list[str], tmp_path: Path):
    groups = set()
    for number in (3, 4):
        config = compose([*tiny, f"trial.folder={tmp_path / 'my_search'}", f"trial.number={number}"])
        sender = feed.Feed(create(config), ["wandb"], pytest.fail).senders[0]
        groups.add(sender.described.group)
        assert sender.described.name == f"trial {number} seed 0"
    assert groups == {"ppo_cartpole_v1/my_search"}


def test_only_one_process_sends_a_run(tiny: list[str]):
    run = trained(tiny)
    (run.path / ".tracking").mkdir()
    with alone(run.path / ".tracking", "sent"), pytest.raises(BusyError, match="sent to trackers by another process"):
        feed.sync(run.path, ["wandb"], tell=pytest.fail)


def test_a_run_is_followed_until_it_ends(tiny: list[str]):
    run, stop = trained(tiny, "tracker.every_seconds=0.01"), threading.Event()
    values = yaml.safe_load(run.config.read_text())
    values["tracker"]["wandb"] = True
    run.config.write_text(yaml.safe_dump(values))
    seen: list[int] = []
    thread = threading.Thread(target=feed.follow, args=(run, stop, pytest.fail))
    thread.start()
    while not (seen := [frames for sent in list(Listed.runs.values()) for frames, _ in sent]):
        pass
    stop.set()
    thread.join(timeout=10)
    assert seen[-1] <= frames_of(run)[-1]
    (sent,) = Listed.runs.values()
    assert [frames for frames, _ in sent] == frames_of(run)


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["tracker=wandbb"], "did you mean tracker=wandb"),
        (["tracker=[wandb,mlfow]"], "did you mean tracker=mlflow"),
        (["tracker=[wandb,3]"], "unknown choice tracker=3"),
        (["tracker.every_seconds=0"], r"tracker\.every_seconds=0.0 is not accepted"),
        (["tracker.project="], r"tracker\.project= is not accepted"),
    ],
)
def test_wrong_trackers_are_refused_in_words(words: list[str], error: str):
    with pytest.raises(ConfigError, match=error):
        compose(words)


@pytest.mark.parametrize(
    ("words", "on"),
    [
        ([], ["tensorboard"]),
        (["tracker=none"], []),
        (["tracker=null"], []),
        (["tracker=[]"], []),
        (["~tracker"], []),
        (["tracker=mlflow"], ["tensorboard", "mlflow"]),
        (["tracker=[trackio,wandb]"], ["tensorboard", "wandb", "trackio"]),
        (["tracker=[none,wandb]"], ["wandb"]),
        (["tracker.wandb=true"], ["tensorboard", "wandb"]),
    ],
)
def test_the_trackers_that_are_named_are_on(words: list[str], on: list[str]):
    tracker = compose(words).tracker
    assert [name for name in ("tensorboard", *clients.TRACKERS) if getattr(tracker, name)] == on
    assert tracker.fed == [name for name in on if name != "tensorboard"]


def test_without_tensorboard_no_events_are_written(tiny: list[str]):
    run = trained(tiny, "tracker=none")
    assert not list(run.session(0).path.glob("events.*"))
    assert read_rows(run.session(0).metrics)


def test_what_is_not_installed_is_refused_before_there_is_a_folder(tiny: list[str], monkeypatch, tmp_path: Path):
    monkeypatch.setattr(clients, "installed", lambda name: False)
    with pytest.raises(ConfigError, match=r"pip install 'rlkit\[wandb\]'"):
        train(compose([*tiny, "tracker=wandb"]), quiet=True)
    assert not (tmp_path / "runs").exists()
    with pytest.raises(ConfigError, match="needs the package mlflow"):
        verb("sync", [str(tmp_path), "--to", "mlflow"])
    with pytest.raises(ConfigError, match="accepted: wandb, trackio, mlflow"):
        verb("sync", [str(tmp_path), "--to", "tensorboard"])


def test_the_verb_says_what_was_sent(tiny: list[str], capsys: pytest.CaptureFixture[str]):
    run = trained(tiny)
    assert verb("sync", [str(run.path), "--to", "wandb", "--project", "mine"]) == 0
    assert f"wandb: {len(frames_of(run))} rows of {run.path}" in capsys.readouterr().out
    assert Listed.described[0].project == "mine"
    with pytest.raises(RlkitError, match="mlflow did not take session_0: no route"):
        verb("sync", [str(run.path), "--to", "mlflow"])


def test_params_are_flat_texts():
    config: dict[str, Any] = {"a": {"b": 1, "c": [1, 2]}, "d": None, "e": "x", "f": True}
    assert clients.flat(config) == {"a.b": "1", "a.c": "[1, 2]", "d": "null", "e": "x", "f": "true"}
