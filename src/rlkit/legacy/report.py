"""What became of each key of a spec."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Literal

from rlkit.errors import SpecError

Kind = Literal["mapped", "defaulted", "changed", "dropped", "refused"]

MEANING: dict[Kind, str] = {
    "mapped": "means the same here",
    "defaulted": "not in the spec: what SLM-Lab did then, stated because rlkit's default differs",
    "changed": "here in another form or with another value, and why",
    "dropped": "has no effect here, and why",
    "refused": "cannot be had, and what to do instead",
}


@dataclass(frozen=True)
class Line:
    """One key: of the spec, or (defaulted) of rlkit."""

    kind: Kind
    key: str
    value: Any = None
    """The spec's."""
    to: str = ""
    """What it became: `key=value`, several with commas."""
    why: str = ""

    def text(self) -> str:
        """`gamma=0.99 -> algo.gamma=0.99 (why)`."""
        source = self.key if self.kind == "defaulted" else f"{self.key}={shown(self.value)}"
        arrow = f" -> {self.to}" if self.to else ""
        why = f" ({self.why})" if self.why else ""
        return printable(f"{source}{arrow}{why}")


@dataclass
class Report:
    """The lines of one spec."""

    file: str
    name: str
    era: str = ""
    reading: str = "as-written"
    lines: list[Line] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """What was mended while the file was read."""
    refusal: str = ""
    """Why the spec as a whole was refused, in one line; empty if it was converted."""

    def add(self, kind: Kind, key: str, value: Any = None, to: str = "", why: str = "") -> None:
        """Add a line."""
        self.lines.append(Line(kind, key, value, to, why))

    def of(self, kind: Kind) -> list[Line]:
        """The lines of one kind."""
        return [line for line in self.lines if line.kind == kind]

    @property
    def counts(self) -> str:
        """`12 mapped, 3 changed, ...`."""
        return ", ".join(f"{len(self.of(kind))} {kind}" for kind in MEANING if self.of(kind))

    def text(self) -> str:
        """The report as a page of plain text."""
        title = f"{self.name} of {self.file}"
        head = [title, "=" * len(title), f"format: {self.era or 'unknown'}; read {self.reading}; {self.counts or '-'}"]
        if self.refusal:
            head.append(f"refused: {self.refusal}")
        head += [f"file: {note}" for note in self.notes]
        body = []
        for kind, meaning in MEANING.items():
            if lines := self.of(kind):
                body += ["", f"{kind}: {meaning}", *(f"  {line.text()}" for line in lines)]
        return "\n".join([*head, *body, ""])

    def data(self) -> dict[str, Any]:
        """The report for programs."""
        keys = ("kind", "key", "value", "to", "why")
        return {
            "file": self.file,
            "spec": self.name,
            "format": self.era,
            "reading": self.reading,
            "refused": self.refusal or None,
            "notes": self.notes,
            "keys": [{key: getattr(line, key) for key in keys} for line in self.lines],
        }


class Refused(SpecError):  # noqa: N818, as `???`: what it says, not that it is an error
    """A spec, or a part of one, that has no counterpart; `key` says where."""

    def __init__(self, key: str, reason: str) -> None:
        super().__init__(f"{key}: {reason}")
        self.key, self.reason = key, reason


def shown(value: Any, width: int = 100) -> str:
    """A value of a spec on one line; what is long is cut."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=True, default=str)
    text = printable(text)
    return text if len(text) <= width else text[: width - 3] + "..."


def printable(text: str) -> str:
    """A text of a file without what could forge a line, move a cursor or not be encoded."""
    return "".join(c if c.isprintable() else "?" for c in text)
