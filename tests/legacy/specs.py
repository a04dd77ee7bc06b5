"""Small specs to convert, and short ways to do it."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

from rlkit.legacy.convert import Conversion, convert

DQN: dict[str, Any] = {
    "agent": {
        "name": "DQN",
        "algorithm": {
            "name": "DQN",
            "action_policy": "epsilon_greedy",
            "explore_var_spec": {
                "name": "linear_decay",
                "start_val": 1.0,
                "end_val": 0.1,
                "start_step": 0,
                "end_step": 1000,
            },
            "gamma": 0.98,
            "training_batch_iter": 1,
            "training_iter": 2,
            "training_frequency": 1,
            "training_start_step": 32,
        },
        "memory": {"name": "Replay", "batch_size": 32, "max_size": 1000, "use_cer": False},
        "net": {
            "type": "MLPNet",
            "hid_layers": [16],
            "hid_layers_activation": "relu",
            "clip_grad_val": 1.0,
            "loss_spec": {"name": "SmoothL1Loss"},
            "optim_spec": {"name": "Adam", "lr": 0.01},
            "update_type": "polyak",
            "update_frequency": 1,
            "polyak_coef": 0.02,
        },
    },
    "env": {"name": "CartPole-v1", "num_envs": 1, "max_t": None, "max_frame": 2000},
    "meta": {"max_session": 1, "max_trial": 6},
}
PPO: dict[str, Any] = {
    "agent": {
        "name": "PPO",
        "algorithm": {
            "name": "PPO",
            "gamma": 0.99,
            "lam": 0.95,
            "clip_eps_spec": {"name": "no_decay", "start_val": 0.2},
            "entropy_coef_spec": {
                "name": "linear_decay",
                "start_val": 0.01,
                "end_val": 0.0,
                "start_step": 0,
                "end_step": 900,
            },
            "val_loss_coef": 0.5,
            "time_horizon": 30,
            "minibatch_size": 50,
            "training_epoch": 3,
        },
        "memory": {"name": "OnPolicyBatchReplay"},
        "net": {
            "type": "MLPNet",
            "shared": False,
            "hid_layers": [16, 16],
            "hid_layers_activation": "tanh",
            "init_fn": "orthogonal_",
            "optim_spec": {"name": "Adam", "lr": 0.001},
        },
    },
    "env": {"name": "Pendulum-v1", "num_envs": 4, "max_frame": 2000},
    "meta": {"max_session": 2, "max_trial": 1},
}


def changed(spec: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """A copy of a spec with `agent__net__type="ConvNet"` and the like; `...` takes a key away."""
    new = copy.deepcopy(spec)
    for path, value in changes.items():
        *parents, last = path.split("__")
        node = new
        for parent in parents:
            node = node.setdefault(parent, {})
        if value is ...:
            node.pop(last, None)
        else:
            node[last] = value
    return new


def old(spec: dict[str, Any]) -> dict[str, Any]:
    """The spec as version 4 wrote it: agent and env in lists, and a body."""
    return {**spec, "agent": [spec["agent"]], "env": [spec["env"]], "body": {"product": "outer", "num": 1}}


def write(folder: Path, specs: dict[str, Any] | str | bytes, name: str = "specs.json") -> Path:
    """A spec file; text and bytes as they are."""
    path = folder / name
    data = specs if isinstance(specs, bytes) else (specs if isinstance(specs, str) else json.dumps(specs)).encode()
    path.write_bytes(data)
    return path


def one(folder: Path, spec: dict[str, Any], **options: Any) -> Conversion:
    """The conversion of one spec."""
    return convert(write(folder, {"it": spec}), out=folder, **options)[0]
