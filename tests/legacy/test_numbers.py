"""Numbers that become other numbers, and what the report says of them."""

from pathlib import Path
from typing import Any

import pytest

from rlkit.errors import SpecError
from tests.legacy.specs import DQN, PPO, changed, old, one
from tests.legacy.test_convert import kinds, values

SAC = {"name": "SoftActorCritic", "gamma": 0.99, "training_frequency": 1, "training_iter": 1}


def why(conversion: Any, key: str) -> str:
    return next(line.why for line in conversion.report.lines if line.key == key)


def test_a_plain_number_is_the_start_of_a_schedule(tmp_path: Path) -> None:
    spec = changed(PPO, agent__algorithm__entropy_coef_spec=0.01, agent__algorithm__clip_eps_spec=0.1)
    found = values(one(tmp_path, spec))
    assert (found["algo.ent_coef"], found["algo.clip_coef"]) == (0.01, 0.1)
    assert found["algo.clip_coef_schedule.kind"] == "constant"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"agent__algorithm__clip_eps_spec": "small"}, "clip_eps_spec: small is not a number"),
        ({"agent__algorithm__clip_eps_spec": [0.1]}, "clip_eps_spec: \\[0.1\\] is not a number"),
        ({"agent__algorithm__entropy_coef_spec__name": "linear"}, "linear is not a schedule that is known"),
        ({"agent__net__optim_spec__lr": 0}, "0 is not a learning rate"),
        ({"env__max_frame": -5}, "-5 is not a whole number of at least 1"),
        ({"env__max_frame": 0.5}, "0.5 is not a whole number of at least 1"),
        ({"agent__algorithm__gamma": 1e308}, "larger than any number"),
        ({"env__num_envs": 10**400}, "larger than any number"),
        ({"agent__net__hid_layers": [1e308]}, "not a list of widths"),
    ],
)
def test_numbers_that_cannot_be_meant_are_refused(tmp_path: Path, changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(SpecError, match=reason) as caught:
        one(tmp_path, changed(PPO, **changes))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("spec", "key", "target", "value", "reason"),
    [
        (changed(DQN, agent__algorithm__explore_var_spec__start_val=5), "agent.algorithm.explore_var_spec.start_val",
         "algo.exploration.epsilon", 1.0, "5 is beyond what rlkit takes: 1"),
        (changed(PPO, agent__algorithm__lam=None), "agent.algorithm.lam", "algo.gae_lambda", 1.0, "null"),
        (changed(DQN, agent__net__clip_grad=False), "agent.net.clip_grad_val", "algo.max_grad_norm", None, "is false"),
        (changed(DQN, agent__net__clip_grad_val=0), "agent.net.clip_grad_val", "algo.max_grad_norm", None, "0 would"),
        (changed(DQN, agent__memory={"name": "PrioritizedReplay", "alpha": 3}), "agent.memory.alpha",
         "memory.alpha", 1.0, "3 is not accepted here"),
        (changed(DQN, agent__net__optim_spec__eps=0), "agent.net.optim_spec.eps", "algo.optimizer.eps", 1e-8, "0 is"),
        (changed(DQN, agent__algorithm={**SAC, "log_alpha_max": 0.5}), "agent.algorithm.log_alpha_max",
         "algo.alpha_max", 1.64872, "logarithm"),
    ],
)  # fmt: skip
def test_a_number_that_became_another_has_changed(
    tmp_path: Path, spec: dict[str, Any], key: str, target: str, value: float | None, reason: str
) -> None:
    conversion = one(tmp_path, spec)
    assert values(conversion)[target] == value
    assert kinds(conversion)[key] == "changed"
    assert reason in why(conversion, key)


@pytest.mark.parametrize("lr", [1, 1.0, "1e-3", "0.5"])
def test_equal_numbers_are_mapped_however_they_are_written(tmp_path: Path, lr: Any) -> None:
    conversion = one(tmp_path, changed(DQN, agent__net__optim_spec__lr=lr))
    assert kinds(conversion)["agent.net.optim_spec.lr"] == "mapped"
    assert values(conversion)["algo.learning_rate"] == float(lr)


# Workers that share a network


@pytest.mark.parametrize(
    ("envs", "frequency", "iterations", "every", "updates"),
    [(1, 1, 1, 16, 16), (2, 1, 1, 32, 16), (1, 4, 2, 64, 32), (2, 1, None, 32, 32)],
)
def test_workers_made_as_many_updates_a_frame(
    tmp_path: Path, envs: int, frequency: int, iterations: int | None, every: int, updates: int
) -> None:
    """16 workers, each of which learnt at every `max(frequency, envs)` of its own frames."""
    algorithm = {**SAC, "training_frequency": frequency, "training_iter": iterations}
    meta = {"distributed": "synced", "max_session": 16}
    conversion = one(tmp_path, changed(DQN, env__num_envs=envs, agent__algorithm=algorithm, meta=meta))
    found = values(conversion)
    assert (found["num_envs"], found["algo.train_every_frames"], found["algo.gradient_steps"]) == (
        16 * envs,
        every,
        updates,
    )
    assert "learnt for itself" in why(conversion, "agent.algorithm.training_frequency")


def test_frames_of_workers(tmp_path: Path) -> None:
    entropy = {"name": "linear_decay", "start_val": 0.1, "end_val": 0.01, "start_step": 0, "end_step": 50_000}
    algorithm = {"name": "ActorCritic", "gamma": 0.99, "lam": 0.9, "entropy_coef_spec": entropy}
    scheduler = {"name": "LinearToZero", "frame": 400_000}
    spec = changed(PPO, agent__algorithm=algorithm, agent__net__lr_scheduler_spec=scheduler, env__max_frame=400_000)
    spec = old(changed(spec, meta={"distributed": "shared", "max_session": 8}))
    key = "agent.algorithm.entropy_coef_spec.end_step"
    written, as_run = one(tmp_path, spec), one(tmp_path, spec, as_run=True)
    assert values(written)["algo.ent_coef_schedule.end_frames"] == 50_000
    assert values(as_run)["algo.ent_coef_schedule.end_frames"] == 400_000
    assert values(written)["algo.learning_rate_schedule.end_frames"] is None  # the budget
    assert values(as_run)["algo.learning_rate_schedule.end_frames"] == 3_200_000
    assert (kinds(written)[key], kinds(as_run)[key]) == ("changed", "changed")
    assert "--as-run" in why(written, key)
