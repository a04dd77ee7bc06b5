"""Checkpoints as files: which there are, and whether they are what their manifest says. Knows nothing of tensors."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from loguru import logger

from rlkit.errors import CheckpointError
from rlkit.results.folder import SCHEMA

ACTING = ("manifest", "weights", "envs", "session")
"""Parts of a checkpoint that an agent needs to act; the others are the state of its training."""


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
    problems = []
    for path in reversed(numbered(folder)):
        try:
            verify(path, acting=acting)
        except CheckpointError as error:
            problems.append(str(error))
            continue
        for problem in problems:
            logger.warning("{}; going back to {}", problem, path.name)
        return path
    if problems and acting_only(folder):
        problems.append("this run was shared without the state of its training: it can act, and cannot be resumed")
    if problems:
        raise CheckpointError("\n  ".join(["no checkpoint verifies; nothing was changed", *problems]))
    return None


def verify(path: Path, *, acting: bool = False) -> None:
    """Check every file of a checkpoint against its manifest.

    Args:
        path: the checkpoint's folder.
        acting: files that only training needs may be missing, as they are from a run that was shared.

    Raises:
        CheckpointError: naming the file and what is wrong with it.
    """
    try:
        manifest = json.loads((path / "manifest.json").read_bytes())
        schema, files = manifest["schema"], dict(manifest["files"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{path} has no readable manifest.json ({type(error).__name__})") from error
    if schema != SCHEMA:
        raise CheckpointError(f"{path} has schema {schema}; this version of rlkit reads schema {SCHEMA}")
    for name, wanted in files.items():
        file = path / name
        if acting and not needed_to_act(name) and not file.exists() and not file.is_symlink():
            continue
        if Path(name).name != name or file.is_symlink() or not file.is_file():
            raise CheckpointError(f"{file} is missing or is no plain file")
        if (found := fingerprint(file.read_bytes())) != wanted:
            what = "truncated" if found["bytes"] < wanted["bytes"] else "altered"
            raise CheckpointError(f"{file} is {what}: {found['bytes']} bytes of {wanted['bytes']}, or another hash")


def acting_only(folder: Path) -> bool:
    """Whether the newest checkpoint has lost the files that only training needs, and nothing else."""
    try:
        verify(numbered(folder)[-1], acting=True)
    except (CheckpointError, IndexError):
        return False
    return True


def numbered(folder: Path) -> list[Path]:
    """The checkpoints of a folder by their frames, valid or not."""
    if not folder.is_dir():
        return []
    return sorted((p for p in folder.iterdir() if p.name.isdigit() and p.is_dir()), key=lambda p: int(p.name))


def fingerprint(data: bytes) -> dict[str, Any]:
    """Size and SHA-256 of a file's bytes, as a manifest holds them."""
    return {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
