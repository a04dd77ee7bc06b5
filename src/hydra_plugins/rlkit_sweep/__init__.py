"""The sweeper behind a plain `-m key=a,b`: Hydra's own product of lists, whose jobs rlkit starts, shows and follows.

Hydra imports this at every start, so whatever is heavy waits until a sweep begins.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hydra.core.config_store import ConfigStore

from rlkit.search.private import BasicSweeper

if TYPE_CHECKING:
    from hydra.types import HydraContext, TaskFunction
    from omegaconf import DictConfig


@dataclass
class SweepConf:
    """`hydra.sweeper` of a plain sweep, with the keys of Hydra's own."""

    _target_: str = "hydra_plugins.rlkit_sweep.PlainSweeper"
    max_batch_size: int | None = None
    params: dict[str, str] | None = None


ConfigStore.instance().store(group="hydra/sweeper", name="rlkit_sweep", node=SweepConf, provider="rlkit")


class PlainSweeper(BasicSweeper):  # type: ignore[misc, unused-ignore]
    """Hydra's sweeper, with a folder that is the sweep's alone and `rlkit.search.plain` to run the jobs."""

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """See Hydra's `Sweeper`."""
        from rlkit.search.plain import own_folder

        own_folder(config)
        super().setup(hydra_context=hydra_context, task_function=task_function, config=config)

    def sweep(self, arguments: list[str]) -> Any:
        """See Hydra's `Sweeper`; returns the scores of the jobs."""
        from hydra.core.override_parser.overrides_parser import OverridesParser

        from rlkit.search.plain import run

        assert self.config is not None
        assert self.launcher is not None
        assert self.hydra_context is not None
        parser = OverridesParser.create(config_loader=self.hydra_context.config_loader)
        overrides = parser.parse_overrides([*self._parse_config(), *arguments])
        batches = self.split_arguments(overrides, self.max_batch_size)
        for batch in batches:
            self.validate_batch_is_legal(batch)
        return run(self.config, self.launcher, batches)
