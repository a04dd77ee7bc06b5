"""What submitit keeps of the jobs of a sweep is for its owner alone: their whole configurations, secrets included."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.experimental.callback import Callback

from rlkit.runs.writing import write_text, writing

if TYPE_CHECKING:
    from omegaconf import DictConfig


class PrivateJobs(Callback):  # type: ignore[misc, unused-ignore]
    """Hides secrets in what Hydra keeps of a sweep, and empties the pickles of jobs that have ended.

    conf/config.yaml names it. `search.launch` closes the folder of the pickles to others.
    """

    def on_job_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Hide the secrets in the configuration that Hydra keeps of a sweep."""
        record = Path(str(config.hydra.sweep.dir)) / "multirun.yaml"
        if record.is_file():
            write_text(record, record.read_text(encoding="utf-8"))

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Empty what the jobs were sent and what they returned; the names tell `rlkit status` which there were."""
        self.on_job_start(config)
        if (folder := _folder(config)) is not None:
            with writing(folder):
                for returned in folder.glob("*/*_result.pkl"):
                    for pickle in returned.parent.glob("*.pkl"):
                        pickle.write_bytes(b"")


def _folder(config: DictConfig) -> Path | None:
    """Submitit's folder, which has one for each job; None for other launchers."""
    place = config.hydra.launcher.get("submitit_folder")
    return None if place is None else Path(str(place)).parent
