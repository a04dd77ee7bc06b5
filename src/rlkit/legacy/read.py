"""Reads spec files: JSON strict or with trailing commas, YAML with anchors and merges. Trusts nothing in them.

Nothing is evaluated or imported, no YAML tag builds an object, and what would take long to read is refused first.
"""

from __future__ import annotations

import json
import re
from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from rlkit.errors import SpecError
from rlkit.legacy.report import printable, shown

MAX_BYTES = 1_000_000
"""The largest spec file that is read; the largest known one has 25 thousand."""
MAX_DEPTH = 30
"""Levels of nesting; known specs have up to 11."""
MAX_VALUES = 100_000
"""Values in a file after its YAML aliases have been written out."""

LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True)
class SpecFile:
    """The specs of a file, by name."""

    path: str
    """The file's name, without folders and as it can be printed."""
    stem: str
    """The file's name without its suffix."""
    specs: dict[str, Any]
    notes: list[str] = field(default_factory=list)
    """What was mended or left out while reading."""
    comments: dict[str, list[str]] = field(default_factory=dict)
    """Comment lines above each spec, and under "" those at the head of the file."""


def read(path: str | Path, *, strict: bool = False) -> SpecFile:
    """Read a spec file.

    Args:
        path: a .json, .yaml or .yml file; the content decides where the suffix says nothing.
        strict: refuse trailing commas and duplicate keys instead of mending them.

    Raises:
        SpecError: it cannot be read, or not safely.
    """
    path = Path(path)
    file = printable(path.name)
    text = _text(path)
    notes: list[str] = []
    looks_like_json = text.lstrip()[:1] in ("{", "[")
    if path.suffix == ".json" or (path.suffix not in (".yaml", ".yml") and looks_like_json):
        data, comments = _json(text, file, notes, strict), {}
    else:
        data, comments = _yaml(text, file, notes, strict), _comments(text)
    _bounded(data, file)
    if not isinstance(data, dict) or not data:
        raise SpecError(f"{file} holds no specs\n  accepted: {{name: {{agent, env, meta, ...}}, ...}}")
    if _is_spec(data):  # a spec saved in a data folder may be the file itself
        data = {str(data.get("name") or path.stem): data}
    specs = {}
    for name, spec in data.items():
        if _is_spec(spec) and not str(name).startswith("_"):
            specs[str(name)] = spec
        else:
            notes.append(f"{shown(str(name), 60)}: not a spec (a block that others refer to, or without agent and env)")
    if not specs:
        raise SpecError(f"{file} holds no specs: nothing in it has agent and env")
    return SpecFile(file, path.stem, specs, notes, comments)


def substitute(value: Any, variables: dict[str, Any]) -> Any:
    """Fill `${name}` from variables: a whole value takes the variable's type, a part its text."""
    if isinstance(value, dict):
        return {key: substitute(item, variables) for key, item in value.items()}
    if isinstance(value, list):
        return [substitute(item, variables) for item in value]
    if isinstance(value, str) and "${" in value:
        if (whole := VARIABLE.fullmatch(value)) and whole[1] in variables:
            return variables[whole[1]]
        return VARIABLE.sub(lambda m: str(variables.get(m[1], m[0])), value)
    return value


VARIABLE = re.compile(r"\$\{(\w+)\}")


def number_or_text(text: str) -> Any:
    """`1e6` as a number, anything else as it is."""
    try:
        number = float(text)
    except ValueError:
        return text
    return int(number) if number.is_integer() and abs(number) < 2**53 else number


def _is_spec(value: Any) -> bool:
    return isinstance(value, dict) and "agent" in value and "env" in value


def _text(path: Path) -> str:
    file = printable(path.name)
    try:
        if path.stat().st_size > MAX_BYTES:
            raise SpecError(f"{file} has {path.stat().st_size:,} bytes\n  accepted: up to {MAX_BYTES:,}")
        return path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise SpecError(
            f"{printable(str(path))} cannot be read ({error.strerror})\n  accepted: a spec file, JSON or YAML"
        ) from error
    except UnicodeDecodeError as error:
        raise SpecError(f"{file} is not text in UTF-8 (byte {error.start})") from error


# JSON

STRING_OR_COMMA = re.compile(r'"(?:[^"\\]|\\.)*"|,(?=\s*[}\]])', re.DOTALL)
STRING_OR_BRACKET = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\]]', re.DOTALL)


