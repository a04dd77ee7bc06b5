import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from rlkit import compose
from rlkit.config.run import RunConfig
from rlkit.errors import SpecError
from rlkit.legacy.convert import Conversion, convert
from rlkit.legacy.eras import leaves
from rlkit.legacy.read import read
from tests.legacy.corpus import unwrapped
from tests.legacy.specs import DQN, PPO, changed, old, one, write

EXAMPLES = Path(__file__).parents[2] / "legacy_specs"


def composed(conversion: Conversion, *overrides: str) -> RunConfig:
    """What Hydra makes of the file that was written."""
    assert conversion.path is not None
    return compose([f"+legacy={conversion.choice}", *overrides], config_dir=conversion.path.parents[2])


def values(conversion: Conversion) -> dict[str, Any]:
    """The YAML, as flat keys."""
    return {".".join(path): value for path, value in leaves(yaml.safe_load(conversion.yaml))}


def kinds(conversion: Conversion) -> dict[str, str]:
    return {line.key: line.kind for line in conversion.report.lines}


# Files


def test_a_spec_becomes_a_configuration_that_composes(tmp_path: Path) -> None:
    config: Any = composed(one(tmp_path, DQN))
    assert (config.algo.name, config.memory.name, config.net.name, config.env.id) == (
        "dqn",
        "replay",
        "mlp",
        "CartPole-v1",
    )
    assert (config.frames, config.num_envs, config.seeds, config.algo.gamma) == (2000, 1, 1, 0.98)
    assert (config.algo.batch_size, config.memory.buffer_size, config.algo.tau) == (32, 1000, 0.02)
    assert config.algo.exploration.epsilon_schedule.end == 0.1
    assert (config.algo.gradient_steps, config.algo.learning_starts) == (2, 32)


def test_converting_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    first, second = one(tmp_path, DQN), one(tmp_path, DQN)
    assert first.yaml == second.yaml
    assert not second.replaced
    assert first.report.text() == second.report.text()


def test_what_is_replaced_is_said(tmp_path: Path) -> None:
    one(tmp_path, DQN)
    assert one(tmp_path, changed(DQN, env__max_frame=3000)).replaced


@pytest.mark.parametrize("file", sorted(p.name for p in EXAMPLES.iterdir() if p.suffix in (".json", ".yaml")))
def test_examples_convert_to_what_stands_beside_them(file: str, tmp_path: Path) -> None:
    conversions = convert(EXAMPLES / file, out=tmp_path)
    for conversion in conversions:
        if conversion.path is None:
            continue
        kept = EXAMPLES / conversion.path.relative_to(tmp_path)
        assert conversion.yaml == kept.read_text()
        assert conversion.report.text() == kept.with_suffix(".report.txt").read_text()
        given = {"env.id": "CartPole-v1", "frames": 1000}
        assert composed(conversion, *(f"{key}={given[key]}" for key in conversion.missing)).frames > 0


@pytest.mark.parametrize("file", sorted(p.name for p in EXAMPLES.iterdir() if p.suffix in (".json", ".yaml")))
def test_no_key_disappears_and_no_value_is_unexplained(file: str, tmp_path: Path) -> None:
    source = read(EXAMPLES / file)
    for conversion in convert(EXAMPLES / file, out=tmp_path):
        if conversion.path is None:
            continue
        raw = unwrapped(source.specs[conversion.report.name])
        raw = {**raw, "search": unwrapped(raw["search"])} if "search" in raw else raw
        named = [line.key for line in conversion.report.lines]
        for path, _ in leaves(raw):
            assert named.count(".".join(path)) == 1, path
        said = conversion.report.text()
        for key in values(conversion):
            if not key.startswith(("defaults", "hydra", "search.seeds", "search.pruner")):
                assert key.split("_schedule")[0] in said, key


def test_all_examples_together_cover_the_eras_and_the_algorithms(tmp_path: Path) -> None:
    done = [c for f in EXAMPLES.iterdir() if f.suffix in (".json", ".yaml") for c in convert(f, out=tmp_path)]
    assert {c.report.era for c in done if c.path} == {"v2", "v3", "v4", "v5"}
    assert len([c for c in done if c.path]) >= 12
    assert any(c.report.refusal for c in done)


