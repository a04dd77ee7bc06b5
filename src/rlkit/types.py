"""The data that flows through the loop, and the legend of its axes.

| axis | meaning |
|---|---|
| `T` | time: steps of one rollout |
| `N` | parallel environments |
| `B` | a batch: rows without order |
| `A` | actions: the number of choices, or the dimensions of a continuous action |
| `P` | parameters of the policy's distribution (`A` logits; `2A` means and log standard deviations) |

`terminated`: the state is terminal, nothing is bootstrapped. `boundary`: terminated or truncated, traces stop.
`next_obs` is always the true successor, never the observation after a reset.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    from gymnasium import Space
    from numpy.typing import NDArray
    from torch import Tensor

    Array: TypeAlias = NDArray[Any]
    Floats: TypeAlias = NDArray[np.float32]
    Bools: TypeAlias = NDArray[np.bool_]

Metrics: TypeAlias = "Mapping[str, Tensor | float | None]"
"""Tensors are read only when a log line is written."""
State: TypeAlias = "dict[str, Any]"
"""What `state_dict` gives: nested dictionaries of numbers, strings, lists, arrays and tensors."""


@dataclass(frozen=True, kw_only=True)
class EnvSpec:
    """What an algorithm may know of its environments."""

    id: str
    num_envs: int
    observation: Space[Any]
    action: Space[Any]
    max_episode_steps: int | None
    reward_threshold: float | None
    stack: int = 1
    """Pictures that one observation holds, the newest last."""


@dataclass(frozen=True)
class Action:
    """What `act` returns: the action `[N, ...]`, arrays that belong to it, and the next recurrent state."""

    action: Array
    extra: Mapping[str, Array] = field(default_factory=dict)
    state: Any = None


@dataclass(frozen=True)
class Transition:
    """One step of all environments, those that ended already reset. `cut_obs` are the true successors of `cut`."""

    reward: Floats  # [N]
    terminated: Bools  # [N]
    boundary: Bools  # [N]
    cut: Array  # [K] the rows that ended
    cut_obs: Array  # [K, ...]


class Batch:
    """Named tensors that share their leading axis `[B, ...]`; `batch.obs` is `fields["obs"]`."""

    def __init__(self, fields: dict[str, Tensor], source: str = "") -> None:
        self.fields = fields
        self.source = source

    def __getattr__(self, name: str) -> Tensor:
        try:
            return self.fields[name]
        except KeyError:
            raise AttributeError(f"this batch has no field {name!r}; it has {', '.join(self.fields)}") from None

    def __len__(self) -> int:
        return len(next(iter(self.fields.values())))

    def split(self, size: int) -> list[Batch]:
        """Batches of `size` rows each, on the same memory."""
        starts = range(0, len(self), size)
        return [Batch({name: x[i : i + size] for name, x in self.fields.items()}, self.source) for i in starts]


@dataclass
class Rollout:
    """`T` steps of `N` environments as arrays `[T, N, ...]`, valid until the next rollout is collected.

    A boundary is rare, so true successors are stored once: `obs[t + 1]` is the successor of step `t`, except
    at the boundaries, whose successors are `cut_obs[k]` for `(t, n) = (cut_t[k], cut_n[k])`.
    """

    obs: Array  # [T + 1, N, ...]; the last row is where the next rollout begins
    fields: dict[str, Array]  # action, reward, terminated, boundary, log_prob, ...; each [T, N, ...]
    cut_t: Array  # [K] int
    cut_n: Array  # [K] int
    cut_obs: Array  # [K, ...]
    frames: int  # frames before this rollout; it drives the schedules
    state: Array | None = None  # [T + 1, N, S] the recurrent state with which obs was met
    cut_state: Array | None = None  # [K, S] that of cut_obs

    @property
    def steps(self) -> int:
        """T."""
        return len(self.obs) - 1

    @property
    def num_envs(self) -> int:
        """N."""
        return int(self.obs.shape[1])


@dataclass(frozen=True)
class Update:
    """What one `update` reports: metrics, and the rows' new priorities `[B]` for a prioritised memory.

    Either may be a function, which is called before the next update, and only where a row is written or a memory has
    priorities.
    """

    metrics: Metrics | Callable[[], Metrics] = field(default_factory=dict)
    priority: Callable[[], Tensor] | None = None

    def report(self) -> Metrics:
        """The metrics."""
        return self.metrics() if callable(self.metrics) else self.metrics
