"""Attack rlkit in five ways and count what holds: the figures of docs/reliability.md.

    uv run python scripts/reliability.py            # everything, about an hour on two cores
    uv run python scripts/reliability.py kills      # one part
    uv run python scripts/reliability.py --short    # a sample of each part, under four minutes

Each part that is run whole writes its result to docs/benchmarks/reliability.json and the table of docs/reliability.md.
It needs Linux: processes are forked.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from importlib import import_module
from multiprocessing import get_context
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # for the environments and the faults of the tests
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"
os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])

from loguru import logger  # noqa: E402

from campaign.outcome import Outcome  # noqa: E402

RESULTS, PAGE = ROOT / "docs" / "benchmarks" / "reliability.json", ROOT / "docs" / "reliability.md"
BEGIN, END = "<!-- written by scripts/reliability.py -->", "<!-- end -->"
WHOLE = {"kills": 200, "writes": 1000, "numbers": 100, "hostile": 160, "overrides": 500}
SHORT = {"kills": 9, "writes": 20, "numbers": 12, "hostile": 12, "overrides": 40}


def warm() -> None:
    """Import what the forked processes need, once."""
    for module in (
        "cli.app",
        "training.session",
        "training.trial",
        "api",
        "results.plots",
        "search.sweep",
        "algos.ppo",
    ):
        import_module(f"rlkit.{module}")
    logger.remove()
    import_module("matplotlib.figure")


def table(results: dict[str, dict[str, object]]) -> str:
    """The results as Markdown."""
    lines = ["| part | attack | tried | held | seconds | date |", "|---|---|---|---|---|---|"]
    for name in WHOLE:
        if name in results:
            r = results[name]
            cells = [name, r["what"], f"{r['tried']:,}", f"{r['held']:,}", f"{r['seconds']:,.0f}", r["date"]]
            lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines)


def write(outcome: Outcome, seed: int) -> None:
    """Store the result of a part, and put the table of all parts into the page."""
    results = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    results[outcome.name] = {**vars(outcome), "date": time.strftime("%Y-%m-%d"), "seed": seed}
    RESULTS.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    PAGE.write_text(f"{before}{BEGIN}\n{table(results)}\n{END}{rest.partition(END)[2]}", encoding="utf-8")


def attacked(part: str, count: int, folder: Path, seed: int, jobs: int) -> Outcome:
    """Run a part, its attacks shared among processes; each has another seed."""
    run = import_module(f"campaign.{part}").run
    if jobs == 1:
        return run(count, folder / "work", seed)
    with ProcessPoolExecutor(jobs, mp_context=get_context("fork")) as pool:
        shares = [count * (job + 1) // jobs - count * job // jobs for job in range(jobs)]
        waiting = [pool.submit(run, n, folder / f"work{job}", seed + 1000 * job) for job, n in enumerate(shares)]
        first, *others = [one.result() for one in waiting]
    for other in others:
        first.tried, first.held = first.tried + other.tried, first.held + other.held
        first.broke, first.seconds = first.broke + other.broke, max(first.seconds, other.seconds)
    return first


def main() -> None:
    """Run the parts that are asked for; the exit status is 1 where anything broke."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("parts", nargs="*", choices=[*WHOLE, []], help="only these parts")
    parser.add_argument("--short", action="store_true", help="a sample of each part; nothing is written")
    parser.add_argument("--scale", type=float, default=1.0, help="more or fewer attacks, as a factor")
    parser.add_argument("--jobs", type=int, default=1, help="processes that share the attacks of a part (default: 1)")
    parser.add_argument("--seed", type=int, default=0, help="of the random choices (default: 0)")
    given = parser.parse_args()
    sizes = SHORT if given.short else WHOLE
    warm()
    outcomes: list[Outcome] = []
    for part in given.parts or sizes:
        with tempfile.TemporaryDirectory() as folder:
            os.environ["RLKIT_RUNS"] = folder
            os.chdir(folder)
            count = max(1, round(sizes[part] * given.scale))
            outcome = attacked(part, count, Path(folder), given.seed, given.jobs)
            os.chdir(ROOT)
        outcomes.append(outcome)
        print(f"{part}: {outcome.held} of {outcome.tried} held, {outcome.seconds:.0f} s", flush=True)
        if not given.short and given.scale == 1:
            write(outcome, given.seed)
    held, tried = sum(o.held for o in outcomes), sum(o.tried for o in outcomes)
    print(f"{held} passed, {tried - held} failed")
    sys.exit(held != tried)


if __name__ == "__main__":
    main()
