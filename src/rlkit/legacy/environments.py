"""`env`, and the budget: which environment, how many, for how long, and how it is wrapped."""

from __future__ import annotations

import functools
import re
from typing import Any

import yaml

from rlkit.config.names import fate_of
from rlkit.config.schema import conf_dir
from rlkit.legacy.draft import MISSING, Draft
from rlkit.legacy.eras import ALGO, ENV, MEMORY, META, NET
from rlkit.legacy.read import VARIABLE
from rlkit.legacy.report import Refused, shown

ID = re.compile(r"[A-Za-z0-9][\w./-]*")
EPISODE_STEPS = [
    (r"CartPole-v0", 200),
    (r"CartPole-v\d|Acrobot-v\d", 500),
    (r"Pendulum-v\d|MountainCar-v\d", 200),
    (r"MountainCarContinuous-v\d", 999),
    (r"BipedalWalker-v\d", 1600),
    (r"BipedalWalkerHardcore-v\d", 2000),
    (r".*Reacher-v\d", 50),
    (r".*Pusher-v\d", 100),
    (r"ALE/.*|.*(NoFrameskip|Deterministic).*", 10_000),
    (r".*", 1000),
]
"""Steps after which Gymnasium ends an episode (a typical game's for Atari, a thousand where nothing is known)."""
ACTIONS = {"CartPole-v1": 2, "MountainCar-v0": 3, "Acrobot-v1": 3, "LunarLander-v3": 4}
"""How many discrete actions there are."""
BULLET = re.compile(r"[A-Za-z0-9]+BulletEnv-v\d")


def map_env(d: Draft) -> None:
    """State the environment, its wrappers, the number of environments and the budget."""
    name = _name(d)
    _number(d)
    _budget(d)
    _limit(d, name)
    atari = is_atari(d)
    _frames_together(d, atari)
    if atari:
        d.dropped(f"{ENV}.normalize_obs", "pictures are divided by 255")
    for key in ("normalize_obs", "normalize_reward"):
        if f"{ENV}.{key}" in d.under(f"{ENV}.{key}"):
            d.mapped(f"{ENV}.{key}", f"env.{key}", bool(d.get(f"{ENV}.{key}")))
    _rewards(d, atari)
    if d.number(f"{ENV}.clip_obs") is not None:
        d.mapped(f"{ENV}.clip_obs", "env.clip_obs", d.number(f"{ENV}.clip_obs"))
    if atari:
        _atari(d)
    old_normaliser = [f"{ENV}.normalize_state", f"{ALGO}.normalize_state"]
    for path in old_normaliser:
        if not d.get(path):
            if path in d.spec.values and not atari and "env.normalize_obs" not in d.values:
                d.mapped(path, "env.normalize_obs", False)
            d.dropped(path, "off, as is rlkit's env.normalize_obs")
        elif path == old_normaliser[1] and d.spec.era == "v4":
            d.dropped(path, "was read by nothing since version 4")
        elif atari:
            d.dropped(path, "pictures are divided by 255")
        else:
            why = "one running mean and deviation for all numbers then, one for each number here"
            d.changed(path, "env.normalize_obs", True, why)
    _constructor(d)


def is_atari(d: Draft) -> bool:
    """Whether the environment, or what the spec says around an open one, is Atari."""
    env_id = d.values["env.id"]
    if env_id != MISSING:
        return str(env_id).startswith("ALE/")
    games = [fate_of(str(item)) for values in d.spec.parameters.values() for item in values]
    return bool(games and games[0] and str(games[0].successor).startswith("ALE/")) or sees_pictures(d)


def sees_pictures(d: Draft) -> bool:
    """Whether the spec's network is convolutional."""
    arcs = [v for p, v in d.spec.values.items() if p.startswith(f"{NET}.") and p.endswith("Sequential")]
    return "Conv" in str(d.get(f"{NET}.type", "")) or any("Conv" in str(arc) for arc in arcs)


