"""What is published of a run folder: which files, under which name, with which manifest. No network is used here."""

from __future__ import annotations

import contextlib
import json
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rlkit.errors import CheckpointError, RunFolderError, SharingError
from rlkit.reading import read_yaml
from rlkit.redaction import redact
from rlkit.runs.folder import SCHEMA, RunFolder, read_json
from rlkit.runs.lock import held
from rlkit.runs.manifest import needed_to_act, newest, numbered
from rlkit.sharing.safety import check_name, fingerprint, is_known_kind

MANIFEST = "publication.json"
"""At the top of each published run: its files with sizes and hashes, what was left out, and its summary."""

SCORE = ("mean", "std", "ci95", "ci95_kind", "episodes", "deterministic", "eval_seeds")
"""What of `final_return` a publication's summary has."""

TEXT = (".yaml", ".json", ".jsonl", ".log", ".txt", ".md", ".csv", ".html", ".svg")


@dataclass(frozen=True)
class Publication:
    """A run as it is published."""

    name: str
    """`<name>/<date-time>`, its folder in the repository."""
    files: dict[str, Path]
    """Path within the run -> the file, without the manifest."""
    manifest: bytes
    summary: dict[str, Any]
    """What the index and the cards say of it."""
    left_out_bytes: int
    session: str | None
    """`session_<seed>` where a single agent is published."""

    def check_unchanged(self) -> None:
        """Compare the files with the manifest, which was written before the user confirmed.

        Raises:
            SharingError: one is not as it was.
        """
        hashes = json.loads(self.manifest)["files"]
        for path, file in self.files.items():
            if not file.is_file() or fingerprint(file) != hashes[path]:
                raise SharingError(
                    f"nothing was published: {path} of {self.name} changed during the upload; push it again"
                )

    @property
    def bytes(self) -> int:
        """Size of everything that is uploaded of it."""
        return int(self.summary["bytes"])


def prepare(run: str | Path, *, optimizer: bool = False) -> Publication:
    """Choose the files of a run, or of one of its sessions, and hash them.

    Of the checkpoints the newest valid one is published, without the state of the optimiser, the replay memory and
    everything else that only training needs.

    Args:
        run: the folder of a run, or of one of its sessions: then that agent alone.
        optimizer: publish what training needs too, so that the run can be resumed elsewhere.

    Raises:
        RunFolderError: it is no run folder, or is being trained.
        CheckpointError: no checkpoint of a session verifies.
        SharingError: a file holds a secret, or the folder's name is none for a repository.
    """
    folder = RunFolder.open(run)
    if held(folder.path):
        raise RunFolderError(f"{folder.path} is being trained; push it when that is done")
    name = Path(run).resolve().name
    session = name if name.startswith("session_") else None
    config = _config(folder)
    title = check_name(f"{config.get('name') or config['algo']['name']}/{folder.path.resolve().name}")
    chosen: list[Path] = []
    left_out: list[Path] = []
    for file in _files(folder, session):
        (chosen if optimizer or not _training_only(file) else left_out).append(file)
    files = {file.relative_to(folder.path).as_posix(): file for file in chosen}
    _refuse_secrets(files)
    hashes = {path: fingerprint(file) for path, file in files.items()}
    summary = {
        **_summary(folder, config, session),
        "files": len(files),
        "bytes": sum(entry["bytes"] for entry in hashes.values()),
    }
    manifest = {
        "schema": SCHEMA,
        "run": title,
        "session": session,
        "summary": summary,
        "left_out": sorted(file.relative_to(folder.path).as_posix() for file in left_out),
        "files": hashes,
    }
    text = json.dumps(manifest, indent=1, ensure_ascii=False) + "\n"
    left_out_bytes = sum(file.stat().st_size for file in left_out)
    return Publication(title, files, text.encode(), summary, left_out_bytes, session)


def _files(folder: RunFolder, session: str | None) -> Iterator[Path]:
    """The files that a run is made of: of checkpoints only those of the newest valid one, and nothing hidden."""
    sessions = [p for p in sorted(folder.path.glob("session_*")) if p.is_dir() and session in (None, p.name)]
    if session is not None and not sessions:
        raise RunFolderError(f"{folder.path / session} does not exist")
    kept = set()
    for path in sessions:
        checkpoint = newest(path / "checkpoints", acting=True)
        if session is not None and checkpoint is None:
            raise CheckpointError(f"{path} has no checkpoint yet, so there is no agent to push")
        kept.add(checkpoint)
    other = {p for path in sessions for p in numbered(path / "checkpoints") if p not in kept}
    for file in sorted(folder.path.rglob("*")):
        inside = file.relative_to(folder.path)
        above = [folder.path / parent for parent in inside.parents]
        foreign = inside.parts[0].startswith("session_") and session not in (None, inside.parts[0])
        hidden = any(part.startswith(".") for part in inside.parts)
        linked = file.is_symlink() or any(p.is_symlink() for p in above[:-1])
        known = is_known_kind(inside.name) and str(inside) != MANIFEST
        if file.is_file() and known and not (foreign or hidden or linked or other.intersection(above)):
            yield file


def _training_only(file: Path) -> bool:
    return file.parent.parent.name == "checkpoints" and not needed_to_act(file.name)


def _refuse_secrets(files: dict[str, Path]) -> None:
    for path, file in files.items():
        if file.suffix not in TEXT:
            continue
        for number, line in enumerate(file.read_text(encoding="utf-8", errors="replace").splitlines(), start=1):
            if redact(line) != line:
                raise SharingError(
                    f"nothing was uploaded: line {number} of {path} looks like a token or a password; take it out first"
                )


def _config(folder: RunFolder) -> dict[str, Any]:
    config = read_yaml(folder.config)
    with contextlib.suppress(KeyError, TypeError):
        if isinstance(config["algo"]["name"], str) and isinstance(config["env"], dict):
            return dict(config)
    raise RunFolderError(f"{folder.config} holds no configuration of a run")


def _summary(folder: RunFolder, config: dict[str, Any], session: str | None) -> dict[str, Any]:
    """What is known of a run, finished or not; a number that does not exist is null."""
    place = folder.path / session / "result.json" if session else folder.result
    result = read_json(place) if place.exists() else {}
    run = read_json(folder.run) if folder.run.exists() else {}
    final = result.get("final_return") or {}
    seeds = int(config.get("seeds") or 1)
    first = int(config.get("seed") or 0)
    return {
        "algo": config["algo"]["name"],
        "env_id": result.get("env_id") or config["env"].get("id"),
        "status": result.get("status") or run.get("status") or "unknown",
        "seeds": result.get("seeds") or list(range(first, first + seeds)),
        "frames": result.get("frames"),
        "score": {key: final.get(key) for key in SCORE},
        "git_sha": run.get("git_sha"),
        "command": _command(folder),
    }


def _command(folder: RunFolder) -> str | None:
    """What the user typed; None where the run was started from Python."""
    try:
        overrides = read_yaml(folder.path / "overrides.yaml")
    except RunFolderError:
        return None
    return shlex.join(["rlkit", *map(str, overrides)]) if isinstance(overrides, list) and overrides else None
