"""How many seeds a claim needs, estimated from the spread of the existing seeds."""

from __future__ import annotations

import re

import numpy as np

from rlkit.errors import ConfigError
from rlkit.evidence.compare import number
from rlkit.evidence.trials import Trial
from rlkit.results.stats import power_of, seeds_needed, std_bound


def told(trial: Trial, effect: str, power: float) -> list[str]:
    """Lines that say how many seeds of each algorithm a difference of means needs.

    Args:
        trial: with the final scores of two seeds or more.
        effect: the difference, as a number or as a share of the mean score above random play: `5%`.
        power: the probability with which a t test of 95 % shall see it.

    Raises:
        ConfigError: the effect is not a number above 0, or the trial has too few scores.
    """
    scores = trial.scores
    if len(scores) < 2:
        raise ConfigError(
            f"{trial.title}: {len(scores)} scored seed{'s' * (len(scores) != 1)} show no spread\n"
            "  accepted: a trial with at least two, such as one with seeds=5"
        )
    size = _size(effect, float(np.mean(scores)) - (trial.random_return if np.isfinite(trial.random_return) else 0.0))
    mean, std, bound = float(np.mean(scores)), float(np.std(scores, ddof=1)), std_bound(scores)
    there = len(scores)
    return [
        f"{trial.title}: {there} seeds, mean {number(mean)}, deviation over seeds {number(std)}",
        f"  a difference of {number(size)} from another algorithm with the same deviation:",
        f"  {_seeds(size, std, power)} seeds each see it with probability {power:g} in a two-sided t test of 95 %",
        f"  {_seeds(size, bound, power)} seeds each, if the deviation is {number(bound)}, as {there} seeds allow",
        f"  {there} seeds each see it with probability {power_of(there, size, std):.2f}",
    ]


def _seeds(size: float, std: float, power: float) -> str:
    needed = seeds_needed(size, std, power=power)
    return "more than 100,000" if needed is None else f"{needed:,}"


def _size(effect: str, above_random: float) -> float:
    match = re.fullmatch(r"(\d+(?:\.\d*)?|\.\d+)(%?)", effect.strip())
    size = 0.0 if match is None else float(match[1]) * (abs(above_random) / 100 if match[2] else 1)
    if not size > 0:
        raise ConfigError(
            f"--effect {effect} is not accepted\n  accepted: a number above 0, or a share of the score above random"
            " play, such as 5%"
        )
    return size
