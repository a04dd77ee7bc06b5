"""Algorithms with a policy: PPO, actor-critic, REINFORCE, and self-imitation beside them."""

from __future__ import annotations

import math

from rlkit.legacy.draft import Draft
from rlkit.legacy.environments import episode_steps, num_envs
from rlkit.legacy.eras import ALGO, MEMORY, NET
from rlkit.legacy.schedules import map_schedule


def _policy(d: Draft, algo: str) -> None:
    """What policy gradients have in common."""
    map_schedule(d, "entropy_coef_spec", "algo.ent_coef", 0.0)
    if d.get(f"{ALGO}.add_entropy") is False:
        d.changed(f"{ALGO}.add_entropy", "algo.ent_coef", 0.0, "no entropy in the loss")
        d.values["algo.ent_coef_schedule.kind"] = "constant"
    for flag in ("add_entropy", "explore_var_spec", "action_policy"):
        d.dropped(f"{ALGO}.{flag}", "the policy itself explores")
    if d.number(f"{ALGO}.policy_loss_coef", 1.0) == 1.0:
        d.dropped(f"{ALGO}.policy_loss_coef", "1, as here")
    else:
        d.dropped(
            f"{ALGO}.policy_loss_coef", "rlkit weighs the other parts of the loss instead: algo.vf_coef, algo.ent_coef"
        )
    if algo == "reinforce":
        return
    weight = float(d.number(f"{ALGO}.val_loss_coef", 1.0) or 0.0)
    if d.get(f"{ALGO}.clip_vloss"):
        weight /= 2
        d.changed(f"{ALGO}.val_loss_coef", "algo.vf_coef", weight, "clipped value losses had a factor 1/2")
    d.mapped(f"{ALGO}.val_loss_coef", "algo.vf_coef", weight)
    loss = f"{NET}.loss_spec.name"
    squared = str(d.get(loss, "MSELoss")).lower().replace("_", "") == "mseloss"
    d.line(
        "mapped" if squared else "changed",
        loss,
        "algo.vf_coef",
        "" if squared else "values are learnt by squared errors here",
    )
    transform = "normalize" if d.get(f"{ALGO}.normalize_v_targets") else "symlog" if d.get(f"{ALGO}.symlog") else "none"
    d.values["algo.value_transform"] = transform
    for key in ("normalize_v_targets", "symlog"):
        d.line("mapped", f"{ALGO}.{key}", f"algo.value_transform={transform}")


def _advantage(d: Draft, kind: str, why: str) -> None:
    path, given = f"{ALGO}.normalize_advantages", d.get(f"{ALGO}.normalize_advantages")
    if given in ("percentile", "standardize"):
        d.mapped(path, "algo.normalize_advantage", {"percentile": "percentile"}.get(given, "standard"))
    else:
        d.default("algo.normalize_advantage", kind, why)


