"""What a figure was measured on and with: no names of hosts, no paths."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

PACKAGES = ("rlkit", "torch", "numpy", "gymnasium", "mujoco", "ale-py")
BLAS = ("OPENBLAS_CORETYPE", "MKL_DEBUG_CPU_TYPE", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")
"""Variables of the environment that change how fast products are."""


def machine() -> dict[str, Any]:
    """Processor, cores, memory, system, and variables that bear on speed."""
    cpu, flags = platform.processor() or platform.machine(), ""
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        facts = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
        cpu, flags = facts.get("model name", cpu), facts.get("flags", "")
    simd = next((name for name in ("avx512f", "avx2", "avx") if name in flags.split()), "")
    return {
        "cpu": f"{cpu} ({simd})" if simd else cpu,
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
        "system": f"{platform.system()} {platform.machine()}",
        "environment": {name: os.environ[name] for name in BLAS if name in os.environ},
    }


def versions() -> dict[str, str]:
    """Of Python and the packages that count."""
    return {"python": platform.python_version(), **{name: metadata.version(name) for name in PACKAGES}}


def revision() -> str:
    """Of this checkout, with a plus where it was changed."""

    def git(*words: str) -> str:
        done = subprocess.run(["git", "-C", str(Path(__file__).parent), *words], capture_output=True, text=True)
        return done.stdout.strip()

    return git("rev-parse", "--short", "HEAD") + (
        "+" if git("status", "--porcelain", "--", "../../src", "../../conf") else ""
    )


def load() -> float:
    """Processes that wanted a core over the last minute: above the one that measures, figures are not to be trusted."""
    return round(os.getloadavg()[0], 1)
