"""Every public class, function and method has a docstring, or overrides a method that has one."""

import importlib
import inspect
import pkgutil
from collections.abc import Iterator

import rlkit


def modules() -> Iterator[object]:
    for found in pkgutil.walk_packages(rlkit.__path__, "rlkit."):
        if not found.name.endswith("__main__"):
            yield importlib.import_module(found.name)


def members(module) -> Iterator[tuple[str, object]]:
    for name, member in vars(module).items():
        if getattr(member, "__module__", None) != module.__name__ or name.startswith("_"):
            continue
        if name == "TorchKernels":  # its methods are those of NumpyKernels
            continue
        if inspect.isclass(member):
            yield name, member
            for key, method in vars(member).items():
                method = getattr(method, "__func__", method)
                if not key.startswith("_") and (inspect.isfunction(method) or isinstance(method, property)):
                    yield f"{name}.{key}", getattr(member, key)
        elif inspect.isfunction(member):
            yield name, member


def test_everything_public_says_what_it_is():
    silent = [
        f"{module.__name__}.{name}"
        for module in modules()
        for name, found in members(module)
        if not inspect.getdoc(found)
    ]
    assert silent == []
