"""What the configuration's dataclasses say of their fields: the source of conf/, of `rlkit explain` and of the docs."""

from __future__ import annotations

import ast
import dataclasses
import functools
import inspect
import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, get_args, get_origin, get_type_hints


@dataclass(frozen=True)
class Described:
    """A field of the configuration."""

    name: str
    kind: str
    """Its type, in words: `number`, `whole number`, `true or false`, `one of a, b`."""
    default: Any
    """Its default; `dataclasses.MISSING` where it has none."""
    about: str
    """Meaning, unit and range, in one paragraph."""
    inner: type | None
    """The dataclass of the fields below it, where it is a part of the configuration."""

    @property
    def brief(self) -> str:
        """The first sentence of `about`."""
        return re.split(r"(?<!al)(?<!eq)\.\s", self.about, maxsplit=1)[0].removesuffix(".")


@functools.cache
def described(cls: type) -> dict[str, Described]:
    """The fields of a configuration dataclass by name, those of its ancestors first."""
    docs: dict[str, str] = {}
    for ancestor in reversed(cls.__mro__):
        docs.update(_docstrings(ancestor))
    hints = get_type_hints(cls)
    found = {}
    for field in dataclasses.fields(cls):
        factory = field.default_factory
        default = field.default if factory is dataclasses.MISSING else factory()
        inner = type(default) if dataclasses.is_dataclass(default) and not isinstance(default, type) else None
        kind = "part" if inner else _kind(hints[field.name])
        found[field.name] = Described(field.name, kind, default, docs.get(field.name, ""), inner)
    return found


def walk(cls: type, prefix: str = "") -> Iterator[tuple[str, Described]]:
    """Every key below a configuration dataclass, dotted, parts before their own keys."""
    for name, field in described(cls).items():
        yield f"{prefix}{name}", field
        if field.inner is not None:
            yield from walk(field.inner, f"{prefix}{name}.")


def _docstrings(cls: type) -> dict[str, str]:
    """The string below each field in a class's source, as one paragraph."""
    if not dataclasses.is_dataclass(cls):
        return {}
    (node,) = ast.parse(textwrap.dedent(inspect.getsource(cls))).body
    assert isinstance(node, ast.ClassDef)
    docs = {}
    for statement, below in zip(node.body, [*node.body[1:], None], strict=True):
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            said = below.value if isinstance(below, ast.Expr) else None
            if isinstance(said, ast.Constant) and isinstance(said.value, str):
                docs[statement.target.id] = " ".join(said.value.split())
    return docs


WORDS = {int: "whole number", float: "number", str: "text", bool: "true or false", type(None): "null", Any: "any value"}


def _kind(hint: Any) -> str:
    if get_origin(hint) is Literal:
        values = get_args(hint)
        return "true or false" if values == (True, False) else f"one of {', '.join(map(str, values))}"
    if get_origin(hint) in (list, dict):
        inner = [_kind(part) for part in get_args(hint)]
        if get_origin(hint) is dict:
            return "mapping"
        return f"list of {inner[0].replace('list', 'lists') if 'list' in inner[0] else inner[0] + 's'}"
    parts = list(get_args(hint)) if get_args(hint) else [hint]
    if set(parts) - {type(None)} == {int, float}:  # a whole number that may be written as 1e6
        parts = [int, *([type(None)] if type(None) in parts else [])]
    words = [
        WORDS.get(part) or (_kind(part) if get_args(part) else getattr(part, "__name__", str(part))) for part in parts
    ]
    return " or ".join(dict.fromkeys(words))
