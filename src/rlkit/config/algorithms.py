"""The table of algorithms: the configuration, the class, and what each takes. `extend` adds a row from outside."""

from __future__ import annotations

import dataclasses
import importlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rlkit.config import algo, off_policy
from rlkit.config.net import RecurrentConfig
from rlkit.errors import ConfigError

if TYPE_CHECKING:
    from rlkit.config.memory import MemoryConfig
    from rlkit.config.net import NetConfig

VARIABLE = "RLKIT_EXTENSIONS"
"""Environment variable that names modules, separated by commas, which call `extend` when they are imported.

The processes of other seeds and `rlkit resume` need it as well. No file of a run can set it. (`env.id=module:Name` of a
run names a module too; `rlkit.sharing.trust` says when that is imported.)"""

ACTIONS = ("Discrete", "MultiDiscrete", "MultiBinary", "Box")
"""Action spaces that any algorithm takes."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One algorithm."""

    config: type[algo.AlgoConfig]
    """The dataclass of its configuration."""
    path: str | Mapping[str, str]
    """Where its class is, as `module.Class`; or for each kind of action space."""
    actions: tuple[str, ...] = ACTIONS
    """Action spaces that it takes."""
    bounded_actions: bool = False
    """Whether it takes a Box only where each dimension has two bounds."""
    pictures_with_box: bool = True
    """Whether it takes pictures together with Box actions."""
    memories: tuple[str, ...] = ("rollout",)
    """Memories that it learns from."""
    sequences: bool = False
    """Whether recurrent networks can be trained."""
    noise: bool = False
    """Whether it draws the noise of noisy layers."""
    critic: bool = True
    """Whether there is a critic, which may have a separate network."""
    whole_episodes: bool = False
    """Whether it learns from whole episodes alone, which must end."""
    learns: bool = True
    """Whether it makes updates."""


REPLAY = ("replay", "prioritized")
DQN = Row(
    config=off_policy.DQNConfig,
    path="rlkit.algos.dqn.DQN",
    actions=("Discrete",),
    memories=REPLAY,
    sequences=True,
    noise=True,
    critic=False,
)

ALGORITHMS: dict[str, Row] = {
    "ppo": Row(config=algo.PPOConfig, path="rlkit.algos.ppo.PPO", sequences=True),
    "ppo_sil": Row(config=algo.PPOSILConfig, path="rlkit.algos.sil.SelfImitation"),
    "a2c": Row(config=algo.A2CConfig, path="rlkit.algos.a2c.A2C", sequences=True),
    "a2c_sil": Row(config=algo.A2CSILConfig, path="rlkit.algos.sil.SelfImitation"),
    "reinforce": Row(
        config=algo.ReinforceConfig, path="rlkit.algos.reinforce.Reinforce", sequences=True, whole_episodes=True
    ),
    "sarsa": Row(
        config=off_policy.SARSAConfig, path="rlkit.algos.sarsa.SARSA", actions=("Discrete",), noise=True, critic=False
    ),
    "dqn": DQN,
    "ddqn": DQN,
    "ddqn_per": DQN,
    "rainbow": DQN,
    "sac": Row(
        config=off_policy.SACConfig,
        path={"Box": "rlkit.algos.sac.SAC", "Discrete": "rlkit.algos.sac_discrete.DiscreteSAC"},
        actions=("Box", "Discrete"),
        bounded_actions=True,
        pictures_with_box=False,
        memories=REPLAY,
    ),
    "crossq": Row(
        config=off_policy.CrossQConfig,
        path={"Box": "rlkit.algos.crossq.CrossQ", "Discrete": "rlkit.algos.crossq.DiscreteCrossQ"},
        actions=("Box", "Discrete"),
        bounded_actions=True,
        pictures_with_box=False,
        memories=REPLAY,
    ),
    "tqc": Row(
        config=off_policy.TQCConfig,
        path="rlkit.algos.tqc.TQC",
        actions=("Box",),
        bounded_actions=True,
        pictures_with_box=False,
        memories=REPLAY,
    ),
    "td3": Row(
        config=off_policy.TD3Config,
        path="rlkit.algos.td3.TD3",
        actions=("Box",),
        bounded_actions=True,
        pictures_with_box=False,
        memories=REPLAY,
    ),
    "random": Row(
        config=algo.RandomConfig, path="rlkit.algos.random.Random", sequences=True, critic=False, learns=False
    ),
}


