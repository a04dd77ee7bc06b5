from pathlib import Path

import pytest

from rlkit import compose
from rlkit.errors import ConfigError

# override -> what the message must contain
WRONG = {
    "algo.clpi_coef=0.3": ["unknown key algo.clpi_coef", "did you mean algo.clip_coef", "gae_lambda"],
    "env=cartpol": ["unknown choice env=cartpol", "did you mean env=cartpole", "accepted: acrobot"],
    "algo.learning_rate=fast": ["algo.learning_rate=fast", "a number"],
    "+algo.typo=1": ["unknown key algo.typo", "keys of ppo"],
    "+foo.bar=1": ["unknown key foo"],
    "algo.gamma=1.5": ["algo.gamma=1.5", "at least 0 and at most 1"],
    "algo.gamma=nan": ["algo.gamma=nan", "finite"],
    "algo.gamma=null": ["algo.gamma=null", "a number"],
    "seeds=0": ["seeds=0", "whole number of at least 1"],
    "seeds=true": ["seeds=true", "a whole number"],
    "frames=-5": ["frames=-5", "at least 1"],
    "frames=5.5": ["frames=5.5", "whole number"],
    "frames=inf": ["frames=inf", "whole number"],
    "algo.clip_coef_schedule=linear": ["algo.clip_coef_schedule=linear", "set its keys: kind, end"],
    "algo.clip_coef_schedule.kind=lin": ["algo.clip_coef_schedule.kind=lin", "constant, linear, cosine"],
    "algo.clip_coef_schedule.kind=exponential": ["algo.clip_coef_schedule.kind", "above 0"],
    "algo.optimizer.betas=[0.5]": ["algo.optimizer.betas=[0.5]", "two numbers"],
    "algo.learning_rate_schedule.end=-1": ["algo.learning_rate_schedule.end=-1", "at least 0"],
    "algo=dqn algo.exploration.repeat_exponent=1": ["repeat_exponent=1", "greater than 1"],
    "algo=dqn algo.exploration.repeat_exponent=2 algo.exploration.kind=boltzmann": ["repeat_exponent", "null"],
    "algo=sarsa algo.exploration.repeat_exponent=2": ["repeat_exponent", "null"],
    "algo=dqn algo.exploration.epsilon_schedule.end=5": ["epsilon_schedule.end=5", "at most 1"],
    "algo=dqn net@critic_net=mlp": ["net@critic_net=mlp: dqn has no critic", "null"],
    "algo=crossq net@critic_net=mlp_relu_256": ["crossq needs batch renormalisation", "crossq_critic"],
    "net.noisy=true": ["ppo does not draw that noise", "dqn"],
    "algo=dqn net=sequential net.noisy=true ~tuned": ["net.noisy=True", "mlp, conv and impala"],
    "algo=dqn memory.on_disk=true": ["memory.on_disk=True", "memory.save=false"],
    "algo=dqn net=gru memory.combined=true": ["replays sequences evenly", "memory.combined=false"],
    "algo=sac algo.alpha_schedule.kind=linear": ["algo.alpha=null", "a learnt temperature has none"],
    "algo.optimizer.momentum=1": ["algo.optimizer.momentum=1", "below 1"],
    "net=gru net.width=0": ["net.width=0", "at least 1"],
    "net.hidden=[64,x]": ["net.hidden", "whole number"],
    "net.hidden=[0]": ["net.hidden=[0]", "at least 1"],
    "net.hidden=64": ["net.hidden=64", "a list"],
    "nett=mlp": ["unknown key nett", "did you mean net"],
    "critic_net=mlp": ["net@critic_net=mlp"],
    "critic_net={name:mlp}": ["critic_net is not accepted", "net@critic_net=mlp"],
    "algo=sac ~tuned critic_net={name:conv,shared:false}": ["critic_net is not accepted", "net@critic_net=mlp"],
    "eval=3": ["eval=3", "set its keys"],
    "env=gym": ["env.id=null", "env.id=LunarLander-v3"],
    "algo.gamma=[1": ["cannot read 'algo.gamma=[1'", "key=value"],
    "device=gpu": ["device=gpu", "cuda"],
    "name=../up": ["name=../up", "letters"],
    "checkpoint.keep=1": ["checkpoint.keep=1", "at least 2"],
    "algo=": ["unknown choice algo=", "ppo"],
    "algo=null": ["unknown choice algo=null", "accepted: a2c"],
    "net=null": ["unknown choice net=null", "mlp"],
    "env=3": ["unknown choice env=3", "cartpole"],
    "algo=[ppo,dqn]": ["unknown choice algo=[ppo,dqn]", "ppo"],
    "~algo": ["~algo: a run needs one", "ppo"],
    "~env": ["~env: a run needs one", "cartpole"],
    "tuned=ppo_pendulm": ["unknown choice tuned=ppo_pendulm", "did you mean tuned=ppo_pendulum"],
    "tuned=nothing_like_it": ["unknown choice tuned=nothing_like_it", "accepted: a2c_acrobot"],
    "algo.gamma=${nope:1}": ["algo.gamma=${nope:1} cannot be resolved"],
    "algo.gamma=${algo.gamma}": ["algo.gamma=${algo.gamma} cannot be resolved"],
    "env.kwargs.x=${oc.env:RLKIT_NOT_SET}": ["env.kwargs.x=${oc.env:RLKIT_NOT_SET} cannot be resolved"],
    "upload=${x}": ["upload=${x} cannot be resolved"],
    "net.hidden=[[64]]": ["net.hidden=[[64]] is not accepted", "a list"],
    "net.hidden={0:64}": ["net.hidden={0:64} is not accepted", "a list, each a whole number"],
    "env.kwargs=[1]": ["env.kwargs=[1] is not accepted", "a dictionary"],
    "algo.optimizer.betas=[[0.9],0.999]": ["algo.optimizer.betas=[[0.9],0.999] is not accepted", "a list"],
    "search.metric=3": ["search.metric=3 is not accepted"],
    "net.layer_norm=99": ["net.layer_norm=99 is not accepted", "true or false"],
    "net.layer_norm=yes": ["net.layer_norm=yes is not accepted", "true or false"],
    "algo.optimizer.decay_biases=-1": ["algo.optimizer.decay_biases=-1 is not accepted", "true or false"],
    "deterministic=1": ["deterministic=1 is not accepted", "true or false"],
    "=3": ["cannot read '=3'"],
    "@x=1": ["cannot read '@x=1'"],
    "hydra.run.dir=x": ["RLKIT_RUNS"],
    f"algo.gamma={'1' * 5000}": ["algo.gamma: a number of more than 300 digits"],
    f"{'k' * 3000}=1": ["a key of 3,000 letters"],
    f"env={'e' * 3000}": ["a text of 3,000 letters"],
}


