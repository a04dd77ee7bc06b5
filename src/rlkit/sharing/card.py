"""The pages of a repository: a table of runs for a data set, a model card for a single agent."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from rlkit.display.console import counted
from rlkit.results.stats import interval_text
from rlkit.sharing.publication import Publication
from rlkit.sharing.safety import shown


def dataset_card(repo: str, runs: Mapping[str, Mapping[str, Any]]) -> str:
    """The page of a data set of runs.

    Args:
        repo: `user/name`.
        runs: name -> summary, of all runs in it.
    """
    algos = sorted({str(run.get("algo")) for run in runs.values()})
    head = {"tags": ["reinforcement-learning", "rlkit", *algos], "viewer": False}
    rows = [
        [
            f"`{name}`",
            str(run.get("algo")),
            str(run.get("env_id")),
            str(len(run.get("seeds") or [])),
            frames(run),
            score(run),
            str(run.get("status")),
        ]
        for name, run in sorted(runs.items())
    ]
    return f"""{_front(head)}
# Runs of rlkit

Each run has its resolved configuration, versions, metrics, evaluations, and the weights of its last checkpoint
(safetensors and JSON, no pickle), with a manifest of hashes in `publication.json`.

{_table(["run", "algorithm", "environment", "seeds", "frames", "score", "status"], rows)}

Scores are mean returns of the final policy on evaluation seeds disjoint from training.

```bash
rlkit list --repo {repo}
rlkit pull '{next(iter(sorted(runs)), "PATTERN")}' --repo {repo}
```
"""


def model_card(repo: str, publication: Publication) -> str:
    """The page of a single agent: what it is, its score with interval and protocol, and how to get it again."""
    summary = publication.summary
    result = summary["score"]
    env, algo = str(summary["env_id"]), str(summary["algo"])
    head: dict[str, Any] = {
        "library_name": "rlkit",
        "tags": ["reinforcement-learning", "deep-reinforcement-learning", "rlkit", algo, env],
    }
    if result["mean"] is not None:
        measured = {
            "task": {"type": "reinforcement-learning", "name": "reinforcement-learning"},
            "dataset": {"name": env, "type": env},
            "metrics": [{"type": "mean_reward", "name": "mean_reward", "value": round(float(result["mean"]), 2)}],
        }
        head["model-index"] = [{"name": algo, "results": [measured]}]
    place = f"{repo}/{publication.name}"
    facts = [
        ["algorithm", algo],
        ["environment", env],
        ["score", score(summary)],
        ["protocol", protocol(summary)],
        ["training", f"{frames(summary)} frames, seed {publication.summary['seeds'][0]}"],
        ["code", f"commit `{summary['git_sha']}`" if summary["git_sha"] else "no commit was recorded"],
    ]
    return f"""{_front(head)}
# {algo} on {env}

{_table(["", ""], facts)}
{_video(publication)}
## Use it

```python
from rlkit import evaluate, load

agent = load("hf://{place}")  # hashes are verified; nothing is unpickled
action = agent.act(obs)
print(evaluate("hf://{place}", episodes=100).mean)
```

## Train it again

```bash
{summary["command"] or _from_python(publication)}
```

## Configuration

```yaml
{publication.files["config.yaml"].read_text(encoding="utf-8").rstrip()}
```
"""


def listing(runs: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """The lines of `rlkit list`, in columns."""
    rows = [["run", "algorithm", "environment", "seeds", "frames", "score", "size"]] if runs else []
    for name, run in sorted(runs.items()):
        seeds, number = run.get("seeds"), run.get("bytes")
        about = [str(run.get("algo")), str(run.get("env_id")), str(len(seeds) if isinstance(seeds, list) else "-")]
        size_ = size(number) if isinstance(number, int) and _is_real(number) else "-"
        rows.append([shown(cell) for cell in (name, *about, frames(run), score(run), size_)])
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))] if rows else []
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def score(summary: Mapping[str, Any]) -> str:
    """Mean, with its interval over seeds, or its deviation over episodes where there is one seed."""
    found = summary.get("score")
    found = found if isinstance(found, Mapping) else {}
    mean, std, interval = found.get("mean"), found.get("std"), found.get("ci95")
    if not _is_real(mean):
        return "not scored"
    if isinstance(interval, list) and len(interval) == 2 and all(map(_is_real, interval)):
        return f"{mean:.1f}, {interval_text(found)}"
    return f"{mean:.1f} ± {std:.1f} over episodes" if _is_real(std) else f"{mean:.1f}"


def protocol(summary: Mapping[str, Any]) -> str:
    """How the score was measured."""
    found = summary["score"]
    if found["mean"] is None:
        return "-"
    kind = "deterministic" if found["deterministic"] else "sampled"
    episodes = counted(found["episodes"], f"{kind} episode")
    return f"{episodes} of the final policy, evaluation seeds {found['eval_seeds']}"


def frames(summary: Mapping[str, Any]) -> str:
    """Frames that were run, by thousands."""
    value = summary.get("frames")
    return f"{value:,}" if isinstance(value, int) and _is_real(value) else "-"


def _is_real(value: object) -> bool:
    """Whether it is a number that can be shown: a stranger's may have any number of digits."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e15


def size(number: float) -> str:
    """A number of bytes with its unit."""
    for unit in ("bytes", "kB", "MB"):
        if number < 1000:
            return f"{number:.0f} {unit}" if unit == "bytes" else f"{number:.1f} {unit}"
        number /= 1000
    return f"{number:.1f} GB"


def _from_python(publication: Publication) -> str:
    name = Path(publication.name).name
    code = f'from rlkit import compose, train; train(compose(base="{name}/config.yaml"))'
    return f"python -c {json.dumps(code)}  # in a folder with the run"


def _video(publication: Publication) -> str:
    """The newest video, if there is one."""
    videos = [p for p in publication.files if Path(p).suffix == ".mp4" and Path(p).stem.isdigit()]
    if not videos:
        return ""
    newest = max(videos, key=lambda path: int(Path(path).stem))
    return f'\n<video src="./{publication.name}/{newest}" controls></video>\n'


def _front(head: Mapping[str, Any]) -> str:
    return f"---\n{yaml.safe_dump(dict(head), sort_keys=False, allow_unicode=True)}---\n"


def _table(names: list[str], rows: list[list[str]]) -> str:
    """A Markdown table; what would break out of a cell is taken out."""
    lines = [names, ["---"] * len(names), *rows]
    return "\n".join("| " + " | ".join(shown(cell).replace("|", "/") for cell in line) + " |" for line in lines)
