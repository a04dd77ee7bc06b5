"""A search to work on: its complete trials, best first, and what was trained of each."""

from __future__ import annotations

import dataclasses
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from optuna.trial import FrozenTrial, TrialState

from rlkit.config.schema import compose
from rlkit.config.search import SearchConfig, TrialConfig
from rlkit.errors import ConfigError, RunFolderError
from rlkit.runs.folder import read_json, write_text, writing
from rlkit.search import identity
from rlkit.search import study as record
from rlkit.search.display import best_first, state
from rlkit.search.journal import numbered
from rlkit.search.study import SweepFolder

if TYPE_CHECKING:
    from optuna import Study

    from rlkit.config.run import RunConfig

VALIDATION = "validation.json"
"""What `rlkit validate` found, in the folder of the search."""
ELSEWHERE = "the command given in another working directory, whose ./conf it uses"
"""How to write a preset or tuned values into another place."""


@dataclass(frozen=True)
class Finished:
    """A search to work on."""

    folder: SweepFolder
    study: Study
    about: dict[str, Any]
    trials: list[FrozenTrial]
    """Complete ones, best first."""

    @classmethod
    def open(cls, path: str | Path) -> Finished:
        """Read it.

        Raises:
            RunFolderError: there is no search there, or none of its trials is complete.
            ConfigError: it has several objectives, so that no trial is the best.
        """
        folder = SweepFolder.open(path)
        study = folder.study()
        with record.understood(path):
            record.check_attributes(study)
            about = study.user_attrs.get(record.SEARCH)
            if about is None:
                raise RunFolderError(f"{path} is a study, but of no search of rlkit's")
            if len(about["objectives"]) > 1:
                raise ConfigError(
                    f"{path} has several objectives: no trial is the best\n  choose one: rlkit retrain {path} --trial N"
                )
            complete = [
                t for t in study.get_trials() if t.state is TrialState.COMPLETE and state(t) != "diverged" and t.values
            ]
            if not complete:
                raise RunFolderError(f"{path}: no trial is complete yet")
            return cls(folder, study, about, best_first(complete, next(iter(about["objectives"].values()))))

    def trial(self, number: int) -> FrozenTrial:
        """A complete trial by its number.

        Raises:
            ConfigError: there is none.
        """
        for trial in self.trials:
            if trial.number == number:
                return trial
        known = ", ".join(str(t.number) for t in self.trials[:10])
        raise ConfigError(f"trial {number} is not complete\n  the best that are: {known}")

    def config(self, trial: FrozenTrial) -> RunConfig:
        """The configuration of a trial as a run outside of the search, with the budget that it had there.

        Raises:
            SearchError: its folder is gone, or holds another trial.
        """
        config = compose(base=identity.verified(self.folder, self.study, trial).config)
        return dataclasses.replace(config, frames=self.frames(trial), search=SearchConfig(), trial=TrialConfig())

    def frames(self, trial: FrozenTrial) -> int:
        """The budget of a trial; its run may have been trained further since."""
        return int(trial.params.get("frames", self.about["frames"]))

    def validated(self) -> dict[int, dict[str, Any]]:
        """What `rlkit validate` found for trials of this study, by their number, best first."""
        file = self.folder.path / VALIDATION
        if not file.exists():
            return {}
        with record.understood(file):
            noted = read_json(file)
            same = noted.get("study") == self.study.user_attrs.get(record.ID)
            return {row["trial"]: row for row in noted["trials"]} if same else {}


def parts(override: str) -> tuple[str, str]:
    """The key of an override, without what adds it, and its value."""
    key, _, value = override.partition("=")
    return key.lstrip("+"), value


def write_new(file: Path, text: str) -> None:
    """Write a file; one that says something else is kept beside it, as `.bak`, `.bak.2`, ..."""
    with writing(file, elsewhere=ELSEWHERE):
        file.parent.mkdir(parents=True, exist_ok=True)
        if file.exists() and file.read_bytes() != text.encode():
            kept = numbered(file.with_suffix(".yaml.bak"))
            shutil.copy2(file, kept)
            print(f"{file} said something else: kept as {kept}")
    write_text(file, text, elsewhere=ELSEWHERE)
