"""Send the rows of a run's folder to trackers: each row once, in the order of frames."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import math
import shlex
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from rlkit.config.schema import compose
from rlkit.errors import RunFolderError
from rlkit.reading import read_result
from rlkit.redaction import redact, redact_values
from rlkit.runs.folder import RunFolder, SessionFolder, read_json, write_json
from rlkit.runs.lines import read_evals, read_rows
from rlkit.runs.lock import alone, held
from rlkit.tracking.clients import CLIENTS, Client, Described

STATE = "tracking.json"
"""In a session's folder: tracker -> its run's identity, and the frames up to which it was sent."""

LAST_ROWS_SECONDS = 120
"""How long a resumed run waits for the process that still sends the last rows of the one before."""

Told = Callable[[str], None]


def rows_of(session: SessionFolder, after: int, *, all_written: bool) -> list[tuple[int, dict[str, float]]]:
    """What a session logged after a number of frames: its metrics, evaluations and rate, by frames.

    Args:
        session: the session's folder.
        after: frames that were sent already.
        all_written: the session has ended. Else the latest frames are left out, at which more may be written.
    """
    found: dict[int, dict[str, float]] = {}
    for row in read_rows(session.metrics):
        found.setdefault(row["frames"], {}).update(row)
    for row in read_evals(session.eval):
        found.setdefault(row["frames"], {})["eval/return"] = row["mean"]
    for row in read_rows(session.timing):
        found.setdefault(row["frames"], {})["time/fps"] = row.get("fps", math.nan)
    latest = max(found, default=0)
    return [
        (frames, numbers)
        for frames, values in sorted(found.items())
        if after < frames and (all_written or frames < latest) and (numbers := _numbers(values))
    ]


def _numbers(values: dict[str, Any]) -> dict[str, float]:
    return {
        name: float(value)
        for name, value in values.items()
        if name != "frames" and isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    }


class Sender:
    """Sends one session to one tracker, from where an earlier sender stopped.

    Args:
        name: of the tracker.
        session: the session's folder.
        described: how the tracker shows it.
    """

    def __init__(self, name: str, session: SessionFolder, described: Described) -> None:
        self.name, self.session, self.described = name, session, described
        self.client: Client | None = None

    def send(self, *, all_written: bool) -> int:
        """Send what is new; returns the number of rows.

        Each row is noted before it is sent: a process killed between the two leaves a row out, which is
        better than a curve that goes back.
        """
        state = self._state()
        rows = rows_of(self.session, int(state.get("frames", 0)), all_written=all_written)
        if not rows:
            return 0
        if self.client is None:
            client = CLIENTS[self.name]()
            state["id"] = client.begin(self.described, state.get("id"))
            self.client = client
        for frames, values in rows:
            self._note({**state, "frames": frames})
            try:
                self.client.log(frames, values)
            except Exception:
                self._note(state)  # a row that was refused is still to be sent
                raise
            state["frames"] = frames
        return len(rows)

    def end(self) -> None:
        """End the tracker's run, where one was begun."""
        if self.client is not None:
            status = read_result(self.session.result)["status"] if self.session.result.exists() else "stopped"
            self.client.end(status)
            self.client = None

    def _state(self) -> dict[str, Any]:
        path = self.session.path / STATE
        state = read_json(path).get(self.name) if path.exists() else None
        return dict(state) if isinstance(state, dict) else {}

    def _note(self, state: dict[str, Any]) -> None:
        path = self.session.path / STATE
        write_json(path, {**(read_json(path) if path.exists() else {}), self.name: state})


class Feed:
    """Sends all sessions of a run to several trackers. A tracker that fails is reported, and not used again.

    Args:
        folder: of the run.
        names: of the trackers.
        project: see `TrackerConfig`; None: that of the run.
        tell: takes a line about what failed.
    """

    def __init__(self, folder: RunFolder, names: Iterable[str], tell: Told, project: str | None = None) -> None:
        self.folder, self.names, self.tell = folder, list(names), tell
        config = compose(base=folder.config)
        shown: dict[str, Any] = redact_values(dataclasses.asdict(config))
        trial = config.trial
        group, one = f"{config.label}/{folder.path.resolve().name}", ""
        if trial.folder is not None:
            group, one = f"{config.label}/{Path(trial.folder).name}", f"trial {trial.number} "
        tags = {"algo": config.algo.name, "env": config.env.today}
        self.senders = [
            Sender(
                name,
                folder.session(seed),
                Described(
                    project=project or config.tracker.project,
                    group=group,
                    name=f"{one}seed {seed}",
                    config={**shown, "seed": seed},
                    folder=folder.session(seed).path,
                    tags=tags,
                ),
            )
            for seed in config.seed_list
            for name in self.names
        ]

    def send(self, *, all_written: bool) -> dict[str, int]:
        """Send what is new; returns the rows sent, by tracker."""
        sent = dict.fromkeys(self.names, 0)
        for sender in list(self.senders):
            if sender.session.path.exists():
                with self._told(sender):
                    sent[sender.name] += sender.send(all_written=all_written)
        return sent

    def end(self) -> None:
        """End what was begun."""
        for sender in list(self.senders):
            with self._told(sender):
                sender.end()

    @contextlib.contextmanager
    def _told(self, sender: Sender) -> Any:
        try:
            with contextlib.redirect_stdout(io.StringIO()):  # some clients print
                yield
        except (Exception, SystemExit) as error:  # a failing tracker must not stop the others
            self.senders.remove(sender)
            why = " ".join(str(error).split()) or type(error).__name__
            self.tell(
                redact(
                    f"{sender.name} did not take {sender.session.path.name}: {why[:500]}; what is left: "
                    f"rlkit sync {shlex.quote(str(self.folder.path))} --to {sender.name}"
                )
            )


def sync(run: str | Path, names: list[str], *, project: str | None = None, tell: Told) -> dict[str, int]:
    """Send a run's rows to trackers, those that were not sent before; of a run in training all but the latest.

    Args:
        run: a run's folder.
        names: of the trackers.
        project: to file it under; None: as the run's configuration says.
        tell: takes a line about what failed.

    Returns:
        The number of rows sent, by tracker.

    Raises:
        RunFolderError: there is no such run, or it is being sent by another process.
    """
    folder = RunFolder.open(run)
    with _the_only_one(folder):
        feed = Feed(folder, names, tell, project)
        sent = feed.send(all_written=not held(folder.path))
        feed.end()
    return sent


def follow(folder: RunFolder, stop: threading.Event, tell: Told) -> None:
    """Send a run's rows while they are written, until `stop` is set, and then the rest."""
    with _the_only_one(folder, wait_seconds=LAST_ROWS_SECONDS):
        tracker = compose(base=folder.config).tracker
        feed = Feed(folder, tracker.fed, tell)
        while not stop.wait(tracker.every_seconds):
            feed.send(all_written=False)
        feed.send(all_written=True)
        feed.end()


@contextlib.contextmanager
def _the_only_one(folder: RunFolder, wait_seconds: float = 0.0) -> Any:
    place = folder.path / ".tracking"
    try:
        place.mkdir(exist_ok=True)
    except OSError as error:
        raise RunFolderError(f"{place} cannot be made: {error}") from error
    with alone(place, "sent to trackers", wait_seconds=wait_seconds):
        yield