def is_discrete(d: Draft) -> bool | None:
    """Whether actions are discrete; None if that is not known."""
    if d.values.get("env.kwargs", {}).get("continuous"):
        return False
    if d.values["env.id"] in ACTIONS or is_atari(d):
        return True
    kind = str(d.get(f"{ALGO}.action_pdtype", ""))
    if kind in ("Categorical", "Argmax", "GumbelSoftmax"):
        return True
    return False if kind in ("Normal", "MultivariateNormal", "Beta", "NormalTanh") else None


def episode_steps(d: Draft) -> int:
    """The most steps an episode can have."""
    limit = d.number(f"{ENV}.max_t")
    name = str(d.get(f"{ENV}.name"))
    return int(limit) if limit else next(steps for pattern, steps in EPISODE_STEPS if re.fullmatch(pattern, name))


def num_envs(d: Draft) -> int:
    """Parallel environments, all workers' together."""
    return int(d.values["num_envs"])


@functools.cache
def env_choices() -> dict[str, str]:
    """Id -> its file in conf/env."""
    found: dict[str, str] = {}
    for file in sorted((conf_dir() / "env").glob("*.yaml")):
        env: dict[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8")).get("env", {})
        if env.get("id"):
            found[env["id"]] = file.stem
    return found


def _name(d: Draft) -> str:
    """The environment's id; returns the name that the spec has."""
    path, given = f"{ENV}.name", d.get(f"{ENV}.name")
    if given is None:
        raise Refused(path, "no environment is named")
    name = d.word(path)
    d.choices["env"] = "gym"
    if VARIABLE.search(name):
        if not VARIABLE.fullmatch(name):
            raise d.refusal(path, "a template of which only the whole can be left open; give the parts with --set")
        variable = VARIABLE.fullmatch(name)
        d.values["env.id"] = MISSING
        how = f"a template: give env.id=..., or --set {variable[1] if variable else ''}=... when converting"
        d.line("changed", path, f"env.id={MISSING}", how)
        d.choices["env"] = "atari" if is_atari(d) else "gym"
        return name
    if not ID.fullmatch(name):
        raise d.refusal(
            path, "not an id of Gymnasium (an id with a module would be imported, and is not taken from a file)"
        )
    fate = fate_of(name)
    if BULLET.fullmatch(name):
        why = "a separate package: pip install pybullet-envs-gymnasium"
        d.changed(path, "env.id", f"pybullet_envs_gymnasium:{name}", why)
        return name
    if fate is not None and fate.successor is None:
        d.values["env.id"] = MISSING
        d.line("refused", path, f"env.id={MISSING}", f"{fate.words}. The rest is converted: give env.id=...")
        return name
    today = fate.successor if fate else name
    if str(today).startswith("ALE/"):
        d.choices["env"] = "atari"  # not the game's own file, whose env.game would win over env.id
    elif not d.spec.parameters and not any(dimension.path == path for dimension in d.spec.search):
        d.choices["env"] = env_choices().get(str(today), "gym")
    if fate and str(today).startswith("ALE/"):
        d.changed(path, "env.id", today, "the same game; env.atari has the protocol of those years")
    elif fate:
        d.changed(path, "env.id", today, fate.words)
    else:
        d.mapped(path, "env.id", today)
    return name


def _number(d: Draft) -> None:
    """Environments of a session; those of workers that share a network are put together."""
    given = d.whole(f"{ENV}.num_envs", 1) or 1
    sessions = d.whole(f"{META}.max_session", 1) or 1
    d.workers = sessions if d.get(f"{META}.distributed") not in (None, False) else 1
    if f"{ENV}.num_envs" not in d.spec.values:
        d.default("num_envs", given, "SLM-Lab's default")
    if d.workers > 1:
        total = given * d.workers
        why = f"{d.workers} workers shared one network; here {given} x {d.workers} environments step together"
        d.changed(f"{META}.distributed", "num_envs", total, why)
        d.changed(f"{META}.max_session", "seeds", 1, "the workers of one session, see meta.distributed")
        d.line("changed", f"{ENV}.num_envs", f"num_envs={total}", "of each worker, see meta.distributed")
        return
    d.dropped(f"{META}.distributed", "one process a session, as here")
    d.mapped(f"{ENV}.num_envs", "num_envs", given)
    d.mapped(f"{META}.max_session", "seeds", sessions)


def _budget(d: Draft) -> None:
    """Frames: as given, of a template, or estimated from a number of episodes."""
    path = f"{ENV}.max_frame"
    if isinstance(value := d.get(path), str) and (variable := VARIABLE.fullmatch(value)):
        d.values["frames"] = MISSING
        d.line("changed", path, f"frames={MISSING}", f"a template: give frames=..., or --set {variable[1]}=...")
    elif d.has(path):
        d.mapped(path, "frames", d.whole(path))
    ticks = next((p for p in (f"{ENV}.max_tick", f"{ENV}.max_total_t", f"{ENV}.max_epi") if d.has(p)), None)
    if "frames" not in d.values and ticks:
        count, unit = d.whole(ticks) or 1, str(d.get(f"{META}.max_tick_unit", "epi"))
        if ticks.endswith("max_total_t") or unit == "total_t":
            d.mapped(ticks, "frames", count)
        else:
            steps = episode_steps(d)
            why = f"episodes: an episode has at most about {steps:,} steps, so {count:,} have up to that many frames"
            d.changed(ticks, "frames", count * steps, why)
    elif "frames" not in d.values:
        d.default("frames", 100_000, "the spec has no budget that can be read; rlkit's own")
    for other in ("max_tick", "max_total_t", "max_epi"):
        d.dropped(f"{ENV}.{other}", "the budget is given by another key")
    d.dropped(f"{META}.max_tick_unit", "the unit of env.max_tick")


def _limit(d: Draft, name: str) -> None:
    """The time limit of an episode."""
    path, limit = f"{ENV}.max_t", d.whole(f"{ENV}.max_t")
    if limit is None:
        d.dropped(path, "null: the environment's own limit")
    elif d.as_run and d.spec.era == "v5":
        d.dropped(path, "version 5 kept it and did not enforce it")
    else:
        d.mapped(path, "env.max_episode_steps", limit)
    if limit is None and name == "CartPole-v0":
        d.default("env.max_episode_steps", 200, "CartPole-v0's episodes had 200 steps, CartPole-v1's have 500")


def _frames_together(d: Draft, atari: bool) -> None:
    """Several observations as one: `frame_op`, and version 3's memories that did it."""
    key = "env.atari.stack" if atari else "env.frame_stack"
    operation, length = d.get(f"{ENV}.frame_op"), d.whole(f"{ENV}.frame_op_len")
    sources = [p for p in ("stack_len", "concat_len", "length_history") if d.has(f"{MEMORY}.{p}")]
    if operation and length:
        same = operation == "concat" or atari
        why = "" if same else f"frame_op {shown(operation, 20)}: here they are laid side by side"
        d.values[key] = length
        d.line("mapped" if same else "changed", f"{ENV}.frame_op_len", f"{key}={length}", why)
        d.line("mapped" if same else "changed", f"{ENV}.frame_op", f"{key}={length}", why)
    for source in sources:
        d.changed(f"{MEMORY}.{source}", key, d.whole(f"{MEMORY}.{source}"), "was the memory's, is the environment's")
    for rest in ("frame_op", "frame_op_len"):
        d.dropped(f"{ENV}.{rest}", "null, or without its other half: one observation at a time")
    size = d.get(f"{ENV}.image_downsize")
    path = f"{ENV}.image_downsize"
    if size is None or not atari:
        d.dropped(path, "no picture to scale")
    elif isinstance(size, list) and len(size) == 2 and size[0] == size[1] and isinstance(size[0], int):
        d.mapped(path, "env.atari.size", size[0])
    else:
        raise d.refusal(path, "not a square size")


def _rewards(d: Draft, atari: bool) -> None:
    """Scaled, clipped or only the sign of rewards, for training alone."""
    path, scale = f"{ENV}.reward_scale", d.get(f"{ENV}.reward_scale")
    old_atari = atari and d.spec.era != "v5"
    if scale == "sign":
        d.values["env.sign_reward"] = True
        if atari:
            d.values["env.clip_reward"] = None
        d.line("mapped", path, "env.sign_reward=true" + ", env.clip_reward=null" * atari)
    elif scale is None or d.number(path) == 1:
        d.dropped(path, "rewards as they are")
        if old_atari and "Atari" in str(d.get(f"{MEMORY}.name")):
            d.default("env.sign_reward", True, "version 3's Atari memories kept the sign of rewards")
            d.values["env.clip_reward"] = None
        elif old_atari:
            d.default("env.clip_reward", None, "version 4 clipped rewards only with reward_scale")
    elif d.spec.era == "v5":
        d.dropped(path, "a scale of Playground's rewards; rlkit has env.normalize_reward")
    else:
        d.dropped(path, "rlkit does not scale rewards by a number; env.normalize_reward=true is the nearest")
    path = f"{ENV}.clip_reward"
    bound = d.get(path)
    if isinstance(bound, list) and len(bound) == 2 and all(isinstance(b, int | float) for b in bound):
        d.changed(
            path, "env.clip_reward", float(max(abs(bound[0]), abs(bound[1]))), "here the same bound below and above"
        )
    elif bound is not None and bound is not False:
        d.mapped(path, "env.clip_reward", d.number(path))
    elif bound is None and d.values.get("env.normalize_reward") and not atari:
        d.default("env.clip_reward", 10.0, "SLM-Lab's bound on normalised rewards")
    else:
        d.dropped(path, "no bound")
    if d.values.get("env.sign_reward") and d.values.get("env.normalize_reward"):
        d.values["env.normalize_reward"] = False
        d.note("changed", "env.normalize_reward=False", "the sign of rewards is taken already")


def _atari(d: Draft) -> None:
    """What each version did with games."""
    if d.spec.era != "v5":
        d.default("env.atari.sticky", 0.0, "games had no sticky actions before version 5")
        d.default("env.atari.life_loss", True, "a lost life ended a training episode before version 5")
    for path, key in (
        ("life_loss_info", "env.atari.life_loss"),
        ("full_action_space", "env.atari.full_action_space"),
        ("grayscale", "env.atari.grayscale"),
    ):
        if isinstance(d.get(f"{ENV}.{path}"), bool):
            d.mapped(f"{ENV}.{path}", key, d.get(f"{ENV}.{path}"))
    for path, key in (
        ("repeat_action_probability", "env.atari.sticky"),
        ("frameskip", "env.atari.frame_skip"),
        ("frame_skip", "env.atari.frame_skip"),
        ("noop_max", "env.atari.noop_max"),
        ("stack_num", "env.atari.stack"),
        ("img_height", "env.atari.size"),
    ):
        if d.has(f"{ENV}.{path}"):
            d.mapped(f"{ENV}.{path}", key, d.number(f"{ENV}.{path}"))


KNOWN = (
    "unity",
    "vizdoom",
    "cfg_name",
    "save_frequency",
    "save_epi_frequency",
    "device",
    "clip_reward",
    "max_tick_unit",
)
"""Keys that are not arguments of an environment's constructor."""


def _constructor(d: Draft) -> None:
    """Version 5 passed every other key on to the environment's constructor."""
    for path in d.under(ENV):
        key = path.removeprefix(f"{ENV}.")
        value = d.spec.values[path]
        plain = isinstance(value, bool | int | float | str) and "${" not in str(value) and str(value).isprintable()
        if d.spec.era != "v5" or key in KNOWN or "." in key:
            d.dropped(path, "belongs to an environment or a version that has gone")
        elif not re.fullmatch(r"[a-z][a-z0-9_]*", key) or not plain:
            d.dropped(path, "not an argument that is passed on from a file")
        elif is_atari(d):
            d.dropped(path, "not an option of games here (see env.atari)")
        else:
            kwargs = {**d.values.get("env.kwargs", {}), key: value}
            d.values["env.kwargs"] = kwargs
            d.line("mapped", path, f"env.kwargs.{key}={shown(value)}")
