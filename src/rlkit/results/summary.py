"""`result.json`: of a session, and of a trial over several seeds. Other programs read it; keep its keys."""

from __future__ import annotations

import dataclasses
import math
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil

from rlkit.results.metrics import Curve, consistency, curve_metrics
from rlkit.results.stats import KIND, iqm, student_interval
from rlkit.runs.folder import SCHEMA, config_hash
from rlkit.runs.provenance import git_state

if TYPE_CHECKING:
    from rlkit.config.run import RunConfig
    from rlkit.results.score import Score


def session_result(
    *,
    config: RunConfig,
    seed: int,
    status: str,
    error: str | None,
    env_id: str,
    frames: int,
    updates: int,
    final: Score | None,
    evals: Sequence[dict[str, Any]],
    train_return: float,
    random_return: float,
    fps: float,
    train_seconds: float,
    wall_seconds: float,
    startup_seconds: float,
    time_split: dict[str, float],
) -> dict[str, Any]:
    """The result of one seed. `std` and `iqm` of its final return are over episodes."""
    mean = math.nan if final is None else final.mean
    best = max((row["mean"] for row in evals), default=math.nan)
    curve = _curve(evals)
    return {
        **_head(config, status, env_id, frames, [seed]),
        "error": error,
        "updates": updates,
        "final_return": {
            "mean": mean,
            "std": math.nan if final is None else final.std,
            "iqm": math.nan if final is None else final.iqm,
            "ci95": None,
            "ci95_kind": None,
            "per_seed": [mean],
            **_protocol(config),
        },
        "train_return_100": {"mean": train_return, "per_seed": [train_return]},
        "best_return": {"mean": best, "per_seed": [best]},
        "metrics": {**curve_metrics(curve, random_return), "consistency": math.nan},
        "random_return": random_return,
        "fps": fps,
        "train_seconds": train_seconds,
        "wall_seconds": wall_seconds,
        "startup_seconds": startup_seconds,
        "peak_rss_mb": peak_rss_mb(),
        "time_split": time_split,
        "note": NOTE,
    }


def failed_result(config: RunConfig, seed: int, error: str) -> dict[str, Any]:
    """The result of a session that failed before its first frame."""
    from rlkit.results.progress import Phases

    nothing = dict.fromkeys(("train_return", "random_return", "fps", "startup_seconds"), math.nan)
    return session_result(
        config=config,
        seed=seed,
        status="failed",
        error=error,
        env_id=config.env.today,
        frames=0,
        updates=0,
        final=None,
        evals=[],
        train_seconds=0.0,
        wall_seconds=0.0,
        time_split=Phases().split(),
        **nothing,
    )


def trial_result(
    config: RunConfig, status: str, sessions: Sequence[dict[str, Any]], evals: Sequence[Sequence[dict[str, Any]]]
) -> dict[str, Any]:
    """The result of a trial from those of its sessions. `std`, `iqm` and `ci95` are over seeds.

    Args:
        config: of the trial.
        status: of the trial as a whole.
        sessions: the sessions' results.
        evals: their rows of eval.jsonl, in the same order.
    """
    if config.seeds == 1:
        return dict(sessions[0])
    first = sessions[0]
    finals = [_number(s["final_return"]["mean"]) for s in sessions]
    known = [x for x in finals if not math.isnan(x)]
    measures = {
        name: _mean([_number(s["metrics"][name]) for s in sessions])
        for name in first["metrics"]
        if name != "consistency"
    }
    interval = student_interval(known)
    curves, baselines = [_curve(rows) for rows in evals], [_number(s["random_return"]) for s in sessions]
    return {
        **_head(config, status, first["env_id"], max(s["frames"] for s in sessions), [s["seeds"][0] for s in sessions]),
        "error": next((s["error"] for s in sessions if s.get("error")), None),
        "updates": max(s.get("updates", 0) for s in sessions),
        "final_return": {
            "mean": _mean(finals),
            "std": float(np.std(known, ddof=1)) if len(known) > 1 else math.nan,
            "iqm": iqm(known) if known else math.nan,
            "ci95": interval,
            "ci95_kind": None if interval is None else KIND,
            "per_seed": finals,
            **_protocol(config),
        },
        **{
            key: {
                "mean": _mean([_number(s[key]["mean"]) for s in sessions]),
                "per_seed": [s[key]["mean"] for s in sessions],
            }
            for key in ("train_return_100", "best_return")
        },
        "metrics": {**measures, "consistency": consistency(curves, baselines)},
        "random_return": _mean(baselines),
        **{key: _mean([_number(s[key]) for s in sessions]) for key in ("fps", "train_seconds")},
        "wall_seconds": max(s["wall_seconds"] for s in sessions),
        "startup_seconds": _mean([_number(s["startup_seconds"]) for s in sessions]),
        "peak_rss_mb": max(s["peak_rss_mb"] for s in sessions),
        "time_split": {k: _mean([s["time_split"][k] for s in sessions]) for k in first["time_split"]},
        "note": NOTE,
    }


NOTE = "null stands for a number that does not exist or is not finite"


def peak_rss_mb() -> float:
    """The largest memory that this process has held, in MiB."""
    if sys.platform == "win32":
        return float(psutil.Process().memory_info().peak_wset) / 2**20
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10


def _head(config: RunConfig, status: str, env_id: str, frames: int, seeds: list[int]) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "status": status,
        "algo": config.algo.name,
        "env_id": env_id,
        "frames": frames,
        "seeds": seeds,
        "config_hash": config_hash(dataclasses.asdict(config)),
        "git_sha": git_state()["git_sha"],
    }


def _protocol(config: RunConfig) -> dict[str, Any]:
    return {
        "episodes": config.eval.episodes,
        "deterministic": config.eval.deterministic,
        "eval_seeds": "disjoint from training",
    }


def _curve(evals: Sequence[dict[str, Any]]) -> Curve:
    return Curve(*([row[key] for row in evals] for key in ("frames", "updates", "mean")))


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def _mean(values: Sequence[float]) -> float:
    known = [v for v in values if not math.isnan(v)]
    return float(np.mean(known)) if known else math.nan
