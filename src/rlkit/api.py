"""What `from rlkit import ...` gives, beside `compose` and `load`."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rlkit.config.run import RunConfig
    from rlkit.results.score import Score
    from rlkit.runs.folder import RunFolder


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
    ci95_kind: str | None = None


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
    """Train a new run.

    Args:
        config: from `compose`.
        quiet: print nothing.

    Raises:
        RlkitError: something to mend: the environment, the folder, a seed that failed.
        KeyboardInterrupt: Ctrl-C; the state was saved, and `resume` continues it.
    """
    from rlkit.training.checks import check
    from rlkit.training.trial import create

    started = time.perf_counter()
    with _guest():
        config = check(config)
        return _train(config, create(config), started, quiet)


def resume(
    run: str | Path, overrides: Sequence[str] = (), *, trust: Collection[str] = (), quiet: bool = False
) -> Result:
    """Continue a run exactly where it stopped, or to a larger budget.

    Args:
        run: its folder, or that of one of its sessions.
        overrides: of the keys that a resumed run may change, such as `["frames=200000"]`.
        trust: modules that a run of the Hub may have imported; see `load`.
        quiet: print nothing.

    Raises:
        RlkitError: a key may not change, there is nothing left to train, or a checkpoint is damaged.
        KeyboardInterrupt: Ctrl-C; the state was saved.
    """
    from rlkit.config.schema import compose
    from rlkit.runs.folder import RunFolder
    from rlkit.sharing import trust as trusted
    from rlkit.training.resume import prepare

    started = time.perf_counter()
    with _guest():
        folder = RunFolder.open(run)
        trusted.check(folder.path, compose(base=folder.config).env, trust)
        config, folder, changes = prepare(run, overrides)
        if not quiet:
            print("".join(f"{line}\n" for line in changes), end="")
        return _train(config, folder, started, quiet)


def _train(config: RunConfig, folder: RunFolder, started: float, quiet: bool) -> Result:
    from rlkit.training.train import ended, train

    return Result(folder.path, ended(train(config, folder, started=started, quiet=quiet), folder))


@contextlib.contextmanager
def _guest() -> Iterator[None]:
    """Leave the log and the global random streams of the calling program as they were."""
    from rlkit.display.logs import borrowed_log, log_to_stderr
    from rlkit.training.evaluate import untouched

    with borrowed_log(), untouched():
        log_to_stderr()
        yield


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
