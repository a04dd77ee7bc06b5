"""The space of a search: read from Hydra's sweep syntax, and refused before the first trial where it is wrong."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import OverrideParseException
from hydra_plugins.hydra_optuna_sweeper._impl import OptunaSweeperImpl, create_params_from_overrides
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from rlkit.errors import ConfigError

if TYPE_CHECKING:
    from optuna.trial import Trial

SEEDS = ("seed", "seeds")
CHOICES = ("algo", "env", "search")


@dataclass(frozen=True)
class Space:
    """What is searched, and what every trial has in common."""

    distributions: dict[str, BaseDistribution]
    fixed: list[str]
    """Overrides of every trial."""

    def typed(self, now: Callable[[str], Any]) -> Space:
        """The space with whole numbers where the configuration has them; Hydra reads `interval(1,10)` as floats.

        Args:
            now: key -> its value in the configuration of a trial.
        """
        typed: dict[str, BaseDistribution] = {}
        for key, d in self.distributions.items():
            typed[key] = d
            if isinstance(d, FloatDistribution) and d.step is None and type(now(key)) is int:
                low, high = int(d.low), int(d.high)
                if (low, high) == (d.low, d.high):
                    typed[key] = IntDistribution(low, high, log=d.log)
        return dataclasses.replace(self, distributions=typed)

    def suggest(self, trial: Trial) -> list[str]:
        """The overrides of a trial; parameters that it already has stay."""
        for key, distribution in self.distributions.items():
            trial._suggest(key, distribution)
        return self.overrides(trial.params)

    def overrides(self, values: dict[str, Any]) -> list[str]:
        """The overrides with these values of the parameters."""
        return [*self.fixed, *(f"{key}={value}" for key, value in values.items())]

    def sample(self) -> dict[str, Any]:
        """One point, in the middle."""
        return {key: _middle(distribution) for key, distribution in self.distributions.items()}

    def grid(self) -> dict[str, Any]:
        """Every value of every parameter.

        Raises:
            ConfigError: one of them is continuous.
        """
        values = {}
        for key, distribution in self.distributions.items():
            try:
                values[key] = OptunaSweeperImpl._to_grid_sampler_choices(distribution)
            except ValueError as error:
                raise ConfigError(
                    f"{key}: a grid takes a list or a range, not an interval\n"
                    f"  for example {key}=choice(1e-4,3e-4,1e-3), or search=random"
                ) from error
        return values


def read(entries: Sequence[str]) -> Space:
    """The space that override lines describe; a later one of the same key takes the place of an earlier one.

    Raises:
        ConfigError: there is nothing to search, or a line that cannot be searched.
    """
    distributions: dict[str, BaseDistribution] = {}
    fixed: dict[str, str] = {}
    for entry in entries:
        try:
            (override,) = OverridesParser.create().parse_overrides([entry])
        except OverrideParseException as error:
            raise ConfigError(f"{entry}: cannot be read as an override: {str(error).splitlines()[0]}") from error
        key = override.get_key_element()
        if key.lstrip("+~") in SEEDS:
            raise ConfigError(
                f"{entry}: a search takes tuning seeds of its own (1000 and up), so that tables stay untouched\n"
                "  how many of them a trial has: search.seeds=3"
            )
        if override.is_sweep_override() and key in CHOICES:
            raise ConfigError(
                f"{entry}: a search compares trials of one {key}\n"
                f"  search each by itself, or compare them without a search: rlkit -m {entry} seed=0,1"
            )
        distributions.pop(key, None)
        fixed.pop(key, None)
        try:
            found, _, _ = create_params_from_overrides([entry])
        except (ValueError, AssertionError) as error:
            raise ConfigError(f"{entry}: cannot be searched: {error}\n{ACCEPTED}") from error
        if not found:
            fixed[key] = entry
            continue
        distributions.update(found)
        _check(entry, found[key])
    if not distributions:
        raise ConfigError(f"nothing to search: no key has a list or an interval\n{ACCEPTED}")
    return Space(distributions, list(fixed.values()))


ACCEPTED = (
    "  accepted: 'key=choice(a,b)', 'key=range(1,9)', 'key=interval(0.9,1.0)', 'key=tag(log,interval(1e-5,1e-2))'"
)


def _check(entry: str, distribution: BaseDistribution) -> None:
    if isinstance(distribution, FloatDistribution | IntDistribution) and distribution.low == distribution.high:
        raise ConfigError(f"{entry}: the interval holds one number\n  give it as a plain value, or widen it")


def _middle(distribution: BaseDistribution) -> Any:
    if isinstance(distribution, CategoricalDistribution):
        return distribution.choices[0]
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    low, high = distribution.low, distribution.high
    middle = (low * high) ** 0.5 if distribution.log else (low + high) / 2
    if distribution.step:
        middle = low + (middle - low) // distribution.step * distribution.step
    return int(middle) if isinstance(distribution, IntDistribution) else middle
