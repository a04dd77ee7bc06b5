"""From what an environment returns as an observation to the array that a network takes.

Every part of an observation becomes float32 numbers, one part after the other; a picture on its own stays a picture.
The same code runs inside the training environments and in `Agent.act`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from gymnasium import spaces

from rlkit.errors import EnvError

if TYPE_CHECKING:
    from gymnasium import Space

    from rlkit.types import Array

CONVOLVED = 36
"""Smallest side of a picture that the convolutions take."""
SCALED = 16
"""Smallest side from which bytes that are laid out as numbers count as a picture, and are divided by 255."""
TOLERANCE = 1e-4
"""By how much, relative to its bounds, a number may leave them before it counts as outside."""

Obs = Any
"""An observation as an environment returns it."""


class ObservationError(EnvError):
    """An observation that does not belong to its space."""


def is_picture(space: Space[Any] | None, smallest: int = CONVOLVED) -> bool:
    """Whether a space holds pictures: bytes from 0 to 255 in three dimensions, the smallest of them the channels."""
    if not isinstance(space, spaces.Box) or space.dtype != np.uint8:
        return False
    if len(space.shape) == 2 and smallest == SCALED:  # grey pictures without a channel
        return min(space.shape) >= smallest and space.high.max() == 255
    return len(space.shape) == 3 and sorted(space.shape)[1] >= smallest


@dataclass(frozen=True)
class Part:
    """A part of an observation: where it lies in the space, and in the vector."""

    path: tuple[str | int, ...]
    space: Any
    start: int
    size: int

    @property
    def name(self) -> str:
        """Its path with dots; empty for an observation that is one part."""
        return ".".join(map(str, self.path))

    @property
    def label(self) -> str:
        """Its name in a sentence."""
        return f"the part {self.name!r} of its observation" if self.path else "its observation"

    def find(self, obs: Obs) -> Any:
        """The part of an observation.

        Raises:
            ObservationError: the observation has no such part.
        """
        for key in self.path:
            try:
                obs = obs[key]
            except (KeyError, IndexError, TypeError) as error:
                held = ", ".join(map(str, obs)) if isinstance(obs, dict) else type(obs).__name__
                raise ObservationError(f"{self.label} is missing; the environment returned {held}") from error
        return obs


class Layout:
    """Lays observations of one space out.

    | part | numbers |
    |---|---|
    | Box | as they are, in float32; bytes of a picture (sides of at least 16) divided by 255 |
    | Discrete, MultiDiscrete | one-hot |
    | MultiBinary | zeros and ones |
    | Text, OneOf | as `gymnasium.spaces.flatten` gives them |

    A picture with sides of at least 36 that is the only part stays a picture `[C, H, W]` of bytes.

    Args:
        space: the environment's observation space.
        ignore: names of parts of a Dict or Tuple to leave out, with dots between levels: `mission`, `camera.depth`.

    Raises:
        ObservationError: a part cannot be laid out, nothing is left, or `ignore` names no part.
    """

    def __init__(self, space: Space[Any] | None, ignore: Sequence[str] = ()) -> None:
        if not isinstance(space, spaces.Space):
            raise ObservationError(f"its observation_space is {space!r}; a Gymnasium space is needed")
        self.raw = space
        self.parts: list[Part] = []
        unused = set(map(str, ignore))
        leaves = list(_leaves(space, unused))
        if unused:
            names = ", ".join(".".join(map(str, path)) for path, _ in _leaves(space, set()) if path)
            raise ObservationError(
                f"env.ignore={sorted(unused)}: its observation has no such part\n  parts: {names or 'it is one part'}"
            )
        start = 0
        for path, leaf in leaves:
            self.parts.append(part := Part(path, leaf, start, _width(path, leaf)))
            start += part.size
        if not start:
            raise ObservationError(f"its observation {space} has no numbers")
        only = self.parts[0]
        self.picture = len(self.parts) == 1 and is_picture(only.space)
        self.plain = not only.path and len(self.parts) == 1 and _is_vector(only.space)
        """Whether observations pass as they are."""
        self.space = self._space(start)
        self.shape: tuple[int, ...] = self.space.shape

    def _space(self, width: int) -> spaces.Box:
        only = self.parts[0].space
        if self.picture:
            self.channels_last = only.shape[0] != min(only.shape)
            shape = (only.shape[2], *only.shape[:2]) if self.channels_last else only.shape
            return spaces.Box(0, 255, shape, np.uint8)
        if self.plain:
            return spaces.Box(_float32(only.low), _float32(only.high), dtype=np.float32)
        low, high = np.zeros(width, np.float32), np.ones(width, np.float32)
        for part in self.parts:
            if isinstance(part.space, spaces.Box) and not is_picture(part.space, SCALED):
                low[part.start : part.start + part.size] = _float32(part.space.low.reshape(-1))
                high[part.start : part.start + part.size] = _float32(part.space.high.reshape(-1))
            elif not isinstance(part.space, spaces.Box | spaces.Discrete | spaces.MultiDiscrete | spaces.MultiBinary):
                flat: Any = spaces.flatten_space(part.space)
                low[part.start : part.start + part.size] = _float32(flat.low)
                high[part.start : part.start + part.size] = _float32(flat.high)
        return spaces.Box(low, high, dtype=np.float32)

    def __call__(self, obs: Obs) -> Array:
        """An observation as an array of `space`; a plain vector may be the environment's own array.

        Raises:
            ObservationError: it has another structure or shape, or a value that cannot be laid out.
        """
        if self.plain or self.picture:
            part = self.parts[0]
            x = np.asarray(part.find(obs)) if part.path else np.asarray(obs)
            if x.shape != part.space.shape:
                raise ObservationError(f"{part.label} has shape {x.shape}; its space says {part.space.shape}")
            if self.plain:
                return x
            if x.dtype != np.uint8:
                x = _bytes(part, x)
            return x.transpose(2, 0, 1) if self.channels_last else x
        out = np.zeros(self.shape, np.float32)
        for part in self.parts:
            _write(part, part.find(obs), out[part.start : part.start + part.size])
        return out

    def outside(self, obs: Obs) -> str | None:
        """What is wrong with the values of an observation, in words; None where all lie within their bounds."""
        for part in self.parts:
            if not isinstance(part.space, spaces.Box):
                continue
            x = np.asarray(part.find(obs), np.float64)
            low, high = part.space.low.astype(np.float64), part.space.high.astype(np.float64)
            with np.errstate(invalid="ignore", over="ignore"):
                room = TOLERANCE * np.maximum(1.0, np.where(np.isfinite(high - low), high - low, 1.0))
                bad = (x < low - room) | (x > high + room)
            if x.shape == part.space.shape and bad.any():
                at = tuple(np.argwhere(bad)[0])
                return f"{part.label} holds {x[at]:g}; its space says {low[at]:g} to {high[at]:g}"
        return None

    def rows(self, obs: Obs) -> list[Obs] | None:
        """The observations of a batch as `gymnasium.vector` gives it; None where `obs` is a single observation."""
        part = self.parts[0]
        first = part.find(obs)
        depth = np.ndim(first) - len(part.space.shape or ()) if not isinstance(part.space, spaces.Text) else 0
        if depth < 1 or isinstance(part.space, spaces.OneOf):
            return None
        return [_row(obs, i) for i in range(len(first))]


def _row(obs: Obs, i: int) -> Obs:
    if isinstance(obs, dict):
        return {key: _row(x, i) for key, x in obs.items()}
    return tuple(_row(x, i) for x in obs) if isinstance(obs, tuple) else obs[i]


def _leaves(space: Any, unused: set[str], path: tuple[str | int, ...] = ()) -> Iterator[tuple[Any, Any]]:
    """Paths and spaces of the parts that are kept; names that were met are taken from `unused`."""
    if isinstance(space, spaces.Dict | spaces.Tuple):
        entries = space.spaces.items() if isinstance(space, spaces.Dict) else enumerate(space.spaces)
        for key, child in entries:
            name = ".".join(map(str, (*path, key)))
            if name in unused:
                unused.remove(name)
            else:
                yield from _leaves(child, unused, (*path, key))
    else:
        yield path, space


def _width(path: tuple[str | int, ...], space: Any) -> int:
    if isinstance(space, spaces.Box):
        return math.prod(space.shape)
    try:
        return int(spaces.flatdim(space))
    except (NotImplementedError, ValueError, AttributeError, TypeError) as error:
        name = ".".join(map(str, path))
        way = f"leave it out: env.ignore=[{name}]" if name else "wrap the environment so that it observes numbers"
        kind = type(space).__name__
        raise ObservationError(
            f"{Part(path, space, 0, 0).label} is a {kind}, which has no fixed number of numbers\n  {way}"
        ) from error


def _is_vector(space: Any) -> bool:
    return isinstance(space, spaces.Box) and len(space.shape) == 1 and math.prod(space.shape) > 0


def _float32(x: Array) -> Array:
    """Bounds in float32; what is beyond its range becomes infinite."""
    with np.errstate(over="ignore"):
        return x.astype(np.float32)


def _bytes(part: Part, x: Array) -> Array:
    """Whole numbers from 0 to 255 of another type as bytes.

    Raises:
        ObservationError: the numbers are no bytes; a cast would change them.
    """
    whole = x.astype(np.uint8) if x.dtype != object and np.isfinite(x).all() else None
    if whole is None or not np.array_equal(whole, x):
        raise ObservationError(
            f"{part.label} is {x.dtype} from {x.min():g} to {x.max():g}; its space says bytes from 0 to 255"
        )
    return whole


def _write(part: Part, x: Any, out: Array) -> None:
    """Lay one part out into its place."""
    space = part.space
    if isinstance(space, spaces.Box):
        x = np.asarray(x)
        if x.shape != space.shape:
            raise ObservationError(f"{part.label} has shape {x.shape}; its space says {space.shape}")
        if space.dtype == np.uint8 and x.dtype != np.uint8:
            x = _bytes(part, x)
        if is_picture(space, SCALED):
            np.multiply(x.reshape(-1), np.float32(1 / 255), out=out, casting="unsafe")
        else:
            out[:] = x.reshape(-1)
    elif isinstance(space, spaces.Discrete):
        number = _whole(part, x, ())
        choice = int(number) - int(space.start)
        if not 0 <= choice < space.n:
            raise ObservationError(
                f"{part.label} is {int(number)}; its space says {space.start} to {space.start + space.n - 1}"
            )
        out[choice] = 1
    elif isinstance(space, spaces.MultiDiscrete):
        choices = _whole(part, x, space.shape).reshape(-1) - space.start.reshape(-1)
        sizes = space.nvec.reshape(-1)
        if (choices < 0).any() or (choices >= sizes).any():
            raise ObservationError(f"{part.label} is {np.asarray(x).tolist()}; its space says {space}")
        out[np.cumsum(sizes) - sizes + choices] = 1
    elif isinstance(space, spaces.MultiBinary):
        bits = _whole(part, x, space.shape).reshape(-1)
        if ((bits != 0) & (bits != 1)).any():
            raise ObservationError(f"{part.label} is {np.asarray(x).tolist()}; its space says zeros and ones")
        out[:] = bits
    else:
        try:
            out[:] = spaces.flatten(space, x)
        except (KeyError, IndexError, TypeError, ValueError, AssertionError) as error:
            raise ObservationError(f"{part.label} is {x!r}; its space says {space}") from error


def _whole(part: Part, x: Any, shape: tuple[int, ...]) -> Array:
    """Whole numbers of a shape; one of a single element may have any.

    Raises:
        ObservationError: they are no whole numbers, or have another shape.
    """
    try:
        numbers = np.asarray(x, np.float64)
        numbers = numbers.reshape(shape) if numbers.size == 1 else numbers
        if numbers.shape != shape or not np.array_equal(numbers, np.rint(numbers)):
            raise ValueError
    except (TypeError, ValueError) as error:
        raise ObservationError(f"{part.label} is {x!r}; its space says {part.space}") from error
    return numbers.astype(np.int64)
