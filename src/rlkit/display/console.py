"""The display of a run: a live panel on a terminal, a line every few seconds elsewhere, a card at the end."""

from __future__ import annotations

import math
import shlex
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loguru import logger
from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from rlkit.results.stats import interval_text, share_below_worst

if TYPE_CHECKING:
    from rlkit.config.run import RunConfig
    from rlkit.results.progress import Progress

PHASES = {"env": "environment", "policy": "policy", "learn": "learning", "eval": "evaluation", "other": "other"}
SHOWN_SHARE = 0.2
"""A progress line mentions evaluations that took at least this share of the time."""
SHOWN = ("policy_loss", "value_loss", "entropy", "approx_kl", "clip_fraction", "explained_variance", "learning_rate")


class Display:
    """Shows the sessions of a trial while they run. Use as a context.

    Args:
        config: of the trial.
        folder: of the run.
        console: where to draw; by default standard output.
    """

    def __init__(self, config: RunConfig, folder: Path, console: Console | None = None) -> None:
        self.config, self.folder = config, folder
        self.console = console or Console(highlight=False)
        self.sessions: dict[int, Progress] = {}
        self.began = time.monotonic()
        self.last_line = self.began
        self.introduced = False
        self.live: Live | None = None
        if self.console.is_terminal and not self.console.is_dumb_terminal:
            self.live = Live(console=self.console, get_renderable=self._panel, refresh_per_second=4, transient=True)

    def show(self, text: str) -> None:
        """Print a line, above the panel where there is one."""
        self.console.print(Text(text), soft_wrap=True)

    def __enter__(self) -> Display:
        if self.live is not None:
            self.live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.live is not None:
            self.live.stop()

    def facts(self, seed: int, facts: dict[str, Any]) -> None:
        """Introduce the run, once for all its seeds."""
        if self.introduced:
            return
        self.introduced = True
        env, device, config = facts["env"], facts["device"], self.config
        seeds = (
            f"seed {config.seed}" if config.seeds == 1 else f"seeds {config.seed} to {config.seed + config.seeds - 1}"
        )
        logger.info("{} on {}: {}, {:,} frames", config.algo.name, env["id"], seeds, config.frames)
        if env["renamed"]:
            logger.warning(env["renamed"])
        logger.info("observation: {}; action: {}", env["observation"], env["action"])
        logger.info("{}, {} ({})", counted(env["num_envs"], "environment"), env["backend"], env["backend_reason"])
        limit, solved = env["max_episode_steps"], env["reward_threshold"]
        ends = f"at most {limit:,} steps an episode" if limit else "episodes without a time limit"
        aim = f"solved at {solved:g}" if solved is not None else "no score counts as solved"
        logger.info("{}; {}; frame skip {}", ends, aim, env["frame_skip"])
        threads = f"{device['threads']} thread{'s' * (device['threads'] > 1)} a session"
        memory = _size(facts["memory_mb"])
        logger.info("{} ({}), {}, memory {}", device["name"], device["reason"], threads, memory)
        logger.info("folder {}", _relative(self.folder))

    def progress(self, progress: Progress) -> None:
        """Update the display; without a terminal, print a line at intervals."""
        self.sessions[progress.seed] = progress
        now = time.monotonic()
        if self.live is None and now - self.last_line >= self.config.log.console_seconds:
            self.last_line = now
            for p in self.sessions.values():
                logger.info(self._line(p))

    def _line(self, p: Progress) -> str:
        seed = f"seed {p.seed}: " if self.config.seeds > 1 else ""
        scored = "" if math.isnan(p.eval_return) else f", evaluated {p.eval_return:.1f}"
        scored += f"; {p.doing}" if p.doing else ""
        scored += f"; evaluations took {p.split['eval']:.0%}" if p.split["eval"] >= SHOWN_SHARE else ""
        return (
            f"{seed}{p.frames:,} of {p.total_frames:,} frames ({min(1.0, p.frames / p.total_frames):.0%}), "
            f"{p.fps:,.0f} a second, {_duration(p.seconds_left)} left, return {_number(p.return_100)}{scored}"
        )

    def _panel(self) -> Panel:
        title = Text.assemble((self.config.algo.name, "bold"), " on ", (self.config.env.today, "bold"))
        if not self.sessions:
            return Panel(Text("starting ..."), title=title, title_align="left", width=min(100, self.console.width))
        rows = Table.grid(padding=(0, 2), expand=True)
        for name in ("seed", "done", "frames", "frames/s", "left", "return", "evaluated"):
            rows.add_column(name, ratio=2 if name == "done" else None, justify="left" if name == "done" else "right")
        rows.add_row(*(Text(t, style="dim") for t in ("seed", "", "frames", "frames/s", "left", "return", "evaluated")))
        for p in sorted(self.sessions.values(), key=lambda p: p.seed):
            rows.add_row(
                str(p.seed),
                ProgressBar(total=p.total_frames, completed=min(p.frames, p.total_frames)),
                f"{p.frames:,}",
                f"{p.fps:,.0f}",
                _duration(p.seconds_left),
                Text(_number(p.return_100), style="bold"),
                _number(p.eval_return),
            )
        newest = max(self.sessions.values(), key=lambda p: p.frames)
        split = "  ".join(f"{word} {newest.split[key]:.0%}" for key, word in PHASES.items())
        losses = "  ".join(
            f"{name} {newest.metrics[f'train/{name}']:.3g}"
            for name in SHOWN
            if newest.metrics.get(f"train/{name}") is not None
        )
        saved = f"saved at {newest.checkpoint_frames:,} frames" if newest.checkpoint_frames else "not saved yet"
        notes = Text.assemble(
            ("time     ", "dim"), split, f"   now: {newest.doing}" * bool(newest.doing), "\n",
            ("losses   ", "dim"), losses or "-", "\n",
            ("folder   ", "dim"), _relative(self.folder), f"  ({saved}; Ctrl-C saves and stops)",
        )  # fmt: skip
        return Panel(Group(rows, Text(), notes), title=title, title_align="left", width=min(110, self.console.width))


