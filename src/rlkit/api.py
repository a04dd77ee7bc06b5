"""What `from rlkit import ...` gives, beside `compose` and `load`."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rlkit.config.run import RunConfig
    from rlkit.training.evaluate import Score


@dataclass(frozen=True)
class ReturnSummary:
    """The score of a trial: `std`, `iqm` and `ci95` are over seeds (for one seed, over episodes, and no interval)."""

    mean: float | None
    std: float | None
    iqm: float | None
    ci95: tuple[float, float] | None
    per_seed: list[float | None]
    episodes: int
    deterministic: bool
    eval_seeds: str


@dataclass(frozen=True)
class Result:
    """A trial's result; `data` is the whole of `result.json`."""

    folder: Path
    data: dict[str, Any]

    @property
    def status(self) -> str:
        """complete, pruned, stopped, diverged or failed."""
        return str(self.data["status"])

    @property
    def final_return(self) -> ReturnSummary:
        """The final evaluation."""
        final = self.data["final_return"]
        return ReturnSummary(**{**final, "ci95": tuple(final["ci95"]) if final["ci95"] else None})


def train(config: RunConfig, *, quiet: bool = False) -> Result:
    """Train a trial in a new run folder.

    Args:
        config: from `compose`.
        quiet: show nothing while it runs.

    Raises:
        RlkitError: something to mend: the environment, the folder, a seed that failed.
        KeyboardInterrupt: Ctrl-C; the state was saved and `rlkit resume` goes on from it.
    """
    from rlkit.results.logs import borrowed_log

    with borrowed_log():
        return _train(config, quiet)


def _train(config: RunConfig, quiet: bool) -> Result:
    from rlkit.results.logs import log_to_stderr
    from rlkit.results.plots import plot_trial
    from rlkit.training.door import check
    from rlkit.training.evaluate import untouched
    from rlkit.training.trial import create, run_trial

    started = time.perf_counter()
    log_to_stderr()
    config = check(config)
    folder = create(config)
    with untouched():  # the session seeds the global generators
        result = run_trial(config, folder, started=started, quiet=quiet)
    if result["status"] == "stopped":
        raise KeyboardInterrupt(f"saved in {folder.path}")
    plot_trial(folder, result)
    if config.upload == "auto":
        from rlkit.sharing.hub import upload_after_training

        said = upload_after_training(folder.path)
        if not quiet:
            print(said)
    return Result(folder.path, result)


def evaluate(
    run: str | Path,
    *,
    episodes: int | None = None,
    deterministic: bool | None = None,
    seed: int | None = None,
    trust: Collection[str] = (),
) -> Score:
    """Score a trained agent on evaluation seeds.

    Args:
        run: the run's folder, or that of one of its sessions; or `hf://user/repo/run`.
        episodes: how many; by default `eval.episodes` of the run.
        deterministic: the policy's mode or samples; by default `eval.deterministic` of the run.
        seed: which session; by default the one that `run` names, else the first.
        trust: modules that a run of the Hub may have imported; see `load`.
    """
    from rlkit.training.agent import load
    from rlkit.training.evaluate import Evaluator
    from rlkit.training.process import threads_of

    agent = load(run, seed=seed, trust=trust)
    agent.check_weights()
    config = agent.config
    with contextlib.ExitStack() as opened:
        opened.enter_context(threads_of(config))
        evaluator = Evaluator(config.env, agent.seed, agent.seen, config.threads, backend=agent.backend)
        opened.callback(evaluator.close)
        return evaluator.score(
            agent.algo,
            episodes=config.eval.episodes if episodes is None else episodes,
            deterministic=config.eval.deterministic if deterministic is None else deterministic,
            frames=agent.frames,
        )
