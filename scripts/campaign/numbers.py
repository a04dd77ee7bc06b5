"""Numbers that are not finite: named with their source, and harmless where nothing is learnt from them."""

from __future__ import annotations

import itertools
import random
import shutil
from pathlib import Path

from tests.envs.strangers import strange
from tests.training.runs import session

from campaign.outcome import Outcome
from rlkit.errors import EnvError, RlkitError

QUICK = ["env=gym", "frames=500", "num_envs=2", "eval.episodes=1", "eval.periodic_episodes=1", "eval.every_frames=500"]
SOON = ["algo.learning_starts=60", "algo.batch_size=16"]
ALGOS = {
    "ppo": ["algo.n_steps=16"], "ppo_sil": ["algo.n_steps=16"], "a2c": [], "a2c_sil": [], "reinforce": [], "sarsa": [],
    "dqn": SOON, "ddqn_per": SOON, "rainbow": SOON, "sac": SOON, "crossq": SOON, "random": [],
}  # fmt: skip
OPTIONS: list[list[str]] = [
    [], ["env.clip_reward=1"], ["env.sign_reward=true"], ["env.normalize_reward=true"], ["env.normalize_obs=true"],
]  # fmt: skip
FAULTS = {
    "NaN": "an observation",
    "RewardNaN": "a reward",
    "RewardInf": "a reward",
    "LastCutNaN": "the last observation of a truncated episode",
    "LastNaN": None,
}
"""Environment -> what the message has to name; None: nothing is learnt from it, and the run completes."""


def run(numbers: int, folder: Path, seed: int) -> Outcome:
    """Combine environments, algorithms and options at random."""
    cases = list(itertools.product(FAULTS, ALGOS, OPTIONS))
    random.Random(seed).shuffle(cases)
    outcome = Outcome("numbers", "NaN or infinity from an environment: its source is named, or it does no harm")
    with outcome.timed():
        for i, (name, algo, options) in enumerate(itertools.islice(itertools.cycle(cases), numbers)):
            words = [*QUICK, f"algo={algo}", *ALGOS[algo], f"env.id={strange(name)}", *options]
            outcome.add(wrong_with(words, FAULTS[name], folder / str(i)), f"{algo}, {name}, {' '.join(options)}")
            shutil.rmtree(folder / str(i), ignore_errors=True)
    return outcome


def wrong_with(words: list[str], named: str | None, folder: Path) -> str | None:
    """What is wrong with how a run ended."""
    try:
        status = session(folder, words)["status"]
    except EnvError as error:
        right = named is not None and f"returned {named}" in str(error) and "seed" in str(error)
        return None if right else f"it said: {error}"
    except RlkitError as error:
        return f"blamed on something else: {error}"
    except Exception as error:  # a fault of rlkit's own
        return f"{type(error).__name__}: {error}"
    return None if named is None and status == "complete" else f"not noticed: {status}"