def show_card(result: dict[str, Any], folder: Path, console: Console | None = None) -> None:
    """The closing card: score, interval, protocol; below it the folder, and what to do next.

    Paths and commands stand outside of the frame, each on a line that is as long as it has to be, to be copied.
    """
    console = console or Console(highlight=False)
    final, seeds = result["final_return"], result["seeds"]
    kind = "deterministic" if final["deterministic"] else "sampled"
    protocol = (
        f"{counted(final['episodes'], f'{kind} episode')} a seed on {result['env_id']}, "
        f"evaluation seeds {final['eval_seeds']}"
    )
    score = "not scored: stopped before the end" if final["mean"] is None else f"{final['mean']:.1f}"
    if final["mean"] is not None:
        score += f" ± {_number(final['std'])} over {'seeds' if len(seeds) > 1 else 'episodes'}"
        score += f", IQM {_number(final['iqm'])}" if final["ci95"] else ""
    rows = [("interval", interval_text(final))] if final["ci95"] else []
    rows.append(("protocol", protocol))
    if len(seeds) > 1:
        scores = dict(zip(seeds, final["per_seed"], strict=True))
        rows.append(("per seed", ", ".join(f"{seed}: {_number(score)}" for seed, score in scores.items())))
        known = {seed: score for seed, score in scores.items() if score is not None}
        if len(known) > 1:
            worst = min(known, key=lambda seed: known[seed])
            share = f"{share_below_worst(len(known)):.0%} of further seeds may end below it"
            rows.append(("worst", f"seed {worst}: {_number(known[worst])}; up to {share} (95 % confidence)"))
    training = result["train_return_100"]["mean"]
    rows.append(("training", f"return {_number(training)} over the last 100 episodes, with exploration"))
    took = f"{result['frames']:,} at {result['fps']:,.0f} a second; {_duration(result['wall_seconds'])} in all"
    rows.append(("frames", took))
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim")
    table.add_column()
    table.add_row("score", Text(score, style="bold green" if result["status"] == "complete" else "bold yellow"))
    for name, words in rows:
        table.add_row(name, Text(words))
    title = Text(f"{result['algo']} on {result['env_id']}: {result['status']}")
    console.print(Panel(table, title=title, title_align="left", expand=False))
    more = "" if result["status"] == "stopped" else " frames=<more>"
    for name, words in (
        ("folder", str(_relative(folder))),
        ("resume", command("resume", folder) + more),
        ("evaluate", command("evaluate", folder)),
        ("play", f"{command('play', folder)} --video play.mp4"),
    ):
        console.print(Text.assemble((f"  {name:<8}  ", "dim"), words), soft_wrap=True)


def command(verb: str, folder: Path) -> str:
    """The command that does something with a run, as a shell takes it."""
    return f"rlkit {verb} {shlex.quote(_relative(folder))}"


def counted(number: int, noun: str) -> str:
    """`1 episode`, `20 episodes`."""
    return f"{number:,} {noun}{'s' * (number != 1)}"


def _relative(path: Path) -> str:
    """The path as the user would type it."""
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def _size(mb: float) -> str:
    return f"{mb:,.1f} MB" if mb >= 1 else f"{1024 * mb:,.0f} kB"


def _number(value: float | None) -> str:
    return "-" if value is None or math.isnan(value) else f"{value:.1f}"


def _duration(seconds: float | None) -> str:
    if seconds is None or math.isnan(seconds):
        return "-"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h {minutes:02d}m" if hours else f"{minutes}m {rest:02d}s" if minutes else f"{seconds:.1f}s"
