"""The text of `rlkit --help`."""

from __future__ import annotations

import textwrap
from pathlib import Path

from rlkit.cli.verbs import VERBS

GROUPS = ("algo", "env", "net", "memory", "search", "suite", "family", "tuned", "experiment", "tracker", "debug")
WIDTH = 80
"""Columns of the text, on any terminal."""
EXAMPLES = {
    "rlkit algo=ppo env=cartpole": "train, with hyper-parameters tuned for the pair",
    "rlkit env=pendulum seeds=4 algo.gamma=0.95": "four seeds in parallel, one value changed",
    "rlkit -m env=gym env.id=LunarLander-v3 seed=0,1": "a sweep: one run for each combination",
    "rlkit -m search=asha algo=ppo env=cartpole": "a search: 50 trials, the poor ones ended early",
}


def text() -> str:
    """Usage, verbs, groups and examples, 80 columns wide."""
    verbs = "\n".join(_entry(f"rlkit {verb.usage}", verb.about) for verb in VERBS.values())
    examples = "\n".join(_entry(command, about) for command, about in EXAMPLES.items())
    return f"""\
rlkit: reinforcement-learning experiments that can be trusted and repeated

usage: rlkit [group=choice] [key=value] ...           train one trial
       rlkit -m key=value1,value2 ...                 one for each combination

commands:
{verbs}

groups:
{_groups()}

keys: frames, num_envs, seed, seeds, device, threads, name, algo.*, env.*,
  net.*, eval.*, log.*, checkpoint.*, upload
  see them all with their values: rlkit [overrides] --cfg job

examples:
{examples}

Hydra's own flags work too: --config-dir, --cfg, --info, --multirun
(rlkit --hydra-help)."""


COMMAND_WIDTH = 31
"""Columns of a command that has its description beside it."""


def _entry(command: str, about: str) -> str:
    """A command with its description, beside it or, for a long command, below it."""
    behind = textwrap.wrap(about, WIDTH - COMMAND_WIDTH - 3, break_on_hyphens=False)
    first, rest = (f"  {command}", behind)
    if len(command) <= COMMAND_WIDTH - 1:
        first, rest = f"  {command:<{COMMAND_WIDTH}}{behind[0]}", behind[1:]
    return "\n".join([first, *(" " * (COMMAND_WIDTH + 2) + line for line in rest)])


def _groups() -> str:
    """The choices of each group, from rlkit's conf/ and from ./conf; without composing anything."""
    package = Path(__file__).resolve().parents[1]
    folders = [package / "conf", package.parents[1] / "conf", Path.cwd() / "conf"]
    lines = []
    for group in GROUPS:
        names = sorted({file.stem for folder in folders for file in (folder / group).glob("[!_]*.yaml")})
        lines += textwrap.wrap(
            ", ".join(names),
            WIDTH,
            initial_indent=f"  {group:<10} ",
            subsequent_indent=" " * 13,
            break_on_hyphens=False,
            break_long_words=False,
        )
    return "\n".join(lines)
