"""Write every key of the configuration, with its default and its meaning, into the YAML files of conf/.

The text comes from the dataclasses in src/rlkit/config. A file that brings a dataclass gets a block with all
of its keys; files that begin from another one state what differs from it.

    python scripts/write_conf.py          # write
    python scripts/write_conf.py --check  # exit 1 where a file differs
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
import textwrap
from pathlib import Path
from typing import Any

import yaml

from rlkit.config.algorithms import ALGORITHMS
from rlkit.config.describe import Described, described
from rlkit.config.env import EnvConfig
from rlkit.config.run import RunConfig
from rlkit.config.schema import SCHEMAS
from rlkit.config.search import SearchConfig

CONF = Path(__file__).parents[1] / "conf"
WIDTH = 120
MARK = "# Every key, with its default. This part is written by scripts/write_conf.py from the dataclasses.\n"
VARIANTS = ("ddqn", "ddqn_per", "rainbow")
ROOT = ("seed", "seeds", "frames", "num_envs", "device", "threads", "deterministic", "upload", "name")
ROOT += ("eval", "log", "tracker", "checkpoint", "debug")


def blocks() -> dict[Path, str]:
    """File -> the block at its end."""
    found = {CONF / "config.yaml": lines(RunConfig, only=ROOT)}
    for name, row in ALGORITHMS.items():
        if name not in VARIANTS:
            found[CONF / "algo" / f"{name}.yaml"] = under("algo", lines(row.config))
    found[CONF / "env" / "gym.yaml"] = under("env", lines(EnvConfig, given={"name": "gym"}))
    names = {"recurrent": "gru"}
    for group in ("net", "memory"):
        for name, cls in SCHEMAS[group].items():
            found[CONF / group / f"{names.get(name, name)}.yaml"] = lines(cls)
    found[CONF / "search" / "_base.yaml"] = under("search", lines(SearchConfig, without=("name", "pruner")))
    return found


def under(key: str, text: str) -> str:
    """A block below a key."""
    return f"{key}:\n{textwrap.indent(text, '  ')}"


def lines(
    cls: type, *, only: tuple[str, ...] = (), without: tuple[str, ...] = (), given: dict[str, Any] | None = None
) -> str:
    """The keys of a dataclass as YAML with comments."""
    out = []
    for name, field in described(cls).items():
        if (only and name not in only) or name in without:
            continue
        default = (given or {}).get(name, field.default)
        if default is dataclasses.MISSING:
            continue
        if field.inner is not None:
            inner = textwrap.indent(lines(type(default), given=vars(default)), "  ")
            out.append(f"{comment(field)}{name}:\n{inner}")
        else:
            out.append(one(name, default, field))
    return "".join(out)


def one(name: str, default: Any, field: Described) -> str:
    """A key with its value, and its comment beside it or above."""
    value = yaml.safe_dump(default, default_flow_style=True, width=10_000).removesuffix("\n...\n").strip()
    if not field.brief:
        return f"{name}: {value}\n"
    line = f"{name}: {value} # {field.brief}"
    return f"{line}\n" if len(line) <= WIDTH - 8 else f"{comment(field)}{name}: {value}\n"


def comment(field: Described) -> str:
    """The comment above a key."""
    if not field.brief:
        return ""
    return "".join(f"# {line}\n" for line in textwrap.wrap(field.brief, WIDTH - 10))


def main() -> None:
    """Write or check the files."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 where a file differs")
    check = parser.parse_args().check
    wrong = []
    for path, block in blocks().items():
        before = path.read_text(encoding="utf-8")
        after = before.partition(MARK)[0].rstrip() + "\n" + MARK + block
        if after != before:
            wrong.append(path)
            if not check:
                path.write_text(after, encoding="utf-8")
    for path in wrong:
        print(f"{'differs' if check else 'wrote'}: {path.relative_to(CONF.parent)}")
    sys.exit(1 if check and wrong else 0)


if __name__ == "__main__":
    main()