def row_of(config: algo.AlgoConfig) -> Row:
    """The row of an algorithm's configuration."""
    return next(row for row in ALGORITHMS.values() if row.config is type(config))


def others_for(action: str) -> str:
    """Names of algorithms that take an action space, for messages."""
    kinds = {"Box": "ppo, a2c, sac, crossq or td3", "Discrete": "ppo, a2c, dqn or sac"}
    return kinds.get(action, "ppo, a2c or reinforce")


def check_fit(config: algo.AlgoConfig, net: NetConfig, critic_net: NetConfig | None, memory: MemoryConfig) -> None:
    """Check that an algorithm can learn with these networks and from this memory.

    Raises:
        ConfigError: it cannot, or would leave something unused.
    """
    row, name = row_of(config), config.name
    if critic_net is not None and not row.critic:
        raise ConfigError(f"net@critic_net={critic_net.name}: {name} has no critic\n  accepted: critic_net=null")
    for each in (critic_net, net):
        if each is None:
            continue
        if each.noisy and not row.noise:
            raise ConfigError(
                f"net.noisy=true: {name} does not draw that noise\n"
                "  accepted: false here; true for sarsa, dqn and its variants"
            )
        if isinstance(each, RecurrentConfig) and not row.sequences:
            raise ConfigError(
                f"net={each.name}: {name} learns from single steps, and a recurrent net needs sequences\n"
                "  accepted: mlp, conv, impala or sequential"
            )
    if memory.name not in row.memories:
        raise ConfigError(f"memory={memory.name} is not for {name}\n  accepted: {' or '.join(row.memories)}")
    config.check_fit(net, critic_net, memory)


def extend(name: str, config: type[algo.AlgoConfig], algorithm: str | Mapping[str, str], **takes: Any) -> None:
    """Make `algo=<name>` an algorithm, with a `conf/algo/<name>.yaml` of your own.

    Args:
        name: of the schema and of the YAML file.
        config: the dataclass of its configuration; its field `name` says the same.
        algorithm: where its class is, as `module.Class`, imported when the algorithm is chosen; or such a path for each
            kind of action space.
        takes: fields of `Row`, such as `actions=("Box",)`. The others are those of the algorithm whose configuration
            `config` extends, or where it extends none those of PPO or of DQN's memories.

    Raises:
        ConfigError: the name is taken, the class is no configuration of an algorithm, or a field is not known.
    """
    path = f"{config.__module__}.{config.__qualname__}"
    known = {key: f"{row.config.__module__}.{row.config.__qualname__}" for key, row in ALGORITHMS.items()}
    if known.get(name, path) != path:
        raise ConfigError(f"extend({name!r}): there is an algorithm of that name already\n  accepted: another name")
    if not issubclass(config, algo.AlgoConfig) or getattr(config, "name", None) != name:
        raise ConfigError(f"extend({name!r}): {path} has to be a dataclass under AlgoConfig with name: str = {name!r}")
    fields = {field.name for field in dataclasses.fields(Row)} - {"config", "path"}
    if unknown := sorted(takes.keys() - fields):
        raise ConfigError(f"extend({name!r}): {unknown[0]} is not known\n  accepted: {', '.join(sorted(fields))}")
    ALGORITHMS[name] = dataclasses.replace(_nearest(config), config=config, path=algorithm, **takes)


def _nearest(config: type[algo.AlgoConfig]) -> Row:
    """The row that an algorithm from outside begins with."""
    for ancestor in config.__mro__[1:]:
        for row in ALGORITHMS.values():
            if row.config is ancestor:
                return row
    off = issubclass(config, off_policy.OffPolicyConfig)
    return Row(config=config, path="", memories=REPLAY if off else ("rollout",), sequences=not off)


def load_extensions() -> None:
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
