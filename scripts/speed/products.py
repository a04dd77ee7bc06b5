"""The matrix products of an update alone: what is left when everything else costs nothing."""

from __future__ import annotations

import itertools
import math
import time
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch

from rlkit.nets.kernels import NumpyKernels, kernels_for


@dataclass(frozen=True)
class Pass:
    """`networks` MLPs of these widths over a batch, forward, backward for the weights, both, or forward and through."""

    widths: tuple[int, ...]
    networks: int
    rows: int
    kind: Literal["forward", "back", "learn", "through"]

    def shapes(self) -> list[tuple[int, int, int]]:
        """`(m, k, n)` of each product, for one network."""
        found = []
        for layer, (i, o) in enumerate(itertools.pairwise(self.widths)):
            weights = self.kind in ("back", "learn")
            if self.kind != "back":
                found.append((self.rows, i, o))
            if weights:
                found.append((o, self.rows, i))
            if self.kind == "through" or (weights and layer):
                found.append((self.rows, o, i))
        return found

    @property
    def operations(self) -> int:
        """Floating-point operations, all networks."""
        return self.networks * sum(2 * m * k * n for m, k, n in self.shapes())


SAC_ACTOR, SAC_CRITIC = (17, 256, 256, 12), (23, 256, 256, 1)
PASSES = {
    "ppo_cartpole": [Pass((4, 64, 64, 2), 2, 256, "learn")],
    "ppo_cartpole_short": [Pass((4, 64, 64, 2), 2, 128, "learn")],
    "ppo_cartpole_long": [Pass((4, 64, 64, 2), 2, 64, "learn")],
    "ppo_half_cheetah": [Pass((17, 64, 64, 6), 2, 64, "learn")],
    "a2c_cartpole": [Pass((4, 64, 64, 2), 2, 40, "learn")],
    "dqn_cartpole": [Pass((4, 256, 256, 2), 1, 64, "forward"), Pass((4, 256, 256, 2), 1, 64, "learn")],
    "sac_half_cheetah": [
        Pass(SAC_ACTOR, 1, 512, "forward"),
        Pass(SAC_CRITIC, 2, 256, "forward"),
        Pass(SAC_CRITIC, 2, 256, "learn"),
        Pass(SAC_ACTOR, 1, 256, "back"),
        Pass(SAC_CRITIC, 2, 256, "through"),
    ],
}
"""What one update of a task multiplies."""


def sgemm_gflops() -> float:
    """The rate of a float32 product of two 512 x 512 matrices with the threads that a case has, the best of ten.

    In 10^9 operations a second.
    """
    a, b = torch.ones(2, 512, 512)
    out = a @ b
    best = math.inf
    for _ in range(10):
        began = time.perf_counter()
        for _ in range(4):
            torch.mm(a, b, out=out)
        best = min(best, (time.perf_counter() - began) / 4)
    return 2 * 512**3 / best / 1e9


def products(passes: list[Pass]) -> Any:
    """A function that does the products of these passes, and nothing else."""
    made: list[Any] = []
    for one in passes:
        widest = max(i * o for i, o in itertools.pairwise(one.widths))
        kernels = kernels_for(torch.device("cpu"), one.rows * widest)
        multiply: Any = np.matmul if kernels is NumpyKernels else torch.bmm
        for m, k, n in one.shapes():
            arrays = [kernels.view(torch.ones(one.networks, *shape)) for shape in ((m, k), (k, n), (m, n))]
            made.append((multiply, *arrays))

    def run() -> None:
        for multiply, a, b, out in made:
            multiply(a, b, out=out)

    return run
