"""Train on environments of other packages, and write which work: the table of docs/environments.md.

The packages are no dependencies of rlkit. From the repository:

    uv run --with-requirements scripts/survey.txt python scripts/survey.py

Each environment trains 2,000 frames with PPO, and with SAC or DQN where its actions fit, each in a separate process.
What is refused is told in rlkit's own words. Results are kept in docs/benchmarks/environments.json; `--table` writes
the table from them without training. Takes about ten minutes on two cores.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import importlib.metadata
import io
import json
import multiprocessing
import os
import re
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rlkit.errors import RlkitError

ROOT = Path(__file__).resolve().parents[1]
RESULTS, PAGE = ROOT / "docs" / "benchmarks" / "environments.json", ROOT / "docs" / "environments.md"
BEGIN, END = "<!-- survey: written by scripts/survey.py -->", "<!-- end of survey -->"
FRAMES, SECONDS, LONGEST_CELL = 2000, 300, 240
OFTEN = ["eval.episodes=1", "eval.periodic_episodes=1", f"eval.every_frames={FRAMES}", "env.max_episode_steps=200"]

MEMORY_GAMES = (
    "Autoencode", "Battleship", "Concentration", "CountRecall", "HigherLower", "MineSweeper", "MultiarmedBandit",
    "NoisyPositionOnlyCartPole", "NoisyPositionOnlyPendulum", "PositionOnlyCartPole", "PositionOnlyPendulum",
    "RepeatFirst", "RepeatPrevious", "VelocityOnlyCartpole",
)  # fmt: skip
GRIDS = (
    "MiniGrid-Empty-5x5-v0", "MiniGrid-DoorKey-5x5-v0", "MiniGrid-FourRooms-v0", "MiniGrid-LavaGapS5-v0",
    "MiniGrid-MemoryS7-v0", "MiniGrid-Dynamic-Obstacles-5x5-v0", "MiniGrid-Fetch-5x5-N2-v0",
    "MiniGrid-KeyCorridorS3R1-v0",
    "BabyAI-GoToRedBall-v0", "BabyAI-GoToLocal-v0", "BabyAI-Open-v0", "BabyAI-OneRoomS8-v0",
)  # fmt: skip
ROADS = (
    "highway-fast-v0", "merge-v0", "roundabout-v0", "parking-v0", "intersection-v0", "racetrack-v0", "two-way-v0",
    "u-turn-v0", "lane-keeping-v0", "exit-v0",
)  # fmt: skip
ROBOTS = (
    "PointMaze_UMaze-v3", "AntMaze_UMaze-v5", "FetchReach-v4", "FetchPush-v4", "FetchSlide-v4", "HandReach-v3",
    "AdroitHandDoor-v1", "AdroitHandPen-v1", "FrankaKitchen-v1", "HandManipulateBlock-v1",
)  # fmt: skip
OBJECTIVES = ("deep-sea-treasure-v0", "mo-mountaincar-v0", "mo-lunar-lander-v3", "four-room-v0", "minecart-v0")
ARMS = ("PandaReach-v3", "PandaPush-v3", "PandaPickAndPlace-v3", "PandaSlide-v3", "PandaReachJoints-v3")
ENVIRONMENTS: list[tuple[str, str, str, Sequence[str]]] = [
    *(("popgym", "popgym", f"popgym-{name}Easy-v0", ()) for name in MEMORY_GAMES),
    *(("minigrid", "minigrid", name, ("env.ignore=[mission]",)) for name in GRIDS),
    ("minigrid", "minigrid", "MiniGrid-Empty-6x6-v0", ()),
    *(("highway-env", "highway_env", name, ()) for name in ROADS),
    *(("gymnasium-robotics", "gymnasium_robotics", name, ()) for name in ROBOTS),
    ("flappy-bird-gymnasium", "flappy_bird_gymnasium", "FlappyBird-v0", ("env.kwargs.use_lidar=false",)),
    ("flappy-bird-gymnasium", "flappy_bird_gymnasium", "FlappyBird-v0", ("env.kwargs.use_lidar=true",)),
    *(("mo-gymnasium", "mo_gymnasium", name, ()) for name in OBJECTIVES),
    *(("panda-gym", "panda_gym", name, ()) for name in ARMS),
    ("gym-pusht", "gym_pusht", "gym_pusht/PushT-v0", ()),
    ("gym-pusht", "gym_pusht", "gym_pusht/PushT-v0", ("env.kwargs.obs_type=pixels",)),
    ("gym-anytrading", "gym_anytrading", "stocks-v0", ()),
    ("gym-anytrading", "gym_anytrading", "forex-v0", ()),
    ("gym-trading-env", "gym_trading_env", "TradingEnv", ()),
    ("miniworld", "miniworld", "MiniWorld-OneRoom-v0", ()),
]
"""Package, module, id, and the options that a reader of the documentation would give."""


def train(words: Sequence[str]) -> dict[str, Any]:
    """Train in this process; what happened, in words."""
    from rlkit import compose
    from rlkit import train as train_run

    began = time.perf_counter()
    try:
        result = train_run(compose(words), quiet=True)
    except RlkitError as error:
        return {"outcome": "refused", "words": placed(str(error))}
    except BaseException as error:  # a fault of rlkit's own
        return {"outcome": "fault", "words": f"{type(error).__name__}: {error}"}
    return {"outcome": "trained", "score": result.final_return.mean, "seconds": time.perf_counter() - began}


def placed(words: str) -> str:
    """Words with the files of packages named from the package on, the same on every machine."""
    return re.sub(r"\S*/site-packages/", "", words)


def in_process(words: Sequence[str]) -> dict[str, Any]:
    """The same in a separate process, which may die or hang."""
    reader, writer = multiprocessing.Pipe(duplex=False)

    def child() -> None:
        with contextlib.redirect_stdout(io.StringIO()):
            writer.send(train(words))

    process = multiprocessing.get_context("fork").Process(target=child)
    process.start()
    writer.close()
    try:
        if not reader.poll(SECONDS):
            return {"outcome": "fault", "words": f"no answer within {SECONDS} seconds"}
        return dict(reader.recv())
    except EOFError:
        process.join()
        return {"outcome": "fault", "words": f"its process died with status {process.exitcode}"}
    finally:
        process.kill()
        process.join()


def survey(only: str) -> list[dict[str, Any]]:
    """Train on each environment whose id contains `only`."""
    import rlkit.api
    import rlkit.training.session  # noqa: F401  imported once, before the processes are forked

    rows = []
    for package, module, env_id, options in ENVIRONMENTS:
        if only not in env_id:
            continue
        row: dict[str, Any] = {"package": package, "id": env_id, "options": list(options)}
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            row["version"] = importlib.metadata.version(package)
        base = ["env=gym", f"env.id={module}:{env_id}", f"frames={FRAMES}", *OFTEN, *options]
        row["ppo"] = in_process(["algo=ppo", "num_envs=2", *base])
        if row["ppo"]["outcome"] == "trained":
            other = off_policy(base)
            row["off_policy"] = other
            row[other] = (
                in_process([f"algo={other}", "num_envs=1", "algo.learning_starts=500", *base]) if other else None
            )
        rows.append(row)
        store([row])  # what is done stays, also where the survey is stopped
        print(env_id, *options, {k: v for k, v in row.items() if isinstance(v, dict)}, flush=True)
    return rows


def off_policy(base: Sequence[str]) -> str:
    """The off-policy algorithm that takes the environment's actions; empty where none does."""
    for algo in ("dqn", "sac"):
        from rlkit import compose
        from rlkit.training.checks import check

        with contextlib.suppress(RlkitError):
            check(compose([f"algo={algo}", "num_envs=1", *base]))
            return algo
    return ""


