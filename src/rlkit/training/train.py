"""Training a run: the one function behind the command line, `rlkit.train`, `rlkit.resume` and searches."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from rlkit.display.console import command, show_card
from rlkit.results.plots import plot_trial
from rlkit.tracking.live import tracked
from rlkit.training.interrupt import make_room
from rlkit.training.trial import run_trial

if TYPE_CHECKING:
    from rlkit.config.run import RunConfig
    from rlkit.runs.folder import RunFolder
    from rlkit.training.progress import Judge


def train(
    config: RunConfig,
    folder: RunFolder,
    *,
    started: float | None = None,
    quiet: bool = False,
    judge: Judge | None = None,
) -> dict[str, Any]:
    """Train what is left of a run: its seeds, `result.json`, a card on the terminal, plots, and the upload if wanted.

    Args:
        config: checked by `training.checks.check`; `folder` holds the same.
        folder: new, or of a run that was interrupted.
        started: `time.perf_counter()` when the command began; None: now.
        quiet: print nothing.
        judge: of a search, asked after each evaluation whether to continue. Trials of searches have no plots.

    Returns:
        The content of `result.json`. Its status is `stopped` where Ctrl-C or the judge stopped the run; see `ended`.

    Raises:
        TrialError: a seed failed; `result.json` holds the others.
        RlkitError: the only seed failed, or another process trains this run.
    """
    with tracked(config, folder):
        result = run_trial(config, folder, started=started or time.perf_counter(), quiet=quiet, judge=judge)
    if not quiet and "final_return" in result:
        show_card(result, folder.path)
    if judge is not None or result["status"] == "stopped":
        return result
    plot_trial(folder, result)
    if config.upload == "auto":
        from rlkit.sharing.hub import upload_after_training

        said = upload_after_training(folder.path)
        if not quiet:
            print(said)
    return result


def ended(result: dict[str, Any], folder: RunFolder) -> dict[str, Any]:
    """The result of a run that was trained to its end.

    Raises:
        KeyboardInterrupt: it was stopped; the message says how to continue.
    """
    if result["status"] == "stopped":
        make_room()
        raise KeyboardInterrupt(f"stopped and saved; continue with: {command('resume', folder.path)}")
    return result
