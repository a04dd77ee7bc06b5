"""Safetensors files, written and read in pieces: a replay memory is large, and there is no room for a copy of it.

The format (https://huggingface.co/docs/safetensors): 8 bytes with the length of a JSON header, the header with type,
shape and place of each tensor, and the bytes of the tensors.
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from rlkit.errors import CheckpointError

NAMES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.int16: "I16",
    torch.int8: "I8",
    torch.uint64: "U64",
    torch.uint32: "U32",
    torch.uint16: "U16",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}
PIECE = 2**22
"""Bytes that are written at a time."""


def write_tensors(path: Path, tensors: Mapping[str, torch.Tensor]) -> dict[str, Any]:
    """Write tensors to a file, and have it on disk.

    Raises:
        OSError: the disk does not take it.
        TypeError: a tensor has a type that the format does not know.
    """
    return write_file(path, _pieces(tensors))


def write_file(path: Path, pieces: Iterable[bytes | memoryview]) -> dict[str, Any]:
    """Write a file piece by piece, and have it on disk; returns its size and hash."""
    sha256, size = hashlib.sha256(), 0
    with path.open("wb") as file:
        for piece in pieces:
            file.write(piece)
            sha256.update(piece)
            size += len(piece)
        file.flush()
        os.fsync(file.fileno())
    return {"bytes": size, "sha256": sha256.hexdigest()}


def _pieces(tensors: Mapping[str, torch.Tensor]) -> Iterator[bytes | memoryview]:
    # As the library orders them: the widest types first, so that every tensor is aligned.
    order = sorted(tensors, key=lambda name: (-tensors[name].element_size(), name))
    header, start = {}, 0
    for name in order:
        tensor = tensors[name]
        if tensor.dtype not in NAMES:
            raise TypeError(f"{name}: a tensor of {tensor.dtype} cannot go into a checkpoint")
        end = start + tensor.numel() * tensor.element_size()
        header[name] = {"dtype": NAMES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [start, end]}
        start = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    yield struct.pack("<Q", len(text)) + text
    for name in order:
        tensor = tensors[name].detach().cpu().contiguous()
        if tensor.numel():
            data = tensor.reshape(-1).view(torch.uint8).numpy().data
            yield from (data[at : at + PIECE] for at in range(0, len(data), PIECE))


def read_tensors(path: Path) -> dict[str, torch.Tensor]:
    """The tensors of a file, which is mapped into memory and read as they are used.

    Raises:
        CheckpointError: it is no safetensors file.
    """
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError, RuntimeError, ValueError) as error:
        raise CheckpointError(f"{path} cannot be read: {error}") from error
