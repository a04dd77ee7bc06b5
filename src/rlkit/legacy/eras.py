"""The formats of SLM-Lab's versions, and how a spec of any of them is laid out as one of version 5.

A spec becomes a flat table, path -> value, in version 5's names: `agent` and `env` are unwrapped from their lists, old
spellings are replaced, and each path remembers what it was called in the file.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from rlkit.legacy.report import Refused, shown

Era = Literal["v1", "v2", "v3", "v4", "v5"]
Path = tuple[str, ...]

ALGO, NET, MEMORY, ENV, META = "agent.algorithm", "agent.net", "agent.memory", "env", "meta"


@dataclass(frozen=True)
class Dimension:
    """One leaf of a `search` block: a path of the spec and the distribution of its values."""

    key: str
    """As in the file, `search.agent.net.optim_spec.lr__uniform`."""
    path: str
    """In version 5's names, `agent.net.optim_spec.lr`."""
    distribution: str
    """choice, uniform, ...; empty where the key has none."""
    arguments: Any


@dataclass
class Spec:
    """One spec, laid out as version 5's."""

    era: Era
    values: dict[str, Any]
    """Path -> value; lists are values, and so are empty dictionaries."""
    origin: dict[str, str] = field(default_factory=dict)
    """Path -> the path in the file, where it is another."""
    parameters: dict[str, list[Any]] = field(default_factory=dict)
    """Version 4's `spec_params`: variable -> its values."""
    search: list[Dimension] = field(default_factory=list)

    def named(self, path: str) -> str:
        """The path as it is in the file."""
        return self.origin.get(path, path)

    def has(self, path: str) -> bool:
        """Whether the path, or something below it, is given."""
        return path in self.values or any(key.startswith(f"{path}.") for key in self.values)


def recognise(raw: dict[str, Any]) -> Era:
    """The version that wrote a spec, by what only it has (SLM-Lab's history, from v1 of 2018 to 5.3 of 2026)."""
    if not isinstance(raw.get("agent"), list):
        return "v5"
    keys = {part for path, _ in leaves(_without_lists(raw)) for part in path}
    if keys & {"max_frame", "spec_params", "training_iter", "time_horizon", "frame_op"}:
        return "v4"
    if keys & OF_V1:
        return "v1"
    if keys & {"explore_var_spec", "entropy_coef_spec", "clip_eps_spec", "lr_scheduler_spec", "max_tick"}:
        return "v3"
    return "v2"


OF_V1 = {
    "lamda", "use_GAE", "optim", "optim_actor", "optim_critic", "polyak_weight", "decay_lr", "training_iters_per_batch",
    "max_episode", "num_epis_to_collect", "entropy_weight", "clamp_grad",
}  # fmt: skip


def lay_out(raw: dict[str, Any]) -> Spec:
    """Lay a spec out as version 5's.

    Raises:
        Refused: it has several agents or environments, or is no spec.
    """
    era = recognise(raw)
    single = dict(raw)
    for part in ("agent", "env"):
        single[part] = _only(part, raw[part])
    _check_body(raw.get("body"))
    search = single.pop("search", None)
    parameters = single.pop("spec_params", None)
    spec = Spec(era, _flat(single))
    rename(spec)
    if isinstance(parameters, dict):
        spec.parameters = {str(k): v if isinstance(v, list) else [v] for k, v in parameters.items()}
    elif parameters is not None:
        spec.values["spec_params"] = parameters
    if isinstance(search, dict) and search:
        spec.search = list(_dimensions(search, spec))
        spec.values.update(_of_others(search))
    elif search is not None:
        spec.values["search"] = search
    return spec


