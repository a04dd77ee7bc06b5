"""CMA-ES (Hansen 2016, arXiv:1604.00772) whose state is computed from the trials instead of unpickled from the study.

Optuna's sampler keeps its optimiser as a pickle in the study, and whoever can write to the study could execute code in
the search that reads it. The state follows from the values of the trials of each generation, so it is recomputed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from optuna.samplers import CmaEsSampler
from optuna.study import StudyDirection

from rlkit.search import private

if TYPE_CHECKING:
    from optuna import Study
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial


class RebuiltCmaEsSampler(CmaEsSampler):
    """Optuna's `CmaEsSampler`, which neither writes nor reads a pickle."""

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        self._study, self._space = study, search_space
        return super().sample_relative(study, trial, search_space)

    def _restore_optimizer(self, completed_trials: list[FrozenTrial]) -> Any:
        """The optimiser after all generations that are whole."""
        space = private.search_space_transform(self._space, step=not self._with_margin)
        direction = self._study.direction
        optimizer = self._init_optimizer(space, direction)
        sign = 1.0 if direction == StudyDirection.MINIMIZE else -1.0
        while True:
            generation = self._get_solution_trials(completed_trials, optimizer.generation)[: optimizer.population_size]
            if len(generation) < optimizer.population_size:
                return optimizer
            points = [
                np.array(t.system_attrs["x_for_tell"]) if self._with_margin else space.transform(t.params)
                for t in generation
            ]
            optimizer.tell([(x, sign * t.values[0]) for x, t in zip(points, generation, strict=True)])
