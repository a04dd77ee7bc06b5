"""`meta`, and what SLM-Lab wrote into a spec while it ran."""

from __future__ import annotations

from rlkit.legacy.draft import Draft
from rlkit.legacy.eras import META

RUN_TIME = {
    "experiment", "trial", "session", "cuda_offset", "resume", "experiment_ts", "predir", "prepath", "graph_prepath",
    "info_prepath", "log_prepath", "model_prepath", "git_sha", "random_seed", "ckpt", "eval_model_prepath", "lab_mode",
}  # fmt: skip
OWN_WAY = {
    "resources": "rlkit counts the machine's own cores",
    "num_gpus": "device=auto",
    "num_cpus": "rlkit counts the machine's own cores",
    "search_resources": "a trial has one process for each seed",
    "search": "the sampler is chosen by the sweeper",
    "param_spec_process": "rlkit runs trials one after the other",
    "train_mode": "was read by nothing",
    "graph_x": "curves are over frames",
    "training_eval": "rlkit evaluates on separate environments",
    "max_generation": "of a search that has gone",
    "save_epi_frequency": "checkpoints are counted in frames (checkpoint.every_frames)",
}


def map_meta(d: Draft, sampled: bool) -> None:
    """A line for each key of `meta`, and for what saved specs have besides."""
    if d.has(f"{META}.log_frequency"):
        d.mapped(f"{META}.log_frequency", "log.every_frames", d.whole(f"{META}.log_frequency"))
    rounds = d.get(f"{META}.rigorous_eval")
    path = f"{META}.eval_frequency"
    if rounds and d.has(path):
        d.mapped(path, "eval.every_frames", d.whole(path))
        d.line("mapped", f"{META}.rigorous_eval", "eval.every_frames")
    else:
        why = "nothing was evaluated without rigorous_eval; rlkit evaluates ten times a run (eval.every_frames)"
        d.dropped(path, why)
        d.dropped(f"{META}.rigorous_eval", "0: nothing was evaluated; rlkit evaluates ten times a run")
    trials = f"{META}.max_trial"
    if sampled:
        d.line("mapped", trials, f"search.trials={d.whole(trials)}")
    else:
        d.dropped(trials, "there is no search with sampled values")
    for path in d.under(META):
        key = path.removeprefix(f"{META}.").split(".")[0]
        if key in RUN_TIME:
            d.line("dropped", path, why="written by SLM-Lab while it ran")
        elif key in OWN_WAY:
            d.line("dropped", path, why=OWN_WAY[key])
    for path in ("name", "agent.net.cuda_id", "cuda_id", "ckpt"):
        d.dropped(path, "written by SLM-Lab while it ran")
    d.dropped("body", "one agent in one environment, as here")
    for path in [p for p in d.spec.values if p.rsplit(".", 1)[-1].startswith("_")]:
        d.dropped(path, "begins with an underscore: not a key of a spec")
