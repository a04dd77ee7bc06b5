from pathlib import Path
from typing import Any

import pytest
import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser

from rlkit.errors import SpecError
from rlkit.legacy.convert import Conversion
from rlkit.legacy.search import Sweep, sweeper_entries
from rlkit.search.space import read as read_space
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


# What a sweep cannot do


RECURRENT = {"type": "RecurrentNet", "cell_type": "LSTM", "rnn_hidden_size": 24, "seq_len": 5}


def step_lr(step_size: int) -> dict[str, Any]:
    scheduler = {"name": "StepLR", "step_size": step_size, "gamma": 0.5}
    return old(changed(DQN, env__max_frame=30_000, agent__net__lr_scheduler_spec=scheduler))


@pytest.mark.parametrize(
    ("spec", "key", "given", "reason"),
    [
        (DQN, "agent.algorithm.name__choice", ["DQN", "DoubleDQN"], "algo=ddqn instead of algo=dqn"),
        (DQN, "agent.memory.name__choice", ["Replay", "PrioritizedReplay"], "memory=prioritized instead"),
        (DQN, "agent.net.type__choice", ["MLPNet", "RecurrentNet"], "net=gru instead of net=mlp"),
        (DQN, "env.name__choice", ["CartPole-v1", "PongNoFrameskip-v4"], "env=atari instead of env=gym"),
        (step_lr(2000), "agent.net.lr_scheduler_spec.step_size__choice", [1000, 2000], "some of the values only"),
        (PPO, "agent.algorithm.entropy_coef_spec.name__choice", ["no_decay", "linear_decay"], "some of the values"),
        (PPO, "agent.algorithm.lam__uniform", [0.9, 1.5], "cannot start: algo.gae_lambda=1.5"),
        (DQN, "agent.net.optim_spec.lr__uniform", [0, 0.1], "0 is not a learning rate"),
        (DQN, "agent.algorithm.gamma__uniform", [0, 10**400], "not the numbers"),
        (DQN, "meta.max_session__choice", [1, 2], "search.seeds"),
    ],
)
def test_a_dimension_whose_trials_could_not_start_is_dropped(
    tmp_path: Path, spec: dict[str, Any], key: str, given: Any, reason: str
) -> None:
    conversion = one(tmp_path, {**spec, "search": {key: given}})
    line = next(line for line in conversion.report.lines if line.key == f"search.{key}")
    assert (line.kind, "hydra" in yaml.safe_load(conversion.yaml)) == ("dropped", False)
    assert reason in line.why


def test_values_of_another_group_are_left_out(tmp_path: Path) -> None:
    spec = {**changed(PPO, agent__net=RECURRENT), "search": {"agent.net.rnn_hidden_size__choice": [8, 16]}}
    assert sweeper(one(tmp_path, spec))["params"] == {"net.width": "choice(8,16)"}
    spec = old(changed(PPO, env__name="${env}"))
    spec["spec_params"] = {"env": ["Pendulum-v0", "PongNoFrameskip-v4", "RoboschoolHopper-v1"]}
    conversion = one(tmp_path, spec)
    assert sweeper(conversion)["params"] == {"env.id": "choice(Pendulum-v1,Hopper-v5)"}
    assert "env=atari instead" in next(x.why for x in conversion.report.lines if x.key == "spec_params.env")


def test_groups_with_the_same_keys_are_swept(tmp_path: Path) -> None:
    spec = {**changed(PPO, agent__net=RECURRENT), "search": {"agent.net.cell_type__choice": ["GRU", "LSTM", "RNN"]}}
    conversion = one(tmp_path, spec)
    assert sweeper(conversion)["params"] == {"net": "choice(gru,lstm)"}
    config: Any = composed(conversion, "net=gru")
    assert (config.net.cell, config.net.width) == ("gru", 24)


def test_null_is_among_the_choices(tmp_path: Path) -> None:
    conversion = one(tmp_path, {**DQN, "search": {"agent.net.clip_grad_val__choice": [None, 0.5]}})
    assert sweeper(conversion)["params"] == {"algo.max_grad_norm": "null,0.5"}


def test_a_flag_that_is_off_in_the_spec_is_swept(tmp_path: Path) -> None:
    spec = old(changed(DQN, env__normalize_state=False))
    conversion = one(tmp_path, {**spec, "search": {"env": [{"normalize_state__choice": [True, False]}]}})
    assert sweeper(conversion)["params"] == {"env.normalize_obs": "choice(true,false)"}


def test_the_key_that_all_values_have_is_swept(tmp_path: Path) -> None:
    spec = changed(PPO, agent__algorithm={"name": "ActorCritic", "num_step_returns": 5, "training_frequency": 5})
    conversion = one(tmp_path, {**spec, "search": {"agent.algorithm.lam__uniform": [0.5, 1.0]}})
    assert sweeper(conversion)["params"] == {"algo.gae_lambda": "interval(0.5,1.0)", "algo.returns": "choice(gae)"}


