from pathlib import Path
from typing import Any

import pytest
import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser

from rlkit.errors import SpecError
from rlkit.legacy.convert import Conversion
from rlkit.legacy.search import Sweep, sweeper_entries
from tests.legacy.specs import DQN, PPO, changed, old, one
from tests.legacy.test_convert import composed, kinds, values


def sweeper(conversion: Conversion) -> dict[str, Any]:
    """What stands under hydra.sweeper, its params checked against Hydra's grammar."""
    found: dict[str, Any] = yaml.safe_load(conversion.yaml)["hydra"]["sweeper"]
    parsed = OverridesParser.create().parse_overrides([f"{key}={text}" for key, text in found["params"].items()])
    assert all(override.is_sweep_override() for override in parsed)
    return found


def searched(tmp_path: Path, spec: dict[str, Any], **dimensions: Any) -> Conversion:
    return one(tmp_path, {**spec, "search": {key.replace("/", "."): value for key, value in dimensions.items()}})


def test_distributions(tmp_path: Path) -> None:
    block = {
        "agent.algorithm.gamma__uniform": [0.9, 0.99],
        "agent.net.optim_spec.lr__loguniform": [1e-4, 1e-2],
        "agent.net.hid_layers__choice": [[32], [64, 32]],
        "agent.memory.use_cer__choice": [True, False],
        "agent.memory.batch_size__qrandint": [32, 128, 32],
        "agent.algorithm.training_start_step__randint": [1, 5],
        "agent.memory.max_size__randint": [1000, 100_000],
        "agent.net.clip_grad_val__quniform": [0.5, 1.5, 0.5],
        "agent.net.polyak_coef__choice": [0.01, 0.02],
    }
    conversion = one(tmp_path, {**DQN, "search": block})
    found = sweeper(conversion)
    assert found["params"] == {
        "algo.gamma": "interval(0.9,0.99)",
        "algo.learning_rate": "tag(log,interval(0.0001,0.01))",
        "net.hidden": "choice([32],[64,32])",
        "memory.combined": "choice(true,false)",
        "algo.batch_size": "choice(32,64,96,128)",  # upper end included
        "algo.learning_starts": "choice(1,2,3,4)",  # upper end excluded
        "memory.buffer_size": "interval(1000,99999)",
        "algo.max_grad_norm": "choice(0.5,1,1.5)",
        "algo.tau": "choice(0.01,0.02)",
    }
    assert "override /hydra/sweeper: rlkit" in conversion.yaml
    assert composed(conversion).search.trials == 6
    assert composed(conversion).algo.name == "dqn"


def test_units_are_those_of_the_mapping(tmp_path: Path) -> None:
    spec = changed(DQN, env__num_envs=4, agent__net__update_type="replace", agent__net__update_frequency=40)
    conversion = one(tmp_path, {**spec, "search": {"agent.net.update_frequency__choice": [40, 80]}})
    assert sweeper(conversion)["params"] == {"algo.target_update_every": "choice(20,40)"}  # 2 updates for 4 frames


def test_keys_that_follow(tmp_path: Path) -> None:
    algorithm = {"name": "ActorCritic", "lam": None, "num_step_returns": 5, "training_frequency": 5}
    spec = changed(PPO, agent__algorithm=algorithm)
    conversion = one(tmp_path, {**spec, "search": {"agent": {"algorithm": {"num_step_returns__choice": [3, 5, 10]}}}})
    assert sweeper(conversion)["params"] == {"algo.nstep": "choice(3,5,10)"}
    assert values(conversion)["algo.n_steps"] == "${algo.nstep}"
    config: Any = composed(conversion, "algo.nstep=10")
    assert config.algo.n_steps == 10
    lam = one(tmp_path, {**changed(spec, agent__algorithm__num_step_returns=None),
                         "search": {"agent.algorithm.lam__uniform": [0.5, 1.0]}})  # fmt: skip
    assert sweeper(lam)["params"] == {"algo.gae_lambda": "interval(0.5,1.0)", "algo.returns": "choice(gae)"}


