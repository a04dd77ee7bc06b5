import ctypes
import platform

import pytest

from rlkit.training.allocator import keep_freed_memory


def test_it_is_asked_of_glibc_where_that_is_the_c_library():
    assert keep_freed_memory() == (platform.libc_ver()[0] == "glibc")


@pytest.mark.parametrize("error", [OSError, TypeError])
def test_another_system_is_left_alone(error: type[Exception], monkeypatch: pytest.MonkeyPatch):
    def refuse(name: object) -> None:
        raise error

    monkeypatch.setattr(ctypes, "CDLL", refuse)
    assert not keep_freed_memory()


def test_another_c_library_is_left_alone(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(ctypes, "CDLL", lambda name: object())
    assert not keep_freed_memory()