def map_ppo(d: Draft, algo: str) -> None:
    """PPO: its rollouts, minibatches and clipping."""
    _policy(d, algo)
    n = num_envs(d)
    path = f"{ALGO}.time_horizon"
    if not d.has(path):  # before version 4 the horizon was the training frequency
        path = f"{ALGO}.training_frequency"
    steps, why = rollout_steps(d, path)
    rows = d.whole(f"{ALGO}.minibatch_size")
    if d.as_run and d.spec.era == "v5":
        rounded = math.ceil(steps / n) * n
        why = f"rounded up to a multiple of {n} environments, as version 5 did" if rounded != steps else why
        steps = rounded
    d.values["algo.n_steps"] = steps
    d.line("changed" if why else "mapped", path, f"algo.n_steps={steps}", why)
    d.dropped(f"{ALGO}.training_frequency", "PPO's is its time_horizon")
    whole = steps * n
    if rows is None:
        older = d.whole(f"{ALGO}.training_iter", 1) or 1
        rows = whole if d.spec.era in ("v1", "v2", "v3") else 4 * n if d.as_run else 4
        note = "the whole rollout before version 4" if d.spec.era in ("v1", "v2", "v3") else "SLM-Lab's default of 4"
        d.default("algo.minibatch_size", max(1, min(rows, whole)), note)
        d.dropped(f"{ALGO}.training_iter", f"{older} batches were one rollout; see algo.epochs")
    else:
        if d.as_run and d.spec.era == "v5":
            rows = math.ceil(rows / n) * n
        small = min(rows, whole)
        given = d.number(f"{ALGO}.minibatch_size")
        if small == given:
            d.mapped(f"{ALGO}.minibatch_size", "algo.minibatch_size", small)
        else:
            why = "a rollout has no more rows" if small < rows else "rounded up to a multiple of the environments"
            d.changed(f"{ALGO}.minibatch_size", "algo.minibatch_size", small, why)
    d.mapped(f"{ALGO}.training_epoch", "algo.epochs", d.whole(f"{ALGO}.training_epoch", 4) or 4)
    lam = f"{ALGO}.lam"
    if lam in d.spec.values and not d.has(lam):
        d.changed(lam, "algo.gae_lambda", 1.0, "null: the returns to the end of the episode, which are a lambda of 1")
    else:
        d.mapped(lam, "algo.gae_lambda", float(d.number(lam, 0.95) or 0.0))
    map_schedule(d, "clip_eps_spec", "algo.clip_coef", 0.2, lowest=1e-6)
    d.mapped(f"{ALGO}.clip_vloss", "algo.clip_value", bool(d.get(f"{ALGO}.clip_vloss", False)))
    _advantage(d, "standard", "SLM-Lab standardised advantages in every minibatch")
    if algo == "ppo_sil":
        _sil(d)


def map_a2c(d: Draft, algo: str) -> None:
    """Actor-critic: how returns are estimated, and over how many steps."""
    _policy(d, algo)
    lam, n = d.number(f"{ALGO}.lam"), d.whole(f"{ALGO}.num_step_returns")
    if d.get(f"{ALGO}.use_gae", d.get(f"{ALGO}.use_GAE")) is False:
        lam = None
    if d.get(f"{ALGO}.use_nstep") is False:
        n = None
    path = f"{ALGO}.training_frequency"
    steps, why = rollout_steps(d, path)
    if lam is not None:
        d.set(algo__returns="gae", algo__gae_lambda=float(lam))
        d.line("mapped", f"{ALGO}.lam", f"algo.returns=gae, algo.gae_lambda={lam:g}")
        d.dropped(f"{ALGO}.num_step_returns", "lam is given, and counts" if n else "null: returns by lam")
    elif n is not None:
        d.set(algo__returns="nstep", algo__nstep=n)
        steps, why = n, "with n-step returns SLM-Lab trained every n steps"
        d.line("mapped", f"{ALGO}.num_step_returns", f"algo.returns=nstep, algo.nstep={n}, algo.n_steps={n}")
    else:
        d.default("algo.returns", "mc", "neither lam nor num_step_returns: the returns to the end of the episode")
    d.values["algo.n_steps"] = steps
    d.line("changed" if why else "mapped", path, f"algo.n_steps={steps}", why)
    for key in ("lam", "num_step_returns", "use_gae", "use_GAE", "use_nstep"):
        d.line("mapped", f"{ALGO}.{key}", f"algo.returns={d.values['algo.returns']}")
    for key in ("training_iter", "training_batch_iter", "training_epoch"):
        if algo == "a2c":
            d.dropped(f"{ALGO}.{key}", "a2c takes one step a rollout")
    _advantage(d, "standard", "SLM-Lab standardised advantages in every batch")
    if algo == "a2c_sil":
        _sil(d)


