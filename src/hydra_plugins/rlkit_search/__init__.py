"""The sweeper behind `-m search=...`: rlkit's asynchronous driver under hydra-optuna-sweeper's samplers.

Hydra imports this at every start, so whatever is heavy waits until a search begins.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from hydra.core.config_store import ConfigStore
from hydra.plugins.sweeper import Sweeper
from hydra_plugins.hydra_optuna_sweeper.config import SamplerConfig
from omegaconf import MISSING, OmegaConf

if TYPE_CHECKING:
    from hydra.plugins.launcher import Launcher
    from hydra.types import HydraContext, TaskFunction
    from omegaconf import DictConfig


@dataclass
class RlkitSweeperConf:
    """`hydra.sweeper`; what a search does is in `search`."""

    _target_: str = "hydra_plugins.rlkit_search.RlkitSweeper"
    defaults: list[Any] = field(default_factory=lambda: [{"sampler": "tpe"}])
    sampler: SamplerConfig = MISSING
    storage: str | None = None
    """URL of the study; null: a journal in the folder of the search."""
    params: dict[str, Any] | None = None
    """The space: key -> choice(), range(), interval() or tag(log, interval()), or a value that all trials have."""


ConfigStore.instance().store(group="hydra/sweeper", name="rlkit", node=RlkitSweeperConf, provider="rlkit")


class RlkitSweeper(Sweeper):  # type: ignore[misc, unused-ignore]
    """Hands Hydra's pieces to `rlkit.search.sweep`."""

    launcher: Launcher
    hydra_context: HydraContext
    config: DictConfig

    def __init__(self, sampler: Any, storage: str | None, params: dict[str, Any] | None) -> None:
        self.sampler, self.storage, self.params = sampler, storage, params or {}

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """See Hydra's `Sweeper`."""
        from hydra.core.plugins import Plugins

        self.hydra_context, self.config = hydra_context, config
        self.launcher = Plugins.instance().instantiate_launcher(
            config=config, hydra_context=hydra_context, task_function=task_function
        )

    def sweep(self, arguments: list[str]) -> Any:
        """See Hydra's `Sweeper`; returns the best value, or those of the Pareto front."""
        from rlkit.search.space import text
        from rlkit.search.sweep import sweep

        params: Any = OmegaConf.to_container(OmegaConf.create(self.params))
        entries = [f"{key}={value if isinstance(value, str) else text(value)}" for key, value in params.items()]
        return sweep(self.config, self.hydra_context, self.launcher, self.sampler, self.storage, entries + arguments)
