"""How the nets are learnt: the optimiser, the bound on the gradient, and the schedule of the learning rate."""

from __future__ import annotations

import math

from rlkit.legacy.draft import MISSING, Draft
from rlkit.legacy.eras import NET
from rlkit.legacy.read import VARIABLE
from rlkit.legacy.report import shown
from rlkit.legacy.schedules import worker_frames

WITH_POLICY = ("a2c", "ppo", "a2c_sil", "ppo_sil", "sac", "crossq", "reinforce")
"""Algorithms whose optimiser is the actor's, where it has a separate one."""
OPTIMISERS = {
    "adam": "adam",
    "adamw": "adamw",
    "rmsprop": "rmsprop",
    "sgd": "sgd",
    "globaladam": "adam",
    "globalrmsprop": "rmsprop",
    "lookahead": "adamw",
    "radam": "adamw",
}
REASONS = {
    "globaladam": "it shared its moments between processes; here there is one process",
    "globalrmsprop": "it shared its moments between processes; here there is one process",
    "lookahead": "SLM-Lab itself put AdamW in its place; without weight decay, which RAdam had not",
    "radam": "SLM-Lab itself put AdamW in its place; without weight decay, which RAdam had not",
}


def map_optimiser(d: Draft, algo: str) -> None:
    """One optimiser: the actor's, or the one of both."""
    actor, both = f"{NET}.actor_optim_spec", f"{NET}.optim_spec"
    block = actor if d.spec.has(actor) and algo in WITH_POLICY else both
    if not d.spec.has(block):
        block = next((b for b in (actor, f"{NET}.critic_optim_spec") if d.spec.has(b)), block)
    given = d.word(f"{block}.name", "Adam") if d.has(f"{block}.name") else "Adam"
    plain = given.lower().replace("_", "")
    if plain not in OPTIMISERS:
        raise d.refusal(f"{block}.name", f"not an optimiser that is known ({', '.join(OPTIMISERS)})")
    name, why = OPTIMISERS[plain], REASONS.get(plain, "")
    centered = bool(d.get(f"{block}.centered")) and name == "rmsprop"
    key = "algo.optimizer"
    d.values[f"{key}.name"] = "RMSprop" if centered else name
    d.line("changed" if why else "mapped", f"{block}.name", f"{key}.name={name}", why)
    rate = d.number(f"{block}.lr")
    if rate is not None and rate <= 0:
        raise d.refusal(f"{block}.lr", "not a learning rate: it has to be above 0")
    if rate is None:
        rate = {"sgd": 1e-3, "rmsprop": 1e-2}.get(name, 1e-3)
        d.default("algo.learning_rate", rate, "torch's default")
    d.mapped(f"{block}.lr", "algo.learning_rate", float(rate))
    if name in ("adam", "adamw"):
        betas = d.get(f"{block}.betas", [0.9, 0.999])
        if not (isinstance(betas, list) and len(betas) == 2 and all(isinstance(b, int | float) for b in betas)):
            raise d.refusal(f"{block}.betas", "not two numbers")
        d.mapped(f"{block}.betas", f"{key}.betas", betas)
        d.mapped(f"{block}.eps", f"{key}.eps", float(d.number(f"{block}.eps", 1e-8) or 1e-8))
        decay = d.number(f"{block}.weight_decay", 0.01 if plain == "adamw" else 0.0) or 0.0
        d.mapped(f"{block}.weight_decay", f"{key}.weight_decay", float(decay))
        if decay:
            d.default(f"{key}.decay_biases", True, "torch decays biases too")
    elif centered:
        names = ("eps", "alpha", "momentum", "weight_decay")
        kwargs = {n: float(d.number(f"{block}.{n}") or 0.0) for n in names if d.has(f"{block}.{n}")}
        d.values[f"{key}.kwargs"] = {"centered": True, **kwargs}
        for n in (*names, "centered"):
            d.line("mapped", f"{block}.{n}", f"{key}.kwargs.{n}, of torch's own RMSprop")
    else:
        defaults = {"alpha": 0.99, "eps": 1e-8} if name == "rmsprop" else {}
        for n, usual in {**defaults, "momentum": 0.0, "weight_decay": 0.0}.items():
            d.mapped(f"{block}.{n}", f"{key}.{n}", float(d.number(f"{block}.{n}") or usual))
    d.dropped(f"{block}.optimizer", "the inner optimiser of Lookahead, see the name")
    d.dropped(block, "a refinement that the optimiser here does not have")
    for path in [p for other in (actor, both, f"{NET}.critic_optim_spec") if other != block for p in d.under(other)]:
        key = path.rsplit(".", 1)[-1]
        if d.spec.values[path] == d.spec.values.get(f"{block}.{key}"):
            d.line("mapped", path, f"as {block}.{key}")
        else:
            d.line("changed", path, f"as {block}.{key}", "one optimiser for actor and critic; the actor's is used")
    _gradient(d)
    _learning_rate(d, float(rate))


