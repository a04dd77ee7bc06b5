"""What a key of the configuration means, its value for a set of overrides, and which file gave it that value."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra import compose as hydra_compose
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.types import RunMode

from rlkit.config import complaints
from rlkit.config.describe import Described, walk
from rlkit.config.run import RunConfig
from rlkit.config.schema import GROUPS, config_folders, hydra_session, opened, searched, to_config
from rlkit.errors import ConfigError
from rlkit.reading import read_yaml


@dataclass(frozen=True)
class Explained:
    """A key, what its dataclass says of it, its value, and what set it."""

    key: str
    field: Described
    value: Any
    source: str
    """A file, `command line`, or `default`."""


def explain(
    names: Sequence[str], overrides: Sequence[str] = (), *, config_dir: str | Path | None = None
) -> list[Explained]:
    """Explain keys and groups of the configuration that overrides compose to.

    Args:
        names: dotted keys such as `algo.clip_coef`, or parts such as `algo`; none: every key.
        overrides: as on the command line.
        config_dir: a folder with groups of your own, searched beside rlkit's.

    Raises:
        ConfigError: a key is not known, or an override is not accepted.
    """
    config, layers = _composed(overrides, config_dir)
    fields = dict(_fields(config))
    for name in names:
        if name not in fields:
            place, _, _ = name.rpartition(".")
            beside = {key.rpartition(".")[2] for key in fields if key.rpartition(".")[0] == place}
            raise ConfigError(complaints.unknown_key(name, beside or {key.split(".")[0] for key in fields}))
    wanted = [key for key in fields if not names or any(key == name or key.startswith(f"{name}.") for name in names)]
    found = []
    for key in wanted:
        if fields[key].inner is None:
            source = next((source for source, values in reversed(layers) if _has(values, key)), "default")
            found.append(Explained(key, fields[key], _value(config, key), source))
    return found


def _fields(config: RunConfig) -> Iterator[tuple[str, Described]]:
    """Every key of a configuration, by the dataclasses that it is made of."""
    names = ("algo", "env", "net", "critic_net", "memory")
    parts = {name: type(part) for name in names if (part := getattr(config, name)) is not None}
    for key, field in walk(RunConfig):
        if key in parts:
            yield key, Described(key, "part", None, field.about, parts[key])
            yield from walk(parts[key], f"{key}.")
        elif not key.startswith("trial"):
            yield key, field


def _composed(overrides: Sequence[str], config_dir: str | Path | None) -> tuple[RunConfig, list[tuple[str, Any]]]:
    """The configuration, and the values that each file and the command line give, by rising precedence."""
    words = opened(overrides, config_dir)
    with complaints.short(config_folders(config_dir), overrides), hydra_session():
        hydra_words = [*searched(config_dir), *words]
        config = to_config(hydra_compose("config", hydra_words), overrides)
        loader = GlobalHydra.instance().config_loader()
        chosen = loader.compute_defaults_list("config", hydra_words, RunMode.RUN).defaults
    layers = []
    for entry in chosen:
        file = _file(entry.config_path, config_folders(config_dir))
        if file is not None and (values := read_yaml(file)):
            values = {key: value for key, value in values.items() if key not in ("defaults", "hydra")}
            place = "" if "@package _global_" in file.read_text(encoding="utf-8") else entry.package or ""
            layers.append((_shown(file), _nested(place, values)))
    typed: dict[str, Any] = {}
    for override in OverridesParser.create().parse_overrides(list(words)):
        key = override.key_or_group
        if not override.is_delete() and (key not in GROUPS or isinstance(override.value(), dict)) and "/" not in key:
            _merge(typed, _nested(key, override.value()))
    return config, [*layers, ("command line", typed)]


def _merge(values: dict[str, Any], more: dict[str, Any]) -> None:
    for key, value in more.items():
        if isinstance(value, dict) and isinstance(values.get(key), dict):
            _merge(values[key], value)
        else:
            values[key] = value


def _file(path: str | None, folders: Sequence[Path]) -> Path | None:
    """The YAML file of an entry of the defaults list; None for a dataclass."""
    files = [folder / f"{path}.yaml" for folder in folders]
    return next((file for file in files if file.is_file()), None)


def _shown(file: Path) -> str:
    """A file as the user knows it: from `conf` on."""
    parts = file.parts
    return str(Path(*parts[len(parts) - 1 - parts[::-1].index("conf") :])) if "conf" in parts else str(file)


def _nested(place: str, values: Any) -> Any:
    for part in reversed([part for part in place.split(".") if part]):
        values = {part: values}
    return values


def _has(values: Any, key: str) -> bool:
    """Whether nested values have a key, or a value in place of a part above it."""
    for part in key.split("."):
        if not isinstance(values, dict):
            return True
        if part not in values:
            return False
        values = values[part]
    return True


def _value(config: RunConfig, key: str) -> Any:
    value: Any = config
    for part in key.split("."):
        value = value.get(part) if isinstance(value, dict) else getattr(value, part)
    return value
