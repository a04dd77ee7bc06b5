"""A conversion under way: the spec's keys are taken one by one, and each leaves a value, a line, or both."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from rlkit.legacy.eras import Spec
from rlkit.legacy.read import VARIABLE, number_or_text
from rlkit.legacy.report import Kind, Refused, Report, shown

MISSING = "???"
"""A value that the user has to give: OmegaConf's own mark."""
LARGEST = 2**53
"""Numbers of a spec are below this: from here on a float is no count."""


@dataclass
class Draft:
    """What a spec has become so far."""

    spec: Spec
    report: Report
    as_run: bool = False
    """Reproduce what the version did where that differs from what the author wrote."""
    choices: dict[str, str] = field(default_factory=dict)
    """Group -> the choice that is overridden: `algo: dqn`."""
    values: dict[str, Any] = field(default_factory=dict)
    """rlkit's key -> value, `algo.gamma: 0.99`."""
    seen: set[str] = field(default_factory=set)
    train_every: int = 1
    """The spec's training_frequency."""
    extra: dict[str, Any] = field(default_factory=dict)
    """Nested values of the sweep, for the top of the file."""
    workers: int = 1
    """Processes that shared one network, each with its own environments and its own count of frames."""
    frames_per_train: float = 1.0
    """Frames of all workers between two train calls of one."""

    # reading

    def has(self, path: str) -> bool:
        """Whether the spec has the path, with a value other than null."""
        return self.spec.values.get(path) is not None

    def get(self, path: str, default: Any = None) -> Any:
        """The value of a path, without a line."""
        value = self.spec.values.get(path)
        return default if value is None else value

    def under(self, prefix: str) -> list[str]:
        """The paths below a block that have no line yet, the block itself among them where it is null or empty."""
        return [p for p in self.spec.values if (p == prefix or p.startswith(f"{prefix}.")) and p not in self.seen]

    def number(self, path: str, default: float | None = None) -> float | None:
        """The number of a path, also one that is written as text; null counts as absent.

        Raises:
            Refused: it is something else.
        """
        value = self.get(path)
        if value is None:
            return default
        if isinstance(value, str):
            try:
                value = float(value)
            except ValueError:
                raise self.refusal(path, "not a number") from None
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.refusal(path, "not a number")
        if not abs(value) < LARGEST:
            raise self.refusal(path, "larger than any number that a spec needs")
        return int(value) if float(value).is_integer() else value

    def whole(self, path: str, default: int | None = None, low: int = 1) -> int | None:
        """The whole number of a path.

        Raises:
            Refused: it is none, or smaller than `low`.
        """
        value = self.number(path, default)
        if value is not None and (value != int(value) or value < low):
            raise self.refusal(path, f"not a whole number of at least {low}")
        return None if value is None else int(value)

    def word(self, path: str, default: str = "") -> str:
        """The text of a path."""
        value = self.get(path, default)
        if not isinstance(value, str):
            raise self.refusal(path, "not a name")
        return value

    def widths(self, path: str) -> list[int]:
        """The list of whole numbers of a path."""
        value = self.get(path, [])
        value = [value] if isinstance(value, int) and not isinstance(value, bool) else value
        if not isinstance(value, list) or not all(
            isinstance(n, int | float) and 1 <= n < LARGEST and n == int(n) for n in value
        ):
            raise self.refusal(path, "not a list of widths")
        return [int(n) for n in value]

    def refusal(self, path: str, reason: str) -> Refused:
        """The error for a value that cannot be understood; for a template, how to fill it."""
        value = self.spec.values.get(path)
        if isinstance(value, str) and (variable := VARIABLE.fullmatch(value)):
            name = variable[1]
            return Refused(self.spec.named(path), f"{value} has no value: give one with --set {name}=...")
        return Refused(self.spec.named(path), f"{shown(value, 40)} is {reason}")

    # writing

    def set(self, **values: Any) -> None:
        """State values; `__` in a name stands for a dot."""
        self.values.update({key.replace("__", "."): value for key, value in values.items()})

    def line(self, kind: Kind, path: str, to: str = "", why: str = "") -> None:
        """A line for a path of the spec, if there is such a path and it has none."""
        if path in self.spec.values and path not in self.seen:
            self.seen.add(path)
            renamed = "an old name" if self.spec.named(path) != path else ""
            self.report.add(kind, self.spec.named(path), self.spec.values[path], to, why or renamed)

    def mapped(self, path: str, key: str, value: Any) -> None:
        """A path that means the same here, or "changed" where its number has become another one."""
        given = self.get(path)
        given = number_or_text(given) if isinstance(given, str) else given
        if _is_number(given) and _is_number(value) and given != value:
            self.changed(path, key, value, f"{shown(given)} is not accepted here: the nearest that is")
            return
        self.values[key] = value
        self.line("mapped", path, f"{key}={shown(value)}")

    def changed(self, path: str, key: str, value: Any, why: str) -> None:
        """A path that is here in another form."""
        self.values[key] = value
        self.line("changed", path, f"{key}={shown(value)}", why)

    def dropped(self, path: str, why: str) -> None:
        """A path, and all below it, without effect here."""
        for each in self.under(path):
            self.line("dropped", each, why=why)

    def default(self, key: str, value: Any, why: str) -> None:
        """A value that the spec does not give, and that SLM-Lab had another for than rlkit has."""
        self.values[key] = value
        self.report.add("defaulted", f"{key}={shown(value)}", why=why)

    def account(self) -> None:
        """A line for every stated value that none names yet: what SLM-Lab did where the spec is silent."""
        said = " ".join(f"{line.to} {line.key}" for line in self.report.lines)
        words = set(re.findall(r"[\w.]+", said))
        for key, value in self.values.items():
            moved = key.split("_schedule")[0]
            if key not in words and not (moved != key and moved in words):
                self.report.add("defaulted", f"{key}={shown(value)}", why="SLM-Lab's, where the spec is silent")

    def note(self, kind: Kind, key: str, why: str, value: Any = None) -> None:
        """A line for something without a path, such as one item of a list."""
        self.report.add(kind, key, value, why=why)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
