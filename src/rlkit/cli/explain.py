"""`rlkit explain`: what keys mean, and where their values come from."""

from __future__ import annotations

import argparse
import dataclasses
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rlkit.config.explain import Explained

WIDTH = 80
ABOUT = """Print what keys of the configuration mean: type, default, the value after the
overrides that are given, and the file that set it. `rlkit explain algo=ppo`
explains every key of algo."""


def run(arguments: Sequence[str]) -> None:
    """Explain the keys among the arguments, for the overrides among them."""
    parser = argparse.ArgumentParser(
        prog="rlkit explain", description=ABOUT, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("words", nargs="*", metavar="KEY|key=value", help="keys to explain; overrides to compose with")
    parser.add_argument("--config-dir", "-cd", metavar="FOLDER", help="a folder with groups of your own")
    given = parser.parse_args(arguments)
    words = given.words
    from rlkit.config.explain import explain
    from rlkit.config.schema import GROUPS

    overrides = [word for word in words if "=" in word or word.startswith("~")]
    names = [word for word in words if word not in overrides]
    if not names:  # `rlkit explain algo=ppo` asks for the group
        groups = {word.partition("=")[0] for word in overrides}
        names = [name for name in ("algo", "env", "net", "memory", "search") if name in groups & set(GROUPS)]
    print("\n\n".join(text(found) for found in explain(names, overrides, config_dir=given.config_dir)))


def text(found: Explained) -> str:
    """One key in a few lines of 80 columns."""
    field = found.field
    lines = [f"{found.key} = {_value(found.value)}"]
    lines += textwrap.wrap(field.about, WIDTH - 2, initial_indent="  ", subsequent_indent="  ")
    lines += textwrap.wrap(f"type: {field.kind}", WIDTH, initial_indent="  ", subsequent_indent="    ")
    if field.default is not dataclasses.MISSING:
        lines.append(f"  default: {_value(field.default)}")
    source = "the default" if found.source == "default" else found.source
    return "\n".join([*lines, f"  set by: {source}"])


def _value(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return "null" if value is None else str(value).lower()
    return str(value)
