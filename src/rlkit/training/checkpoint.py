"""Checkpoints: folders that appear whole or not at all, hold no pickle, and are verified before they are trusted.

`checkpoints/<frames>/` has a `manifest.json` with the size and SHA-256 of each file, `weights.safetensors`, and for
every part of the state a `.safetensors` file with its arrays and a `.json` file with the rest.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import shutil
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from rlkit.errors import CheckpointError, RlkitError, RunFolderError
from rlkit.reading import read_plain
from rlkit.runs.folder import SCHEMA, writing
from rlkit.runs.manifest import newest as newest
from rlkit.runs.manifest import numbered
from rlkit.runs.manifest import restored as restored
from rlkit.runs.manifest import verify as verify
from rlkit.training.tensors import read_tensors, write_file, write_tensors

if TYPE_CHECKING:
    from rlkit.types import State

ARRAY = "__array__"
"""In a part's JSON, `{"__array__": name}` stands for an array of its safetensors file."""


def save(folder: Path, frames: int, weights: Mapping[str, torch.Tensor], parts: Mapping[str, State], keep: int) -> Path:
    """Write a checkpoint, verify it, and only then put it in its place and remove all but the newest `keep`.

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
    target, partial = folder / str(frames), folder / f".partial-{frames}"
    with writing(target):
        folder.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir()
        try:
            _write(partial, frames, weights, parts)
            _sync_folder(partial)
            verify(partial)
            if target.exists():  # the same frames again, after a resume
                shutil.rmtree(target)
            partial.rename(target)
            _sync_folder(folder)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
        _point_to(folder, target)
        # Those of more frames did not verify when this run went back, or belong to a future that it left.
        kept = [path for path in numbered(folder) if int(path.name) <= frames][-keep:]
        for other in numbered(folder):
            if other not in kept:
                shutil.rmtree(other)
    return target


def _write(folder: Path, frames: int, weights: Mapping[str, torch.Tensor], parts: Mapping[str, State]) -> None:
    """Write the files of a checkpoint one after the other, and the manifest last."""
    files = {"weights.safetensors": write_tensors(folder / "weights.safetensors", weights)}
    for name, state in parts.items():
        arrays: dict[str, torch.Tensor] = {}
        plain = json.dumps(_split(state, name, arrays)).encode()
        files[f"{name}.json"] = write_file(folder / f"{name}.json", [plain])
        if arrays:
            files[f"{name}.safetensors"] = write_tensors(folder / f"{name}.safetensors", arrays)
    manifest = {"schema": SCHEMA, "frames": frames, "files": files}
    write_file(folder / "manifest.json", [json.dumps(manifest, indent=1).encode()])


def _point_to(folder: Path, target: Path) -> None:
    """Have the link `latest` lead to a checkpoint, where the file system has links; nothing depends on it."""
    link = folder / ".latest"
    with contextlib.suppress(OSError):
        link.unlink(missing_ok=True)
        link.symlink_to(target.name)
        link.replace(folder / "latest")


def load_weights(path: Path) -> dict[str, torch.Tensor]:
    """The weights of a verified checkpoint."""
    return read_tensors(path / "weights.safetensors")


def load_parts(path: Path, names: Collection[str] | None = None) -> dict[str, State]:
    """The parts of a verified checkpoint, as given to `save`; arrays come back as NumPy arrays or torch tensors.

    Args:
        path: the checkpoint's folder.
        names: the parts that are wanted; None: all. Arrays are read from the disk as they are used.

    Raises:
        CheckpointError: a part has not the form that `save` writes.
    """
    parts = {}
    with restoring(path):
        for file in sorted(path.glob("*.json")):
            if file.name != "manifest.json" and (names is None or file.stem in names):
                beside = file.with_suffix(".safetensors")
                arrays = read_tensors(beside) if beside.exists() else {}
                part = _join(json.loads(read_plain(file)), arrays)
                if not isinstance(part, dict):
                    raise TypeError(f"{file.name} holds no JSON object")
                parts[file.stem] = part
    return parts


@contextlib.contextmanager
def restoring(path: Path) -> Iterator[None]:
    """Say that a checkpoint is at fault, where taking up its state fails: its hashes are right, its form is not.

    Raises:
        CheckpointError: in place of whatever was raised.
    """
    try:
        yield
    except RunFolderError as error:
        raise CheckpointError(str(error)) from error
    except RlkitError:
        raise
    except Exception as error:
        what = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
        raise CheckpointError(f"{path} does not hold the state of this run ({what:.200})") from error


def check_weights(weights: Mapping[str, torch.Tensor], like: Mapping[str, torch.Tensor]) -> None:
    """Compare weights with those of the network that takes them.

    Raises:
        ValueError: one is missing, or has another shape or type.
    """
    for name, wanted in like.items():
        if name not in weights:
            raise ValueError(f"the weight {name} is missing")
        found = weights[name]
        if found.shape != wanted.shape or found.dtype != wanted.dtype:
            raise ValueError(
                f"the weight {name} is {found.dtype} {list(found.shape)}, in this run {wanted.dtype} "
                f"{list(wanted.shape)}"
            )


def check_form(state: Any, like: Any, path: str, *, rows: bool = False) -> None:
    """Compare a state with one of the part that takes it: numbers stay numbers, arrays keep type and size.

    Args:
        state: from a checkpoint.
        like: what that part gives now.
        path: of the part, for the message.
        rows: arrays may have another number of rows.

    Raises:
        ValueError: naming the first difference.
    """
    if like is None or state is None:
        return
    if isinstance(like, np.ndarray | torch.Tensor):
        if not isinstance(state, type(like)):
            raise ValueError(f"{path} is a {type(state).__name__}, and no array")
        same = state.shape[1:] == like.shape[1:] if rows else math.prod(state.shape) == math.prod(like.shape)
        if state.dtype != like.dtype or (rows and state.ndim != like.ndim) or not same:
            raise ValueError(
                f"{path} is {state.dtype} {list(state.shape)}, in this run {like.dtype} {list(like.shape)}"
            )
    elif isinstance(like, dict | list | str):
        if not isinstance(state, type(like)):
            raise ValueError(f"{path} is a {type(state).__name__}, and not a {type(like).__name__}")
        for key in like if isinstance(like, dict) else ():
            if key in state:
                check_form(state[key], like[key], f"{path}.{key}", rows=rows)
    elif not isinstance(state, bool | int | float):
        raise ValueError(f"{path} is a {type(state).__name__}, and not a number")


def _split(value: Any, path: str, arrays: dict[str, torch.Tensor]) -> Any:
    """The value with every array moved to `arrays`, without a copy, and a reference in its place."""
    if isinstance(value, Mapping):
        return {str(k): _split(v, f"{path}.{k}", arrays) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_split(v, f"{path}.{i}", arrays) for i, v in enumerate(value)]
    if isinstance(value, np.ndarray):
        arrays[path] = torch.from_numpy(np.ascontiguousarray(value).reshape(value.shape))
        return {ARRAY: path, "numpy": True}
    if isinstance(value, torch.Tensor):
        arrays[path] = value.detach()
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


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