def test_the_command_line_writes_reports_and_imports_no_torch(tmp_path: Path) -> None:
    write(tmp_path, {"a": DQN, "b": old({**DQN, "agent": DQN["agent"]})})
    code = (
        "import sys; from rlkit.cli.app import dispatch; dispatch(sys.argv[1:]);"
        "bad = {'torch', 'gymnasium', 'optuna', 'matplotlib'} & set(sys.modules); assert not bad, bad"
    )
    command = [sys.executable, "-c", code, "convert", "specs.json", "--report", "all.json"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=dict(os.environ))
    assert done.returncode == 0, done.stderr
    assert "2 of 2 converted" in done.stdout
    assert "rlkit +legacy=specs/a" in done.stdout
    assert (tmp_path / "conf/legacy/specs/b.report.txt").is_file()
    reports = yaml.safe_load((tmp_path / "all.json").read_text())
    assert [report["spec"] for report in reports] == ["a", "b"]


def test_one_spec_by_name(tmp_path: Path) -> None:
    file = write(tmp_path, {"a": DQN, "b": PPO})
    assert [c.report.name for c in convert(file, "b", out=tmp_path)] == ["b"]
    with pytest.raises(SpecError, match="has no spec c"):
        convert(file, "c", out=tmp_path)


# As written, and as run


def test_a_decay_to_zero(tmp_path: Path) -> None:
    assert values(one(tmp_path, PPO))["algo.ent_coef_schedule.kind"] == "linear"
    as_run = one(tmp_path, PPO, as_run=True)
    assert values(as_run)["algo.ent_coef_schedule.kind"] == "constant"
    assert values(as_run)["algo.ent_coef"] == 0.01


def test_rounding_up_to_environments(tmp_path: Path) -> None:
    written, as_run = values(one(tmp_path, PPO)), values(one(tmp_path, PPO, as_run=True))
    assert (written["algo.n_steps"], written["algo.minibatch_size"]) == (30, 50)
    assert (as_run["algo.n_steps"], as_run["algo.minibatch_size"]) == (32, 52)


def test_dqn_of_version_5_was_double(tmp_path: Path) -> None:
    assert values(one(tmp_path, DQN))["algo.double"] is False
    assert values(one(tmp_path, DQN, as_run=True))["algo.double"] is True
    assert values(one(tmp_path, old(DQN), as_run=True))["algo.double"] is False


@pytest.mark.parametrize(
    ("era", "coef", "as_run", "tau", "frozen"),
    [
        ("v5", 0.02, False, 0.02, False),
        ("v2", 0.98, False, 0.02, False),
        ("v2", 0.0, False, 1.0, False),
        ("v4", 0, False, 1.0, False),
        ("v4", 0, True, 1.0, True),
    ],
)
def test_polyak_polarity(tmp_path: Path, era: str, coef: float, as_run: bool, tau: float, frozen: bool) -> None:
    spec = changed(DQN, agent__net__polyak_coef=coef)
    if era == "v2":
        two = {"explore_var_start": 1.0, "explore_var_end": 0.1, "explore_anneal_epi": 10, "name": "DQN", "gamma": 0.9}
        spec = changed(spec, agent__algorithm=two, env={"name": "CartPole-v1", "max_epi": 10})
    conversion = one(tmp_path, spec if era == "v5" else old(spec), as_run=as_run)
    assert conversion.report.era == era
    found = values(conversion)
    assert found["algo.tau"] == pytest.approx(tau)
    assert (found["algo.target_update_every"] > 1e6) is frozen


# What each part becomes


def test_moves_of_the_target_between_two_trainings_are_put_in_one(tmp_path: Path) -> None:
    found = values(one(tmp_path, changed(DQN, agent__algorithm__training_frequency=8)))
    assert found["algo.tau"] == pytest.approx(1 - 0.98**8)
    assert found["algo.target_update_every"] == found["algo.gradient_steps"] == 2


