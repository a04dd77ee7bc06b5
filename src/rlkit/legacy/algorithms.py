"""`agent.algorithm` and `agent.memory`: which algorithm it is, what it learns from, and how it acts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rlkit.legacy.draft import Draft
from rlkit.legacy.environments import is_discrete, num_envs
from rlkit.legacy.eras import ALGO, MEMORY, NET
from rlkit.legacy.policies import map_a2c, map_ppo, map_reinforce
from rlkit.legacy.report import Refused, shown
from rlkit.legacy.values import map_dqn, map_sac, map_sarsa

NAMES = {
    "PPO": "ppo",
    "PPOSIL": "ppo_sil",
    "ActorCritic": "a2c",
    "A2C": "a2c",
    "A3C": "a2c",
    "SIL": "a2c_sil",
    "Reinforce": "reinforce",
    "REINFORCE": "reinforce",
    "SARSA": "sarsa",
    "VanillaDQN": "dqn",
    "DQN": "dqn",
    "DRQN": "dqn",
    "DuelingDQN": "dqn",
    "DoubleDQN": "ddqn",
    "DDQN": "ddqn",
    "DDRQN": "ddqn",
    "SoftActorCritic": "sac",
    "CrossQ": "crossq",
    "Random": "random",
}
"""algorithm.name -> algo."""
POLICIES = ("ppo", "ppo_sil", "a2c", "a2c_sil", "reinforce")


def map_algorithm(d: Draft) -> str:
    """State the algorithm; returns its name here.

    Raises:
        Refused: there is no such algorithm here.
    """
    path = f"{ALGO}.name"
    given = d.word(path) if d.has(path) else ""
    if given not in NAMES:
        raise Refused(d.spec.named(path), _unknown(given))
    algo = NAMES[given]
    if algo == "ddqn" and str(d.get(f"{MEMORY}.name", "")).endswith("PrioritizedReplay"):
        algo = "ddqn_per"
    d.choices["algo"] = algo
    d.line("mapped", path, f"algo={algo}")
    d.dropped("agent.name", "a label")
    d.report.reading = "as-run" if d.as_run else "as-written"
    d.train_every = d.whole(f"{ALGO}.training_frequency", 1) or 1
    d.frames_per_train = float(d.workers * max(d.train_every, num_envs(d) // d.workers))
    if algo != "random":
        _gamma(d)
    KINDS[algo](d, algo)
    for key in ("update_type", "update_frequency", "polyak_coef"):
        d.dropped(f"{NET}.{key}", f"{algo} has no target network")
    _memory(d, algo)
    _distribution(d, algo)
    for rest in d.under(ALGO):
        d.dropped(rest, _why_dead(rest.removeprefix(f"{ALGO}."), algo, d))
    return algo


def _unknown(given: str) -> str:
    if "Hydra" in given:
        return f"{given} learns several tasks at once, which rlkit does not: make a spec of DQN for each"
    return f"{shown(given, 40)} is not an algorithm that is known ({', '.join(dict.fromkeys(NAMES))})"


def _gamma(d: Draft) -> None:
    gamma = d.number(f"{ALGO}.gamma", 0.99)
    if gamma is None or not 0 <= gamma <= 1:
        raise d.refusal(f"{ALGO}.gamma", "not a discount from 0 to 1")
    d.mapped(f"{ALGO}.gamma", "algo.gamma", float(gamma))


def _memory(d: Draft, algo: str) -> None:
    path = f"{MEMORY}.name"
    name = d.word(path, "") if d.has(path) else ""
    if algo in (*POLICIES, "sarsa", "random"):
        d.choices["memory"] = "rollout"
        d.line("mapped", path, "memory=rollout")
        d.dropped(f"{MEMORY}.cross_entropy", "rlkit keeps every episode, not the best share of them")
        for rest in d.under(MEMORY):
            d.dropped(rest, "a rollout is learnt from once, and whole")
        return
    memory = "prioritized" if "Prioritized" in name else "replay"
    d.choices["memory"] = memory
    odd = "Replay" not in name or name.startswith("OnPolicy")
    d.line(
        "changed" if odd else "mapped", path, f"memory={memory}", f"{algo} learns from a replay memory" if odd else ""
    )
    size = d.whole(f"{MEMORY}.max_size", 10_000) or 10_000
    if size < 2:
        d.changed(f"{MEMORY}.max_size", "memory.buffer_size", 2, "the smallest here")
    d.mapped(f"{MEMORY}.max_size", "memory.buffer_size", max(2, size))
    recurrent = d.get(f"{NET}.type") == "RecurrentNet" and algo.startswith(("dqn", "ddqn")) and memory == "replay"
    recurrent = recurrent and not (d.as_run and d.spec.era == "v5")  # version 5's had no memory, and are MLPs here
    newest = bool(d.get(f"{MEMORY}.use_cer"))
    if newest and recurrent:
        d.changed(f"{MEMORY}.use_cer", "memory.combined", False, "recurrent nets replay sequences, drawn evenly")
    d.mapped(f"{MEMORY}.use_cer", "memory.combined", newest and not recurrent)
    if memory == "prioritized":
        alpha = float(d.number(f"{MEMORY}.alpha", 1.0) or 0.0)
        d.mapped(f"{MEMORY}.alpha", "memory.alpha", min(1.0, max(0.0, alpha)))
        d.default("memory.beta", 0.0, "SLM-Lab had no importance weights")
        d.values["memory.beta_schedule.kind"] = "constant"
        d.values["memory.beta_schedule.end"] = 0.0
        d.dropped(f"{MEMORY}.epsilon", "priorities are the errors' size alone")
    d.dropped(MEMORY, "an option of a memory that has gone")


def _distribution(d: Draft, algo: str) -> None:
    path, given = f"{ALGO}.action_pdtype", str(d.get(f"{ALGO}.action_pdtype", "default"))
    if algo not in POLICIES:
        gumbel = given == "GumbelSoftmax"
        why = "discrete actions: exact sums over the choices instead of samples" if gumbel else f"{algo} has its own"
        d.line("changed" if gumbel else "dropped", path, "algo=sac" if gumbel else "", why)
        return
    kind = {"Beta": "beta", "NormalTanh": "tanh_gaussian"}.get(given, "auto")
    exact = given in ("default", "Normal", "MultivariateNormal", "Categorical", "MultiCategorical", "Bernoulli", *(
        ("Beta", "NormalTanh")))  # fmt: skip
    if is_discrete(d) and kind != "auto":
        kind, exact = "auto", False
    d.values["algo.distribution"] = kind
    why = "" if exact else f"{shown(given, 30)} is not among rlkit's; that of the action space"
    d.line("mapped" if exact else "changed", path, f"algo.distribution={kind}", why)
    std = d.number(f"{NET}.log_std_init")
    if is_discrete(d) is not True:
        d.values["algo.state_dependent_std"] = std is None
        if std is None:
            d.default("algo.state_dependent_std", True, "SLM-Lab's networks gave the deviation of continuous actions")
    if std is not None:
        d.mapped(f"{NET}.log_std_init", "algo.log_std_init", min(2.0, max(-20.0, float(std))))
    d.dropped(f"{NET}.log_std_init", "null: the network gives it")


def _random(d: Draft, algo: str) -> None:
    d.dropped(ALGO, "nothing is learnt")


KINDS: dict[str, Callable[[Draft, str], Any]] = {
    "ppo": map_ppo,
    "ppo_sil": map_ppo,
    "a2c": map_a2c,
    "a2c_sil": map_a2c,
    "reinforce": map_reinforce,
    "sarsa": map_sarsa,
    "dqn": map_dqn,
    "ddqn": map_dqn,
    "ddqn_per": map_dqn,
    "sac": map_sac,
    "crossq": map_sac,
    "random": _random,
}


def _why_dead(key: str, algo: str, d: Draft) -> str:
    if key == "clip_val_loss":
        return "was read by nothing (the key is clip_vloss)"
    if key in ("training_iter", "training_batch_iter", "training_epoch", "training_start_step", "training_frequency"):
        return f"{algo} does not read it"
    if key in READ_BY_OTHERS:
        return f"of another algorithm; {algo} does not read it"
    return UNKNOWN


UNKNOWN = "an unknown key"
READ_BY_OTHERS = {
    "lam", "num_step_returns", "time_horizon", "minibatch_size", "center_return", "normalize_v_targets", "symlog",
    "normalize_advantages", "clip_vloss", "val_loss_coef", "policy_loss_coef", "sil_policy_loss_coef", "fixed_alpha",
    "sil_val_loss_coef", "action_policy", "action_policy_update", "explore_var_spec", "alpha_anneal_frames",
    "entropy_penalty_coef", "entropy_anneal.start_ratio", "entropy_anneal.end_ratio", "entropy_anneal.frames",
    "normalize_state", "gamma",
}  # fmt: skip
