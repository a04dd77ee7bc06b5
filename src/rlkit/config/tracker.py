"""The configuration of trackers: programs that show the metrics of many runs."""

from __future__ import annotations

from dataclasses import dataclass

from rlkit.config.checks import Checked, Flag

TRACKERS = ("wandb", "trackio", "mlflow")
"""Trackers that are fed by a process beside training. Each is a package of the same name."""


@dataclass(kw_only=True)
class TrackerConfig(Checked):
    """Where the metrics go beside the run's folder. Training does not wait for a tracker, and never fails by one."""

    prefix = "tracker."

    tensorboard: Flag = True
    """Write TensorBoard's event files into the session's folder."""
    wandb: Flag = False
    """Send to Weights & Biases, as its variables say (WANDB_MODE=offline, WANDB_ENTITY); `pip install rlkit[wandb]`."""
    trackio: Flag = False
    """Keep for Trackio's dashboard, by default on this machine; `pip install rlkit[trackio]`."""
    mlflow: Flag = False
    """Send to MLflow, to MLFLOW_TRACKING_URI; `pip install rlkit[mlflow]`."""
    project: str = "rlkit"
    """The project, which MLflow calls experiment, that the runs are filed under."""
    every_seconds: float = 10.0
    """Seconds between two looks at what is new."""

    def __post_init__(self) -> None:
        self.real("every_seconds", above=0)
        if not self.project.strip():
            raise self.reject("project", "a name")

    @property
    def fed(self) -> list[str]:
        """The trackers of `TRACKERS` that are on."""
        return [name for name in TRACKERS if getattr(self, name)]