def test_sac_moves_its_targets_after_every_update(tmp_path: Path) -> None:
    sac = changed(DQN, env__num_envs=4, agent__algorithm={"name": "SoftActorCritic", "gamma": 0.99})
    found = values(one(tmp_path, sac))
    assert (found["algo.gradient_steps"], found["algo.train_every_frames"]) == (4, 4)
    assert (found["algo.target_update_every"], found["algo.tau"]) == (1, 0.02)


def test_frames_between_targets_become_updates(tmp_path: Path) -> None:
    spec = changed(
        DQN,
        env__num_envs=4,
        agent__algorithm__training_batch_iter=2,
        agent__net__update_type="replace",
        agent__net__update_frequency=80,
    )
    found = values(one(tmp_path, spec))
    # 4 environments are 4 frames a step, on which 2 x 2 updates follow: as many updates as frames
    assert (found["algo.train_every_frames"], found["algo.gradient_steps"]) == (4, 4)
    assert found["algo.target_update_every"] == 80


def test_old_names_of_environments(tmp_path: Path) -> None:
    conversion = one(tmp_path, old(changed(DQN, env__name="CartPole-v0")))
    assert values(conversion)["env.id"] == "CartPole-v1"
    assert values(conversion)["env.max_episode_steps"] == 200
    assert kinds(conversion)["env.name"] == "changed"
    atari = changed(
        DQN, env__name="PongNoFrameskip-v4", env__reward_scale="sign", agent__net={"type": "ConvNet", "gpu": True}
    )
    found = values(one(tmp_path, old(atari)))
    assert found["env.id"] == "ALE/Pong-v5"
    assert found["env.atari.sticky"] == 0
    assert found["env.sign_reward"] is True


def test_an_environment_that_has_gone_is_left_open_and_refused_when_strict(tmp_path: Path) -> None:
    spec = old(changed(DQN, env__name="gridworld"))
    conversion = one(tmp_path, spec)
    assert kinds(conversion)["env.name"] == "refused"
    assert conversion.missing == ["env.id"]
    assert composed(conversion, "env.id=CartPole-v1").env.today == "CartPole-v1"
    with pytest.raises(SpecError, match="Unity"):
        one(tmp_path, spec, strict=True)


def test_normalised_rewards_are_clipped_as_then(tmp_path: Path) -> None:
    found = values(one(tmp_path, changed(PPO, env__normalize_reward=True, env__normalize_obs=True, env__clip_obs=5)))
    assert (found["env.normalize_reward"], found["env.clip_reward"], found["env.clip_obs"]) == (True, 10.0, 5)


def test_bullet_has_a_package_of_its_own(tmp_path: Path) -> None:
    found = values(one(tmp_path, old(changed(PPO, env__name="HalfCheetahBulletEnv-v0"))))
    assert found["env.id"] == "pybullet_envs_gymnasium:HalfCheetahBulletEnv-v0"


def test_a_budget_in_episodes_is_estimated(tmp_path: Path) -> None:
    spec = changed(DQN, env={"name": "MountainCar-v0", "max_tick": 50}, meta__max_tick_unit="epi")
    conversion = one(tmp_path, old(changed(spec, agent__algorithm__training_iter=...)))
    assert values(conversion)["frames"] == 50 * 200
    assert kinds(conversion)["env.max_tick"] == "changed"


def test_workers_become_environments(tmp_path: Path) -> None:
    found = values(one(tmp_path, changed(PPO, meta__distributed="shared", meta__max_session=8)))
    assert (found["num_envs"], found["seeds"]) == (32, 1)


