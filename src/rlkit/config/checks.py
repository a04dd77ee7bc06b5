"""Checks that the configuration dataclasses share: each names the key, what was given, and what is accepted."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from rlkit.errors import ConfigError

if TYPE_CHECKING:
    Whole = int
    Flag = bool
else:
    # OmegaConf takes any number for a bool, and 99 for true.
    Flag = Literal[True, False]
    # OmegaConf refuses 1e6 for an int; a union lets it in, and `whole` makes it an int again.
    Whole = int | float


MAX_REAL = sys.float_info.max
LARGEST = 10**15
"""Upper bound on whole numbers that have no other; far above any sensible count."""


class Checked:
    """Base of the config dataclasses; `prefix` is where the class sits in the configuration ("algo.")."""

    prefix = ""

    def reject(self, key: str, accepted: str) -> ConfigError:
        """The error for one key: `raise self.reject("gamma", "a number from 0 to 1")`."""
        return ConfigError(f"{self.prefix}{key}={_show(getattr(self, key))} is not accepted\n  accepted: {accepted}")

    def whole(self, *keys: str, low: int = 1, high: int = LARGEST) -> None:
        """Make whole numbers (also those written as 1e6) ints from `low` to `high`; None passes."""
        for key in keys:
            value = getattr(self, key)
            if value is None:
                continue
            accepted = f"a whole number of at least {low}" + ("" if high == LARGEST else f" and at most {high:,}")
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise self.reject(key, accepted)
            if not low <= value <= high or value != int(value):
                raise self.reject(key, accepted + (f" and at most {LARGEST:.0e}" if high == LARGEST < value else ""))
            object.__setattr__(self, key, int(value))

    def real(self, *keys: str, low: float = -math.inf, high: float = math.inf, above: float | None = None) -> None:
        """Check that numbers lie in [low, high] (or above a bound, excluded); None passes, NaN never does."""
        for key in keys:
            value = getattr(self, key)
            if value is None:
                continue
            number = isinstance(value, int | float) and not isinstance(value, bool)
            inside = number and low <= value <= high and (above is None or value > above)
            if not inside or abs(value) > MAX_REAL:
                bounds = [
                    *([f"greater than {above:g}"] if above is not None else []),
                    *([f"at least {low:g}"] if math.isfinite(low) else []),
                    *([f"at most {high:g}"] if math.isfinite(high) else []),
                ]
                raise self.reject(key, " ".join(["a finite number", " and ".join(bounds)]).strip())

    def choice(self, key: str, accepted: Sequence[Any]) -> None:
        """Check that a value is one of a few."""
        if getattr(self, key) not in accepted:
            raise self.reject(key, ", ".join(map(str, accepted)))


def _show(value: object) -> str:
    text = "null" if value is None else str(value)
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}..."


LONGEST_SHOWN = 200
"""Characters of a value in an error."""
