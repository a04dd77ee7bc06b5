"""The trackers: the library of each behind one small interface."""

from __future__ import annotations

import importlib.util
import json
import os
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from rlkit.config.tracker import TRACKERS
from rlkit.errors import ConfigError

LONGEST_PARAM = 500
"""Characters of a configuration's value that MLflow stores everywhere."""


@dataclass(frozen=True)
class Described:
    """A session as a tracker shows it."""

    project: str
    group: str
    """What the sessions of a run, or the trials of a search, have in common."""
    name: str
    config: dict[str, Any]
    """The configuration, without secrets."""
    folder: Path
    """The session's folder."""
    tags: dict[str, str] = field(default_factory=dict)


class Client(Protocol):
    """One session in one tracker."""

    def begin(self, session: Described, identity: str | None) -> str:
        """Begin a tracker's run, or continue the one of this identity; returns its identity."""

    def log(self, frames: int, values: dict[str, float]) -> None:
        """Send the values at a number of frames."""

    def end(self, status: str) -> None:
        """End the tracker's run, with the status of `result.json`: complete, stopped, pruned, failed, diverged."""


class WandB(Client):
    """Weights & Biases. Where it is offline, its files lie in the session's folder, for `wandb sync`."""

    def begin(self, session: Described, identity: str | None) -> str:
        import wandb

        settings = wandb.Settings(
            root_dir=os.environ.get("WANDB_DIR", str(session.folder)),
            console="off",
            silent=True,
            disable_git=True,
            disable_code=True,
        )
        self.run: Any = wandb.init(
            project=session.project,
            group=session.group,
            name=session.name,
            config=session.config,
            tags=list(session.tags.values()),
            id=identity or uuid.uuid4().hex[:8],
            resume="allow",
            reinit="create_new",
            settings=settings,
        )
        return str(self.run.id)

    def log(self, frames: int, values: dict[str, float]) -> None:
        self.run.log({**values, "frames": frames}, step=frames)

    def end(self, status: str) -> None:
        self.run.finish(exit_code=int(status in FAILED))


class Trackio(Client):
    """Trackio: a database on this machine, or a Space on the Hugging Face Hub where TRACKIO_SPACE_ID names one."""

    def begin(self, session: Described, identity: str | None) -> str:
        import trackio

        name = identity or f"{session.group}/{session.name}"  # a run is known by its name
        self.run: Any = trackio.init(
            project=session.project,
            name=name,
            group=session.group,
            config=session.config,
            space_id=os.environ.get("TRACKIO_SPACE_ID"),
            resume="allow",
            embed=False,
        )
        return name

    def log(self, frames: int, values: dict[str, float]) -> None:
        self.run.log(values, step=frames)

    def end(self, status: str) -> None:
        self.run.finish()


class MLflow(Client):
    """MLflow, where MLFLOW_TRACKING_URI says; by default in `mlflow.db` of the working directory."""

    def begin(self, session: Described, identity: str | None) -> str:
        from mlflow import MlflowClient
        from mlflow.entities import Metric, Param

        self.metric, self.client = Metric, MlflowClient()
        if identity is not None:
            self.client.update_run(identity, status="RUNNING")
            self.identity = identity
            return identity
        found = self.client.get_experiment_by_name(session.project)
        experiment = found.experiment_id if found else self.client.create_experiment(session.project)
        tags = {**session.tags, "group": session.group}
        run = self.client.create_run(experiment, tags=tags, run_name=f"{session.group} {session.name}")
        self.identity = str(run.info.run_id)
        params = [Param(name, text[:LONGEST_PARAM]) for name, text in flat(session.config).items()]
        for first in range(0, len(params), 100):  # as many as one request may have
            self.client.log_batch(self.identity, params=params[first : first + 100])
        return self.identity

    def log(self, frames: int, values: dict[str, float]) -> None:
        now = int(time.time() * 1000)
        self.client.log_batch(self.identity, [self.metric(name, value, now, frames) for name, value in values.items()])

    def end(self, status: str) -> None:
        ended = "FAILED" if status in FAILED else "KILLED" if status == "stopped" else "FINISHED"
        self.client.set_terminated(self.identity, status=ended)


FAILED = ("failed", "diverged")
CLIENTS: dict[str, type[Client]] = {"wandb": WandB, "trackio": Trackio, "mlflow": MLflow}


def flat(config: dict[str, Any], prefix: str = "") -> dict[str, str]:
    """Nested values by dotted keys, as texts."""
    found: dict[str, str] = {}
    for key, value in config.items():
        if isinstance(value, dict):
            found.update(flat(value, f"{prefix}{key}."))
        else:
            found[f"{prefix}{key}"] = value if isinstance(value, str) else json.dumps(value)
    return found


def installed(name: str) -> bool:
    """Whether a package of this name can be imported."""
    return importlib.util.find_spec(name) is not None


def check_installed(names: list[str]) -> None:
    """Refuse trackers whose library is not installed.

    Raises:
        ConfigError: naming the first, and how to install it.
    """
    for name in names:
        if name not in TRACKERS:
            raise ConfigError(f"{name} is no tracker that is fed\n  accepted: {', '.join(TRACKERS)}")
        if not installed(name):
            raise ConfigError(f"tracker={name} needs the package {name}\n  install it: pip install 'rlkit[{name}]'")