def _sil(d: Draft) -> None:
    """Self-imitation: returns of whole episodes, where SLM-Lab (from version 4) took them along random samples."""
    whole = float(d.number(f"{ALGO}.sil_policy_loss_coef", 1.0) or 0.0)
    value = float(d.number(f"{ALGO}.sil_val_loss_coef", 1.0) or 0.0)
    d.mapped(f"{ALGO}.sil_policy_loss_coef", "algo.sil.coef", whole)
    ratio = value / whole if whole else 0.0
    if ratio == value:
        d.mapped(f"{ALGO}.sil_val_loss_coef", "algo.sil.vf_coef", ratio)
    else:
        d.changed(f"{ALGO}.sil_val_loss_coef", "algo.sil.vf_coef", ratio, "relative to sil_policy_loss_coef here")
    batches, times = d.whole(f"{ALGO}.training_iter", 1) or 1, d.whole(f"{ALGO}.training_batch_iter", 1) or 1
    d.values["algo.sil.updates"] = batches * times
    for key in ("training_iter", "training_batch_iter"):
        d.line("mapped", f"{ALGO}.{key}", f"algo.sil.updates={batches * times}")
    d.mapped(f"{MEMORY}.batch_size", "algo.sil.batch_size", d.whole(f"{MEMORY}.batch_size", 32))
    d.mapped(f"{MEMORY}.max_size", "algo.sil.buffer_size", d.whole(f"{MEMORY}.max_size", 10_000))
    prioritised = "Prioritized" in str(d.get(f"{MEMORY}.sil_replay_name"))
    alpha = float(d.number(f"{MEMORY}.alpha", 0.6) or 0.0) if prioritised else 0.0
    d.values["algo.sil.alpha"] = alpha
    why = (
        ""
        if d.spec.era in ("v1", "v2", "v3")
        else "returns are those of the episodes; SLM-Lab summed rewards along random samples"
    )
    d.line("changed" if why else "mapped", f"{MEMORY}.sil_replay_name", f"algo.sil.alpha={alpha:g}", why)


def map_reinforce(d: Draft, algo: str) -> None:
    """REINFORCE: episodes of an update, and the baseline."""
    _policy(d, algo)
    path = f"{ALGO}.training_frequency"
    if _episodic(d):
        d.values["algo.episodes"] = episodes = d.train_every
        n = num_envs(d)
        why = f"of each of {n} environments; SLM-Lab's never trained with more than one" if n > 1 else ""
    else:
        episodes = max(1, round(d.train_every / episode_steps(d)))
        d.values["algo.episodes"] = episodes
        why = (
            f"{d.train_every} steps of each environment; rlkit learns from whole episodes, of up to {episode_steps(d)}"
        )
    d.line("changed" if why else "mapped", path, f"algo.episodes={episodes}", why)
    standard = d.spec.era == "v5"
    centred = standard or bool(d.get(f"{ALGO}.center_return"))
    d.values["algo.baseline"] = "mean" if centred else "none"
    d.line("mapped", f"{ALGO}.center_return", f"algo.baseline={d.values['algo.baseline']}")
    if f"{ALGO}.center_return" not in d.spec.values:
        d.default("algo.baseline", d.values["algo.baseline"], "SLM-Lab's REINFORCE had no learnt value")
    _advantage(
        d,
        "standard" if standard else "none",
        "version 5 standardised returns in every batch" if standard else "not before version 5",
    )
    d.dropped(f"{NET}.loss_spec", "REINFORCE has no value to fit")


def rollout_steps(d: Draft, path: str) -> tuple[int, str]:
    """Steps of each environment between two updates, and why they differ from the number at `path`."""
    count = d.whole(path, 1) or 1
    if path.endswith("training_frequency") and _episodic(d):
        steps = count * episode_steps(d)
        per = max(1, min(steps, 2048))
        return per, f"{count} whole episodes; rollouts here have a number of steps, episodes up to {episode_steps(d):,}"
    return count, ""


def _episodic(d: Draft) -> bool:
    """Whether the memory counts episodes instead of steps."""
    name = str(d.get(f"{MEMORY}.name", "OnPolicyReplay"))
    return name.startswith("OnPolicy") and "Batch" not in name
