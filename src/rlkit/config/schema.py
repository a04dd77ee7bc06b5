"""Compose YAML groups and overrides to one checked `RunConfig`. Only this module and `cli/app` know Hydra."""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import functools
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf

from rlkit.config import complaints, env, memory, net, run, search
from rlkit.config.algorithms import ALGORITHMS, load_extensions
from rlkit.errors import ConfigError
from rlkit.reading import read_yaml
from rlkit.redaction import redact_values

SCHEMAS: dict[str, dict[str, type]] = {
    "env": {"env": env.EnvConfig},
    "net": {
        "auto": net.AutoConfig,
        "mlp": net.MLPConfig,
        "conv": net.ConvConfig,
        "impala": net.ImpalaConfig,
        "recurrent": net.RecurrentConfig,
        "sequential": net.SequentialConfig,
    },
    "memory": {
        "rollout": memory.RolloutConfig,
        "replay": memory.ReplayConfig,
        "prioritized": memory.PrioritizedConfig,
    },
    "search": {"search": search.SearchConfig},
}
"""Group -> schema name -> dataclass, beside the algorithms of `config/algorithms.py`."""

GROUPS = ("algo", "env", "net", "memory", "search", "suite", "family", "tuned", "experiment", "tracker", "debug")


def schemas() -> dict[str, dict[str, type]]:
    """Group -> schema name -> dataclass. They are stored as `schema/<group>`, so that `algo=` lists algorithms only."""
    return {"algo": {name: row.config for name, row in ALGORITHMS.items()}, **SCHEMAS}


def conf_dir() -> Path:
    """The folder of YAML groups: the wheel's copy, else the checkout's."""
    package = Path(__file__).resolve().parents[1]
    for folder in (package / "conf", package.parents[1] / "conf"):
        if (folder / "config.yaml").is_file():
            return folder
    raise ConfigError("conf/ was found neither in the installed package nor beside src/; reinstall rlkit")


def register() -> None:
    """Put the schemas into Hydra's store, under names that `conf/**/*.yaml` refers to; those of extensions too."""
    load_extensions()
    OmegaConf.register_resolver("first", _first, replace=True)
    store = ConfigStore.instance()
    store.store(name="schema", node=run.RunConfig, replace=True)
    for group, classes in schemas().items():
        for name, node in classes.items():
            store.store(group=f"schema/{group}", name=name, node=node, replace=True)


def compose(
    overrides: Sequence[str] = (), *, base: str | Path | None = None, config_dir: str | Path | None = None
) -> run.RunConfig:
    """The configuration that `rlkit <overrides>` would run.

    Args:
        overrides: as on the command line, `["algo=ppo", "env=cartpole", "seeds=4"]`.
        base: a `config.yaml` of a run; overrides then change its values, and cannot choose other groups.
        config_dir: a folder with groups of your own, searched beside rlkit's.

    Raises:
        ConfigError: a key, a value or a choice is not accepted.
    """
    if base is not None:
        load_extensions()
        with complaints.short((), overrides, Path(base)):
            return _from_file(Path(base), overrides)
    with complaints.short(config_folders(config_dir), overrides), hydra_session():
        words = [*searched(config_dir), *opened(overrides, config_dir)]
        return to_config(hydra_compose("config", words), overrides)


def searched(config_dir: str | Path | None) -> list[str]:
    """The override by which Hydra searches a further folder; none without one."""
    return [f"hydra.searchpath=[file://{Path(config_dir).resolve()}]"] if config_dir else []


def complete(choices: Mapping[str, str], values: Mapping[str, Any]) -> run.RunConfig:
    """The configuration of group choices with nested values over them: what a YAML with both composes to.

    Args:
        choices: group -> choice, `{"algo": "dqn", "net": "mlp"}`, over those of conf/config.yaml.
        values: nested as in YAML.

    Raises:
        ConfigError: a key, a value or a choice is not accepted.
    """
    with complaints.short():
        cfg = copy.deepcopy(_chosen(tuple(f"{group}={choice}" for group, choice in choices.items())))
        OmegaConf.set_struct(cfg, False)
        cfg.merge_with(OmegaConf.create(dict(values)))
        return to_config(cfg)


