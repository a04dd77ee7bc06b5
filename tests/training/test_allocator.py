import ctypes
import sys

import pytest

from rlkit.training.allocator import keep_freed_memory


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's")
def test_it_is_asked_of_glibc():
    if not hasattr(ctypes.CDLL(None), "gnu_get_libc_version"):
        pytest.skip("another C library")
    assert keep_freed_memory()


@pytest.mark.parametrize("error", [OSError, TypeError])
def test_another_system_is_left_alone(error: type[Exception], monkeypatch: pytest.MonkeyPatch):
    def refuse(name: object) -> None:
        raise error

    monkeypatch.setattr(ctypes, "CDLL", refuse)
    assert not keep_freed_memory()


def test_another_c_library_is_left_alone(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(ctypes, "CDLL", lambda name: object())
    assert not keep_freed_memory()
