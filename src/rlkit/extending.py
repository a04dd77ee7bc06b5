"""Algorithms from outside of the package; docs/extending.md has an example."""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING

from rlkit.errors import ConfigError

if TYPE_CHECKING:
    from rlkit.config.algo import AlgoConfig

VARIABLE = "RLKIT_EXTENSIONS"
"""Names modules, separated by commas, that call `extend` when they are imported. The processes of other seeds and
`rlkit resume` need it as well. No file of a run can set it. (`env.id=module:Name` of a run names a module too;
`rlkit.sharing.trust` says when that is imported.)"""


def extend(name: str, config: type[AlgoConfig], algorithm: str) -> None:
    """Make `algo=<name>` an algorithm, with a `conf/algo/<name>.yaml` of your own.

    Args:
        name: of the schema and of the YAML file.
        config: the dataclass of its configuration; its field `name` says the same.
        algorithm: where its class is, as `module.Class`; imported when the algorithm is chosen.

    Raises:
        ConfigError: the name is taken, or the class is no configuration of an algorithm.
    """
    from rlkit.algos.table import ALGORITHMS
    from rlkit.config.algo import AlgoConfig
    from rlkit.config.schema import SCHEMAS

    path = f"{config.__module__}.{config.__qualname__}"
    known = {key: f"{cls.__module__}.{cls.__qualname__}" for key, cls in SCHEMAS["algo"].items()}
    if known.get(name, path) != path:
        raise ConfigError(f"extend({name!r}): there is an algorithm of that name already\n  accepted: another name")
    if config.__name__ in ALGORITHMS and path not in known.values():
        raise ConfigError(f"extend({name!r}): there is a class {config.__name__} already\n  accepted: another name")
    if not issubclass(config, AlgoConfig) or getattr(config, "name", None) != name:
        raise ConfigError(f"extend({name!r}): {path} has to be a dataclass under AlgoConfig with name: str = {name!r}")
    SCHEMAS["algo"][name] = config
    ALGORITHMS[config.__name__] = algorithm


def load() -> None:
    """Import the modules that `RLKIT_EXTENSIONS` names.

    Raises:
        ConfigError: one cannot be imported.
    """
    for module in filter(None, (part.strip() for part in os.environ.get(VARIABLE, "").split(","))):
        try:
            importlib.import_module(module)
        except Exception as error:  # whatever the user's module raises
            raise ConfigError(
                f"{VARIABLE}={os.environ[VARIABLE]}: importing {module} failed: {type(error).__name__}: {error}\n"
                "  it has to be installed, on PYTHONPATH or, with python -m rlkit, in the working directory"
            ) from error
