"""How trials on one machine share its GPUs: what their processes are let see. No GPU is needed for that."""

import os
from pathlib import Path
from types import SimpleNamespace

import pytest
from hydra_plugins.hydra_submitit_launcher.submitit_launcher import LocalLauncher

from rlkit import compose
from rlkit.search import launch
from rlkit.search.launch import Starter, executor_of, visible_gpus
from rlkit.search.sweep import share_gpus


@pytest.fixture
def launcher(tmp_path: Path) -> LocalLauncher:
    return LocalLauncher(submitit_folder=str(tmp_path / "%j"), timeout_min=5, tasks_per_node=1, gpus_per_node=None)


def test_the_numbers_that_are_let_through_count(monkeypatch: pytest.MonkeyPatch):
    for given, numbers in (("3, 5", [3, 5]), ("", []), ("GPU-8a1b,GPU-77c2", [0, 1])):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", given)
        assert visible_gpus() == numbers


@pytest.mark.parametrize(
    ("device", "seen"),
    [("auto", ["3", "5", "3"]), ("cuda", ["3", "5", "3"]), ("cuda:1", ["3,5"] * 3), ("cpu", [""] * 3)],
)
def test_each_slot_sees_its_own(launcher: LocalLauncher, device: str, seen: list[str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")
    starter = Starter(launcher, 3, share_gpus(compose([f"device={device}"]), launcher))

    def submit(launcher: LocalLauncher, overrides: object, number: int, gpus: list[int] | None) -> SimpleNamespace:
        return SimpleNamespace(job=executor_of(launcher, gpus).submit(os.getenv, "CUDA_VISIBLE_DEVICES"))

    monkeypatch.setattr(launch, "Submitted", submit)
    jobs = [starter.start([], number=10 + slot, slot=slot) for slot in range(3)]
    assert [one.job.result() for one in jobs] == seen
