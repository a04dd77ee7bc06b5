"""Configuration of a search, and of one trial's place in it. Mirrored by conf/search."""

from __future__ import annotations

from dataclasses import dataclass

from rlkit.config.checks import Checked


@dataclass(kw_only=True)
class SearchConfig(Checked):
    """Which search a run belongs to."""

    prefix = "search."

    name: str = "none"
