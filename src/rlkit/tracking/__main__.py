"""The process that feeds the trackers of a run while it is trained: `python -m rlkit.tracking RUN`.

It sends until its standard input ends, which it does when the process that trains ends, however that happens. A line on
its standard output is a complaint for the user; whatever else is printed goes to the run's `tracking.log`.
"""

from __future__ import annotations

import os
import signal
import sys
import threading

from rlkit.runs.folder import RunFolder
from rlkit.tracking.feed import follow


def main() -> None:
    """Follow the run that is named on the command line."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # Ctrl-C is for training, which then closes the pipe
        signal.signal(number, signal.SIG_IGN)
    folder = RunFolder.open(sys.argv[1])
    complaints = os.fdopen(os.dup(1), "w", buffering=1)
    log = os.open(folder.path / "tracking.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    stop = threading.Event()

    def wait() -> None:
        while os.read(0, 4096):
            pass
        stop.set()

    threading.Thread(target=wait, daemon=True).start()

    def tell(line: str) -> None:
        try:
            print(line, file=complaints)
        except OSError:  # the process that trained has ended
            print(line, file=sys.stderr)

    follow(folder, stop, tell)


if __name__ == "__main__":
    main()