def _json(text: str, name: str, notes: list[str], strict: bool) -> Any:
    depth = 0
    for token in STRING_OR_BRACKET.finditer(text):
        depth += {"{": 1, "[": 1, "}": -1, "]": -1}.get(token[0], 0)
        if depth > MAX_DEPTH:
            raise _too_deep(name)

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        _duplicates((key for key, _ in items), name, notes, strict)
        return dict(items)

    def load(text: str) -> Any:
        seen = len(notes)
        try:
            return json.loads(text, object_pairs_hook=pairs, parse_constant=_not_finite)
        except ValueError:
            del notes[seen:]
            raise

    try:
        return load(text)
    except ValueError as error:
        if strict:
            raise SpecError(f"{name} is not strict JSON: {error}") from error
    try:
        data = load(STRING_OR_COMMA.sub(lambda m: m[0] if m[0] != "," else "", text))
    except ValueError as error:
        raise SpecError(f"{name} is not JSON, trailing commas allowed: {error}") from error
    notes.insert(0, "trailing commas: read as if they were not there")
    return data


def _not_finite(word: str) -> Any:
    raise ValueError(f"{word} is not a number of JSON")


def _duplicates(keys: Iterable[Any], name: str, notes: list[str], strict: bool) -> None:
    seen = set()
    for key in keys:
        if key in seen:
            if strict:
                raise SpecError(f"{name}: the key {shown(key, 60)!r} is there twice")
            notes.append(f"{shown(key, 60)}: there twice in one block; the last one counts, as it did in SLM-Lab")
        seen.add(key)


def _too_deep(name: str) -> SpecError:
    return SpecError(f"{name} is nested more than {MAX_DEPTH} levels deep")


# YAML


def _yaml(text: str, name: str, notes: list[str], strict: bool) -> Any:
    try:
        depth = 0
        for event in yaml.parse(text, Loader=LOADER):
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > MAX_DEPTH:
                raise _too_deep(name)
            tag = getattr(event, "tag", None)
            if tag is not None:
                raise SpecError(f"{name}: the YAML tag {shown(str(tag), 60)} is not accepted; a spec needs none")
        root = yaml.compose(text, Loader=LOADER)
        if root is None:
            return None
        _written_out(root, name)
        _duplicate_nodes(root, name, notes, strict, set())
        return yaml.load(text, Loader=LOADER)  # LOADER is safe, and there are no tags
    except yaml.YAMLError as error:
        raise SpecError(f"{name} is not YAML: {' '.join(str(error).split())[:200]}") from error
    except (ValueError, TypeError, RecursionError) as error:
        raise SpecError(f"{name} is not YAML that can be read: {type(error).__name__}") from error


def _children(node: Any) -> list[Any]:
    if isinstance(node, yaml.MappingNode):
        return [part for pair in node.value for part in pair]
    return list(node.value) if isinstance(node, yaml.SequenceNode) else []


def _written_out(root: Any, name: str) -> int:
    """How many values the document has with its aliases written out; refused where they are too many or endless."""
    sizes: dict[int, int] = {}
    path: set[int] = set()

    def size(node: Any) -> int:
        if id(node) in sizes:
            return sizes[id(node)]
        if id(node) in path:
            raise SpecError(f"{name}: a YAML anchor contains itself")
        if len(path) > MAX_DEPTH:
            raise _too_deep(name)
        path.add(id(node))
        total = 1 + sum(size(child) for child in _children(node))
        path.discard(id(node))
        if total > MAX_VALUES:
            raise SpecError(f"{name} has more than {MAX_VALUES:,} values once its YAML aliases are written out")
        sizes[id(node)] = total
        return total

    return size(root)


def _duplicate_nodes(node: Any, name: str, notes: list[str], strict: bool, seen: set[int]) -> None:
    if id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, yaml.MappingNode):
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode) and key.value != "<<"]
        _duplicates(keys, name, notes, strict)
    for child in _children(node):
        _duplicate_nodes(child, name, notes, strict, seen)


def _comments(text: str) -> dict[str, list[str]]:
    """The comment lines at the head of the file (under "") and right above each top-level key: they say where from."""
    found: dict[str, list[str]] = {}
    block: list[str] = []
    for line in text.splitlines():
        if line.startswith("#"):
            block.append(line.lstrip("# ").rstrip())
        elif key := re.match(r"([\w.-]+)\s*:", line):
            found[key[1]] = block
            block = []
        elif block:
            found.setdefault("", block)
            block = []
    return {key: [shown(line, 110) for line in lines if line] for key, lines in found.items() if lines}


def _bounded(data: Any, name: str) -> None:
    """Refuse what is too deep or too large, or has keys that are no text, however it was written."""
    left = MAX_VALUES
    stack: list[tuple[Any, int]] = [(data, 0)]
    while stack:
        value, depth = stack.pop()
        left -= 1
        if depth > MAX_DEPTH:
            raise _too_deep(name)
        if left < 0:
            raise SpecError(f"{name} has more than {MAX_VALUES:,} values")
        if isinstance(value, dict):
            if wrong := [key for key in value if not isinstance(key, str)]:
                raise SpecError(f"{name}: the key {_word(wrong[0])} is not a text")
            stack += [(item, depth + 1) for item in value.values()]
        elif isinstance(value, list | tuple | set):
            stack += [(item, depth + 1) for item in value]


def _word(key: Hashable) -> str:
    return shown(repr(key), 60)
