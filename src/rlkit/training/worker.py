"""One session in a separate process: `python -m rlkit.training.worker RUN SEED [judged]`.

It reads the config from the run folder, writes a line of JSON to standard output for everything that a watcher would
see, and stops cleanly when its standard input closes, as it does when the parent dies. With `judged` it waits after
each evaluation for a line: `go on`, `pruned` or `stopped`.
"""

from __future__ import annotations

import dataclasses
import json
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Sequence
from typing import Any

from rlkit.display.streams import make_lenient
from rlkit.errors import RlkitError
from rlkit.runs.folder import RunFolder
from rlkit.training.interrupt import MAKE_ROOM, StopSignal
from rlkit.training.progress import Verdict, Watcher

VERDICTS: dict[str, Verdict] = {"pruned": "pruned", "stopped": "stopped"}
HIDDEN_VALUES = "RLKIT_HIDDEN_VALUES"
"""Variable with what config.yaml hides, as JSON: dotted key -> value."""
FAULT = 1
"""Exit status after an error that is ours; one of the user's is 2, as everywhere."""


class Pipe(Watcher):
    """A `Watcher` that reports to the parent process.

    It takes over standard output; what an environment prints goes to standard error, which is the run's log.
    """

    def __init__(self) -> None:
        self.channel = os.fdopen(os.dup(1), "w")
        os.dup2(2, 1)

    def facts(self, seed: int, facts: dict[str, Any]) -> None:
        self.send({"facts": facts, "seed": seed})

    def progress(self, progress: Any) -> None:
        self.send({"progress": dataclasses.asdict(progress)})

    def report(self, frames: int, value: float) -> None:
        """What an evaluation gave, for the judge."""
        self.send({"report": [frames, value]})

    def send(self, message: dict[str, Any]) -> None:
        """Write one line; if the reader has gone, the closed input stops the session."""
        try:
            print(json.dumps(message), file=self.channel, flush=True)
        except OSError:
            return


def _set(node: Any, path: Sequence[str], value: Any) -> None:
    """Set a value of a configuration, through dataclasses and dictionaries."""
    first, *rest = path
    if rest:
        _set(node[first] if isinstance(node, dict) else getattr(node, first), rest, value)
    elif isinstance(node, dict):
        node[first] = value
    else:
        setattr(node, first, value)


def main() -> int:
    """Train the session; returns the exit status."""
    started = time.perf_counter()
    if MAKE_ROOM is not None:
        signal.signal(MAKE_ROOM, signal.SIG_IGN)  # for the parent, which then asks
    pipe = Pipe()
    make_lenient()
    folder, seed = RunFolder.open(sys.argv[1]), int(sys.argv[2])
    stop = StopSignal()
    answers: queue.Queue[str] = queue.Queue()

    def listen() -> None:
        # Not sys.stdin.read: a thread that waits in there holds a lock, and an environment process forked from here
        # would wait for that lock for ever when it closes its standard input.
        while heard := os.read(0, 4096):
            for line in heard.decode().split("\n"):
                if line:
                    answers.put(line)
        stop.request()
        answers.put("stopped")

    def judge(frames: int, value: float) -> Verdict | None:
        pipe.report(frames, value)
        return VERDICTS.get(answers.get())

    threading.Thread(target=listen, daemon=True).start()
    from rlkit.config.schema import compose
    from rlkit.display.logs import log_failure, log_to
    from rlkit.training.session import run_session

    log_to(folder.log, lambda text: pipe.send({"log": text}))
    try:
        with stop:
            config = compose(base=folder.config)
            for key, value in json.loads(os.environ.pop(HIDDEN_VALUES, "{}")).items():
                _set(config, key.split("."), value)
            asked = judge if "judged" in sys.argv[3:] else None
            run_session(config, seed, folder.session(seed), watcher=pipe, judge=asked, stop=stop, started=started)
    except RlkitError as error:
        log_failure(seed, error)
        pipe.send({"error": str(error)})
        return 2
    except Exception as error:
        log_failure(seed, error)
        pipe.send({"error": f"{type(error).__name__}: {error}"})
        return FAULT
    return 0


if __name__ == "__main__":
    sys.exit(main())