@pytest.mark.parametrize(
    ("key", "given", "target", "swept"),
    [
        ("explore_anneal_epi", [10, 20], "algo.exploration.epsilon_schedule.end_frames", "choice(5000,10000)"),
        ("explore_var_start", [0.5, 1.0], "algo.exploration.epsilon", "choice(0.5,1.0)"),
        ("action_policy_update", ["linear_decay", "rate_decay"], "algo.exploration.epsilon_schedule.kind", None),
    ],
)
def test_schedules_of_version_2_are_searched(
    tmp_path: Path, key: str, given: list[Any], target: str, swept: str | None
) -> None:
    two = {"action_policy_update": "linear_decay", "explore_var_start": 1.0, "explore_var_end": 0.1}
    algorithm = {"name": "DQN", "gamma": 0.9, "explore_anneal_epi": 10, **two}
    spec = old(changed(DQN, agent__algorithm=algorithm, env={"name": "CartPole-v1", "max_epi": 10}))
    conversion = one(tmp_path, {**spec, "search": {"agent": [{"algorithm": {f"{key}__choice": given}}]}})
    assert conversion.report.era == "v2"
    assert sweeper(conversion)["params"] == {target: swept or "choice(linear,exponential)"}


def test_coefficients_of_versions_1_and_2_are_searched(tmp_path: Path) -> None:
    ppo = {"name": "PPO", "gamma": 0.9, "lam": 0.9, "clip_eps": 0.2, "entropy_coef": 0.01, "training_frequency": 50}
    spec = old(changed(PPO, agent__algorithm=ppo, env={"name": "CartPole-v1", "max_epi": 10}))
    search = {"agent": [{"algorithm": {"clip_eps__uniform": [0.1, 0.3], "entropy_coef__uniform": [0.01, 0.1]}}]}
    conversion = one(tmp_path, {**spec, "search": search})
    assert conversion.report.era == "v2"
    found = {"algo.clip_coef": "interval(0.1,0.3)", "algo.ent_coef": "interval(0.01,0.1)"}
    assert sweeper(conversion)["params"] == found
    a2c = {"name": "ActorCritic", "gamma": 0.9, "use_GAE": True, "lamda": 0.9, "entropy_weight": 0.01}
    spec = changed(spec["agent"][0], algorithm=a2c)
    search = {"agent": [{"algorithm": {"entropy_weight__uniform": [0.01, 0.1]}}]}
    conversion = one(tmp_path, {**old(PPO), "agent": [spec], "env": [{"name": "CartPole-v1"}], "search": search})
    assert conversion.report.era == "v1"
    assert sweeper(conversion)["params"] == {"algo.ent_coef": "interval(0.01,0.1)"}


def test_every_dimension_has_a_line_and_strict_refuses_lost_ones(tmp_path: Path) -> None:
    block = {"algorithm": {"gamma__uniform": [0.9, 0.99]}}
    spec = {**old(DQN), "search": {"agent": [block, block], "env": []}}
    conversion = one(tmp_path, spec)
    assert kinds(conversion)["search.agent.1.algorithm.gamma__uniform"] == "dropped"
    assert sweeper(conversion)["params"] == {"algo.gamma": "interval(0.9,0.99)"}
    with pytest.raises(SpecError, match="another agent"):
        one(tmp_path, spec, strict=True)
    with pytest.raises(SpecError, match="nothing reads it"):
        one(tmp_path, {**DQN, "search": {"agent.algorithm.gama__choice": [0.9, 0.99]}}, strict=True)
    one(tmp_path, {**DQN, "search": {"agent.net": {}, "agent.algorithm.gamma__choice": [0.9, 0.99]}}, strict=True)


@pytest.mark.parametrize("end", [0, -1])
def test_the_ends_of_a_converted_search_start(tmp_path: Path, end: int) -> None:
    """From the file, as a trial of the search would be: rlkit's own sweeper reads the space, and Hydra composes it."""
    spec = changed(PPO, agent__net__clip_grad_val=0.5)
    spec["search"] = {
        "agent.algorithm.gamma__uniform": [0.9, 0.99],
        "agent.algorithm.minibatch_size__choice": [20, 40],
        "agent.net.hid_layers__choice": [[8], [8, 8]],
        "agent.net.clip_grad_val__choice": [None, 0.5],
        "agent.memory.name__choice": ["OnPolicyReplay", "Replay"],
    }
    conversion = one(tmp_path, spec)
    params = sweeper(conversion)["params"]
    space = read_space([f"{key}={text}" for key, text in params.items()])
    ends = {key: (d.choices[end] if hasattr(d, "choices") else d.low) for key, d in space.distributions.items()}
    config: Any = composed(conversion, *space.overrides(ends))
    assert config.algo.gamma == 0.9
    assert config.net.hidden == [[8], [8, 8]][end]
    assert config.algo.minibatch_size == [20, 40][end]
    assert config.algo.max_grad_norm == [None, 0.5][end]