def test_a_graph_becomes_a_list_of_layers(tmp_path: Path) -> None:
    layers = [{"LazyLinear": {"out_features": 8}}, {"LayerNorm": {"normalized_shape": [8]}}, {"SiLU": None}]
    arc = {
        "modules": {"body": {"Sequential": layers}},
        "graph": {"input": "x", "modules": {"body": ["x"]}, "output": "body"},
    }
    net = {"type": "TorchArcNet", "shared": False, "actor_arc": arc, "critic_arc": arc}
    config: Any = composed(one(tmp_path, changed(PPO, agent__net=net)))
    assert [layer.type for layer in config.net.layers] == ["linear", "layer_norm", "activation"]
    assert config.critic_net.layers[2].function == "silu"
    fork = {
        "modules": {"a": arc["modules"]["body"], "b": arc["modules"]["body"]},
        "graph": {"input": "x", "modules": {"a": ["x"], "b": ["x"]}, "output": ["a", "b"]},
    }
    with pytest.raises(SpecError, match="branches"):
        one(tmp_path, changed(PPO, agent__net={"type": "TorchArcNet", "arc": fork}))


def test_convolutions(tmp_path: Path) -> None:
    plain = {"type": "ConvNet", "conv_hid_layers": [[8, 8, 4, 0, 1], [16, [4, 4], 2, 0, 1]], "fc_hid_layers": [32]}
    pong = changed(DQN, env__name="ALE/Pong-v5")
    config: Any = composed(one(tmp_path, changed(pong, agent__net=plain)))
    assert (config.net.channels, config.net.kernels, config.net.strides, config.net.hidden) == (
        [8, 16],
        [8, 4],
        [4, 2],
        [32],
    )
    padded = {**plain, "conv_hid_layers": [[8, 8, 4, 1, 1]]}
    config = composed(one(tmp_path, changed(pong, agent__net=padded)))
    assert config.net.layers[0].padding == 1


def test_recurrent_nets_where_the_algorithm_can(tmp_path: Path) -> None:
    net = {"type": "RecurrentNet", "cell_type": "LSTM", "rnn_hidden_size": 24, "fc_hid_layers": [8], "seq_len": 5}
    config: Any = composed(one(tmp_path, changed(PPO, agent__net=net)))
    assert (config.net.cell, config.net.width, config.net.sequence_length) == ("lstm", 24, 5)
    sac = {"name": "SoftActorCritic", "gamma": 0.99}
    config = composed(one(tmp_path, changed(DQN, agent__net=net, agent__algorithm=sac)))
    assert (config.net.name, config.net.hidden, config.env.frame_stack) == ("mlp", [8, 24], 5)


@pytest.mark.parametrize("as_run", [False, True])
def test_recurrent_nets_replay_without_the_newest(tmp_path: Path, as_run: bool) -> None:
    net = {"type": "RecurrentNet", "cell_type": "GRU", "rnn_hidden_size": 24, "fc_hid_layers": [8], "seq_len": 5}
    spec = changed(DQN, agent__net=net, agent__memory__use_cer=True)
    config: Any = composed(one(tmp_path, old(spec), as_run=as_run))
    assert (config.net.name, config.memory.combined) == ("recurrent", False)
    config = composed(one(tmp_path, spec, as_run=as_run))
    assert (config.net.name, config.memory.combined) == (("mlp", True) if as_run else ("recurrent", False))


@pytest.mark.parametrize(
    ("scheduler", "kind"),
    [
        ({"name": "LinearToZero", "frame": 1500}, "linear"),
        ({"name": "LinearToMin", "frame": 1500, "min_factor": 0.1}, "linear"),
        ({"name": "StepLR", "step_size": 1000, "gamma": 0.5}, "piecewise"),
        ({"name": "StepLR", "step_size": 10, "gamma": 0.99}, "exponential"),
        ({"name": "MultiStepLR", "milestones": [500, 900], "gamma": 0.1}, "piecewise"),
        ({"name": "CosineAnnealingLR", "T_max": 800}, "cosine"),
        ({"name": "CyclicLR", "base_lr": 1}, "constant"),
    ],
)
def test_schedules_of_the_learning_rate(tmp_path: Path, scheduler: dict[str, Any], kind: str) -> None:
    found = values(one(tmp_path, old(changed(DQN, agent__net__lr_scheduler_spec=scheduler))))
    assert found["algo.learning_rate_schedule.kind"] == kind


