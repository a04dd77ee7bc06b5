"""The space of a search: read from Hydra's sweep syntax, and refused before the first trial where it is wrong."""

from __future__ import annotations

import dataclasses
import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, Glob, Override, Quote, QuotedString, RangeSweep
from hydra.errors import OverrideParseException
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from rlkit.config.run import RunConfig
from rlkit.errors import ConfigError
from rlkit.search import private

if TYPE_CHECKING:
    from optuna.trial import Trial

SEEDS = ("seed", "seeds")
CHOICES = ("algo", "env", "search")
VALUES = ("num_envs", "frames")
"""Keys of one word that are values, not choices of a group."""
EXPERIMENT = ("algo", "env", "net", "critic_net", "memory", "tuned", "num_envs", "frames")
"""First words of keys that can be searched; the others say how a run is run, scored or kept."""


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
            private.suggest(trial, key, distribution)
        return self.overrides(trial.params)

    def overrides(self, values: dict[str, Any]) -> list[str]:
        """The overrides with these values of the parameters."""
        return [*self.fixed, *(f"{key}={text(v) if isinstance(v, bool) else v}" for key, v in values.items())]

    def sample(self) -> dict[str, Any]:
        """One point, in the middle."""
        return {key: _middle(distribution) for key, distribution in self.distributions.items()}

    def draw(self, rng: random.Random) -> dict[str, Any]:
        """One point at random."""
        return {key: _drawn(distribution, rng) for key, distribution in self.distributions.items()}

    def grid(self) -> dict[str, Any]:
        """Every value of every parameter.

        Raises:
            ConfigError: one of them is continuous.
        """
        values = {}
        for key, distribution in self.distributions.items():
            try:
                values[key] = private.grid_values(distribution)
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
        override = parsed(entry)
        key = override.get_key_element()
        _check_key(entry, override)
        distributions.pop(key, None)
        fixed.pop(key, None)
        if not override.is_sweep_override():
            fixed[key] = entry
        else:
            distributions[key] = _distribution(entry, override)
    if not distributions:
        raise ConfigError(f"nothing to search: no key has a list or an interval\n{ACCEPTED}")
    return Space(distributions, list(fixed.values()))


def parsed(entry: str) -> Override:
    """An override, as Hydra reads it.

    Raises:
        ConfigError: Hydra cannot read it.
    """
    try:
        (override,) = OverridesParser.create().parse_overrides([entry])
    except OverrideParseException as error:
        null_in_choice = "null" in entry and "choice(" in entry
        hint = "\n  null stands in a list without choice(): key=null,0.01" if null_in_choice else ""
        raise ConfigError(f"{entry}: cannot be read as an override: {str(error).splitlines()[0]}{hint}") from error
    return override


def _check_key(entry: str, override: Override) -> None:
    """Refuse keys that a search may not vary, or not set."""
    key = override.get_key_element().lstrip("+~")
    if key in SEEDS:
        raise ConfigError(
            f"{entry}: a search uses tuning seeds (1000 and up), so that tables stay untouched\n"
            "  how many of them a trial has: search.seeds=3"
        )
    if not override.is_sweep_override():
        return
    if key in CHOICES:
        raise ConfigError(
            f"{entry}: a search compares trials of one {key}\n"
            f"  search each by itself, or compare them without a search: rlkit -m {entry} seed=0,1"
        )
    first = re.split(r"[./@]", key)[0]
    if (first in RunConfig.__dataclass_fields__ or first == "hydra") and first not in EXPERIMENT:
        raise ConfigError(
            f"{entry}: {key} says how trials are run, scored or kept; it is no hyper-parameter\n"
            f"  give it one value; what can be searched: {', '.join(f'{word}.*' for word in EXPERIMENT[:5])}, "
            "net, memory, num_envs, frames"
        )


