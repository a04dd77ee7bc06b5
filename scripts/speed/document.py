"""The tables of docs/performance.md, from the JSON files of the benchmarks: no figure there is typed by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from speed import stats
from speed.products import PASSES

NAMES = {"sb3": "SB3", "sbx": "SBX", "together": "a second session"}
MEMORY_HEAD = "| what is filled | said MiB | grown MiB | grown / said |\n|---|---|---|---|"


def write(page: Path, results: Path) -> None:
    """Put every table between its two comments in the page, `<!-- peers -->` and `<!-- /peers -->`."""
    text = page.read_text()
    for name, table in tables(results).items():
        opening, closing = f"<!-- {name} -->", f"<!-- /{name} -->"
        before, rest = text.split(opening)
        text = f"{before}{opening}\n{table}\n{closing}{rest.split(closing)[1]}"
    page.write_text(text)


def tables(results: Path) -> dict[str, str]:
    """Name -> table."""
    records = {path.stem: json.loads(path.read_text()) for path in sorted(results.glob("*.json"))}
    compared = [r for r in records.values() if r.get("peer") in ("sb3", "sbx")]
    compared.sort(key=lambda r: (r["peer"], r["task"]))
    core = (results / "core.jsonl").read_text().splitlines() if (results / "core.jsonl").exists() else []
    last = json.loads(core[-1]) if core else None
    profiles = [r for key, r in records.items() if key.endswith(".profile")]
    return {
        "peers": _table(peers_rows(compared), compared),
        "costs": _table([*cost_rows(compared), *torch_line(compared)], compared),
        "first": _table(first_rows(records.get("ppo_cartpole.sb3")), []),
        "together": _table(together_rows(records.get("ppo_cartpole.together")), []),
        "split": _table(split_rows(compared), []),
        "floor": _table(floor_rows(compared, last), []),
        "core": _table(core_rows(last), [last] if last else []),
        "memory": _table(memory_rows(records.get("memory")), [records["memory"]] if "memory" in records else []),
        "profile": "\n\n".join(f"{r['title']}, {r['frames']:,} frames:\n\n{profile_table(r['rows'])}" for r in profiles)
        or "Not measured yet.",
    }


def _table(rows: list[str], measured: list[dict[str, Any]]) -> str:
    """Rows, below them what they were measured on."""
    if len(rows) < 3:
        return "Not measured yet."
    return "\n".join([*rows, *(f"\n{line}" for line in _where(measured))])


def _where(measured: list[dict[str, Any]]) -> list[str]:
    """A line for each machine with its versions: when and at which revisions of rlkit it measured."""
    runs: dict[str, tuple[set[str], set[str]]] = {}
    for record in measured:
        machine, versions = record["machine"], {**record["versions"], **record.get("peer_versions", {})}
        listed = ", ".join(f"{name} {version}" for name, version in versions.items() if not name.startswith("opencv"))
        variables = "".join(f", {name}={value}" for name, value in machine["environment"].items())
        what = (
            f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_gib']} GiB, {machine['system']}{variables}; "
            f"{listed}."
        )
        dates, revisions = runs.setdefault(what, (set(), set()))
        dates.add(record["date"][:10])
        revisions.add(record["revision"])
    return [
        f"Measured {', '.join(sorted(dates))} at revision {', '.join(sorted(revisions))} on {what}"
        for what, (dates, revisions) in runs.items()
    ]


def _median(runs: list[dict[str, Any]], key: str) -> float:
    return stats.spread([run[key] for run in runs])["median"]


def _threads(record: dict[str, Any]) -> list[str]:
    return [f"{record['threads']} threads"] if record["threads"] > 1 else []


def _return(runs: list[dict[str, Any]]) -> str:
    mean, half = stats.interval([run["return"] for run in runs], runs[0]["return_half_width"])
    return f"{mean:,.1f} ± {half:,.1f}"


def peers_rows(records: list[dict[str, Any]]) -> list[str]:
    """Frames per second and returns of each task and peer."""
    rows = [
        "| task | peer | processor | its frames/s | rlkit's | ratio (pairs) | goal | its return | rlkit's |",
        "|---" * 9 + "|",
    ]
    for record in records:
        peer, ratio = record["peer"], record["ratio"]
        theirs, mine, rate = record["runs"][peer], record["runs"]["rlkit"], stats.rate_of(peer)
        cells = [
            ", ".join([record["title"], f"{mine[0]['frames']:,} frames", *_threads(record)]),
            NAMES[peer],
            record["machine"]["cpu"],
            f"{_median(theirs, rate):,.0f}",
            f"{_median(mine, rate):,.0f}",
            f"**{ratio['median']:.2f}** ({ratio['min']:.2f} to {ratio['max']:.2f}; {len(mine)})",
            f"{record['goals'][peer]:g}",
            _return(theirs),
            _return(mine),
        ]
        rows.append(f"| {' | '.join(cells)} |")
    return rows


def cost_rows(records: list[dict[str, Any]]) -> list[str]:
    """Start-up, wall time, processor time and memory of the same runs, the peer's first."""
    rows = [
        "| task | peer | first frame after s | whole run s | processor s | peak MB |",
        "|---" * 6 + "|",
    ]
    for record in records:
        theirs, mine = record["runs"][record["peer"]], record["runs"]["rlkit"]
        cells = [
            f"{_median(theirs, key):,.{digits}f} / {_median(mine, key):,.{digits}f}"
            for key, digits in (("startup_seconds", 1), ("wall_seconds", 1), ("cpu_seconds", 1), ("rss_mb", 0))
        ]
        rows.append(f"| {record['title']} | {NAMES[record['peer']]} | {' | '.join(cells)} |")
    return rows