def table(rows: Sequence[dict[str, Any]]) -> str:
    """The results as Markdown: a line for each environment, grouped by package."""
    trained, refused = (sum(row["ppo"]["outcome"] == how for row in rows) for how in ("trained", "refused"))
    packages = sorted({row["package"] for row in rows})
    lines = [
        f"{len(rows)} environments of {len(packages)} packages, {FRAMES:,} frames each: {trained} train, "
        f"{refused} are refused in words, {len(rows) - trained - refused} end in a fault.",
        "",
        "| package | environment | options | PPO | DQN or SAC |",
        "|---|---|---|---|---|",
    ]
    for row in rows:
        other = row.get("off_policy", "")
        cells = [
            f"{row['package']} {row.get('version', '')}".strip(),
            f"`{row['id']}`",
            " ".join(f"`{option}`" for option in row["options"]),
            told(row["ppo"]),
            f"{other}: {told(row[other])}" if other else "",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def told(outcome: dict[str, Any]) -> str:
    """An outcome in a cell."""
    if outcome["outcome"] == "trained":
        return "trains"
    said = " ".join(outcome["words"].split()).replace("|", "/")
    return f"{outcome['outcome']}: {said if len(said) <= LONGEST_CELL else f'{said[:LONGEST_CELL]}...'}"


def store(rows: Sequence[dict[str, Any]]) -> None:
    """Put results into the stored ones, in place of those of the same environments, and write the table."""
    stored = json.loads(RESULTS.read_text(encoding="utf-8"))["environments"] if RESULTS.exists() else []
    found = {(row["id"], tuple(row["options"])): row for row in [*stored, *rows]}
    known = [found[key] for _, _, env_id, options in ENVIRONMENTS if (key := (env_id, tuple(options))) in found]
    record = {"frames": FRAMES, "date": time.strftime("%Y-%m-%d"), "environments": known}
    RESULTS.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    write_table(known)


def write_table(rows: Sequence[dict[str, Any]]) -> None:
    """Put the table into the page, in place of the one before."""
    text = PAGE.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    after = rest.partition(END)[2]
    PAGE.write_text(f"{before}{BEGIN}\n{table(rows)}\n{END}{after}", encoding="utf-8")


def main() -> None:
    """Run the survey and write its results, or only the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", default="", help="a part of the ids to try; the other results stay as they are")
    parser.add_argument("--table", action="store_true", help="write the table from the stored results")
    given = parser.parse_args()
    if given.table:
        write_table(json.loads(RESULTS.read_text(encoding="utf-8"))["environments"])
        return
    with tempfile.TemporaryDirectory() as folder:
        os.environ["RLKIT_RUNS"] = folder
        rows = survey(given.only)
    faults = [
        row["id"] for row in rows for key in ("ppo", "dqn", "sac") if (row.get(key) or {}).get("outcome") == "fault"
    ]
    sys.exit(f"faults: {', '.join(faults)}" if faults else 0)


if __name__ == "__main__":
    main()
