"""Malformed overrides: each is answered in words, or is none."""

from __future__ import annotations

import random
import string
from pathlib import Path

from campaign.outcome import OUTPUT, Outcome, command, fault_in, forked, wait
from rlkit.training import checks

GOOD = [
    "algo=ppo", "env=cartpole", "algo.gamma=0.99", "net.hidden=[64,64]", "frames=1e5", "seed=3", "num_envs=8",
    "net=gru",
    "env.kwargs.gravity=9", "algo.learning_rate_schedule.kind=linear", "device=cpu", "name=run", "tuned=ppo_cartpole",
    "memory=replay", "net@critic_net=mlp", "env.normalize_obs=true", "checkpoint.keep=3", "eval.deterministic=false",
    "algo.target_kl=null", "env.id=CartPole-v1", "threads=1", "search=none", "log.console_seconds=5", "upload=never",
]  # fmt: skip
STRANGE = [
    "", "=", "==", "null", "[", "]", "{", "}", "${x}", "${oc.env:NOPE}", "'", '"', "\\", "\n", "\x00", "ü", "☃",
    "1e999",
    "-1", "nan", "inf", "true", "[[64]]", "{a: {b: 1}}", "~", "+", "++", "@", "/", "..", " ", "a b", "0x10", "1_000",
    "9" * 400, "x" * 4000, "${algo.gamma}", "choice(1,2)", "range(0,3)", "glob(*)", "!!python/object:os.system",
    "#", "%",
]  # fmt: skip


def malformed(rng: random.Random) -> list[str]:
    """One to three overrides, at least one of them changed at random."""
    words = rng.sample(GOOD, rng.randint(1, 3))
    i = rng.randrange(len(words))
    key, _, value = words[i].partition("=")
    kind = rng.randrange(6)
    if kind == 0:
        words[i] = f"{key}={rng.choice(STRANGE)}"
    elif kind == 1:
        words[i] = f"{rng.choice(STRANGE)}={value}"
    elif kind == 2:
        at = rng.randrange(len(words[i]) + 1)
        words[i] = words[i][:at] + rng.choice(string.printable[:95]) + words[i][at:]
    elif kind == 3:
        at = rng.randrange(len(words[i]))
        words[i] = words[i][:at] + words[i][at + 1 :]
    elif kind == 4:
        words[i] = rng.choice(["~", "+", "++", "-", "--", "@"]) + words[i]
    else:
        words[i] = f"{key}.{rng.choice(['x', '0', 'hidden', 'kind'])}={rng.choice(STRANGE)}"
    return [word.replace("\x00", "") for word in words]


def run(count: int, folder: Path, seed: int) -> Outcome:
    """Give each to the command line, which composes and checks it; nothing is trained."""
    rng = random.Random(seed)
    outcome = Outcome("overrides", "malformed overrides: exit 2 with words, or a configuration")
    folder.mkdir(parents=True, exist_ok=True)
    with outcome.timed():
        for _ in range(count):
            words = malformed(rng)
            outcome.add(wrong_with(words, folder), repr(words)[:200])
    return outcome


def wrong_with(words: list[str], folder: Path) -> str | None:
    """What is wrong with the answer to them."""

    def compose() -> None:
        def check(config: object) -> None:
            raise SystemExit(0)  # all of the configuration was accepted: nothing is to be trained

        checks.check = check  # type: ignore[assignment]
        command(words)

    status = wait(forked(compose, folder / OUTPUT), 30)
    text = (folder / OUTPUT).read_text(errors="replace")
    if status is None:
        return "no answer within 30 seconds"
    if shown := fault_in(folder / OUTPUT):
        return f"exit {status}: {shown} {text.strip().splitlines()[-1][:200]}"
    if status == 2:
        return None if text.strip() and len(text) < 4000 else f"an answer of {len(text)} letters"
    return None if status == 0 else f"exit {status}: {text[-200:]}"