@pytest.mark.parametrize(
    ("name", "today"),
    [("Lookahead", "adamw"), ("RAdam", "adamw"), ("GlobalAdam", "adam"), ("RMSprop", "rmsprop"), ("SGD", "sgd")],
)
def test_optimisers(tmp_path: Path, name: str, today: str) -> None:
    found = values(one(tmp_path, changed(DQN, agent__net__optim_spec={"name": name, "lr": "3e-4"})))
    assert found["algo.learning_rate"] == 3e-4
    assert found["algo.optimizer.name"] == today


@pytest.mark.parametrize(
    ("algorithm", "memory", "algo"),
    [
        ({"name": "Reinforce", "training_frequency": 2}, "OnPolicyReplay", "reinforce"),
        ({"name": "SARSA", "training_frequency": 8}, "OnPolicyBatchReplay", "sarsa"),
        ({"name": "VanillaDQN"}, "Replay", "dqn"),
        ({"name": "DoubleDQN"}, "PrioritizedReplay", "ddqn_per"),
        ({"name": "ActorCritic", "num_step_returns": 6}, "OnPolicyBatchReplay", "a2c"),
        (
            {"name": "SIL", "lam": 0.9, "training_frequency": 8, "sil_policy_loss_coef": 1.0},
            "OnPolicyReplay",
            "a2c_sil",
        ),
        ({"name": "PPOSIL", "time_horizon": 16, "minibatch_size": 8}, "OnPolicyBatchReplay", "ppo_sil"),
        ({"name": "SoftActorCritic", "action_pdtype": "GumbelSoftmax"}, "Replay", "sac"),
        ({"name": "Random"}, "OnPolicyReplay", "random"),
    ],
)
def test_algorithms(tmp_path: Path, algorithm: dict[str, Any], memory: str, algo: str) -> None:
    spec = changed(DQN, agent__algorithm=algorithm, agent__memory={"name": memory, "batch_size": 8, "max_size": 100})
    for form in (spec, old(spec)):
        assert f"override /algo: {algo}\n" in one(tmp_path, form).yaml


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ({**DQN, "agent": [DQN["agent"], DQN["agent"]]}, "2 agents"),
        ({**DQN, "body": {"product": "outer", "num": 12}}, "12 bodies"),
        (changed(DQN, agent__algorithm__name="HydraDQN"), "several tasks"),
        (changed(DQN, agent__net={"type": "HydraMLPNet"}), "several inputs"),
        (changed(DQN, agent__algorithm__name="Muzero"), "not an algorithm"),
        (changed(DQN, agent__algorithm__gamma="high"), "not a number"),
        (changed(DQN, env__name=...), "no environment"),
        (changed(DQN, env__name="os:system-v0"), "not an id"),
        (changed(DQN, agent__net__optim_spec__name="Adagrad"), "not an optimiser"),
    ],
)
def test_refusals_are_one_line_with_file_spec_key_and_reason(tmp_path: Path, spec: dict[str, Any], reason: str) -> None:
    with pytest.raises(SpecError) as caught:
        one(tmp_path, spec)
    text = str(caught.value)
    assert "\n" not in text
    assert text.startswith("specs.json: it: ")
    assert reason in text
    assert not (tmp_path / "conf").exists()


def test_unknown_keys_are_listed_and_refused_when_strict(tmp_path: Path) -> None:
    spec = changed(DQN, agent__algorithm__gama=0.9, meta__colour="red")
    conversion = one(tmp_path, spec)
    assert kinds(conversion)["agent.algorithm.gama"] == "dropped"
    assert kinds(conversion)["meta.colour"] == "dropped"
    with pytest.raises(SpecError, match="unknown key"):
        one(tmp_path, spec, strict=True)


def test_run_time_keys_of_saved_specs_are_stripped(tmp_path: Path) -> None:
    saved = {**changed(DQN, meta__random_seed=5, meta__git_sha="abc", agent__net__cuda_id=1), "name": "my_run"}
    file = write(tmp_path, saved, "my_run_t0_spec.json")
    conversion = convert(file, out=tmp_path)[0]
    assert conversion.report.name == "my_run"
    assert {kinds(conversion)[k] for k in ("name", "meta.random_seed", "agent.net.cuda_id")} == {"dropped"}
