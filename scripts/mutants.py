"""Break the arithmetic of learning, one way after the other, and see whether the tests notice.

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
TESTS = ("tests/maths", "tests/nets", "tests/memory", "tests/envs/test_transforms.py", "tests/envs/test_vector.py")
TESTS += ("tests/training/test_golden.py", "tests/algos")


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
    # Those that survived a review of the tests before the redesign.
    Mutant(
        "truncated episodes: last observation not normalised",
        "envs/vector.py",
        "cut_obs = self.seen(self._last(next_obs[cut], cut, terminated))",
        "cut_obs = self._last(next_obs[cut], cut, terminated)",
    ),
    Mutant(
        "DQN: a burst is rated across a move of the target",
        "algos/dqn.py",
        "count = min(owed, unchanged, BURST_ROWS",
        "count = min(owed, owed, BURST_ROWS",
    ),
    Mutant(
        "TD3: targets move with every critic",
        "algos/td3.py",
        "            self.update_targets(self.updates // int(cfg.policy_delay))",
        "        self.update_targets(self.updates // int(cfg.policy_delay))",
    ),
    Mutant(
        "TD3: target action not clipped",
        "algos/td3.py",
        "cfg.target_noise_clip)).clamp(-1, 1)",
        "cfg.target_noise_clip))",
    ),
    Mutant("TD3: exploration not clipped", "algos/td3.py", "np.clip(action + noise, -1, 1)", "action + noise"),
    Mutant("PPO: target_kl without its factor", "algos/ppo.py", "> 1.5 * cfg.target_kl", "> cfg.target_kl"),
    Mutant(
        "percentile range of advantages",
        "algos/policy_gradient.py",
        "self.return_range.update(target[valid])",
        "self.return_range.update(advantage[valid])",
    ),
    Mutant(
        "percentile range without its floor",
        "maths/running.py",
        "return max(1.0, self.high - (self.low or 0.0))",
        "return self.high - (self.low or 0.0)",
    ),
    Mutant(
        "state-dependent deviation not clipped when sampling",
        "maths/distributions.py",
        "log_std = np.clip(log_std + self.free_init, *LOG_STD, dtype=np.float32)",
        "log_std = log_std + self.free_init",
    ),
    Mutant(
        "SAC: deviation not clipped when acting", "algos/sac.py", "np.exp(log_std.clip(*LOG_STD))", "np.exp(log_std)"
    ),
    Mutant(
        "SAC: temperature without bounds",
        "algos/temperature.py",
        "self.log_alpha.flat.weight.clamp_(math.log(cfg.alpha_min), math.log(cfg.alpha_max))",
        "pass",
    ),
    Mutant(
        "SAC: schedule of the temperature ignored",
        "algos/temperature.py",
        "alpha = scheduled(self.cfg.alpha, self.cfg.alpha_schedule, frames, total_frames)",
        "alpha = self.cfg.alpha",
    ),
    Mutant(
        "SAC: exploration noise ignored", "algos/sac.py", "np.clip(action + noise, -1, 1)", "np.clip(action, -1, 1)"
    ),
    Mutant(
        "SAC: priority of the first critic alone",
        "algos/soft.py",
        'loss.stats["error"].abs().mean(0)',
        'loss.stats["error"].abs()[0]',
    ),
    Mutant(
        "replay: schedule of the learning rate ignored",
        "algos/off_policy.py",
        "cfg.learning_rate, cfg.learning_rate_schedule, rollout.frames, self.total_frames",
        "cfg.learning_rate, cfg.learning_rate_schedule, 0, self.total_frames",
    ),
    Mutant(
        "SARSA: schedule of the learning rate ignored",
        "algos/sarsa.py",
        "cfg.learning_rate, cfg.learning_rate_schedule, rollout.frames, self.total_frames",
        "cfg.learning_rate, cfg.learning_rate_schedule, 0, self.total_frames",
    ),
    Mutant(
        "SIL: returns not in the critic's units",
        "algos/sil.py",
        'arrays["ret"] = self.base.transform.encode(arrays["ret"])',
        "pass",
    ),
    Mutant("SIL: new steps without the largest priority", "memory/episodes.py", "self.priorities.new(index)", "pass"),
    Mutant("priorities: rows are forgotten", "memory/priorities.py", "EPSILON = 1e-6", "EPSILON = 0.0"),
    Mutant(
        "whole episodes: recurrent state carried over",
        "training/collect.py",
        "            envs.restart()\n            self.state = None",
        "            envs.restart()",
    ),
    Mutant(
        "rewards clipped before they are normalised",
        "envs/transforms.py",
        "        if self.normalize:\n            self.returns",
        "        if self.clip is not None:\n            reward = bounded(reward, self.clip)\n"
        "        if self.normalize:\n            self.returns",
    ),
    Mutant(
        "observations not clipped",
        "envs/transforms.py",
        "return bounded((obs - self.shift) * self.scale, self.clip)",
        "return (obs - self.shift) * self.scale",
    ),
    Mutant("target networks keep their running statistics", "nets/network.py", "buffers[name].copy_(value)", "pass"),
    Mutant("DQN: noisy target without noise", "algos/dqn.py", "            self.target.resample_noise(self.rng)\n", ""),
    Mutant(
        "quantiles: priority is the loss",
        "maths/q_learning.py",
        '{"priority": (taken.mean(-1) - target.mean(-1)).abs()}',
        '{"priority": quantile_huber(taken, target)}',
    ),
    Mutant(
        "expected SARSA: temperature ignored",
        "maths/exploration.py",
        "weight = np.exp((q - q.max(-1, keepdims=True)) / temperature)",
        "weight = np.exp(q - q.max(-1, keepdims=True))",
    ),
    Mutant(
        "exploration frozen within a rollout",
        "training/collect.py",
        "frames=frames + t * envs.num_envs",
        "frames=frames",
    ),
    Mutant(
        "repeated actions ignore the warm-up",
        "algos/dqn.py",
        "epsilon = 1.0 if warming_up else scheduled(",
        "epsilon = scheduled(",
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
