"""The text of `rlkit --help`."""

from __future__ import annotations

import textwrap
from pathlib import Path

from rlkit.cli.verbs import VERBS

EXAMPLES = """\
  rlkit algo=ppo env=cartpole                       train, with hyper-parameters tuned for the pair
  rlkit env=pendulum seeds=4 algo.gamma=0.95        four seeds in parallel, one value changed
  rlkit -m env=gym env.id=LunarLander-v3 seed=0,1   a sweep: one run for each combination
  rlkit -m search=asha algo=ppo env=cartpole        a search: 50 trials, the poor ones ended early"""


def text() -> str:
    """Usage, verbs, groups and examples."""
    verbs = "\n".join(f"  rlkit {verb.usage:<42} {verb.about}" for verb in VERBS.values())
    return f"""\
rlkit: reinforcement-learning experiments that can be trusted and repeated

usage: rlkit [group=choice] [key=value] ...           train one trial
       rlkit -m key=value1,value2 ...                 one for each combination

commands:
{verbs}

groups:
{_groups()}

keys: frames, num_envs, seed, seeds, device, threads, name, algo.*, env.*, net.*, eval.*, log.*, checkpoint.*, upload
  see them all with their values: rlkit [overrides] --cfg job

examples:
{EXAMPLES}

Hydra's own flags work too: --config-dir, --cfg, --info, --multirun (rlkit --hydra-help)."""


def _groups() -> str:
    """The choices of each group, from rlkit's conf/ and from ./conf; without composing anything."""
    package = Path(__file__).resolve().parents[1]
    folders = [package / "conf", package.parents[1] / "conf", Path.cwd() / "conf"]
    lines = []
    for group in ("algo", "env", "net", "memory", "search", "tuned"):
        names = sorted({file.stem for folder in folders for file in (folder / group).glob("*.yaml")})
        lines += textwrap.wrap(
            ", ".join(names), 108, initial_indent=f"  {group:<8} ", subsequent_indent=" " * 11, break_on_hyphens=False
        )
    return "\n".join(lines)
