"""SIGKILL at random moments: a resumed run equals an uninterrupted one, byte for byte."""

from __future__ import annotations

import os
import random
import shutil
import signal
import time
from pathlib import Path

from tests.training.runs import session, traces

from campaign.outcome import OUTPUT, Outcome, forked, wait

QUICK = ["eval.episodes=2", "eval.periodic_episodes=2", "num_envs=2", "~tuned", "env=cartpole"]
REPLAY = ["algo.learning_starts=100", "algo.batch_size=16", "frames=900", "checkpoint.every_frames=60"]
ROLLOUT = ["frames=4000", "checkpoint.every_frames=150"]
PENDULUM = ["env=pendulum", "env.max_episode_steps=50"]
SMALL, CONV = (
    ["net.hidden=[16,16]"],
    ["net=conv", "net.channels=[4]", "net.kernels=[8]", "net.strides=[8]", "net.hidden=[8]"],
)
PONG = ["env=pong", *CONV, "env.max_episode_steps=60", "frames=600", "algo.n_steps=16"]
CASES: dict[str, list[str]] = {
    "ppo": ["algo=ppo", *ROLLOUT, "algo.n_steps=32", *SMALL],
    "ppo, normalised": ["algo=ppo", *ROLLOUT, *PENDULUM, "env.normalize_obs=true", "env.normalize_reward=true", *SMALL],
    "ppo, gru": ["algo=ppo", *ROLLOUT, "net=gru", "algo.n_steps=32"],
    "ppo, lstm": ["algo=ppo", "frames=2000", "checkpoint.every_frames=100", "net=lstm", "algo.n_steps=32"],
    "ppo, sequential": ["algo=ppo", *ROLLOUT, "net=sequential", "net.layers=[{type:linear,out:16},{type:layer_norm}]"],
    "ppo, pictures": ["algo=ppo", *PONG, "algo.epochs=1", "algo.minibatch_size=16"],
    "ppo, percentile": [
        "algo=ppo",
        *ROLLOUT,
        "algo.normalize_advantage=percentile",
        "algo.value_transform=normalize",
        *SMALL,
    ],
    "ppo, processes": ["algo=ppo", "frames=1500", "checkpoint.every_frames=100", "env.vectorization=async", *PENDULUM],
    "ppo_sil": ["algo=ppo_sil", "frames=2000", "checkpoint.every_frames=100", "algo.sil.batch_size=32", *SMALL],
    "a2c": ["algo=a2c", *ROLLOUT, *SMALL],
    "a2c, beta": ["algo=a2c", *ROLLOUT, *PENDULUM, "algo.distribution=beta", *SMALL],
    "a2c_sil": ["algo=a2c_sil", "frames=1500", "checkpoint.every_frames=100", "algo.sil.batch_size=32", *SMALL],
    "reinforce": ["algo=reinforce", *ROLLOUT, *SMALL],
    "sarsa": ["algo=sarsa", *ROLLOUT, *SMALL],
    "dqn": ["algo=dqn", *REPLAY, *SMALL],
    "dqn, n-step, noisy": ["algo=dqn", *REPLAY, "algo.n_step=3", "net.noisy=true", *SMALL],
    "dqn, gru": ["algo=dqn", *REPLAY, "net=gru", "frames=500"],
    "dqn, pictures": [
        "algo=dqn",
        "env=pong",
        *CONV,
        "env.max_episode_steps=60",
        "frames=400",
        "algo.learning_starts=100",
    ],
    "dqn, combined": ["algo=dqn", *REPLAY, "memory.combined=true", "env.frame_stack=2", *SMALL],
    "ddqn_per": ["algo=ddqn_per", *REPLAY, "env=acrobot", "env.max_episode_steps=60", *SMALL],
    "rainbow": ["algo=rainbow", *REPLAY, *SMALL],
    "sac": ["algo=sac", *REPLAY, *PENDULUM, *SMALL],
    "sac, prioritized": ["algo=sac", *REPLAY, *PENDULUM, "memory=prioritized", *SMALL],
    "sac, choices": ["algo=sac", *REPLAY, *SMALL],
    "crossq": ["algo=crossq", *REPLAY, *PENDULUM, *SMALL, "critic_net.hidden=[16,16]"],
    "td3": ["algo=td3", *REPLAY, *PENDULUM, *SMALL],
    "td3, noise": ["algo=td3", *REPLAY, *PENDULUM, "algo.noise.kind=ornstein_uhlenbeck", *SMALL],
    "random": ["algo=random", "frames=4000", "checkpoint.every_frames=150"],
}
"""All algorithms, memories and kinds of networks."""


def run(kills: int, folder: Path, seed: int) -> Outcome:
    """Kill each case about equally often, at moments spread over its whole time."""
    rng = random.Random(seed)
    names = list(CASES) if kills >= 3 * len(CASES) else rng.sample(list(CASES), max(1, kills // 3))
    outcome = Outcome("kills", "SIGKILL of a session, then resumed: equal to an uninterrupted run, byte for byte")
    with outcome.timed():
        for i, name in enumerate(names):
            share = kills * (i + 1) // len(names) - kills * i // len(names)
            wrong, landed = kill_case(CASES[name], share, folder / str(i), rng)
            for k in range(landed):
                outcome.add(wrong if k == landed - 1 else None, name)
            shutil.rmtree(folder / str(i), ignore_errors=True)
    return outcome


def kill_case(overrides: list[str], kills: int, folder: Path, rng: random.Random) -> tuple[str | None, int]:
    """What differs after the kills, and how many of them landed before the run was complete."""
    words = [*QUICK, *overrides]
    (folder / "whole").mkdir(parents=True)
    began = time.monotonic()
    status = wait(forked(lambda: session(folder / "whole", words), folder / OUTPUT), 300)
    if status != 0:
        return f"the uninterrupted run ended with {status}: {(folder / OUTPUT).read_text()[-300:]}", 1
    seconds = time.monotonic() - began
    landed = attempts = 0
    while landed < kills and attempts < 4 * kills:
        attempts += 1
        pid = forked(lambda: session(folder / "parts", words), folder / OUTPUT)
        time.sleep(rng.uniform(0.0, seconds))
        os.killpg(pid, signal.SIGKILL)
        _, how = os.waitpid(pid, 0)
        landed += os.waitstatus_to_exitcode(how) == -signal.SIGKILL
        if (folder / "parts" / "result.json").exists():  # complete: the next kills hit a new run
            if wrong := difference(folder):
                return wrong, landed
            shutil.rmtree(folder / "parts")
    if (status := wait(forked(lambda: session(folder / "parts", words), folder / OUTPUT), 300)) != 0:
        return f"resuming ended with {status}: {(folder / OUTPUT).read_text()[-300:]}", landed
    return difference(folder), landed


def difference(folder: Path) -> str | None:
    """The files in which the resumed run differs from the uninterrupted one."""
    whole, parts = traces(folder / "whole"), traces(folder / "parts")
    names = [name for name in whole if whole[name] != parts.get(name)]
    return f"differs in {', '.join(names)}" if names else None
