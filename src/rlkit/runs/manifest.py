"""Checkpoints as files: which exist, and whether they match their manifest. Tensors are read elsewhere."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from loguru import logger

from rlkit.errors import CheckpointError, RunFolderError
from rlkit.reading import plain_file, read_plain
from rlkit.runs.folder import SCHEMA

T = TypeVar("T")

ACTING = ("manifest", "weights", "envs", "session")
"""Parts of a checkpoint that an agent needs to act; the others are the state of its training."""
NEEDED = ("weights.safetensors",)
"""Files that every checkpoint has."""


def needed_to_act(name: str) -> bool:
    """Whether a file of a checkpoint is needed to act, or only to train on."""
    return Path(name).stem in ACTING


def newest(folder: Path, *, acting: bool = False) -> Path | None:
    """The newest checkpoint that verifies; those skipped are named in the log. None if there is none at all.

    Args:
        folder: `checkpoints/` of a session.
        acting: see `verify`.

    Raises:
        CheckpointError: there are checkpoints, and none verifies.
    """
    return restored(folder, lambda path: path, acting=acting)


def restored(folder: Path, restore: Callable[[Path | None], T], *, acting: bool = False) -> T:
    """What is made of the newest checkpoint that verifies and has the right form; those skipped are named in the log.

    Args:
        folder: `checkpoints/` of a session.
        restore: makes it of a checkpoint, or of None where there is none at all.
        acting: see `verify`.

    Raises:
        CheckpointError: there are checkpoints, and nothing can be made of any.
    """
    problems: list[str] = []
    paths = numbered(folder)
    for path in reversed(paths):
        try:
            verify(path, acting=acting)
            for problem in problems:
                logger.warning("{}; going back to {}", problem, path.name)
            return restore(path)
        except CheckpointError as error:
            problems.append(str(error))
    if not problems:
        return restore(None)
    if acting_only(folder):
        problems.append("this run was shared without the state of its training: it can act, and cannot be resumed")
    elif [path.name for path in paths] == ["0"]:
        problems.append(f"nothing was trained before it: remove {folder} and resume again, to start over")
    raise CheckpointError("\n  ".join(["no checkpoint verifies; nothing was changed", *problems]))


def verify(path: Path, *, acting: bool = False) -> None:
    """Check every file of a checkpoint against its manifest.

    Args:
        path: the checkpoint's folder.
        acting: files that only training needs may be missing, as they are from a run that was shared.

    Raises:
        CheckpointError: naming the file and what is wrong with it.
    """
    if path.is_symlink():
        raise CheckpointError(f"{path} is a link, and no checkpoint")
    try:
        manifest = json.loads(read_plain(path / "manifest.json"))
        schema, files = manifest["schema"], dict(manifest["files"])
    except (RunFolderError, ValueError, KeyError, TypeError, RecursionError) as error:
        what = error if isinstance(error, RunFolderError) else type(error).__name__
        raise CheckpointError(f"{path} has no readable manifest.json ({what})") from error
    if schema != SCHEMA:
        raise CheckpointError(f"{path} has schema {schema!r:.40}; this version of rlkit reads schema {SCHEMA}")
    if missing := [name for name in NEEDED if name not in files]:
        raise CheckpointError(f"{path} lists no {missing[0]} in its manifest.json")
    for name, wanted in files.items():
        file = path / name
        if not isinstance(wanted, dict) or type(wanted.get("bytes")) is not int:
            raise CheckpointError(f"{path} has no size and hash of {name:.80} in its manifest.json")
        if Path(name).name != name:
            raise CheckpointError(f"{path} names {name!r:.80} in its manifest.json, which is no file of it")
        if acting and not needed_to_act(name) and not file.exists() and not file.is_symlink():
            continue
        if file.is_symlink() or not file.is_file():
            raise CheckpointError(f"{file} is missing or is no plain file")
        if (found := fingerprint(file)) != wanted:
            what = "truncated" if found["bytes"] < wanted["bytes"] else "altered"
            raise CheckpointError(f"{file} is {what}: {found['bytes']} bytes of {wanted['bytes']}, or another hash")


def acting_only(folder: Path) -> bool:
    """Whether the newest checkpoint has lost the files that only training needs, and nothing else."""
    last = numbered(folder)[-1]
    try:
        verify(last, acting=True)
        files = json.loads(read_plain(last / "manifest.json"))["files"]
    except CheckpointError:
        return False
    return not all((last / name).exists() for name in files)


def numbered(folder: Path) -> list[Path]:
    """The checkpoints of a folder by their frames, valid or not.

    Raises:
        RunFolderError: the folder cannot be read.
    """
    try:
        paths = [path for path in folder.iterdir() if _frames(path.name) is not None and path.is_dir()]
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise RunFolderError(f"{folder} cannot be read: {error.strerror}") from error
    return sorted(paths, key=lambda path: int(path.name))


def _frames(name: str) -> int | None:
    """The frames of a checkpoint's name: digits as rlkit writes them."""
    return int(name) if name.isascii() and name.isdecimal() and len(name) < 20 and str(int(name)) == name else None


def fingerprint(file: Path) -> dict[str, Any]:
    """Size and SHA-256 of a file, which is read in pieces.

    Raises:
        CheckpointError: it cannot be read.
    """
    try:
        with plain_file(file) as opened:
            found = hashlib.file_digest(opened, "sha256").hexdigest()
            return {"bytes": opened.tell(), "sha256": found}
    except RunFolderError as error:
        raise CheckpointError(str(error)) from error