@functools.lru_cache(maxsize=64)
def _chosen(overrides: tuple[str, ...]) -> DictConfig:
    with hydra_session():
        return hydra_compose("config", list(overrides))


def config_folders(config_dir: str | Path | None = None) -> list[Path]:
    """The folders that are searched for groups, in Hydra's order.

    That is `./conf`, unless it has a `config.yaml` and so is another program's, rlkit's own, and the folder that the
    user named.
    """
    here = Path.cwd() / "conf"
    own, foreign = ([], [here]) if (here / "config.yaml").exists() else ([here], [])
    return [*own, conf_dir(), *foreign, *([Path(config_dir)] if config_dir else [])]


def opened(overrides: Sequence[str], config_dir: str | Path | None = None) -> list[str]:
    """Overrides as Hydra is to read them.

    `env.kwargs.anything=` is accepted: those keys belong to the environment, not to rlkit. `net@critic_net=null` and
    `tuned=null` choose nothing, for which Hydra has other words; a name that looks like a number stays a text.

    Raises:
        ConfigError: a word is not to be read, or a group of choices is given none.
    """
    elsewhere = any("hydra.searchpath" in word for word in overrides)  # more folders, which only Hydra knows
    return [_opened(word, None if elsewhere else config_folders(config_dir)) for word in overrides]


def _opened(word: str, folders: Sequence[Path] | None) -> str:
    if word.startswith("-"):
        return word
    key, given, value = word.partition("=")
    complaints.check_length(word, key, value)
    group, chosen = key.lstrip("+~"), value.strip()
    if key in ("~algo", "~env", "~net", "~memory", "~search"):
        raise ConfigError(f"{key}: a run needs one\n  accepted: {group}={' or '.join(_choices(group, folders or ()))}")
    if key in ("hydra.run.dir", "hydra.job.chdir"):
        raise ConfigError(
            f"{word}: rlkit makes the folder of a run itself\n  accepted: name=..., and RLKIT_RUNS=folder"
        )
    if given and chosen == "null" and key == "net@critic_net":
        return "~net@critic_net"
    if given and group in ("suite", "family", "tuned", "search", "tracker") and chosen in ("null", "[]"):
        return f"{key}=none"
    if key == "~tracker":
        return "tracker=none"
    if given and group == "tracker" and chosen.startswith("["):  # the only group of which several files are taken
        options = _choices(group, folders or ())
        for name in chosen.strip("[]").split(","):
            if folders is not None and name.strip(" '\"") not in options:
                raise ConfigError(complaints.unknown_choice(group, name.strip(), options))
        return word
    if given and chosen in ("null", "nan") and group in ("experiment", "debug"):  # words that Hydra takes for values
        return f"{key}='nan'" if chosen == "nan" else f"~{key}"
    if given and group == "tuned" and folders is not None:
        _check_tuned(value, folders)
    elif given and group.partition("@")[0] in GROUPS and (NO_CHOICE.match(chosen) or NUMBER.fullmatch(chosen)):
        options = _choices(group.partition("@")[0], folders or ())
        raise ConfigError(complaints.unknown_choice(group, chosen, options))
    if key == "name" and all(NUMBER.fullmatch(part) for part in value.split(",")):
        return f"name={','.join(repr(part) for part in value.split(','))}"
    return f"++{word}" if word.startswith("env.kwargs") else word


NO_CHOICE = re.compile(r"null$|\[")
NUMBER = re.compile(r"[+-]?[\d_]+(\.[\d_]*)?([eE][+-]?\d+)?|[+-]?(inf|nan)|true|false", re.IGNORECASE)
"""What Hydra takes for a number, and so for no text."""


def _choices(group: str, folders: Sequence[Path]) -> list[str]:
    found = {file.stem for folder in folders for file in (folder / group).glob("*.yaml")}
    return sorted(name for name in found if not name.startswith("_"))


def _check_tuned(value: str, folders: Sequence[Path]) -> None:
    """Refuse a file of tuned values that is not there: Hydra takes it for none, as it must for a pair without any.

    Raises:
        ConfigError: naming the nearest.
    """
    accepted = _choices("tuned", folders)
    for given in value.split(","):
        name = given.strip().strip("'\"").removesuffix(".yaml")
        if re.fullmatch(r"[\w./-]+", name) and name not in accepted:
            raise ConfigError(complaints.unknown_choice("tuned", name, accepted))


