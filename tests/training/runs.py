"""Helpers: sessions in a folder, and what they left."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rlkit import compose
from rlkit.runs.folder import SessionFolder
from rlkit.training import checkpoint
from rlkit.training.interrupt import StopSignal
from rlkit.training.session import run_session

LEFT = ("metrics.jsonl", "eval.jsonl")


def session(folder: Path, overrides: list[str], seed: int = 0, **kwargs: Any) -> dict[str, Any]:
    return run_session(compose(overrides), seed, SessionFolder(folder), **kwargs)


def traces(folder: Path) -> dict[str, bytes]:
    """Everything of a session that must be equal for equal seeds, byte for byte."""
    newest = checkpoint.newest(folder / "checkpoints")
    assert newest is not None
    files = {name: (folder / name).read_bytes() for name in LEFT}
    state = ("weights.safetensors", "algo.safetensors", "envs.safetensors", "envs.json", "streams.json")
    return {**files, **{name: (newest / name).read_bytes() for name in state if (newest / name).exists()}}


class StopAfter(StopSignal):
    """A stop signal that comes after a number of frames; give it as watcher and stop."""

    def __init__(self, frames: int) -> None:
        super().__init__()
        self.frames = frames

    def facts(self, seed: int, facts: dict[str, Any]) -> None:
        self.known = facts

    def progress(self, progress: Any) -> None:
        self.requested |= progress.frames >= self.frames