def torch_line(records: list[dict[str, Any]]) -> list[str]:
    """What of the peak memory is torch itself."""
    if not records:
        return []
    return [f"\nA process that only imports this build of torch takes {_median(records, 'import_torch_mb'):,.0f} MB."]


def first_rows(record: dict[str, Any] | None) -> list[str]:
    """Start-up and wall time of the README's first command, which does the work of the first task."""
    rows = ["| | SB3 | rlkit | rlkit / SB3 | goal |", "|---" * 5 + "|"]
    if record is None:
        return rows
    runs = record["runs"]
    for label, key, goal in (
        ("seconds to the first frame", "startup_seconds", "0.6, and under 3.5 s"),
        ("seconds in all, final evaluation included", "wall_seconds", "0.45"),
    ):
        shares = [mine[key] / theirs[key] for mine, theirs in zip(runs["rlkit"], runs["sb3"], strict=True)]
        ratio = stats.spread(shares)
        rows.append(
            f"| {label} | {_median(runs['sb3'], key):.1f} | {_median(runs['rlkit'], key):.1f} | "
            f"{ratio['median']:.2f} ({ratio['min']:.2f} to {ratio['max']:.2f}) | {goal} |"
        )
    return rows


def together_rows(record: dict[str, Any] | None) -> list[str]:
    """What a session keeps of its speed beside another."""
    rows = ["| task | alone, frames/s | beside another | kept (pairs) | goal |", "|---" * 5 + "|"]
    if record is None:
        return rows
    runs, ratio = record["runs"], record["ratio"]
    return [
        *rows,
        f"| {record['title']} | {_median(runs['alone'], 'fps'):,.0f} | {_median(runs['together'], 'fps'):,.0f} | "
        f"{ratio['median']:.2f} ({ratio['min']:.2f} to {ratio['max']:.2f}; {len(runs['alone'])}) | "
        f"{record['goals']['together']:g} |",
    ]