def test_a_grid_is_hydras_own_product(tmp_path: Path) -> None:
    spec = old(DQN)
    spec["search"] = {
        "agent": [{"algorithm": {"gamma__grid_search": [0.9, 0.99]}}],
        "env": [{"num_envs__grid_search": [1, 2]}],
    }
    found = sweeper(one(tmp_path, spec))
    assert found == {"params": {"algo.gamma": "choice(0.9,0.99)", "num_envs": "choice(1,2)"}}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("agent.net.lr_decay_frequency__choice", [1, 2]),
        ("agent.agent.training_batch_iter__randint", [1, 5]),
        ("agent.memory.max_size_choice", [100, 200]),
        ("agent.algorithm.gamma__fancy", [0, 1]),
        ("agent.algorithm.gamma__uniform", [1]),
        ("agent.algorithm.gamma__choice", list(range(1000))),
        ("agent.net", {}),
        ("agent.algorithm.gamma__choice", ["${oc.env:HOME}"]),
    ],
)
def test_dead_and_malformed_dimensions_are_dropped_with_a_reason(tmp_path: Path, key: str, value: Any) -> None:
    conversion = one(tmp_path, {**DQN, "search": {key: value}})
    assert kinds(conversion)[f"search.{key}"] == "dropped"
    assert all(line.why for line in conversion.report.of("dropped"))
    assert "hydra" not in yaml.safe_load(conversion.yaml)


def test_a_scheduler_waits_for_a_search_that_prunes(tmp_path: Path) -> None:
    spec = changed(DQN, meta__search_scheduler={"grace_period": 500, "reduction_factor": 3})
    spec["search"] = {"agent.algorithm.gamma__uniform": [0.9, 0.99]}
    conversion = one(tmp_path, spec)
    assert "meta.search_scheduler.grace_period" in kinds(conversion)
    assert sweeper(conversion)["params"]


def test_sweeper_entries_of_nothing() -> None:
    assert sweeper_entries(Sweep(), 5, {}) == ({}, {})


def test_spec_params_become_a_multirun(tmp_path: Path) -> None:
    spec = old(changed(PPO, env__name="${env}"))
    spec["spec_params"] = {"env": ["Pendulum-v0", "gridworld", "RoboschoolHopper-v1"]}
    conversion = one(tmp_path, spec)
    assert sweeper(conversion)["params"] == {"env.id": "choice(Pendulum-v1,Hopper-v5)"}
    assert composed(conversion).env.id == "Pendulum-v1"
    assert composed(conversion, "env.id=Hopper-v5").env.today == "Hopper-v5"
    line = next(x for x in conversion.report.lines if x.key == "spec_params.env")
    assert "gridworld has no successor" in line.why


def test_games_of_spec_params_are_not_overruled_by_a_file_of_one_game(tmp_path: Path) -> None:
    spec = old(changed(DQN, env__name="${env}", agent__net={"type": "ConvNet"}))
    spec["spec_params"] = {"env": ["PongNoFrameskip-v4", "BreakoutNoFrameskip-v4"]}
    conversion = one(tmp_path, spec)
    assert sweeper(conversion)["params"] == {"env.id": "choice(ALE/Pong-v5,ALE/Breakout-v5)"}
    assert composed(conversion, "env.id=ALE/Breakout-v5").env.atari_game == "Breakout"


def test_templates_are_open_or_filled(tmp_path: Path) -> None:
    spec = changed(PPO, env__name="${env}", env__max_frame="${max_frame}")
    conversion = one(tmp_path, spec)
    assert conversion.missing == ["env.id", "frames"]
    assert composed(conversion, "env.id=Pendulum-v1", "frames=500").frames == 500
    filled = one(tmp_path, spec, variables={"env": "Pendulum-v0", "max_frame": "2e3"})
    assert not filled.missing
    assert (values(filled)["env.id"], values(filled)["frames"]) == ("Pendulum-v1", 2000)
    with pytest.raises(SpecError, match=r"it has \$\{env\}, \$\{max_frame\}"):
        one(tmp_path, spec, variables={"game": "x"})
    with pytest.raises(SpecError, match="--set g="):
        one(tmp_path, changed(spec, agent__algorithm__gamma="${g}"))
