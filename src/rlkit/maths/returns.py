"""Returns and advantages as pure functions of arrays `[T, N]`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from rlkit.types import Bools, Floats


def gae(
    reward: Floats,
    value: Floats,
    next_value: Floats,
    terminated: Bools,
    boundary: Bools,
    *,
    gamma: float,
    lam: float,
) -> Floats:
    """Generalised advantage estimation (Schulman et al. 2016, arXiv:1506.02438, eq. 11 and 16).

    `delta_t = r_t + gamma (1 - terminated_t) V(s'_t) - V(s_t)` and
    `A_t = delta_t + gamma lam (1 - boundary_t) A_{t+1}`: termination stops the bootstrap, every boundary
    stops the trace. A truncated step therefore bootstraps from its true successor `s'_t`.

    Args:
        reward: `[T, N]`.
        value: `[T, N]`, V of the state in which the action was taken.
        next_value: `[T, N]`, V of the true successor; its value where `terminated` does not matter.
        terminated: `[T, N]`.
        boundary: `[T, N]`, terminated or truncated.
        gamma: discount, 0 to 1.
        lam: 0 gives the one-step error, 1 the Monte Carlo advantage.

    Returns:
        Advantages `[T, N]`, float32; `advantage + value` is the target of the value.
    """
    delta = reward + gamma * next_value * ~terminated - value
    return reverse_scan(delta, (gamma * lam) * ~boundary)


def n_step(reward: Floats, next_value: Floats, terminated: Bools, boundary: Bools, *, gamma: float, n: int) -> Floats:
    """Targets of the `n`-step return (Sutton & Barto 2018, eq. 7.1), shorter where a boundary or the data end.

    `G_t = r_t + gamma r_{t+1} + ... + gamma^k V(s'_{t+k-1})`, where the sum runs to `k = n` steps, to the first
    boundary or to the end of the data, and V counts as 0 at a termination.

    Args:
        reward: `[T, N]`.
        next_value: `[T, N]`, V of the true successor.
        terminated: `[T, N]`.
        boundary: `[T, N]`, terminated or truncated.
        gamma: discount.
        n: steps of reward before the bootstrap, at least 1.

    Returns:
        Targets `[T, N]`, float32.
    """
    # After j rounds, target[t] is the j-step return from t: one reward more before that of the row behind.
    one_step = reward + gamma * next_value * ~terminated
    target = one_step.astype(np.float32)
    for _ in range(1, n):
        longer = one_step.astype(np.float32)
        longer[:-1] = np.where(boundary[:-1], one_step[:-1], reward[:-1] + gamma * target[1:])
        target = longer
    return target


def reverse_scan(term: Floats, decay: Floats) -> Floats:
    """`x_t = term_t + decay_t x_{t+1}`, backwards over the first axis of `[T, N]`, from `x_T = 0`."""
    steps, num_envs = term.shape
    out = np.empty((steps, num_envs), np.float32)
    if num_envs == 1:  # Python floats are several times faster than arrays of one
        terms, decays, column = term[:, 0].tolist(), decay[:, 0].tolist(), [0.0] * steps
        last = 0.0
        for t in range(steps - 1, -1, -1):
            column[t] = last = terms[t] + decays[t] * last
        out[:, 0] = column
        return out
    row = np.zeros(num_envs, np.float32)
    for t in range(steps - 1, -1, -1):
        row = term[t] + decay[t] * row
        out[t] = row
    return out
