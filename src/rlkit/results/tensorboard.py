"""Rows of metrics as TensorBoard events."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any


class EventLog:
    """Writes scalars to an event file of a session's folder. A resumed run opens a further one.

    Args:
        folder: where the event file goes.
        resumed_at: frames of the checkpoint that the run goes on from; TensorBoard then hides later old points.
    """

    def __init__(self, folder: Path, resumed_at: int | None = None) -> None:
        # The event writer of TensorBoard itself; torch's SummaryWriter is a layer over it that loads more.
        from tensorboard.compat.proto import event_pb2, summary_pb2
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        self.event, self.summary = event_pb2.Event, summary_pb2.Summary
        self.writer = EventFileWriter(str(folder))
        if resumed_at is not None:
            session = event_pb2.SessionLog(status=event_pb2.SessionLog.START)
            self.writer.add_event(self.event(step=resumed_at + 1, session_log=session))

    def write(self, row: dict[str, Any], wall_time: float, prefix: str = "") -> None:
        """One point at `row["frames"]` for every number of the row."""
        values = [
            self.summary.Value(tag=prefix + name, simple_value=value)
            for name, value in row.items()
            if name != "frames" and isinstance(value, int | float) and math.isfinite(value)
        ]
        self.writer.add_event(self.event(wall_time=wall_time, step=row["frames"], summary=self.summary(value=values)))

    def close(self) -> None:
        """Write out what is pending."""
        self.writer.close()
