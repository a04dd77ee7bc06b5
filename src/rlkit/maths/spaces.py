"""Which distribution covers the actions of a space."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from gymnasium import spaces

from rlkit.errors import ConfigError
from rlkit.maths.bounded import Beta, TanhGaussian
from rlkit.maths.distributions import Bernoulli, Categorical, Gaussian, MultiCategorical

if TYPE_CHECKING:
    from gymnasium import Space

    from rlkit.maths.distributions import Distribution


def for_space(
    space: Space[Any], kind: str = "auto", *, log_std_init: float = 0.0, state_dependent_std: bool = False
) -> Distribution:
    """The distribution over the actions of a space.

    Args:
        space: Discrete, MultiDiscrete, MultiBinary or Box.
        kind: of a Box: gaussian (also for auto), tanh_gaussian or beta; auto for every other space.
        log_std_init: where log standard deviations begin.
        state_dependent_std: a network gives them.

    Raises:
        ConfigError: no distribution covers this space, or it has only one and another was asked for.
    """
    if isinstance(space, spaces.Box):
        dims = math.prod(space.shape)
        if kind in ("beta", "tanh_gaussian") and not space.is_bounded():
            raise ConfigError(
                f"algo.distribution={kind} is for bounded actions, these are {space}\n  accepted: gaussian"
            )
        if kind == "beta":
            return Beta(dims)
        return (TanhGaussian if kind == "tanh_gaussian" else Gaussian)(dims, log_std_init, state_dependent_std)
    if kind != "auto":
        raise ConfigError(f"algo.distribution={kind} is for continuous actions, these are {space}\n  accepted: auto")
    if isinstance(space, spaces.Discrete):
        return Categorical(int(space.n))
    if isinstance(space, spaces.MultiDiscrete):
        return MultiCategorical([int(n) for n in space.nvec.reshape(-1)])
    if isinstance(space, spaces.MultiBinary):
        return Bernoulli(math.prod(space.shape))
    raise ConfigError(
        f"the action space {space} is not supported\n  accepted: Discrete, MultiDiscrete, MultiBinary and Box"
    )
