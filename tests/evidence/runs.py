"""Run folders with figures that can be worked out by hand."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml


def write_run(
    folder: Path,
    scores: dict[int, float | None],
    *,
    algo: str = "ppo",
    env: str = "cartpole",
    curve: Sequence[tuple[int, float]] = ((100, 10.0), (200, 50.0), (300, 100.0)),
    fps: float = 1000.0,
    random_return: float = 0.0,
    **values: Any,
) -> Path:
    """A run of seeds with these scores; `algo_gamma=0.9` sets `algo.gamma`. None: a seed that has not ended."""
    config: dict[str, Any] = {
        "algo": {"name": algo, "gamma": 0.99},
        "env": {"name": env, "id": f"{env}-v1"},
        "seed": min(scores),
        "seeds": len(scores),
        "frames": 300,
        "name": folder.name,
    }
    for key, value in values.items():
        group, _, name = key.partition("_")
        config[group][name] = value
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    (folder / "run.json").write_text(json.dumps({"command": f"rlkit algo={algo} env={env}"}))
    for seed, score in scores.items():
        session = folder / f"session_{seed}"
        session.mkdir()
        rows = [{"frames": f, "updates": f // 10, "mean": mean, "returns": [mean]} for f, mean in curve]
        (session / "eval.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        timing = [{"frames": f, "train_seconds": f / fps} for f, _ in curve]
        (session / "timing.jsonl").write_text("".join(json.dumps(row) + "\n" for row in timing))
        if score is not None:
            result = {
                "status": "complete",
                "final_return": {"mean": score},
                "random_return": random_return,
                "fps": fps,
                "train_seconds": 300 / fps,
                "time_split": {"env": 0.25, "policy": 0.25, "learn": 0.5, "eval": 0.0, "other": 0.0},
            }
            (session / "result.json").write_text(json.dumps(result))
    return folder
