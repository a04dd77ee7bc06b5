"""Settings of the process that a session runs in, and how they are restored."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
from threadpoolctl import ThreadpoolController

from rlkit.errors import ConfigError

if TYPE_CHECKING:
    from rlkit.config.run import RunConfig

LARGE = 512
"""Width of a layer from which a GPU is faster than a core."""
DETERMINISTIC_CUBLAS = "CUBLAS_WORKSPACE_CONFIG"
"""The variable that CUDA reads for deterministic matrix products."""


@contextlib.contextmanager
def threads_of(config: RunConfig) -> Iterator[None]:
    """Limit this process to the threads of a session, and flush denormal numbers to zero; then restore both."""
    pools = ThreadpoolController()
    threads, flushing = torch.get_num_threads(), _flushes_denormals()
    torch.set_num_threads(config.threads)
    # Adam's moments of a weight without a gradient, as behind a dead unit, decay into denormal numbers and stay there.
    # They change no weight, and on some processors a step over them takes many times as long.
    torch.set_flush_denormal(True)
    try:
        # NumPy multiplies what is too small for threads. Its OpenBLAS and torch would otherwise wait for each other in
        # busy loops on the same cores, which made two threads many times slower than one.
        with pools.limit(limits=config.threads), pools.select(internal_api="openblas").limit(limits=1):
            yield
    finally:
        torch.set_num_threads(threads)
        torch.set_flush_denormal(flushing)


@contextlib.contextmanager
def device_for(config: RunConfig) -> Iterator[torch.device]:
    """The device of the networks, with determinism and precision as the configuration asks; then restore both.

    Raises:
        ConfigError: the device is not there.
    """
    device = device_of(config)
    matmul, cudnn = torch.get_float32_matmul_precision(), torch.backends.cudnn
    before = torch.are_deterministic_algorithms_enabled(), cudnn.allow_tf32, cudnn.benchmark
    variable = os.environ.get(DETERMINISTIC_CUBLAS)
    if config.deterministic:
        os.environ.setdefault(DETERMINISTIC_CUBLAS, ":4096:8")
        torch.use_deterministic_algorithms(True)
    if device.type == "cuda":
        # TensorFloat-32 has ten bits of mantissa and several times the speed; timing kernels at the start pays off
        # where batches keep their size. Neither is used where runs are to repeat.
        fast = not config.deterministic
        torch.set_float32_matmul_precision("high" if fast else "highest")
        cudnn.allow_tf32 = cudnn.benchmark = fast
    try:
        yield device
    finally:
        deterministic, cudnn.allow_tf32, cudnn.benchmark = before
        if config.deterministic:  # the call imports a compiler, which takes seconds
            torch.use_deterministic_algorithms(deterministic)
        torch.set_float32_matmul_precision(matmul)
        if variable is None:
            os.environ.pop(DETERMINISTIC_CUBLAS, None)


def _flushes_denormals() -> bool:
    """Whether denormal numbers count as zero; torch has no question for it."""
    return not bool(torch.tensor([1e-40]) * torch.tensor([1.0]))


def device_of(config: RunConfig) -> torch.device:
    """The device that `config.device` names or, with auto, that is faster.

    Raises:
        ConfigError: the device is not there.
    """
    device = torch.device(config.device if config.device != "auto" else choose_device(config)[0])
    there = {
        "cpu": True,
        "cuda": torch.cuda.is_available() and (device.index or 0) < torch.cuda.device_count(),
        "mps": torch.backends.mps.is_available(),
    }
    if not there[device.type]:
        names = [name for name, ok in there.items() if ok]
        raise ConfigError(f"device={config.device} is not on this machine\n  accepted here: auto, {', '.join(names)}")
    return device


def choose_device(config: RunConfig) -> tuple[str, str]:
    """What `device=auto` takes, and why: CUDA, else MPS, for pictures and wide layers; the CPU for the rest."""
    nets = [net for net in (config.net, config.critic_net) if net is not None]
    pictures = any("pictures" in net.sees and "vectors" not in net.sees for net in nets)
    wide = any(max(getattr(net, "hidden", None) or [0]) >= LARGE for net in nets)
    if not (pictures or wide):
        return "cpu", "small networks are faster on the CPU"
    if torch.cuda.is_available():
        return "cuda", "convolutions or wide layers, and there is a CUDA device"
    if torch.backends.mps.is_available():
        return "mps", "convolutions or wide layers, and there is Apple's GPU"
    return "cpu", "there is neither a CUDA device nor Apple's GPU"
