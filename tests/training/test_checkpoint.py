import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from rlkit.errors import CheckpointError, RunFolderError
from rlkit.training import checkpoint

WEIGHTS = {"actor.0.weight": torch.arange(6.0).view(2, 3)}
PARTS = {
    "algo": {"optim": {"first": torch.ones(3), "steps": torch.tensor(4.0)}, "note": None},
    "envs": {"episode": np.array([3, 4]), "returns": [1.5, float("inf")], "big": 2**100, "flag": np.bool_(True)},
}


def save(folder: Path, frames: int, keep: int = 2) -> Path:
    return checkpoint.save(folder, frames, WEIGHTS, PARTS, keep)


def test_what_is_saved_comes_back(tmp_path: Path):
    path = save(tmp_path, 10)
    torch.testing.assert_close(checkpoint.load_weights(path), WEIGHTS)
    parts = checkpoint.load_parts(path)
    assert parts["envs"]["episode"].tolist() == [3, 4]
    assert isinstance(parts["envs"]["episode"], np.ndarray)
    assert parts["envs"]["big"] == 2**100
    assert parts["envs"]["returns"] == [1.5, float("inf")]
    assert parts["envs"]["flag"] is True
    assert isinstance(parts["algo"]["optim"]["first"], torch.Tensor)
    assert parts["algo"]["note"] is None


def test_no_file_is_a_pickle(tmp_path: Path):
    names = {p.name for p in save(tmp_path, 10).iterdir()}
    assert names == {
        "manifest.json",
        "weights.safetensors",
        "algo.json",
        "algo.safetensors",
        "envs.json",
        "envs.safetensors",
    }
    with pytest.raises(TypeError, match=r"algo\.net: a object"):
        checkpoint.save(tmp_path, 11, WEIGHTS, {"algo": {"net": object()}}, 2)
    assert not list(tmp_path.glob(".partial*"))


def test_the_newest_are_kept_and_latest_points_to_the_last(tmp_path: Path):
    for frames in (5, 10, 90, 100):
        save(tmp_path, frames)
    assert {p.name for p in tmp_path.iterdir()} == {"90", "100", "latest"}
    assert (tmp_path / "latest").resolve().name == "100"
    assert checkpoint.newest(tmp_path) == tmp_path / "100"


def test_after_going_back_the_damaged_ones_ahead_do_not_push_out_good_ones(tmp_path: Path):
    save(tmp_path, 100, keep=5)
    for frames in (200, 300):
        (save(tmp_path, frames, keep=5) / "manifest.json").unlink()
    assert checkpoint.newest(tmp_path) == tmp_path / "100"
    save(tmp_path, 150)
    assert {p.name for p in tmp_path.iterdir()} == {"100", "150", "latest"}


def every_damage(path: Path) -> dict[str, Path]:
    """A copy of the checkpoint for each way to harm each of its files."""
    copies = {}
    for file in sorted(path.iterdir()):
        for how in ("truncated", "altered", "removed", "empty", "linked"):
            copy = path.parent.parent / f"{how}-{file.name}" / path.name
            shutil.copytree(path, copy)
            target, data = copy / file.name, file.read_bytes()
            if how == "truncated":
                target.write_bytes(data[: len(data) // 2])
            elif how == "altered":
                target.write_bytes(data[:-3] + bytes([data[-3] ^ 1]) + data[-2:])
            elif how == "empty":
                target.write_bytes(b"")
            else:
                target.unlink()
                if how == "linked":
                    target.symlink_to("/etc/hostname")
            copies[f"{how} {file.name}"] = copy
    return copies


def test_any_damage_is_noticed_and_named(tmp_path: Path):
    copies = every_damage(save(tmp_path / "c", 10))
    assert len(copies) == 30
    for copy in copies.values():
        with pytest.raises(CheckpointError, match=str(copy)):
            checkpoint.verify(copy)


def test_the_newest_valid_one_is_used_and_the_skipped_one_named(tmp_path: Path):
    from loguru import logger

    save(tmp_path, 10)
    damaged = save(tmp_path, 20) / "weights.safetensors"
    damaged.write_bytes(damaged.read_bytes()[:-1])
    messages: list[str] = []
    sink = logger.add(lambda m: messages.append(str(m)))
    assert checkpoint.newest(tmp_path) == tmp_path / "10"
    logger.remove(sink)
    assert "weights.safetensors is truncated" in messages[0]
    shutil.rmtree(tmp_path / "10")
    with pytest.raises(CheckpointError, match="no checkpoint verifies; nothing was changed"):
        checkpoint.newest(tmp_path)


def test_no_checkpoint_at_all_is_none(tmp_path: Path):
    assert checkpoint.newest(tmp_path / "nowhere") is None
    assert checkpoint.newest(tmp_path) is None


def test_a_leftover_of_a_kill_is_no_checkpoint(tmp_path: Path):
    save(tmp_path, 10)
    shutil.copytree(tmp_path / "10", tmp_path / ".partial-20")
    assert checkpoint.newest(tmp_path) == tmp_path / "10"
    save(tmp_path, 20)
    assert not (tmp_path / ".partial-20").exists()


@pytest.mark.parametrize("fails", ["open", "fsync", "rename"])
def test_a_write_that_fails_keeps_those_before(fails: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    save(tmp_path, 10)

    def full(*args: object, **kwargs: object) -> None:
        raise OSError(28, "No space left on device")

    owner = {"open": Path, "fsync": checkpoint.os, "rename": Path}[fails]
    with monkeypatch.context() as broken:
        broken.setattr(owner, fails, full)
        with pytest.raises(RunFolderError, match="the disk is full"):
            save(tmp_path, 20)
    assert {p.name for p in tmp_path.iterdir()} == {"10", "latest"}
    assert checkpoint.newest(tmp_path) == tmp_path / "10"


def test_another_schema_is_refused(tmp_path: Path):
    manifest = save(tmp_path, 10) / "manifest.json"
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), "schema": 99}))
    with pytest.raises(CheckpointError, match="schema 99"):
        checkpoint.verify(tmp_path / "10")