def _distribution(entry: str, override: Override) -> BaseDistribution:
    """What Optuna draws from; of a list each value once, texts as Hydra reads them again."""
    value = override.value()
    if isinstance(value, Glob):
        raise ConfigError(
            f"{entry}: cannot be searched: only a plain sweep takes a glob\n"
            f"  list the choices: {override.get_key_element()}=a,b"
        )
    if isinstance(value, ChoiceSweep) or (isinstance(value, RangeSweep) and (value.shuffle or value.transformers)):
        choices = list(override.sweep_iterator(transformer=_choice))
        once: dict[tuple[bool, Any], Any] = {}
        for x in choices:
            once.setdefault((isinstance(x, bool), x), x)  # True equals 1
        return CategoricalDistribution(tuple(once.values()))
    try:
        distribution = private.distribution_of(entry)
    except (ValueError, AssertionError, NotImplementedError) as error:
        raise ConfigError(f"{entry}: cannot be searched: {error}\n{ACCEPTED}") from error
    if isinstance(distribution, FloatDistribution | IntDistribution) and distribution.low == distribution.high:
        raise ConfigError(f"{entry}: the interval holds one number\n  give it as a plain value, or widen it")
    return distribution


def _choice(value: Any) -> Any:
    """A value as Optuna keeps it: numbers and booleans as they are, anything else as Hydra's text."""
    return value if isinstance(value, bool | int | float) else text(value)


def text(value: Any) -> str:
    """A value in Hydra's words: what stands behind `key=` and is read as this value again."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str) and not isinstance(value, QuotedString):
        return value if _plain(value) else QuotedString(value, Quote.single).with_quotes()
    return Override._get_value_element_as_str(value)


def _plain(value: str) -> bool:
    """Whether a text needs no quotes."""
    try:
        (override,) = OverridesParser.create().parse_overrides([f"key={value}"])
    except OverrideParseException:
        return False
    return not override.is_sweep_override() and override.value() == value and isinstance(override.value(), str)


def written(distribution: BaseDistribution) -> str:
    """A distribution in Hydra's words."""
    if isinstance(distribution, CategoricalDistribution):
        return listed(distribution.choices)
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    low, high, step = distribution.low, distribution.high, distribution.step
    if step and not (isinstance(distribution, IntDistribution) and step == 1):
        return f"range({low:.10g},{high + step / 2:.10g},{step:.10g})"
    interval = f"interval({low:.4g},{high:.4g})"
    return f"tag(log,{interval})" if distribution.log else interval


def listed(choices: Sequence[Any]) -> str:
    """Choices in Hydra's words, texts among them as `text` gives them; choice() takes no null."""
    words = ",".join(text(c) if isinstance(c, bool) else str(c) for c in choices)
    return words if "null" in choices else f"choice({words})"


ACCEPTED = (
    "  accepted: 'key=choice(a,b)', 'key=range(1,9)', 'key=interval(0.9,1.0)', 'key=tag(log,interval(1e-5,1e-2))'"
)


def ends(distribution: BaseDistribution) -> list[Any]:
    """Every value of a list, the ends of anything else."""
    if isinstance(distribution, CategoricalDistribution):
        return list(distribution.choices)
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    return [distribution.low, distribution.high]


def _drawn(distribution: BaseDistribution, rng: random.Random) -> Any:
    if isinstance(distribution, CategoricalDistribution):
        return rng.choice(distribution.choices)
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    steps = distribution.step or (distribution.high - distribution.low) / 100
    return distribution.low + rng.randrange(int((distribution.high - distribution.low) / steps) + 1) * steps


def _middle(distribution: BaseDistribution) -> Any:
    if isinstance(distribution, CategoricalDistribution):
        return distribution.choices[0]
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    low, high = distribution.low, distribution.high
    middle = (low * high) ** 0.5 if distribution.log else (low + high) / 2
    if distribution.step:
        middle = low + (middle - low) // distribution.step * distribution.step
    return int(middle) if isinstance(distribution, IntDistribution) else middle
