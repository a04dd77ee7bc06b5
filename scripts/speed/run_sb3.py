"""One task with Stable-Baselines3 or SBX, in that peer's own virtual environment; bench_peers.py calls it.

The first argument is a JSON object: the task's fields, and `peer`, `seed`, `threads`, `episodes` (of the final
evaluation) and `spawned` (`time.time()` before this process was started). The last line printed is a JSON object.
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from typing import Any

warnings.filterwarnings("ignore")  # advice on devices and wrappers that this comparison does not follow

ENVS = {"cartpole": "CartPole-v1", "half_cheetah": "HalfCheetah-v5", "pong": "PongNoFrameskip-v4"}
RENAMED = {
    "minibatch_size": "batch_size",
    "epochs": "n_epochs",
    "clip_coef": "clip_range",
    "train_every_frames": "train_freq",
}
SCHEDULES = ("learning_rate", "clip_coef")


def linear(start: float) -> Any:
    """A schedule of the peer's: from `start` to 0 over the budget."""
    return lambda left: left * start


def arguments(task: dict[str, Any]) -> dict[str, Any]:
    """The constructor's arguments for a task's settings."""
    settings = dict(task["settings"])
    for key in SCHEDULES:
        if settings.pop(f"{key}_schedule", "constant") == "linear":
            settings[key] = linear(settings[key])
    if task["algo"] == "dqn":
        settings["exploration_fraction"] = settings.pop("exploration_frames") / task["frames"]
        settings["exploration_final_eps"] = settings.pop("exploration_end")
        settings.pop("target_update_every")  # theirs counts steps: every 10 is the same, once before each burst
        settings["target_update_interval"] = 10
        if task["peer"] == "sbx":
            settings.pop("max_grad_norm")  # it has none
    if task["algo"] == "a2c":
        settings["use_rms_prop"] = settings.pop("optimizer") == "rmsprop"
    if "memory.buffer_size" in task["other"]:
        settings["buffer_size"] = task["other"]["memory.buffer_size"]
    return {RENAMED.get(key, key): value for key, value in settings.items()}


def policy(task: dict[str, Any]) -> dict[str, Any]:
    """The network of a task."""
    if not task["net"]:
        return {"policy": "CnnPolicy"}
    kwargs: dict[str, Any] = {"net_arch": task["net"]["hidden"]}
    if task["peer"] == "sb3":
        import torch

        kwargs["activation_fn"] = {"tanh": torch.nn.Tanh, "relu": torch.nn.ReLU}[task["net"]["activation"]]
    else:
        import flax.linen

        kwargs["activation_fn"] = {"tanh": flax.linen.tanh, "relu": flax.linen.relu}[task["net"]["activation"]]
    return {"policy": "MlpPolicy", "policy_kwargs": kwargs}


def environments(task: dict[str, Any], count: int, seed: int, training: Any = None) -> Any:
    """`count` environments; `training` are those whose running statistics an evaluation uses."""
    from stable_baselines3.common.env_util import make_atari_env, make_vec_env
    from stable_baselines3.common.vec_env import VecFrameStack, VecNormalize

    if task["env"] == "pong":
        import ale_py
        import gymnasium

        gymnasium.register_envs(ale_py)
        wrapped = None if training is None else {"clip_reward": False, "terminal_on_life_loss": False}
        return VecFrameStack(make_atari_env(ENVS["pong"], n_envs=count, seed=seed, wrapper_kwargs=wrapped), 4)
    made = make_vec_env(ENVS[task["env"]], n_envs=count, seed=seed)
    if task["other"].get("env.normalize_obs"):
        made = VecNormalize(made, clip_reward=task["other"]["env.clip_reward"], gamma=task["settings"]["gamma"])
        if training is not None:
            made.obs_rms, made.training, made.norm_reward = training.obs_rms, False, False
    return made


def main() -> None:
    """Train, evaluate, print."""
    task = json.loads(sys.argv[1])
    import numpy as np
    import torch

    torch.set_num_threads(task["threads"])
    if task["peer"] == "sb3":
        import stable_baselines3 as library
    else:
        import sbx as library
    from stable_baselines3.common.callbacks import BaseCallback
    from stable_baselines3.common.evaluation import evaluate_policy

    class Clock(BaseCallback):
        """When the first frame came, and when the rate had settled."""

        first = settled_at = 0.0
        settled_frames = 0

        def _on_step(self) -> bool:
            self.first = self.first or time.time()
            return True

        def _on_rollout_start(self) -> None:
            if not self.settled_at and self.num_timesteps >= task["settle_frames"]:
                self.settled_at, self.settled_frames = time.perf_counter(), self.num_timesteps

    envs = environments(task, task["num_envs"], task["seed"])
    algo = getattr(library, task["algo"].upper())
    model = algo(env=envs, seed=task["seed"], device=task.get("device", "cpu"), **policy(task), **arguments(task))
    clock = Clock()
    began = time.perf_counter()
    model.learn(task["frames"], callback=clock)
    ended = time.perf_counter()
    recent = [episode["r"] for episode in model.ep_info_buffer]
    returns, _ = evaluate_policy(
        model,
        environments(task, min(16, task["episodes"]), 10_000 + task["seed"], envs),
        n_eval_episodes=task["episodes"],
        return_episode_rewards=True,
    )
    frames = model.num_timesteps
    updates = int(model._n_updates)
    if task["algo"] == "ppo":  # it counts epochs
        updates *= -(-task["settings"]["n_steps"] * task["num_envs"] // task["settings"]["minibatch_size"])
    steady = (frames - clock.settled_frames) / (ended - clock.settled_at) if clock.settled_at else None
    result = {
        "frames": frames,
        "updates": updates,
        "fps": frames / (ended - began),
        "steady_fps": steady,
        "startup_seconds": clock.first - task["spawned"],
        "train_return_100": float(np.mean(recent)) if recent else None,
        "return": float(np.mean(returns)),
        "return_std": float(np.std(returns)),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
