"""Hydra's and OmegaConf's errors, reworded for the user: the key, what was given, what is accepted."""

from __future__ import annotations

import contextlib
import dataclasses
import difflib
import re
import textwrap
import traceback
import types
import typing
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, OmegaConfBaseException
from omegaconf.errors import InterpolationResolutionError as InterpolationError

from rlkit.errors import ConfigError, RlkitError

LONGEST_KEY, LONGEST_NUMBER = 200, 300
"""Characters of a key or of the name of a choice, and digits of a number."""


@contextlib.contextmanager
def short(folders: Sequence[Path] = (), overrides: Sequence[str] = (), file: Path | None = None) -> Iterator[None]:
    """Turn errors of Hydra, OmegaConf and YAML into a `ConfigError` of a few lines.

    Args:
        folders: the config folders in use, so that a faulty file can be named by its path.
        overrides: what the user gave, so that a faulty value can be shown as it was given.
        file: the one that is read, where there are no folders.
    """
    try:
        yield
    except RlkitError:
        raise
    except Exception as error:
        if not _is_theirs(error):
            raise
        lines = explain(error, folders, overrides, file).splitlines()
        raise ConfigError("\n".join(map(_clipped, lines))) from error


LONGEST_LINE = 400
"""Characters of a line of an error; a value may have any number of them."""


def _clipped(line: str) -> str:
    """A line, its middle left out if it is too long."""
    half = LONGEST_LINE // 2
    return line if len(line) <= LONGEST_LINE else f"{line[:half]} ... {line[-half:]}"


THEIRS = ("hydra", "omegaconf", "antlr4", "yaml")


def _is_theirs(error: Exception) -> bool:
    """Whether an error is of Hydra or of what it is built on: it arose while they read what the user gave."""
    if isinstance(error, (HydraException, OmegaConfBaseException, yaml.YAMLError)):
        return True
    for frame, _ in reversed(list(traceback.walk_tb(error.__traceback__))):
        package = str(frame.f_globals.get("__name__")).split(".")[0]
        if package in THEIRS or package == "rlkit":
            return package in THEIRS
    return False


def explain(
    error: Exception, folders: Sequence[Path] = (), overrides: Sequence[str] = (), file: Path | None = None
) -> str:
    """The text for one error of Hydra, OmegaConf or YAML."""
    chain = list(_chain(error))
    place = _file_of(chain, folders) or (str(file) if file else None)
    for link in chain:
        if isinstance(link, yaml.YAMLError):
            return f"{place or 'the YAML file'} is not valid YAML: {_one_line(str(link))}"
        if isinstance(link, MissingConfigException):
            return _missing_choice(link, place)
        if isinstance(link, OverrideParseException):
            return _unreadable(link)
        if isinstance(link, InterpolationError | RecursionError):
            return _unresolved(link, overrides)
        if isinstance(link, OmegaConfBaseException) and link.full_key:
            return _bad_key(link, place, overrides)
        if isinstance(link, OSError) and link.strerror:
            return f"{link.filename or 'a file'} cannot be read or written: {link.strerror}"
    if match := re.match(r"Error merging override (.*)", str(error)):
        return f"{match[1].lstrip('+')} is not accepted\n  {_one_line(str(chain[-1]), keep=1)}"
    return _one_line(str(error), keep=6) or type(error).__name__


def check_length(word: str, key: str, value: str) -> None:
    """Refuse an argument with a key or a number that is too long to be processed.

    Raises:
        ConfigError: naming the beginning.
    """
    if len(key) > LONGEST_KEY:
        raise ConfigError(f"{key[:40]}...: a key of {len(key):,} letters\n  accepted: key=value, up to {LONGEST_KEY}")
    if re.search(rf"\d{{{LONGEST_NUMBER + 1}}}", value):
        raise ConfigError(f"{key}: a number of more than {LONGEST_NUMBER} digits\n  accepted: shorter ones")
    if not key.lstrip("+~") or key.lstrip("+~").startswith(("@", "=")):
        raise ConfigError(_not_read(word))
    if "." not in key and len(value) > LONGEST_KEY and re.fullmatch(r"[\w.-]+", value):
        raise ConfigError(f"{key}={value[:40]}...: a text of {len(value):,} letters\n  accepted: up to {LONGEST_KEY}")


