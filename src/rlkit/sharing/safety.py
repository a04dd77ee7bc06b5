"""What may be in a published run, on the way out and on the way in: plain files of known kinds, inside their folder.

A repository is written by strangers. Nothing in it decides where a file is written, nothing of it is unpickled, and
what its manifest does not vouch for is refused as a whole.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from rlkit.errors import SharingError

SUFFIXES = frozenset(
    ".yaml .json .jsonl .log .txt .md .csv .html .safetensors .png .svg .mp4 .gif".split()  # noqa: SIM905
)
"""Kinds of files that a run is made of; TensorBoard's event files have no suffix."""

PART = re.compile(r"[A-Za-z0-9][\w.+=-]{0,199}")
"""A name of a file or folder, the same on every file system: no hidden file, no `..`, no separator."""

MAX_FILES = 100_000
MAX_MANIFEST_BYTES = 64 * 2**20
"""Of a manifest or an index, which are read whole."""


def check_name(name: str) -> str:
    """The name of a run, `<name>/<date-time>`, as it is.

    Raises:
        SharingError: a part of it is no plain name.
    """
    if len(name.split("/")) < 2 or not all(PART.fullmatch(part) for part in name.split("/")):
        raise SharingError(
            f"{shown(name)} is no name of a run: letters, digits, '_', '-', '.', and '/' between folders"
        )
    return name


def check_path(path: str) -> str:
    """The path of a file within a run, as it is.

    Raises:
        SharingError: it leads elsewhere, is hidden, or is of a kind that a run does not hold.
    """
    if not isinstance(path, str) or not all(PART.fullmatch(part) for part in path.split("/")):
        raise SharingError(f"refused: {shown(str(path))} is no path within a run")
    if not is_known_kind(path):
        raise SharingError(f"refused: {shown(path)} is of a kind that a run does not hold (no pickle is ever taken)")
    return path


def is_known_kind(path: str) -> bool:
    """Whether a run may hold a file of this name."""
    name = PurePosixPath(path).name
    return PurePosixPath(name).suffix in SUFFIXES or name.startswith("events.out.tfevents.")


def check_files(files: object, limit_bytes: int) -> dict[str, dict[str, Any]]:
    """The `files` of a manifest, path -> `{"bytes", "sha256"}`.

    Raises:
        SharingError: they are not of this form, too many, too large, or a path is refused.
    """
    if not isinstance(files, dict) or not files or len(files) > MAX_FILES:
        raise SharingError("refused: its manifest lists no files, or far too many")
    folded: set[str] = set()
    for path, wanted in files.items():
        check_path(path)
        good = (
            isinstance(wanted, dict)
            and type(wanted.get("bytes")) is int
            and wanted["bytes"] >= 0
            and re.fullmatch(r"[0-9a-f]{64}", str(wanted.get("sha256")))
        )
        if not good:
            raise SharingError(f"refused: the manifest gives no size and hash of {shown(path)}")
        if path.lower() in folded:
            raise SharingError(f"refused: {shown(path)} collides with another path on case-insensitive file systems")
        folded.add(path.lower())
    total = sum(wanted["bytes"] for wanted in files.values())
    if total > limit_bytes:
        raise SharingError(
            f"refused: it is {total / 2**30:.1f} GB, and the limit {limit_bytes / 2**30:g} GB (--max-gb allows more)"
        )
    return files


def check_listing(name: str, files: Mapping[str, Mapping[str, Any]], listed: Mapping[str, int | None]) -> None:
    """Compare what a repository holds below a run with the run's manifest.

    Args:
        name: of the run.
        files: the manifest's files.
        listed: path in the repository -> size; None for what is no file: a folder, or a link.

    Raises:
        SharingError: a file is not in the manifest, is missing, or has another size; or an entry is no plain file.
    """
    wanted = {f"{name}/{path}": int(entry["bytes"]) for path, entry in files.items()}
    folders = {str(parent) for path in wanted for parent in PurePosixPath(path).parents}
    for path, size in listed.items():
        if size is None and path not in folders:
            raise SharingError(f"refused: {shown(path)} is neither a file nor a folder of the run; a link, perhaps")
        if size is not None and path not in wanted:
            raise SharingError(f"refused: {shown(path)} is not in the run's manifest")
    for path, size in wanted.items():
        if listed.get(path) is None:
            raise SharingError(f"refused: {shown(path)} is in the manifest, and no file of the repository")
        if listed[path] != size:
            raise SharingError(f"refused: {shown(path)} has {listed[path]:,} bytes, by the manifest {size:,}")


def check_content(file: Path, path: str, wanted: Mapping[str, Any]) -> None:
    """Compare a file with the manifest.

    Raises:
        SharingError: it is a link, has another hash, or holds a pickle under another name.
    """
    if file.is_symlink() or not file.is_file() or fingerprint(file) != wanted:
        raise SharingError(f"refused: {shown(path)} does not have the hash of the manifest")
    with file.open("rb") as opened:
        start = opened.read(2)
    # The length of a safetensors header may begin like this; it is parsed as safetensors, or not at all.
    if start[:1] == b"\x80" and start[1:] in b"\x02\x03\x04\x05" and file.suffix != ".safetensors":
        raise SharingError(f"refused: {shown(path)} is a pickle (none is ever taken)")


def fingerprint(file: Path) -> dict[str, Any]:
    """Size and SHA-256 of a file, read piece by piece."""
    with file.open("rb") as opened:
        return {"bytes": file.stat().st_size, "sha256": hashlib.file_digest(opened, "sha256").hexdigest()}


def shown(text: str) -> str:
    """A stranger's text made fit for a terminal: no control characters, and not endless."""
    plain = "".join(c if c.isprintable() else "?" for c in text)
    return plain if len(plain) <= 120 else plain[:117] + "..."
