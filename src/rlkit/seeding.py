"""Random streams: one root seed, and a separate stream for every consumer, so that adding one shifts no other.

Each episode has a seed too, so that an environment can be brought back to where it was by replaying its
actions since then. Those of training lie below `EVAL_SEEDS`, those of evaluation from there on.
"""

from __future__ import annotations

import random
import zlib
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch

    from rlkit.types import State

EVAL_SEEDS = 2**30
"""First seed of evaluation episodes; seeds stay below 2**31, which every environment takes."""


def stream(root: int, consumer: str) -> np.random.Generator:
    """The generator of one consumer ("acting", "minibatches", ...) of a session."""
    return np.random.default_rng(_sequence(root, consumer))


def torch_stream(root: int, consumer: str) -> torch.Generator:
    """The same for consumers that draw with torch, on the CPU."""
    import torch

    return torch.Generator().manual_seed(int(_sequence(root, consumer).generate_state(1)[0]))


def episode_seed(root: int, env: int, episode: int) -> int:
    """The seed of one training episode; never one of evaluation's."""
    return int(np.random.SeedSequence((root, env, episode)).generate_state(1)[0]) % EVAL_SEEDS


def seed_globals(root: int) -> None:
    """Seed the global generators of Python, NumPy and torch, for environments and nets that draw from them."""
    import torch

    random.seed(root)
    np.random.seed(root)
    torch.manual_seed(root)


def generator_state(generator: np.random.Generator) -> State:
    """The state of a stream, as plain numbers."""
    return dict(generator.bit_generator.state)


def set_generator_state(generator: np.random.Generator, state: State) -> None:
    """Take up the state of `generator_state`."""
    generator.bit_generator.state = state


def globals_state() -> State:
    """The state of the global generators."""
    import torch

    key = np.random.get_state(legacy=False)["state"]
    return {
        "python": list(random.getstate()[1]),
        "numpy": {"key": key["key"], "pos": key["pos"]},
        "torch": torch.get_rng_state(),
    }


def set_globals_state(state: State) -> None:
    """Restore the state of `globals_state`."""
    import torch

    random.setstate((3, tuple(state["python"]), None))
    np.random.set_state(("MT19937", state["numpy"]["key"], state["numpy"]["pos"], 0, 0.0))
    torch.set_rng_state(state["torch"])


def _sequence(root: int, consumer: str) -> np.random.SeedSequence:
    return np.random.SeedSequence(root, spawn_key=(zlib.crc32(consumer.encode()),))