def split_rows(records: list[dict[str, Any]]) -> list[str]:
    """Where rlkit's time went, and microseconds of an update."""
    rows = [
        "| task | environments | policy | learning | logs, checkpoints | µs a frame | µs an update |",
        "|---" * 7 + "|",
    ]
    for record in records:
        if record["peer"] != "sb3":
            continue
        runs = record["runs"]["rlkit"]
        shares = [_median([_training(run) for run in runs], key) for key in ("env", "policy", "learn", "other")]
        frame = _median([{"us": 1e6 / run["fps"]} for run in runs], "us")
        rows.append(
            f"| {record['title']} | {' | '.join(f'{share:.0%}' for share in shares)} | {frame:,.0f} | "
            f"{_median([_learning(run) for run in runs], 'us'):,.0f} |"
        )
    return rows


def _training(run: dict[str, Any]) -> dict[str, float]:
    """The shares of the time without evaluations."""
    split = run["time_split"]
    return {name: share / (1 - split["eval"]) for name, share in split.items()}


def _learning(run: dict[str, Any]) -> dict[str, float]:
    return {"us": _training(run)["learn"] * run["train_seconds"] / run["updates"] * 1e6}


def floor_rows(records: list[dict[str, Any]], core: dict[str, Any] | None) -> list[str]:
    """How fast learning would be if only its matrix products took time, of tasks that ran on the pieces' processor."""
    rows = [
        "| task | frames/s | if learning were its products alone | at the sgemm rate | products' share of an update |",
        "|---" * 5 + "|",
    ]
    if core is None:
        return rows
    pieces = {name.split(":")[0]: row for name, row in core["cases"].items() if "floor" in row}
    for record in records:
        piece = pieces.get(record["task"])
        if record["peer"] != "sb3" or piece is None or record["task"] not in PASSES:
            continue
        if record["machine"]["cpu"] != core["machine"]["cpu"]:
            continue
        runs = record["runs"]["rlkit"]
        cells = []
        for bound in ("products", "floor"):
            rates = []
            for run in runs:
                seconds = run["train_seconds"] * (1 - _training(run)["learn"]) + run["updates"] * piece[bound] / 1e6
                rates.append({"fps": run["frames"] / seconds})
            cells.append(f"{_median(rates, 'fps'):,.0f}")
        rows.append(
            f"| {record['title']} | {_median(runs, 'fps'):,.0f} | {cells[0]} | {cells[1]} | "
            f"{piece['products'] / piece['ours']:.0%} |"
        )
    return rows


def core_rows(record: dict[str, Any] | None) -> list[str]:
    """The last entry of the history."""
    rows = [
        "| piece | µs | autograd µs | ratio | products alone µs | at the sgemm rate µs |",
        "|---" * 6 + "|",
    ]
    return rows if record is None else [*rows, *(core_row(name, row) for name, row in record["cases"].items())]


def core_row(name: str, row: dict[str, Any]) -> str:
    """One line of that table."""
    ratio = f"{row['theirs'] / row['ours']:.1f}" if "theirs" in row else "-"
    cells = [f"{row[key]:,.1f}" if key in row else "-" for key in ("theirs", "products", "floor")]
    return f"| {name} | {row['ours']:,.1f} | {cells[0]} | {ratio} | {cells[1]} | {cells[2]} |"


def memory_rows(record: dict[str, Any] | None) -> list[str]:
    """What rlkit said and what was taken."""
    return [*MEMORY_HEAD.splitlines(), *(memory_row(row) for row in (record or {"rows": []})["rows"])]


def memory_row(row: dict[str, Any]) -> str:
    """One line of that table."""
    said, grown = row["predicted_mib"], row["measured_mib"]
    return f"| {row['name']} | {said:,.1f} | {grown:,.1f} | {grown / said:.3f} |"


def profile_table(rows: list[dict[str, Any]]) -> str:
    """Functions by their own time."""
    lines = ["| function | calls | own time | µs a call |", "|---|---|---|---|"]
    for row in rows:
        name = row["function"].replace("|", "\\|")
        lines.append(f"| {name} | {row['calls']:,} | {row['own_share']:.1%} | {row['own_us_per_call']:,.1f} |")
    return "\n".join(lines)
