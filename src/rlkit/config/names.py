"""Old environment ids: what they are called today, and what changed with the name. The table is `names.yaml`."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml


@dataclass(frozen=True)
class Fate:
    """What became of an id: its successor and what changed, or None and where to look instead."""

    successor: str | None
    words: str


def fate_of(env_id: str) -> Fate | None:
    """What became of an old id; None for an id that is not in the table, and for one of a module (`module:Id`)."""
    if ":" in env_id:
        return None
    table = _table()
    for entry in table["renamed"]:
        if match := re.fullmatch(entry["pattern"], env_id):
            groups = [group or "" for group in (match[0], *match.groups())]
            return Fate(entry["to"].format(*groups), entry["changed"])
    for entry in table["gone"]:
        if re.fullmatch(entry["pattern"], env_id):
            return Fate(None, entry["instead"])
    return None


@functools.cache
def _table() -> dict[str, Any]:
    table: dict[str, Any] = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text(encoding="utf-8"))
    return table
