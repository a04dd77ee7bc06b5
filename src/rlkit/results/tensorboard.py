"""Rows of metrics as TensorBoard events."""

from __future__ import annotations

import math
import os
import re
import socket
import time
from io import BytesIO
from pathlib import Path
from typing import Any

from rlkit.runs.lines import AppendOnly


class EventLog:
    """Writes scalars to an event file of a session's folder. A resumed run opens a further one.

    The writers of TensorBoard and torch write from a thread, which hands an error of the disk to whichever call comes
    next. This one writes at once.

    Args:
        folder: where the event file goes.
        resumed_at: frames of the checkpoint that the run continues from; TensorBoard then hides later old points.
    """

    def __init__(self, folder: Path, resumed_at: int | None = None) -> None:
        from tensorboard.compat.proto import event_pb2, summary_pb2
        from tensorboard.summary.writer.record_writer import RecordWriter

        self.event, self.summary, self.record = event_pb2.Event, summary_pb2.Summary, RecordWriter
        self.file = AppendOnly(folder / _file_name(folder))
        try:
            self._write(self.event(wall_time=time.time(), file_version="brain.Event:2"))
            if resumed_at is not None:
                session = event_pb2.SessionLog(status=event_pb2.SessionLog.START)
                self._write(self.event(step=resumed_at + 1, session_log=session))
        except BaseException:
            self.file.file.close()
            raise

    def write(self, row: dict[str, Any], wall_time: float, prefix: str = "") -> None:
        """One point at `row["frames"]` for every number of the row.

        Raises:
            RunFolderError: the disk does not take it.
        """
        values = [
            self.summary.Value(tag=prefix + name, simple_value=value)
            for name, value in row.items()
            if name != "frames" and isinstance(value, int | float) and math.isfinite(value)
        ]
        self._write(self.event(wall_time=wall_time, step=row["frames"], summary=self.summary(value=values)))

    def _write(self, event: Any) -> None:
        record = BytesIO()
        self.record(record).write(event.SerializeToString())
        self.file.append(record.getvalue())

    def close(self) -> None:
        """Close the file."""
        self.file.close()


def _file_name(folder: Path) -> str:
    """A name behind those of earlier event files: TensorBoard reads them in the order of the stamps in their names."""
    stamps = [
        int(m[1]) for p in folder.glob("events.out.tfevents.*") if (m := re.search(r"tfevents\.(\d{1,18})\.", p.name))
    ]
    stamp = max([int(time.time()), *(stamp + 1 for stamp in stamps)])
    return f"events.out.tfevents.{stamp:010d}.{socket.gethostname()}.{os.getpid()}.0"
