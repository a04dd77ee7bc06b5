"""Conversion of a whole folder of spec files, and what came of it; for the tests, and by hand:

RLKIT_LEGACY_CORPUS=<folder> python -m tests.legacy.corpus
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rlkit.errors import SpecError
from rlkit.legacy.convert import Conversion, convert
from rlkit.legacy.eras import leaves
from rlkit.legacy.read import read

VARIABLE = "RLKIT_LEGACY_CORPUS"


def files(root: Path) -> list[Path]:
    """The spec files below a folder."""
    return sorted(path for path in root.rglob("*") if path.suffix in (".json", ".yaml", ".yml"))


@dataclass
class Outcome:
    """What came of one file."""

    path: Path
    group: str
    """The folder below the root: the version."""
    conversions: list[Conversion] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)


def convert_all(root: Path, out: Path, **options: Any) -> list[Outcome]:
    """Convert every file, each into a folder of its own below `out`."""
    outcomes = []
    for number, path in enumerate(files(root)):
        outcome = Outcome(path, path.relative_to(root).parts[0])
        try:
            outcome.conversions = convert(path, out=out / str(number), **options)
            outcome.refusals = [c.report.refusal for c in outcome.conversions if c.report.refusal]
        except SpecError as error:
            outcome.refusals = str(error).splitlines()
        outcomes.append(outcome)
    return outcomes


def lost_keys(outcome: Outcome) -> list[str]:
    """Keys of converted specs that no line of the report names."""
    converted = {c.report.name: c for c in outcome.conversions if c.path}
    if not converted:  # a file that holds no specs, for one
        return []
    source = read(outcome.path)
    lost = []
    for name, raw in source.specs.items():
        if name not in converted:
            continue
        single = unwrapped(raw)
        if isinstance(single.get("search"), dict):
            single["search"] = unwrapped(single["search"])
        named = Counter(line.key for line in converted[name].report.lines)
        lost += [f"{name}: {'.'.join(path)}" for path, _ in leaves(single) if named[".".join(path)] != 1]
    return lost


def unwrapped(block: dict[str, Any]) -> dict[str, Any]:
    """With the one agent and the one environment out of their lists."""
    return {k: v[0] if k in ("agent", "env") and isinstance(v, list) else v for k, v in block.items()}


def table(outcomes: list[Outcome]) -> str:
    """Counts a version, and the commonest refusals."""
    rows = ["| version | files | specs | converted | share |", "|---|---|---|---|---|"]
    groups = list(dict.fromkeys(o.group for o in outcomes))
    for group in [*groups, "all"]:
        mine = [o for o in outcomes if group in (o.group, "all")]
        done = sum(1 for o in mine for c in o.conversions if c.path)
        total = done + sum(len(o.refusals) for o in mine)
        rows.append(f"| {group} | {len(mine)} | {total} | {done} | {100 * done / max(1, total):.1f} % |")
    reasons = Counter(r.split(": ", 2)[-1] for o in outcomes for r in o.refusals)  # a file without specs names none
    rows += ["", *(f"{count:4d}  {reason}" for reason, count in reasons.most_common(20))]
    lines = [line for o in outcomes for c in o.conversions for line in c.report.of("refused")]
    keys = Counter(f"{line.key}: {line.why}" for line in lines)
    return "\n".join([*rows, "", "keys refused in converted specs", *(f"{n:4d}  {t}" for t, n in keys.most_common(20))])


if __name__ == "__main__":
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        results = convert_all(Path(os.environ[VARIABLE]), Path(folder), as_run="--as-run" in sys.argv)
        print(table(results))
        print("lost keys:", [key for outcome in results for key in lost_keys(outcome)][:40])
