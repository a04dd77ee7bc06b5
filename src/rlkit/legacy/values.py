"""Algorithms that learn action values: SARSA, DQN and its variants, SAC and CrossQ."""

from __future__ import annotations

import math

from rlkit.legacy.draft import Draft
from rlkit.legacy.environments import ACTIONS, is_discrete, num_envs
from rlkit.legacy.eras import ALGO, MEMORY, NET
from rlkit.legacy.policies import rollout_steps
from rlkit.legacy.report import shown
from rlkit.legacy.schedules import map_schedule, worker_frames

FROZEN = 1_000_000_000
"""Updates between two of a target network that never moves."""


def _exploration(d: Draft) -> None:
    path = f"{ALGO}.action_policy"
    policy = str(d.get(path, "epsilon_greedy")).removeprefix("multi_")
    key = "algo.exploration"
    if policy == "boltzmann":
        d.values[f"{key}.kind"] = "boltzmann"
        map_schedule(d, "explore_var_spec", f"{key}.temperature", 1.0)
    else:
        d.values[f"{key}.kind"] = "epsilon_greedy"
        start = 1.0 if policy == "random" else 0.0 if policy == "default" else 1.0
        map_schedule(d, "explore_var_spec", f"{key}.epsilon", start, highest=1.0)
    odd = policy not in ("boltzmann", "epsilon_greedy")
    why = f"{shown(policy, 30)} is not a way to explore with values" if odd else ""
    d.line("changed" if odd else "mapped", path, f"{key}.kind={d.values[f'{key}.kind']}", why)


def _value_loss(d: Draft) -> None:
    path = f"{NET}.loss_spec.name"
    plain = str(d.get(path, "MSELoss")).lower().replace("_", "")
    huber = plain in ("smoothl1loss", "huberloss")
    d.values["algo.loss"] = "huber" if huber else "squared"
    fits = huber or plain == "mseloss"
    d.line(
        "mapped" if fits else "changed",
        path,
        f"algo.loss={d.values['algo.loss']}",
        "" if fits else "not a loss for values",
    )


def map_sarsa(d: Draft, algo: str) -> None:
    """SARSA: steps of an update, exploration, loss."""
    steps, why = rollout_steps(d, f"{ALGO}.training_frequency")
    d.values["algo.n_steps"] = steps
    d.line("changed" if why else "mapped", f"{ALGO}.training_frequency", f"algo.n_steps={steps}", why)
    _exploration(d)
    _value_loss(d)


def map_dqn(d: Draft, algo: str) -> None:
    """DQN and its variants."""
    _exploration(d)
    _value_loss(d)
    _updates(d, algo, starts=d.whole(f"{MEMORY}.batch_size", 32) or 32)
    vanilla = d.get(f"{ALGO}.name") == "VanillaDQN"
    if vanilla:
        d.default(
            "algo.target_update_every", 1, "VanillaDQN has no target network: one that follows at once is the same"
        )
        d.values["algo.tau"] = 1.0
        for key in ("update_type", "update_frequency", "polyak_coef"):
            d.dropped(f"{NET}.{key}", "VanillaDQN has no target network")
    else:
        _target(d, algo)
    if algo == "dqn":
        double = d.as_run and d.spec.era == "v5" and not vanilla
        why = "version 5's DQN let the online network choose, as Double DQN does"
        d.default("algo.double", double, why if double else "plain DQN, as its name says")


def _updates(d: Draft, algo: str, starts: int, batches: int = 1) -> None:
    """When and how often is learnt."""
    n = num_envs(d)
    per, times = d.whole(f"{ALGO}.training_iter", batches) or batches, d.whole(f"{ALGO}.training_batch_iter", 1) or 1
    every, steps = int(d.frames_per_train), per * times * d.workers
    d.set(algo__train_every_frames=every, algo__gradient_steps=steps)
    each = f"each of {d.workers} workers learnt for itself: as many updates a frame here" if d.workers > 1 else ""
    why = f"SLM-Lab learnt at most once for a step of all {n} environments" if every != d.train_every else ""
    why = each or why
    path = f"{ALGO}.training_frequency"
    if path in d.spec.values:
        d.line("changed" if why else "mapped", path, f"algo.train_every_frames={every}", why)
    elif every > 1:
        d.default("algo.train_every_frames", every, each or f"once for a step of all {n} environments")
    d.line("changed" if each else "mapped", f"{ALGO}.training_iter", f"algo.gradient_steps={steps}", each)
    again = "each update draws its own batch; SLM-Lab used one batch that many times" if times > 1 else ""
    again = "; ".join(reason for reason in (again, each) if reason)
    d.line("changed" if again else "mapped", f"{ALGO}.training_batch_iter", f"algo.gradient_steps={steps}", again)
    if f"{ALGO}.training_iter" not in d.spec.values and max(batches, d.workers) > 1:
        d.default("algo.gradient_steps", steps, each or "as many as environments, SLM-Lab's default")
    path, key = f"{ALGO}.training_start_step", "algo.learning_starts"
    first = d.whole(path, starts, low=0) or 0
    if d.workers > 1:
        d.changed(path, key, first * (d.workers if d.as_run else 1), worker_frames(d))
    else:
        d.mapped(path, key, first)
    d.mapped(f"{MEMORY}.batch_size", "algo.batch_size", d.whole(f"{MEMORY}.batch_size", 32))