def _gradient(d: Draft) -> None:
    """The bound on the gradient."""
    path, key = f"{NET}.clip_grad_val", "algo.max_grad_norm"
    bound = d.number(path)
    flag = f"{NET}.clip_grad"
    if bound and d.get(flag) is False:
        d.changed(path, key, None, f"{d.spec.named(flag).rsplit('.', 1)[-1]} is false: no bound")
    d.dropped(flag, "a flag beside clip_grad_val, which was read with it")
    if path in d.seen:
        return
    if bound == 0:
        d.changed(path, key, None, "a bound of 0 would let nothing be learnt: no bound")
    elif bound and d.values.get("algo.loss") == "squared":
        why = "rlkit's squared error is half the square, so its gradient is half as long: the bound is halved with it"
        d.changed(path, key, bound / 2, why)
    else:
        d.mapped(path, key, bound)


def _learning_rate(d: Draft, rate: float) -> None:
    """The schedule of the learning rate."""
    blocks = [f"{NET}.{prefix}lr_scheduler_spec" for prefix in ("actor_", "", "critic_")]
    block = next((b for b in blocks if d.has(f"{b}.name")), blocks[1])
    key = "algo.learning_rate_schedule"
    d.values[f"{key}.kind"] = "constant"
    if d.has(f"{block}.name"):
        _scheduler(d, block, rate, key)
    for other in blocks:
        for path in d.under(other):
            if d.spec.values[path] is None:
                d.line("mapped", path, f"{key}.kind=constant")
            else:
                d.line("dropped", path, why="one schedule for all networks")
    decay = d.get(f"{NET}.lr_decay")
    for path in d.under(NET):
        if path.rsplit(".", 1)[-1].startswith(("lr_decay", "lr_anneal", "decay_lr")):
            off = decay in (None, "no_decay", "") and not d.get(f"{NET}.decay_lr")
            d.line(
                "dropped", path, why="off" if off else "a decay of versions 1 and 2; see algo.learning_rate_schedule"
            )


