"""What rlkit needs of Hydra, Optuna and submitit beyond their public interface: the one place to look at an upgrade."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hydra._internal.core_plugins.basic_launcher import BasicLauncher as BasicLauncher
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper as BasicSweeper

if TYPE_CHECKING:
    from optuna import Study
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial, Trial


def trial_of(study: Study, frozen: FrozenTrial) -> Trial:
    """A trial of another process, to report to and to tell: Optuna gives it only to the process that asked for it."""
    from optuna.trial import Trial

    return Trial(study, frozen._trial_id)


def note(study: Study, frozen: FrozenTrial, **attributes: Any) -> None:
    """Set user attributes of a trial of another process, without drawing its parameters as `trial_of` does."""
    for name, value in attributes.items():
        study._storage.set_trial_user_attr(frozen._trial_id, name, value)


def suggest(trial: Trial, key: str, distribution: BaseDistribution) -> None:
    """Draw a parameter from a distribution of any kind; one that the trial already has stays."""
    trial._suggest(key, distribution)


def distribution_of(entry: str) -> BaseDistribution:
    """The distribution of an override such as `algo.gamma=interval(0.9,1)`, as Hydra's sweeper reads it."""
    from hydra_plugins.hydra_optuna_sweeper._impl import create_params_from_overrides

    (distribution,) = create_params_from_overrides([entry])[0].values()
    return distribution


def grid_values(distribution: BaseDistribution) -> Any:
    """The values of a distribution on a grid, as Hydra's sweeper takes them."""
    from hydra_plugins.hydra_optuna_sweeper._impl import OptunaSweeperImpl

    return OptunaSweeperImpl._to_grid_sampler_choices(distribution)


def search_space_transform(space: dict[str, BaseDistribution], *, step: bool) -> Any:
    """Optuna's map of a search space to the unit cube, for CMA-ES."""
    from optuna._transform import _SearchSpaceTransform

    return _SearchSpaceTransform(space, transform_step=step, transform_0_1=True)


def kind_of(launcher: Any) -> str:
    """The kind of a submitit launcher: `slurm` or `local`."""
    kind: str = launcher._EXECUTOR
    return kind
