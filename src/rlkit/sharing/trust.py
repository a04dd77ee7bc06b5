"""Modules that a run from the Hub may import: none, unless the user names them."""

from __future__ import annotations

import dataclasses
import shlex
import sys
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rlkit.errors import RunFolderError, SharingError
from rlkit.redaction import HIDDEN
from rlkit.sharing.publication import MANIFEST
from rlkit.sharing.safety import shown

if TYPE_CHECKING:
    from rlkit.config.env import EnvConfig


def foreign(run: Path) -> bool:
    """Whether a run came from the Hub: it then has the manifest of its publication, which a run made here has not."""
    marker = run / MANIFEST
    return marker.exists() or marker.is_symlink()


def check(run: Path, env: EnvConfig, trust: Collection[str]) -> None:
    """Refuse to import a module because a run from the Hub names it.

    `env.id=module:Name` of a configuration imports the module. It would be one of this machine, and importing it runs
    it: a script of the working directory, or whatever is installed.

    Args:
        run: the run's folder.
        env: its environment.
        trust: modules that the user has named.

    Raises:
        SharingError: the run came from the Hub, and names a module that is neither imported nor trusted.
        RunFolderError: a value that the environment needs was a secret, and is not in the configuration.
    """
    if hidden := [key for key, value in _values(dataclasses.asdict(env), "env") if HIDDEN in value]:
        raise RunFolderError(
            f"{run}: config.yaml has {HIDDEN} in place of {', '.join(hidden)}, which looked like a secret\n"
            f"  write the value into {run / 'config.yaml'} if it is none; else train a new run"
        )
    module, _, name = env.today.rpartition(":")
    if not module or not foreign(run) or module in trust or _registered(module, name):
        return
    raise SharingError(
        f"{run} came from the Hub, and its environment {shown(env.today)} asks for the module {shown(module)} of this "
        f"machine to be imported, which runs it\n  if that is what you want: --trust {shlex.quote(module)}, "
        f"or in Python trust=[{module!r}]"
    )


def _values(value: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _values(item, f"{path}.{key}")
    elif isinstance(value, list):
        for item in value:
            yield from _values(item, path)
    elif isinstance(value, str):
        yield path, value


def _registered(module: str, name: str) -> bool:
    """Whether the program has imported the module itself, so that nothing more is run."""
    if module not in sys.modules:
        return False
    import gymnasium

    return name in gymnasium.registry