def _scheduler(d: Draft, block: str, rate: float, key: str) -> None:
    name = d.word(f"{block}.name")
    # version 5 counted train calls, earlier ones the frames of a worker
    times = d.workers if d.as_run else 1
    per_call = float(times) if d.spec.era != "v5" else d.frames_per_train
    d.values[f"{key}.kind"] = "linear"
    if name in ("LinearToZero", "LinearToMin"):
        path = next((p for p in (f"{block}.frame", f"{block}.total_t") if d.has(p)), f"{block}.frame")
        value = d.get(path)
        whole_run = value is None or (isinstance(value, str) and VARIABLE.fullmatch(value))
        frames = None if whole_run else d.whole(path)
        if frames is not None and d.as_run and d.spec.era == "v5" and d.train_every > 1:
            frames = max(1, frames // d.train_every)
        budget = d.values.get("frames")
        if times > 1 and isinstance(budget, int):
            frames, whole_run = (frames or budget) * times, False
        d.values[f"{key}.end_frames"] = None if frames == d.values.get("frames") else frames
        low = d.number(f"{block}.min_factor", 0.0) if name == "LinearToMin" else 0.0
        d.values[f"{key}.end"] = round(rate * float(low or 0.0), 12)
        why = worker_frames(d) if d.workers > 1 else ""
        to = f"{key}.end_frames={shown(frames)}{' (the budget)' if whole_run else ''}"
        d.line("changed" if why else "mapped", path, to, why)
        d.line("mapped", f"{block}.name", f"{key}: linear to {d.values[f'{key}.end']:g}")
        d.dropped(f"{block}.min_factor", "of LinearToMin") if name == "LinearToZero" else None
        d.line("mapped", f"{block}.min_factor", f"{key}.end={d.values[f'{key}.end']:g}")
    elif name in ("StepLR", "ExponentialLR"):
        _exponential(d, block, rate, key, per_call, name)
    elif name == "MultiStepLR":
        factor = _factor(d, block)
        if factor > 1:
            raise d.refusal(f"{block}.gamma", "not a factor from 0 to 1")
        steps = sorted(round(m * per_call) for m in d.widths(f"{block}.milestones"))
        why = _unit(d, per_call)
        points: list[list[float]] = []
        for i, frame in enumerate(steps):
            points += [[float(frame), rate * factor**i], [float(frame), rate * factor ** (i + 1)]]
        d.values.update({f"{key}.kind": "piecewise" if points else "constant", f"{key}.points": points})
        for leaf in ("name", "milestones", "gamma"):
            to = f"{key}: piecewise, {len(steps)} steps at frames {steps}"
            d.line("changed" if why else "mapped", f"{block}.{leaf}", to, why)
    elif name == "CosineAnnealingLR":
        frames, why = round((d.whole(f"{block}.T_max") or 1) * per_call), _unit(d, per_call)
        d.values.update({f"{key}.kind": "cosine", f"{key}.end": float(d.number(f"{block}.eta_min", 0.0) or 0.0)})
        d.values[f"{key}.end_frames"] = frames
        for leaf in ("name", "T_max", "eta_min"):
            d.line("changed" if why else "mapped", f"{block}.{leaf}", f"{key}: cosine to frame {frames}", why)
    else:
        d.values[f"{key}.kind"] = "constant"
        d.line("changed", f"{block}.name", f"{key}.kind=constant", "a scheduler that rlkit does not have")
    d.dropped(block, "an argument that the schedule here does not have")


def _factor(d: Draft, block: str) -> float:
    """What the rate is multiplied by; torch's default is a tenth."""
    factor = d.number(f"{block}.gamma", 0.1)
    if factor is None or factor <= 0:
        raise d.refusal(f"{block}.gamma", "not a factor above 0")
    return float(factor)


def _unit(d: Draft, per_call: float) -> str:
    """What the steps of a schedule were, where they were not frames."""
    if d.spec.era == "v5":
        return f"version 5 counted train calls, of {per_call:g} frames each"
    return worker_frames(d) if d.workers > 1 else ""


def _exponential(d: Draft, block: str, rate: float, key: str, per_call: float, name: str) -> None:
    """StepLR and ExponentialLR: steps where they are few, else a curve through them."""
    factor = _factor(d, block)
    step = (d.whole(f"{block}.step_size", 1) or 1) * per_call
    frames = d.values.get("frames", MISSING)
    budget = float(frames) if isinstance(frames, int) else 1e6
    if not 0 < factor < 1:
        d.values[f"{key}.kind"] = "constant"
        to, why = f"{key}.kind=constant", "a factor that does not decay"
    elif budget / step <= 20:
        points = [[step * i, rate * factor ** (i - j)] for i in range(1, math.ceil(budget / step)) for j in (1, 0)]
        d.values.update({f"{key}.kind": "piecewise" if points else "constant", f"{key}.points": points})
        to, why = f"{key}: {len(points) // 2} steps by {factor:g}", ""
    else:
        span = min(budget, step * math.log(1e-6) / math.log(factor))
        d.values.update({f"{key}.kind": "exponential", f"{key}.end": rate * factor ** (span / step)})
        d.values[f"{key}.end_frames"] = max(1, round(span))
        to = f"{key}: exponential, by {factor:g} every {step:,.0f} frames"
        why = "a curve through its steps" if name == "StepLR" else ""
    if unit := _unit(d, per_call):
        why = f"{why + '; ' if why else ''}{unit}"
    for leaf in ("name", "step_size", "gamma"):
        d.line("changed" if why else "mapped", f"{block}.{leaf}", to, why)