def as_object(cfg: DictConfig) -> Any:
    """The dataclasses of a composed config.

    Raises:
        ConfigError: a value has a form that its check did not expect.
    """
    try:
        return OmegaConf.to_object(cfg)
    except (RlkitError, OmegaConfBaseException):
        raise
    except (TypeError, ValueError, AttributeError, KeyError, OverflowError) as error:
        raise ConfigError(f"a value of the configuration has the wrong form: {error}") from error


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
    near = difflib.get_close_matches(given, accepted, n=2, cutoff=0.65)
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


def _missing_choice(error: MissingConfigException, file: str | None) -> str:
    group, _, given = (error.missing_cfg_file or "").rpartition("/")
    options = list(error.options or [])
    if not group or not options:
        return _one_line(str(error).split("Config search path")[0], keep=4)
    return unknown_choice(group, given, options, file)


def unknown_choice(group: str, given: str, options: Sequence[str], file: str | None = None) -> str:
    """A choice that a group does not have, the nearest that it has, and all of them."""
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
    return _not_read(error.override)


def _not_read(given: str) -> str:
    shown = given if len(given) <= LONGEST_KEY else f"{given[:LONGEST_KEY]}..."
    return (
        f"cannot read {shown!r}\n"
        "  accepted: key=value, such as algo.gamma=0.98, net.hidden=[64,64] or env=cartpole\n"
        "  quote values with spaces or brackets for the shell: 'env.kwargs={gravity: 5}'"
    )


def _unresolved(error: Exception, overrides: Sequence[str]) -> str:
    """The text for a `${...}` that refers to nothing, to itself, or to an unset variable."""
    key = str(getattr(error, "full_key", None) or "")
    given = _given(key, overrides) or next((word for word in overrides if "${" in word), None) or key
    told = "it refers to itself" if isinstance(error, RecursionError) else _one_line(str(error), keep=1)
    return f"{given or 'a value'} cannot be resolved: {told}\n  accepted: a value, or ${{key}} of the configuration"


def _given(full_key: str, overrides: Sequence[str]) -> str | None:
    """The word of the command line that sets a key."""
    words = [word for word in overrides if word.lstrip("+").partition("=")[0] == full_key]
    return words[-1].lstrip("+") if words else None


def _bad_key(error: OmegaConfBaseException, file: str | None, overrides: Sequence[str]) -> str:
    full_key = str(error.full_key)
    owner = error.object_type
    where = f"\n  in {file}" if file else ""
    remedy = "\n  the tuned values are for another net or memory: add ~tuned" if file and "tuned/" in file else ""
    # A key of another class has no value; a value of another type belongs to a key that the class has.
    fields = [f.name for f in dataclasses.fields(owner)] if dataclasses.is_dataclass(owner) else []
    below = next((word for word in overrides if word.lstrip("+").startswith(f"{full_key}.")), None)
    if fields and str(error.key) not in fields and not isinstance(error, ConfigAttributeError | ConfigKeyError):
        if below is None:  # the check of a whole group met a form that it did not expect
            return f"{full_key}: a value in it has the wrong form: {_one_line(str(error), keep=1)}{where}"
        key = below.lstrip("+")[len(full_key) + 1 :].partition("=")[0]
        accepted = _accepted(owner, key) or _one_line(str(error), keep=1)
        return f"{below.lstrip('+')} is not accepted\n  accepted: {accepted}"
    if fields and str(error.key) not in fields:
        return unknown_key(full_key, fields, getattr(owner, "name", "")) + where + remedy
    accepted = _accepted(owner, str(error.key)) or _accepted_item(error.ref_type) or _one_line(str(error.msg or error))
    given = _given(full_key, overrides) or (full_key if error.value is None else f"{full_key}={error.value}")
    if full_key == "critic_net":
        accepted = f"a choice of the net group, written net@{given}"
    return f"{given} is not accepted\n  accepted: {accepted}{where}{remedy}"


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
    if origin is typing.Literal and set(args) == {True, False}:
        return "true or false"
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
    return "" if hint is Any else plain.get(hint, str(hint))


def _one_line(text: str, keep: int = 2) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return "\n  ".join(lines[:keep])