@pytest.mark.parametrize("override", WRONG)
def test_a_wrong_override_is_answered_shortly(override: str):
    with pytest.raises(ConfigError) as raised:
        compose(override.split())
    text = str(raised.value)
    for part in WRONG[override]:
        assert part in text
    assert len(text.splitlines()) <= 12
    for noise in ("Traceback", "ConfigKeyError", "full_key", "object_type", "search path", "schema"):
        assert noise not in text


@pytest.mark.parametrize("word", ["env=nope", "env=zzz", "algo=random_forest"])
def test_nothing_is_proposed_for_a_word_that_resembles_nothing(word: str):
    with pytest.raises(ConfigError, match=f"unknown choice {word}") as raised:
        compose([word])
    assert "did you mean" not in str(raised.value)


@pytest.mark.parametrize("word", ["net@critic_net=null", "~net@critic_net", "tuned=null", "search=null"])
def test_nothing_may_be_chosen_where_nothing_is_a_choice(word: str):
    config = compose([word])
    assert config.critic_net is None
    assert config.search.name == "none"


def test_the_critics_own_network_can_be_taken_away():
    words = ["algo=crossq", "env=pendulum", "~tuned"]
    assert compose(words).critic_net is not None
    told = []
    for away in ("net@critic_net=null", "~net@critic_net"):
        with pytest.raises(ConfigError, match="crossq needs batch renormalisation in its critics") as raised:
            compose([*words, away])
        told.append(str(raised.value))
    assert told[0] == told[1]
    assert compose(["algo=sac", "net@critic_net=null"]) == compose(["algo=sac", "~net@critic_net"])


@pytest.mark.parametrize("name", ["2026_11_26", "1e5", "007", "0x10", "true", "nan", "1.50"])
def test_a_name_stays_as_it_was_written(name: str):
    assert compose([f"name={name}"]).name == name


def test_the_file_that_is_used_is_blamed_and_not_one_of_its_name():
    Path("conf/algo").mkdir(parents=True)
    Path("conf/algo/ppo.yaml").write_text(
        "# @package _global_\ndefaults: [/schema/algo/ppo@algo, _self_]\nalgo: {lr: 3}\n"
    )
    with pytest.raises(ConfigError, match=r"unknown key algo\.lr") as raised:
        compose([])
    assert str(Path.cwd() / "conf" / "algo" / "ppo.yaml") in str(raised.value)


def test_a_misspelled_key_in_a_users_file_names_the_file(tmp_path: Path):
    (tmp_path / "mine" / "algo").mkdir(parents=True)
    file = tmp_path / "mine" / "algo" / "mine.yaml"
    file.write_text("# @package _global_\ndefaults: [ppo, _self_]\nalgo: {clip_coeff: 0.1}\n")
    with pytest.raises(ConfigError) as raised:
        compose(["algo=mine"], config_dir=tmp_path / "mine")
    assert str(file) in str(raised.value)
    assert "did you mean algo.clip_coef" in str(raised.value)


def test_a_file_that_is_no_yaml_is_named_with_its_line(tmp_path: Path):
    (tmp_path / "mine" / "algo").mkdir(parents=True)
    file = tmp_path / "mine" / "algo" / "mine.yaml"
    file.write_text("# @package _global_\nalgo: {gamma: [0.9}\n")
    with pytest.raises(ConfigError, match="is not valid YAML") as raised:
        compose(["algo=mine"], config_dir=tmp_path / "mine")
    assert f"{file}:2" in str(raised.value)


def test_a_choice_missing_in_a_users_file_is_named(tmp_path: Path):
    (tmp_path / "mine" / "algo").mkdir(parents=True)
    (tmp_path / "mine" / "algo" / "mine.yaml").write_text(
        "# @package _global_\ndefaults: [ppo, override /net: mpl, _self_]\n"
    )
    with pytest.raises(ConfigError, match="did you mean net=mlp"):
        compose(["algo=mine"], config_dir=tmp_path / "mine")


def test_tuned_values_for_another_net_say_how_to_drop_them(tmp_path: Path):
    (tmp_path / "conf" / "tuned").mkdir(parents=True)
    (tmp_path / "conf" / "tuned" / "mine.yaml").write_text("# @package _global_\nnet: {cells: 3}\n")
    with pytest.raises(ConfigError, match="add ~tuned"):
        compose(["tuned=mine"])
