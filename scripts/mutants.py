"""Break the arithmetic of learning in 25 ways, one after the other, and see whether the tests notice.

    python scripts/mutants.py             # all, a line each; exit 1 where one survives
    python scripts/mutants.py --only 3 7  # some, by number

Each mutant is made in a copy of `src`, and the tests run until the first that fails.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
TESTS = ("tests/maths", "tests/nets", "tests/training/test_golden.py", "tests/algos")


class Mutant(NamedTuple):
    """A wrong line in place of a right one."""

    what: str
    file: str
    right: str
    wrong: str


MUTANTS = (
    Mutant("PPO: surrogate not clipped", "maths/losses.py", "* (gain <= clipped_gain) * (-1 / rows)", "* (-1 / rows)"),
    Mutant(
        "PPO: policy gradient negated",
        "maths/losses.py",
        "(gain <= clipped_gain) * (-1 / rows)",
        "(gain <= clipped_gain) * (1 / rows)",
    ),
    Mutant(
        "PPO: entropy bonus negated", "maths/losses.py", "-ent_coef / rows)\n    error", "ent_coef / rows)\n    error"
    ),
    Mutant(
        "PPO: value gradient halved",
        "maths/losses.py",
        "return d_policy, error * (2 * vf_coef / rows)",
        "return d_policy, error * (vf_coef / rows)",
    ),
    Mutant(
        "A2C: policy gradient negated",
        "maths/losses.py",
        "log_prob_gradient(batch.advantage * (-1 / rows)",
        "log_prob_gradient(batch.advantage * (1 / rows)",
    ),
    Mutant(
        "A2C: value gradient negated",
        "maths/losses.py",
        "(value - batch.target) * (2 * vf_coef / rows)",
        "(batch.target - value) * (2 * vf_coef / rows)",
    ),
    Mutant(
        "SIL: returns below the value count",
        "maths/losses.py",
        "(batch.ret - value).clamp(min=0).clamp(0, clip)",
        "(batch.ret - value).clamp(max=clip)",
    ),
    Mutant(
        "SAC: policy seeks the worse value", "maths/losses.py", "each = -1 / len(log_prob)", "each = 1 / len(log_prob)"
    ),
    Mutant(
        "SAC: temperature moves the wrong way",
        "maths/losses.py",
        "excess = (entropy - target).mean()",
        "excess = (target - entropy).mean()",
    ),
    Mutant("discrete SAC: no entropy in the policy's loss", "maths/losses.py", "cost = alpha * log_p - q", "cost = -q"),
    Mutant(
        "DQN: gradient negated",
        "maths/q_learning.py",
        "* (weight / q.shape[0])",
        "* (-weight / q.shape[0])",
    ),
    Mutant(
        "DQN: Huber loss not bounded", "maths/q_learning.py", "(error.clamp_(-1, 1) if huber else error) *", "error *"
    ),
    Mutant(
        "critics: importance weights ignored",
        "maths/q_learning.py",
        "error * (weight * (2 / len(target)))",
        "error * (2 / len(target))",
    ),
    Mutant(
        "C51: projection without rewards",
        "maths/q_learning.py",
        "(reward.unsqueeze(-1) + discount",
        "(0 * reward.unsqueeze(-1) + discount",
    ),
    Mutant("quantiles: asymmetry reversed", "maths/q_learning.py", "(error < 0)", "(error > 0)"),
    Mutant(
        "dueling: advantages not centred",
        "maths/q_learning.py",
        "value + advantage - advantage.mean(1, keepdim=True)",
        "value + advantage",
    ),
    Mutant("SAC: target without entropy", "algos/sac.py", "(next_q - alpha * next_log_prob)", "next_q"),
    Mutant(
        "SAC: terminal states bootstrapped", "algos/sac.py", "batch.reward + batch.discount *", "batch.reward + 0.99 *"
    ),
    Mutant("discrete SAC: target without entropy", "algos/sac_discrete.py", "(next_q - alpha * next_log_p)", "next_q"),
    Mutant("TD3: the larger of the target values", "algos/td3.py", "smooth).amin(0)", "smooth).amax(0)"),
    Mutant("TD3: policy moves away from the value", "algos/td3.py", "step(-self.critics(", "step(self.critics("),
    Mutant(
        "double DQN: the target network selects",
        "algos/dqn.py",
        "self.q.predict(batch.next_obs)[0] if self.cfg.double",
        "self.target.predict(batch.next_obs)[0] if self.cfg.double",
    ),
    Mutant(
        "target networks never move",
        "algos/off_policy.py",
        "target.move_towards(self.networks[name], self.cfg.tau)",
        "pass",
    ),
    Mutant("GAE: traces cross the ends of episodes", "maths/returns.py", "~boundary", "(boundary | True)"),
    Mutant(
        "schedules: linear never moves", "maths/schedules.py", "start * (1 - passed) + schedule.end * passed", "start"
    ),
)


def caught(mutant: Mutant) -> bool:
    """Whether the tests fail with the mutant in place."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "src"
        shutil.copytree(ROOT / "src", source)
        shutil.copytree(ROOT / "conf", Path(folder) / "conf")
        file = source / "rlkit" / mutant.file
        text = file.read_text(encoding="utf-8")
        assert mutant.right in text, f"{mutant.file} has no {mutant.right!r} any more"
        file.write_text(text.replace(mutant.right, mutant.wrong, 1), encoding="utf-8")
        environment = {**os.environ, "PYTHONPATH": str(source), "PYTHONDONTWRITEBYTECODE": "1"}
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-n", "0", "-p", "no:cacheprovider", *TESTS]
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        if done.returncode not in (0, 1):
            raise RuntimeError(done.stdout[-2000:] + done.stderr[-2000:])
        return done.returncode == 1


def main() -> None:
    """Try the mutants and report."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", nargs="*", type=int, help="numbers of mutants, from 1")
    only = parser.parse_args().only
    survivors = 0
    for number, mutant in enumerate(MUTANTS, 1):
        if only is None or number in only:
            found = caught(mutant)
            survivors += not found
            print(f"{number:2d}  {'caught' if found else 'SURVIVES'}  {mutant.what} ({mutant.file})", flush=True)
    sys.exit(1 if survivors else 0)


if __name__ == "__main__":
    main()
