"""Hydra's and OmegaConf's errors, said again for the user: the key, what was given, what is accepted."""

from __future__ import annotations

import contextlib
import dataclasses
import difflib
import re
import textwrap
import types
import typing
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from rlkit.errors import ConfigError


@contextlib.contextmanager
def short(folders: Sequence[Path] = ()) -> Iterator[None]:
    """Turn whatever Hydra, OmegaConf or YAML raise inside into a `ConfigError` of a few lines.

    Args:
        folders: the config folders in use, so that a faulty file can be named by its path.
    """
    try:
        yield
    except (HydraException, OmegaConfBaseException, yaml.YAMLError) as error:
        raise ConfigError(explain(error, folders)) from error


def explain(error: Exception, folders: Sequence[Path] = ()) -> str:
    """The text for one error of theirs."""
    chain = list(_chain(error))
    file = _file_of(chain, folders)
    for link in chain:
        if isinstance(link, yaml.YAMLError):
            return f"{file or 'the YAML file'} is not valid YAML: {_one_line(str(link))}"
        if isinstance(link, MissingConfigException):
            return _unknown_choice(link, file)
        if isinstance(link, OverrideParseException):
            return _unreadable(link)
        if isinstance(link, OmegaConfBaseException) and link.full_key:
            return _bad_key(link, file)
    return _one_line(str(error), keep=6)


def reject_unknown(node: DictConfig, path: str = "") -> None:
    """Refuse keys that no dataclass has: `+algo.typo=1` gets past Hydra's own check.

    Raises:
        ConfigError: naming the first unknown key.
    """
    node_type = OmegaConf.get_type(node)
    fields = [f.name for f in dataclasses.fields(node_type)] if dataclasses.is_dataclass(node_type) else None
    for key in node:
        name = str(key)
        if fields is not None and name not in fields:
            raise ConfigError(unknown_key(path + name, fields, getattr(node_type, "name", "")))
        if not OmegaConf.is_missing(node, key) and OmegaConf.is_dict(child := node._get_node(key)) and child:
            reject_unknown(typing.cast("DictConfig", child), f"{path}{name}.")


def reject_missing(node: DictConfig) -> None:
    """Refuse a config with values still to be given (`???`), naming them all.

    Raises:
        ConfigError: some key has no value.
    """
    if keys := sorted(OmegaConf.missing_keys(node)):
        raise ConfigError(f"no value for {', '.join(keys)}\n  give one: {' '.join(f'{k}=...' for k in keys)}")


def unknown_key(full_key: str, accepted: Iterable[str], owner: str = "") -> str:
    """A key that does not exist, the nearest that does, and all that do."""
    prefix, _, key = full_key.rpartition(".")
    dot = f"{prefix}." if prefix else ""
    names = sorted(accepted)
    of = f" of {owner}" if owner else ""
    return "\n".join(
        [
            f"unknown key {full_key}",
            *did_you_mean(key, names, dot),
            *textwrap.wrap(
                f"keys{of}: {', '.join(names)}", 110, initial_indent="  ", subsequent_indent="    ", max_lines=6
            ),
        ]
    )


def did_you_mean(given: str, accepted: Sequence[str], prefix: str = "") -> list[str]:
    """One line with the nearest accepted words, or none."""
    near = difflib.get_close_matches(given, accepted, n=2, cutoff=0.6)
    return [f"  did you mean {' or '.join(prefix + word for word in near)}?"] if near else []


def _chain(error: BaseException) -> Iterator[BaseException]:
    link: BaseException | None = error
    while link is not None:
        yield link
        link = link.__cause__ or link.__context__


def _file_of(chain: list[BaseException], folders: Sequence[Path]) -> str | None:
    """The YAML file that the error is in, if it is in one; by its path where it can be found."""
    for link in chain:
        mark = getattr(link, "problem_mark", None)
        if mark is not None and Path(mark.name).is_file():
            return f"{mark.name}:{mark.line + 1}"
    match = re.search(r"In '([^']+)'", str(chain[0]))
    if match is None or match[1] == "config":
        return None
    for folder in folders:
        if (path := folder / f"{match[1]}.yaml").is_file():
            return str(path)
    return f"{match[1]}.yaml"


def _unknown_choice(error: MissingConfigException, file: str | None) -> str:
    group, _, given = (error.missing_cfg_file or "").rpartition("/")
    options = list(error.options or [])
    if not group or not options:
        return _one_line(str(error).split("Config search path")[0], keep=4)
    where = f" (asked for by {file})" if file else ""
    return "\n".join(
        [
            f"unknown choice {group}={given}{where}",
            *did_you_mean(given, options, f"{group}="),
            *textwrap.wrap(
                f"accepted: {', '.join(options)}", 110, initial_indent="  ", subsequent_indent="    ", max_lines=6
            ),
        ]
    )


def _unreadable(error: OverrideParseException) -> str:
    given = error.override
    return (
        f"cannot read {given!r}\n"
        "  accepted: key=value, such as algo.gamma=0.98, net.hidden=[64,64] or env=cartpole\n"
        "  quote values with spaces or brackets for the shell: 'env.kwargs={gravity: 5}'"
    )


def _bad_key(error: OmegaConfBaseException, file: str | None) -> str:
    full_key = str(error.full_key)
    owner = error.object_type
    where = f"\n  in {file}" if file else ""
    remedy = "\n  the tuned values are for another net or memory: add ~tuned" if file and "tuned/" in file else ""
    # A key of another class has no value; a value of another type belongs to a key that the class has.
    fields = [f.name for f in dataclasses.fields(owner)] if dataclasses.is_dataclass(owner) else []
    if fields and str(error.key) not in fields:
        return unknown_key(full_key, fields, getattr(owner, "name", "")) + where + remedy
    accepted = _accepted(owner, str(error.key)) or _accepted_item(error.ref_type) or _one_line(str(error.msg or error))
    given = "null" if error.value is None else error.value
    if full_key == "critic_net":
        accepted = f"a choice of the net group, written net@critic_net={given}"
    return f"{full_key}={given} is not accepted\n  accepted: {accepted}{where}{remedy}"


def _accepted(owner: Any, key: str) -> str:
    """What a field of a dataclass takes, in words."""
    if not dataclasses.is_dataclass(owner) or not isinstance(owner, type):
        return ""
    hint = typing.get_type_hints(owner).get(key)
    return "" if hint is None else _words(hint)


def _accepted_item(hint: Any) -> str:
    return _words(hint) if typing.get_origin(hint) is not None else ""


def _words(hint: Any) -> str:
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Literal:
        return ", ".join(map(str, args))
    if origin in (typing.Union, types.UnionType):
        if set(args) == {int, float}:
            return "a whole number"
        parts = [_words(a) for a in args if a is not type(None)]
        if set(args) >= {int, float}:
            parts = ["a whole number"]
        return " or ".join(parts + ["null"] * (type(None) in args))
    if origin is list:
        return f"a list, each {_words(args[0])}"
    if origin is dict:
        return "a dictionary {key: value}"
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        names = ", ".join(f.name for f in dataclasses.fields(hint))
        return f"not one value; set its keys: {names}"
    plain = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}
    return plain.get(hint, str(hint))


def _one_line(text: str, keep: int = 2) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return "\n  ".join(lines[:keep])
