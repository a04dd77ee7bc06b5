"""One pruning decision for all seeds of a trial, which advance from evaluation to evaluation together."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from rlkit.results.stats import iqm
from rlkit.runs.lines import read_evals
from rlkit.training.progress import Judge, Verdict

if TYPE_CHECKING:
    from rlkit.config.run import RunConfig
    from rlkit.runs.folder import RunFolder
    from rlkit.training.interrupt import StopSignal

FEW = 4
"""With at least this many seeds their interquartile mean is judged, else their mean."""


class Jury:
    """Collects what the seeds reached at an evaluation; when all have been heard the judge is asked, and all are told.

    Evaluations are known by their nominal frames, multiples of `eval.every_frames`: rollouts of whole episodes end at
    other frames for each seed, and pruners compare trials at equal steps.

    Args:
        config: of the trial.
        folder: of the trial; evaluations of sessions that are continued count as heard.
        judge: asked once for each evaluation, with nominal frames and the mean or IQM over the seeds.
        stop: set where the verdict is to stop.
    """

    def __init__(self, config: RunConfig, folder: RunFolder, judge: Judge, stop: StopSignal) -> None:
        self.config, self.judge, self.stop = config, judge, stop
        self.lock = threading.Lock()
        self.values: dict[int, dict[int, float]] = {}
        self.waiting: dict[int, list[Callable[[Verdict | None], None]]] = {}
        self.verdict: Verdict | None = None
        for seed in config.seed_list:
            for row in read_evals(folder.session(seed).eval):
                self.values.setdefault(self.nominal(row["frames"]), {})[seed] = row["mean"]

    def nominal(self, frames: int) -> int:
        """The frames that an evaluation was due at."""
        every = self.config.eval_every_frames
        return frames // every * every

    def hear(self, seed: int, frames: int, value: float, answer: Callable[[Verdict | None], None]) -> None:
        """A seed's evaluation; `answer` is called once all seeds have had theirs, perhaps at once."""
        at = self.nominal(frames)
        with self.lock:
            self.values.setdefault(at, {})[seed] = value
            self.waiting.setdefault(at, []).append(answer)
            if len(self.values[at]) < self.config.seeds:
                return
            if self.verdict is None:
                reached = list(self.values[at].values())
                self.verdict = self.judge(at, iqm(reached) if len(reached) >= FEW else sum(reached) / len(reached))
            if self.verdict == "stopped":
                self.stop.request()
            told = self.waiting.pop(at)
        for tell in told:
            tell(self.verdict)

    def member(self, seed: int) -> Judge:
        """The judge of the only seed of a trial."""

        def ask(frames: int, value: float) -> Verdict | None:
            said: list[Verdict | None] = []
            self.hear(seed, frames, value, said.append)
            return said[0]

        return ask