def check_keys(overrides: Sequence[str], config_dir: str | Path | None = None) -> None:
    """Refuse keys that no dataclass has, where a configuration is only shown.

    Raises:
        ConfigError: naming the first unknown key.
    """
    extra = [f"hydra.searchpath=[file://{Path(config_dir).resolve()}]"] if config_dir else []
    with complaints.short(config_folders(config_dir), overrides), hydra_session():
        complaints.reject_unknown(hydra_compose("config", [*extra, *opened(overrides, config_dir)]))


def to_config(cfg: DictConfig, overrides: Sequence[str] = (), *, saved: bool = False) -> run.RunConfig:
    """A composed Hydra config as checked dataclasses.

    Args:
        cfg: the config.
        overrides: what the user gave, to be shown where it is at fault.
        saved: it is that of a run, which may hold options that have no effect.

    Raises:
        ConfigError: a key, a value or a choice is not accepted.
    """
    with complaints.short((), overrides):
        complaints.reject_unknown(cfg)
        complaints.reject_missing(cfg)
        config = complaints.as_object(cfg)
    if not isinstance(config, run.RunConfig):
        raise ConfigError("this is no configuration of a run\n  compose one: rlkit algo=ppo env=cartpole")
    if not saved:
        config.algo.without_effect()
    return config


def to_yaml(config: run.RunConfig) -> str:
    """The configuration as the text of `config.yaml`, with `[hidden]` in place of secrets."""
    values = redact_values(dataclasses.asdict(config))
    text: str = yaml.safe_dump(values, sort_keys=False, allow_unicode=True, width=120)
    return text


@contextlib.contextmanager
def hydra_session() -> Iterator[None]:
    """Hydra's compose API over conf/, also from within a running Hydra job."""
    register()
    outer = GlobalHydra.instance().hydra
    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(str(conf_dir())):
            yield
    finally:
        GlobalHydra.instance().clear()
        if outer is not None:
            GlobalHydra.instance().hydra = outer


def _from_file(path: Path, overrides: Sequence[str]) -> run.RunConfig:
    values = read_yaml(path)
    if not isinstance(values, dict):
        raise ConfigError(f"{path} holds no configuration")
    cfg = OmegaConf.structured(run.RunConfig)
    for group, classes in schemas().items():
        for key in (group, "critic_net") if group == "net" else (group,):
            if isinstance(values.get(key), dict):
                cfg[key] = OmegaConf.structured(_by_name(values[key].get("name"), classes, f"{path}: {key}"))
    cfg.merge_with(OmegaConf.create(_literal(values)))
    for override in OverridesParser.create().parse_overrides(list(overrides)):
        if override.is_sweep_override() or override.is_delete():
            raise ConfigError(f"{override.input_line}: a saved run takes plain key=value overrides")
        key = override.get_key_element()
        if key == "tracker" and not isinstance(override.value(), dict):
            raise ConfigError(f"{override.input_line}: a saved run takes single keys\n  accepted: tracker.wandb=true")
        if key in GROUPS and not isinstance(override.value(), dict):
            raise ConfigError(f"{key}={override.value()}: a saved run keeps its {key}; start a new run to change it")
        OmegaConf.update(cfg, key, override.value(), force_add=False)
    return to_config(cfg, overrides, saved=True)


def _literal(value: Any) -> Any:
    """A saved value as it stands: `${...}` in it is text, and asks nothing of this machine's environment."""
    if isinstance(value, dict):
        return {key: _literal(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_literal(item) for item in value]
    return re.sub(r"(\\*)\$\{", r"\1\1\\${", value) if isinstance(value, str) else value


def _first(*values: Any) -> Any:
    """`${first:a,b}` in a YAML file: the first value that is not null."""
    return next((value for value in values if value is not None), None)


def _by_name(name: Any, classes: dict[str, type], where: str) -> type:
    """The dataclass whose default name this is; a group with one class has it for every name (`env`)."""
    if name in classes:
        return classes[name]
    if len(classes) == 1 and next(iter(classes)) in ("env", "search"):
        return next(iter(classes.values()))
    raise ConfigError(f"{where}.name={name} is not known\n  accepted: {', '.join(classes)}")