def leaves(value: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """The leaves of nested dictionaries, each with its path; lists are leaves, and so are empty dictionaries."""
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from leaves(item, (*path, str(key)))
    else:
        yield path, value


def _flat(block: dict[str, Any]) -> dict[str, Any]:
    """Path -> value.

    Raises:
        Refused: a path is there twice, as a key with dots and as blocks in each other.
    """
    flat: dict[str, Any] = {}
    for path, value in leaves(block):
        name = ".".join(path)
        if name in flat:
            raise Refused(name, "there twice, with dots in its name and without: take one of them away")
        flat[name] = value
    return flat


def _only(part: str, value: Any) -> dict[str, Any]:
    """The one agent or environment."""
    if isinstance(value, list):
        if len(value) > 1:
            kinds = "agents" if part == "agent" else "environments"
            raise Refused(part, f"{len(value)} {kinds} in one spec; rlkit trains one on one: split it into specs")
        value = value[0] if value else {}
    if not isinstance(value, dict):
        raise Refused(part, f"not a block of keys but {shown(value, 40)}")
    return value


def _check_body(body: Any) -> None:
    """A body other than one agent in one environment is several agents, or several environments."""
    number = body.get("num", 1) if isinstance(body, dict) else 1
    product = body.get("product", "outer") if isinstance(body, dict) else "outer"
    if number not in (1, [1]) or product not in ("outer", "inner"):
        raise Refused(
            "body", f"{shown(number, 20)} bodies ({product}); rlkit has one, see num_envs: split it into specs"
        )


# Search blocks: nested like the spec, or flat with dots


def _dimensions(search: dict[str, Any], spec: Spec) -> Iterator[Dimension]:
    for written, arguments in leaves(_without_lists(search)):
        parts = [part for word in written for part in word.split(".")]
        parts = [part for i, part in enumerate(parts) if not (part.isdigit() and parts[i - 1] in ("agent", "env"))]
        path, _, distribution = ".".join(parts).partition("__")
        yield Dimension(".".join(["search", *written]), today_of(path, spec), distribution, arguments)


def _of_others(search: dict[str, Any]) -> dict[str, Any]:
    """What a search has of a second agent or environment and further ones: `search.agent.1...` -> value."""
    return {
        ".".join(("search", part, str(i), *path)): value
        for part in ("agent", "env")
        if isinstance(search.get(part), list)
        for i, block in enumerate(search[part][1:], 1)
        for path, value in leaves(block)
    }


def _without_lists(block: dict[str, Any]) -> dict[str, Any]:
    """A spec, or its search, with the first of `agent: [{...}]` and `env: [{...}]` out of their lists."""
    return {
        key: value[0] if key in ("agent", "env") and isinstance(value, list) and value else value
        for key, value in block.items()
    }


# Old names

RENAMED: dict[str, str] = {
    f"{ALGO}.lamda": f"{ALGO}.lam",
    f"{ALGO}.training_batch_epoch": f"{ALGO}.training_batch_iter",
    f"{ALGO}.training_iters_per_batch": f"{ALGO}.training_batch_iter",
    f"{ALGO}.training_min_timestep": f"{ALGO}.training_start_step",
    f"{ALGO}.num_epis_to_collect": f"{ALGO}.training_frequency",
    f"{ALGO}.policy_loss_weight": f"{ALGO}.policy_loss_coef",
    f"{ALGO}.val_loss_weight": f"{ALGO}.val_loss_coef",
    f"{ALGO}.entropy_weight": f"{ALGO}.entropy_coef",
    f"{NET}.polyak_weight": f"{NET}.polyak_coef",
    f"{NET}.clamp_grad_val": f"{NET}.clip_grad_val",
    f"{NET}.clamp_grad": f"{NET}.clip_grad",
    f"{NET}.batch_size": f"{MEMORY}.batch_size",
    f"{ENV}.max_timestep": f"{ENV}.max_t",
    f"{ENV}.max_episode": f"{ENV}.max_epi",
}
"""Keys whose name alone has changed."""
RENAMED_BLOCKS: dict[str, str] = {
    f"{NET}.optim_actor": f"{NET}.actor_optim_spec",
    f"{NET}.optim_critic": f"{NET}.critic_optim_spec",
    f"{NET}.optim": f"{NET}.optim_spec",
    f"{NET}.loss": f"{NET}.loss_spec",
}


SCHEDULES: dict[str, str] = {
    f"{ALGO}.explore_var_start": f"{ALGO}.explore_var_spec.start_val",
    f"{ALGO}.explore_var_end": f"{ALGO}.explore_var_spec.end_val",
    f"{ALGO}.explore_anneal_epi": f"{ALGO}.explore_var_spec.end_step",
    f"{ALGO}.action_policy_update": f"{ALGO}.explore_var_spec.name",
    f"{ALGO}.entropy_coef": f"{ALGO}.entropy_coef_spec.start_val",
    f"{ALGO}.clip_eps": f"{ALGO}.clip_eps_spec.start_val",
}
"""Versions 1 and 2 wrote schedules as keys beside each other."""


def rename(spec: Spec) -> None:
    """Give every path the name that it has today; one that is taken already keeps its old one, and is reported so."""
    for path in list(spec.values):
        today = today_of(path, spec)
        if today != path and today not in spec.values:
            spec.values = {today if key == path else key: value for key, value in spec.values.items()}
            spec.origin[today] = path


def today_of(path: str, spec: Spec) -> str:
    """The name that a path has today."""
    if spec.era == "v5":
        return path
    path = RENAMED.get(path, path)
    if spec.era in ("v1", "v2"):
        path = SCHEDULES.get(path, path)
    for old, new in RENAMED_BLOCKS.items():
        if path.startswith(f"{old}."):
            return new + path.removeprefix(old)
    # before version 4, training_epoch was a number of batches, for all but PPO
    if path == f"{ALGO}.training_epoch" and spec.era != "v4" and "PPO" not in str(spec.values.get(f"{ALGO}.name")):
        return f"{ALGO}.training_iter"
    return path
