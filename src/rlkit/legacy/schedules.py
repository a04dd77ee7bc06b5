"""Values that move with the frames: exploration, entropy, PPO's clipping."""

from __future__ import annotations

import math

from rlkit.legacy.draft import Draft
from rlkit.legacy.environments import episode_steps
from rlkit.legacy.eras import ALGO

SHAPES = {
    "no_decay": ("constant", ""),
    "no_update": ("constant", ""),
    "linear_decay": ("linear", ""),
    "rate_decay": ("exponential", "a smooth decay where SLM-Lab's had 20 stages"),
    "periodic_decay": ("cosine", "half a wave, without its returns"),
}
"""SLM-Lab's schedule -> the one here, and what is different in it."""


def worker_frames(d: Draft) -> str:
    """What the frames of a schedule were where several workers shared a network."""
    if d.as_run:
        return f"each of {d.workers} workers counted its own frames: that many times as many here"
    return f"each of {d.workers} workers counted its own frames, so it took {d.workers} times as long; see --as-run"


def map_schedule(
    d: Draft, name: str, key: str, default: float, *, lowest: float = 0.0, highest: float = math.inf
) -> None:
    """A value that moves with the frames: `{name, start_val, end_val, start_step, end_step}`.

    Args:
        d: the conversion.
        name: the block in the algorithm, `entropy_coef_spec`.
        key: rlkit's value, `algo.ent_coef`; its schedule is `<key>_schedule`.
        default: where the spec has no start.
        lowest: values are not below this.
        highest: nor above this.
    """
    block = f"{ALGO}.{name}"
    # a plain number in the place of the block is its start
    given = d.number(block if d.get(block, {}) != {} else f"{block}.start_val", default)
    given = float(default if given is None else given)
    start = min(highest, max(lowest, given))
    kind = d.word(f"{block}.name", "no_decay")
    if kind not in SHAPES:
        raise d.refusal(f"{block}.name", f"not a schedule that is known ({', '.join(SHAPES)})")
    shape, why = SHAPES[kind]
    written = d.number(f"{block}.end_val")
    end = start if written is None else min(highest, max(lowest, float(written)))
    # versions 1 and 2 counted episodes, and each of several workers its own frames
    unit = episode_steps(d) if d.spec.era in ("v1", "v2") else 1
    if unit > 1 and d.has(f"{block}.end_step"):
        why = why or f"steps were episodes, of up to {unit} frames"
    if d.workers > 1 and shape != "constant":
        unit *= d.workers if d.as_run else 1
        why = f"{why + '; ' if why else ''}{worker_frames(d)}"
    first = (d.whole(f"{block}.start_step", 0, low=0) or 0) * unit
    last = (d.whole(f"{block}.end_step", 0, low=0) or 0) * unit
    for asked, taken in ((given, start), (end if written is None else float(written), end)):
        if asked != taken:
            why = f"{asked:g} is beyond what rlkit takes: {taken:g}" + (f"; {why}" if why else "")
    if d.as_run and written == 0 and shape != "constant":
        shape, end, why = "constant", start, "an end of 0 was taken for none, so the value never moved"
    elif d.as_run and end > start and shape == "linear":
        shape, start, why = "constant", end, "a linear decay could not rise: it was at its end at once"
    if shape != "constant" and last <= first:
        shape, start, why = "constant", end, "it ends where it begins: at its last value from the first frame"
    if shape == "exponential" and (start <= 0 or end <= 0):
        shape = "linear"
    d.values[key] = start
    d.values[f"{key}_schedule.kind"] = shape
    to = f"{key}={start:g}"
    if shape != "constant":
        d.values.update(
            {f"{key}_schedule.end": end, f"{key}_schedule.start_frames": first, f"{key}_schedule.end_frames": last}
        )
        to = f"{key}={start:g}, {shape} to {end:g} from frame {first:,} to {last:,}"
    elif start != end:
        to = f"{key}={start:g}, constant"
    for path in d.under(block):
        if path == block or path.rsplit(".", 1)[-1] in ("name", "start_val", "end_val", "start_step", "end_step"):
            d.line("changed" if why else "mapped", path, to, why)
    d.dropped(block, "not a key of a schedule")
    if not d.spec.has(block):
        d.default(key, start, "SLM-Lab's default")
