"""Checks that the configuration dataclasses share: each names the key, what was given, and what is accepted."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rlkit.errors import ConfigError

if TYPE_CHECKING:
    Whole = int
else:
    # OmegaConf refuses 1e6 for an int; a union lets it in, and `whole` makes it an int again.
    Whole = int | float


class Checked:
    """Base of the config dataclasses; `prefix` is where the class sits in the configuration ("algo.")."""

    prefix = ""

    def reject(self, key: str, accepted: str) -> ConfigError:
        """The error for one key: `raise self.reject("gamma", "a number from 0 to 1")`."""
        return ConfigError(f"{self.prefix}{key}={_show(getattr(self, key))} is not accepted\n  accepted: {accepted}")

    def whole(self, *keys: str, low: int = 1, high: int | None = None) -> None:
        """Make whole numbers (also those written as 1e6) ints from `low` to `high`; None passes."""
        for key in keys:
            value = getattr(self, key)
            if value is None:
                continue
            accepted = f"a whole number of at least {low}" + ("" if high is None else f" and at most {high}")
            if isinstance(value, bool) or not math.isfinite(value) or value != int(value):
                raise self.reject(key, accepted)
            if value < low or (high is not None and value > high):
                raise self.reject(key, accepted)
            object.__setattr__(self, key, int(value))

    def real(self, *keys: str, low: float = -math.inf, high: float = math.inf, above: float | None = None) -> None:
        """Check that numbers lie in [low, high] (or above a bound, excluded); None passes, NaN never does."""
        for key in keys:
            value = getattr(self, key)
            if value is None:
                continue
            inside = low <= value <= high and (above is None or value > above)
            if not inside or not math.isfinite(value):
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
    return "null" if value is None else str(value)
