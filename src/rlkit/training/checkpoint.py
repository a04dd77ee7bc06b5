"""Checkpoints: folders that appear whole or not at all, hold no pickle, and are verified before they are trusted.

`checkpoints/<frames>/` has a `manifest.json` with the size and SHA-256 of each file, `weights.safetensors`, and for
every part of the state a `.safetensors` file with its arrays and a `.json` file with the rest.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors

from rlkit.errors import CheckpointError
from rlkit.results.folder import SCHEMA, writing
from rlkit.results.manifest import fingerprint, numbered
from rlkit.results.manifest import newest as newest
from rlkit.results.manifest import verify as verify

if TYPE_CHECKING:
    from rlkit.types import State

ARRAY = "__array__"
"""In a part's JSON, `{"__array__": name}` stands for an array of its safetensors file."""


def save(folder: Path, frames: int, weights: Mapping[str, torch.Tensor], parts: Mapping[str, State], keep: int) -> Path:
    """Write a checkpoint, verify it, and only then remove all but the newest `keep`.

    Args:
        folder: `checkpoints/` of a session.
        frames: names the checkpoint.
        weights: the learnt weights.
        parts: name -> state: nested dictionaries of numbers, texts, lists, arrays and tensors.
        keep: how many valid checkpoints remain.

    Raises:
        RunFolderError: it cannot be written; those before are intact.
        CheckpointError: it does not verify after being written.
    """
    files = {"weights.safetensors": save_tensors({n: w.detach().cpu().contiguous() for n, w in weights.items()})}
    for name, state in parts.items():
        arrays: dict[str, torch.Tensor] = {}
        plain = _split(state, name, arrays)
        files[f"{name}.json"] = json.dumps(plain).encode()
        if arrays:
            files[f"{name}.safetensors"] = save_tensors(arrays)
    manifest = {"schema": SCHEMA, "frames": frames, "files": {n: fingerprint(data) for n, data in files.items()}}
    files["manifest.json"] = json.dumps(manifest, indent=1).encode()

    target, partial = folder / str(frames), folder / f".partial-{frames}"
    with writing(target):
        folder.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir()
        try:
            for name, data in files.items():
                with (partial / name).open("wb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
            _sync_folder(partial)
            if target.exists():  # the same frames again, after a resume
                shutil.rmtree(target)
            partial.rename(target)
            _sync_folder(folder)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
        verify(target)
        link = folder / ".latest"
        link.unlink(missing_ok=True)
        link.symlink_to(target.name)
        link.replace(folder / "latest")
        # Those of more frames did not verify when this run went back, or belong to a future that it left.
        kept = [path for path in numbered(folder) if int(path.name) <= frames][-keep:]
        for other in numbered(folder):
            if other not in kept:
                shutil.rmtree(other)
    return target


def load_weights(path: Path) -> dict[str, torch.Tensor]:
    """The weights of a verified checkpoint."""
    return _tensors(path / "weights.safetensors")


def load_parts(path: Path, names: Collection[str] | None = None) -> dict[str, State]:
    """The parts of a verified checkpoint, as given to `save`; arrays come back as NumPy arrays or torch tensors.

    Args:
        path: the checkpoint's folder.
        names: the parts that are wanted; None: all, and a replay memory may be large.
    """
    parts = {}
    for file in sorted(path.glob("*.json")):
        if file.name != "manifest.json" and (names is None or file.stem in names):
            beside = file.with_suffix(".safetensors")
            arrays = _tensors(beside) if beside.exists() else {}
            parts[file.stem] = _join(json.loads(file.read_bytes()), arrays)
    return parts


def _split(value: Any, path: str, arrays: dict[str, torch.Tensor]) -> Any:
    """The value with every array moved to `arrays` and a reference in its place."""
    if isinstance(value, Mapping):
        return {str(k): _split(v, f"{path}.{k}", arrays) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_split(v, f"{path}.{i}", arrays) for i, v in enumerate(value)]
    if isinstance(value, np.ndarray):
        arrays[path] = torch.from_numpy(np.ascontiguousarray(value).reshape(value.shape))
        return {ARRAY: path, "numpy": True}
    if isinstance(value, torch.Tensor):
        arrays[path] = value.detach().cpu().contiguous().clone()
        return {ARRAY: path, "numpy": False}
    if isinstance(value, np.generic):
        return value.item()
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"{path}: a {type(value).__name__} cannot go into a checkpoint")


def _join(value: Any, arrays: dict[str, torch.Tensor]) -> Any:
    if isinstance(value, dict):
        if ARRAY in value:
            array = arrays[value[ARRAY]]
            return array.numpy() if value["numpy"] else array
        return {k: _join(v, arrays) for k, v in value.items()}
    return [_join(v, arrays) for v in value] if isinstance(value, list) else value


def _tensors(file: Path) -> dict[str, torch.Tensor]:
    try:
        return load_tensors(file.read_bytes())  # type: ignore[no-any-return, unused-ignore]
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{file} cannot be read: {error}") from error


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
