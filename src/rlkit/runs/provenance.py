"""Where a result comes from: code, packages, machine and command. It is what `run.json` holds."""

from __future__ import annotations

import functools
import platform
import socket
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

from rlkit.cores import available_cores

PACKAGES = ("rlkit", "torch", "numpy", "gymnasium", "ale-py", "mujoco", "box2d", "hydra-core", "omegaconf", "optuna")


@functools.cache
def git_state() -> dict[str, Any]:
    """SHA and dirty flag of the repository of the working directory, else of rlkit's checkout; nulls without one."""
    for folder in (Path.cwd(), Path(__file__).parent):
        sha = _git(folder, "rev-parse", "HEAD")
        if sha:
            return {"git_sha": sha, "git_dirty": bool(_git(folder, "status", "--porcelain"))}
    return {"git_sha": None, "git_dirty": None}


def provenance() -> dict[str, Any]:
    """Everything that does not depend on the configuration."""
    versions = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return {
        "command": " ".join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        **git_state(),
        "versions": versions,
        "host": {
            "name": socket.gethostname(),
            "system": platform.platform(),
            "cores": available_cores(),
        },
    }


def _git(folder: Path, *words: str) -> str:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *words], capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
