"""What a process settles before it trains: device, threads, rounding."""

import pytest
import torch
from threadpoolctl import threadpool_info

from rlkit import compose
from rlkit.training.process import choose_device, device_for, threads_of


@pytest.mark.parametrize(
    ("words", "cuda", "mps", "chosen", "why"),
    [
        ([], True, True, "cpu", "small networks"),
        (["env=pong"], True, True, "cuda", "CUDA"),
        (["env=pong"], False, True, "mps", "Apple"),
        (["env=pong"], False, False, "cpu", "neither"),
        (["net.hidden=[512,512]"], True, False, "cuda", "wide"),
        (["net.hidden=[256,256]"], True, False, "cpu", "small"),
        (["algo=crossq", "env=pendulum", "critic_net.hidden=[1024,1024]"], True, False, "cuda", "wide"),
        (["net=gru"], True, False, "cpu", "small"),
    ],
)
def test_auto(monkeypatch: pytest.MonkeyPatch, words: list[str], cuda: bool, mps: bool, chosen: str, why: str):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
    device, reason = choose_device(compose(words))
    assert device == chosen
    assert why in reason


@pytest.mark.parametrize("deterministic", [False, True])
def test_tensor_float_and_timed_kernels_are_for_runs_that_need_not_repeat(
    monkeypatch: pytest.MonkeyPatch, deterministic: bool
):
    asked: list[str] = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch, "set_float32_matmul_precision", asked.append)
    monkeypatch.setattr(torch, "use_deterministic_algorithms", lambda on: None)
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", deterministic)
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", deterministic)
    with device_for(compose(["device=cuda:1", f"deterministic={str(deterministic).lower()}"])) as device:
        assert device == torch.device("cuda:1")
        assert asked == ["highest" if deterministic else "high"]
        assert torch.backends.cudnn.benchmark is torch.backends.cudnn.allow_tf32 is not deterministic
    assert torch.backends.cudnn.benchmark is torch.backends.cudnn.allow_tf32 is deterministic


def test_threads_are_torchs_alone_and_are_given_back():
    """Two pools that spin on the same cores are ten times slower than one thread."""
    before = torch.get_num_threads()
    with threads_of(compose([f"threads={before + 1}"])):
        assert torch.get_num_threads() == before + 1
        assert {pool["num_threads"] for pool in threadpool_info() if pool["internal_api"] == "openblas"} == {1}
    assert torch.get_num_threads() == before


def test_denormal_numbers_count_as_zero_while_a_session_runs():
    tiny = torch.tensor([1e-40])
    before = (tiny * 1).item()
    with threads_of(compose([])):
        assert (tiny * 1).item() == 0
    assert (tiny * 1).item() == before