def _target(d: Draft, algo: str) -> None:
    """How the target network follows: SLM-Lab counted frames, rlkit counts updates.

    DQN's moved at steps of the environments, also between two trainings: k moves by a share tau towards a network that
    stands still are one by 1 - (1 - tau)^k. SAC's moved after its updates.
    """
    kind_path, every_path, share_path = f"{NET}.update_type", f"{NET}.update_frequency", f"{NET}.polyak_coef"
    kind = d.word(kind_path, "replace") if d.has(kind_path) else "replace"
    every, share = float(d.number(every_path, 1) or 1), d.number(share_path)
    if share is None and 0 < every < 1:
        share, every = every, 1.0
        d.line("changed", every_path, f"algo.tau={share:g}", "a share below 1 is taken for polyak_coef")
    if kind not in ("polyak", "replace"):
        d.line("changed", kind_path, "algo.tau=1", f"{shown(kind, 20)} is neither replace nor polyak: replace")
        kind = "replace"
    ungated = kind == "polyak" and d.as_run and d.spec.era == "v5" and every > 1
    if ungated:
        d.line("changed", every_path, "algo.target_update_every", "version 5 ignored it, and moved the target at once")
        every = 1.0
    burst, frames = int(d.values["algo.gradient_steps"]), int(d.values["algo.train_every_frames"])
    least = 1 if algo in ("sac", "crossq") else burst
    apart = every * (d.workers if d.as_run else 1)
    updates = max(1 if kind == "replace" else least, round(apart * burst / frames))
    d.values["algo.target_update_every"] = updates
    to = f"algo.target_update_every={updates}"
    if every_path in d.spec.values:
        why = worker_frames(d) if d.workers > 1 else ""
        to = f"{to} ({apart:g} frames are {apart * burst / frames:g} updates)"
        d.line("changed" if why else "mapped", every_path, to, why)
    elif updates != 1:
        d.default("algo.target_update_every", updates, "at every step of the environments, SLM-Lab's default")
    if kind == "replace":
        d.values["algo.tau"] = 1.0
        d.line("mapped", kind_path, "algo.tau=1")
        d.dropped(share_path, "of update_type polyak")
        return
    d.line("mapped", kind_path, "algo.tau")
    step = d.workers * max(every, num_envs(d) // d.workers)
    moves = max(1, round(frames / step)) if least == burst else 1
    _share(d, share_path, share, moves)


def _share(d: Draft, path: str, share: float | None, moves: int) -> None:
    """polyak_coef: the new network's share since version 3.2, the old one's before; `moves` of them are put in one."""
    value = 0.0 if share is None else float(share)
    if not 0 <= value <= 1:
        raise d.refusal(path, "not a share from 0 to 1")
    old_polarity = d.spec.era in ("v1", "v2")
    value = 1 - value if old_polarity else value
    frozen = value == 0 and (d.as_run or old_polarity)
    tau = round(1 - (1 - value) ** moves, 12) or 1.0
    d.values["algo.tau"] = tau
    reasons = []
    if old_polarity:
        reasons.append("the old network's share then, the new one's here")
    elif frozen:
        reasons.append("0: the target network never moved")
    elif value == 0:
        reasons.append("0 is a full copy in the sense of versions 1 and 2, and no move at all since: a copy")
    elif value >= 0.5:
        reasons.append(f"as it was; {value:g} is much for the share of the new network")
    if moves > 1 and 0 < value < 1:
        reasons.append(f"{moves} moves between two trainings in one")
    if frozen:
        d.values["algo.target_update_every"] = FROZEN
    to = f"algo.tau={tau:g}" + (f", algo.target_update_every={FROZEN}" if frozen else "")
    d.line("changed" if reasons else "mapped", path, to, "; ".join(reasons))
    if path not in d.spec.values and share is None:
        d.note("changed", f"algo.tau={tau:g}", "update_type polyak without polyak_coef")


def map_sac(d: Draft, algo: str) -> None:
    """SAC and CrossQ: updates, targets, and the temperature."""
    size = d.whole(f"{MEMORY}.batch_size", 32) or 32
    _updates(d, algo, starts=max(1000, size), batches=num_envs(d) // d.workers)
    if algo == "sac":
        _target(d, algo)
    else:
        for key in ("update_type", "update_frequency", "polyak_coef"):
            d.dropped(f"{NET}.{key}", "CrossQ has no target networks")
    discrete, name = is_discrete(d), "algo.target_entropy"
    target = d.get(f"{ALGO}.target_entropy")
    actions = ACTIONS.get(str(d.values["env.id"])) if discrete else None
    modern = d.spec.era == "v5" and not d.has(f"{ALGO}.target_entropy_epsilon")
    if isinstance(target, int | float) and not isinstance(target, bool):
        d.mapped(f"{ALGO}.target_entropy", name, float(target))
    elif discrete and modern and actions:
        d.default(name, round(0.6 * math.log(actions), 6), f"0.6 log({actions}), SLM-Lab's for {actions} actions")
    elif discrete:
        d.note("changed", name, "rlkit's own for discrete actions: half of log(choices)", "auto")
    for key in ("target_entropy", "target_entropy_epsilon"):
        d.line("changed", f"{ALGO}.{key}", name, "rlkit's own target: minus the dimensions, or half of log(choices)")
    if discrete and modern:
        d.default("algo.twin", "mean", "version 5 took the mean of both critics for discrete actions")
    d.default("algo.alpha_loss", "plain", "SLM-Lab's loss of the temperature is linear in alpha")
    if d.has(f"{ALGO}.alpha_lr"):
        d.mapped(f"{ALGO}.alpha_lr", "algo.alpha_lr", d.number(f"{ALGO}.alpha_lr"))
    _temperature(d, modern)
    if d.has(f"{ALGO}.policy_delay") or algo == "crossq":
        d.mapped(f"{ALGO}.policy_delay", "algo.policy_delay", d.whole(f"{ALGO}.policy_delay", 1))
    loss = f"{NET}.loss_spec.name"
    squared = str(d.get(loss, "MSELoss")).lower().replace("_", "") == "mseloss"
    d.line(
        "mapped" if squared else "changed",
        loss,
        "squared errors",
        "" if squared else "critics are learnt by squared errors here",
    )
    for flag in ("explore_var_spec", "entropy_coef_spec", "action_policy"):
        d.dropped(f"{ALGO}.{flag}", "the policy explores by itself, and its temperature is learnt")
    for flag in ("symlog", "spectral_norm"):
        on = d.get(f"{ALGO}.{flag}")
        d.dropped(f"{ALGO}.{flag}", f"rlkit's {algo} does not have it" if on else "off, as here")


def _temperature(d: Draft, modern: bool) -> None:
    """The temperature's bounds, or its fixed value."""
    fixed = d.get(f"{ALGO}.fixed_alpha")
    if isinstance(fixed, int | float) and not isinstance(fixed, bool) and fixed >= 0:
        d.mapped(f"{ALGO}.fixed_alpha", "algo.alpha", float(fixed))
    low = d.number(f"{ALGO}.log_alpha_min", -5.0 if modern else None)
    high = d.number(f"{ALGO}.log_alpha_max", 2.0 if modern else None)
    for path, key, bound in (
        (f"{ALGO}.log_alpha_min", "algo.alpha_min", low),
        (f"{ALGO}.log_alpha_max", "algo.alpha_max", high),
    ):
        if bound is None:
            continue
        value = float(f"{math.exp(min(bound, 20.0)):.6g}")
        if path in d.spec.values:
            d.changed(path, key, value, "of its logarithm then, of the temperature itself here")
        else:
            d.default(key, value, f"SLM-Lab bounded log alpha by {bound:g}")
    top = d.values.get("algo.alpha_max")
    if top is not None and top < 1:
        d.default("algo.alpha_init", top, "the temperature begins within its bounds")
