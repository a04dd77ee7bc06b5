"""Safetensors files as the library reads them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file

from rlkit.errors import CheckpointError
from rlkit.runs.manifest import fingerprint
from rlkit.training.tensors import NAMES, read_tensors, write_tensors

shapes = st.lists(st.integers(0, 4), max_size=3)


@settings(deadline=None, max_examples=40)
@given(st.dictionaries(st.text("abc.0é", min_size=1, max_size=8), st.tuples(st.sampled_from(list(NAMES)), shapes)))
def test_the_library_reads_what_is_written(tmp_path_factory: pytest.TempPathFactory, kinds: dict[str, tuple]):
    path = tmp_path_factory.mktemp("t") / "x.safetensors"
    given = {name: (torch.rand(shape) * 100).to(dtype) for name, (dtype, shape) in kinds.items()}
    assert write_tensors(path, given) == fingerprint(path)
    for read in (load_file(path), read_tensors(path)):
        assert read.keys() == given.keys()
        for name, tensor in given.items():
            assert read[name].dtype == tensor.dtype
            assert read[name].shape == tensor.shape
            flat = (read[name].reshape(-1), tensor.reshape(-1)) if tensor.numel() else ()
            assert len({bytes(part.view(torch.uint8).numpy()) for part in flat}) < 2


def test_views_are_written_as_what_they_show(tmp_path: Path):
    base = torch.arange(24.0).view(4, 6)
    given = {"t": base.T, "every other": base[:, ::2], "part": base[1], "number": base[2, 3]}
    write_tensors(tmp_path / "x", given)
    torch.testing.assert_close(read_tensors(tmp_path / "x"), given)


@pytest.mark.parametrize("data", [b"", b"\0" * 7, b"\xff" * 8 + b"{}", b"\x02\0\0\0\0\0\0\0[]", b"hello world"])
def test_what_is_no_such_file_is_named(data: bytes, tmp_path: Path):
    (tmp_path / "x").write_bytes(data)
    with pytest.raises(CheckpointError, match=str(tmp_path / "x")):
        read_tensors(tmp_path / "x")


def test_a_large_array_is_saved_and_read_without_a_copy_of_it(tmp_path: Path):
    """Memory of this process alone, without the pages of the file that the system holds for it."""
    import numpy as np

    from rlkit.training import checkpoint

    def own_bytes() -> int:
        lines = Path("/proc/self/status").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("RssAnon")).split()[1]) * 1024

    table = np.random.default_rng(0).random((500_000, 16), np.float32)  # 32 MB
    peaks: list[int] = []
    write, before = checkpoint.write_tensors, own_bytes()

    def watched(*given: object) -> object:
        done = write(*given)
        peaks.append(own_bytes())
        return done

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpoint, "write_tensors", watched)
        path = checkpoint.save(tmp_path, 1, {"w": torch.zeros(2)}, {"memory": {"table": table}}, 2)
    assert max(peaks) - before < table.nbytes / 4
    before = own_bytes()
    parts = checkpoint.load_parts(path)
    table[:] = parts["memory"]["table"]
    assert own_bytes() - before < table.nbytes / 4
