"""Spaces are read from Hydra's words, and refused where they are wrong."""

import re

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from rlkit.errors import ConfigError
from rlkit.search.space import read


def test_each_word_of_hydras_becomes_its_distribution():
    space = read(
        [
            "algo.learning_rate=tag(log,interval(1e-5,1e-2))",
            "algo.gamma=interval(0.9,0.99)",
            "algo.epochs=int(interval(1,10))",
            "num_envs=choice(4,8)",
            "algo.n_steps=range(8,33,8)",
            "net.hidden=[32,32],[64,64]",
        ]
    )
    assert space.distributions == {
        "algo.learning_rate": FloatDistribution(1e-5, 1e-2, log=True),
        "algo.gamma": FloatDistribution(0.9, 0.99),
        "algo.epochs": IntDistribution(1, 10),
        "num_envs": CategoricalDistribution((4, 8)),
        "algo.n_steps": IntDistribution(8, 32, step=8),
        "net.hidden": CategoricalDistribution(("[32,32]", "[64,64]")),
    }
    assert space.sample()["algo.gamma"] == pytest.approx(0.945)
    assert space.sample()["algo.learning_rate"] == pytest.approx(10**-3.5)


def test_whole_numbers_stay_whole_where_the_configuration_has_them():
    space = read(["algo.epochs=interval(1,10)", "algo.gamma=interval(0,1)", "frames=tag(log,interval(10,1000))"])
    now = {"algo.epochs": 4, "algo.gamma": 0.99, "frames": 100}
    assert space.typed(now.get).distributions == {
        "algo.epochs": IntDistribution(1, 10),
        "algo.gamma": FloatDistribution(0.0, 1.0),
        "frames": IntDistribution(10, 1000, log=True),
    }


def test_a_later_entry_takes_the_place_of_an_earlier_one():
    space = read(["algo.gamma=interval(0.9,0.99)", "algo.epochs=1,2", "algo.gamma=0.95", "frames=10", "frames=20"])
    assert set(space.distributions) == {"algo.epochs"}
    assert space.fixed == ["algo.gamma=0.95", "frames=20"]
    back = read(["algo.gamma=0.95", "algo.gamma=interval(0.9,0.99)"])
    assert set(back.distributions) == {"algo.gamma"}
    assert back.fixed == []


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        ([], "nothing to search"),
        (["algo.gamma=0.9"], "nothing to search"),
        (["algo.gamma=interval(0.99,0.9)"], "low <= high"),
        (["algo.gamma=interval(0.9,0.9)"], "holds one number"),
        (["algo.learning_rate=tag(log,interval(0,1e-2))"], "low > 0"),
        (["algo.epochs=range(5,5)"], "at least one value"),
        (["algo.epochs=range(5"], "cannot be read"),
        (["seed=0,1", "algo.epochs=1,2"], "search.seeds=3"),
        (["seed=5", "algo.epochs=1,2"], "search.seeds=3"),
        (["algo=ppo,a2c"], "compares trials of one algo"),
        (["search.trials=1,2"], "search.trials says how trials are run"),
        (["name=na,nb"], "name says how trials are run"),
        (["eval.episodes=1,2"], "it is no hyper-parameter"),
        (["++checkpoint.every_frames=1,2"], "it is no hyper-parameter"),
        (["device=cpu,auto"], "give it one value"),
        (["threads=interval(1,2)"], "give it one value"),
        (["hydra/launcher=local,slurm"], "it is no hyper-parameter"),
        (["net=glob(mlp*)"], "only a plain sweep takes a glob\n  list the choices: net=a,b"),
        (["algo.target_kl=choice(null,0.01)"], "null stands in a list without choice(): key=null,0.01"),
    ],
)
def test_a_wrong_space_is_refused_with_the_remedy(entries: list[str], said: str):
    with pytest.raises(ConfigError, match=re.escape(said)):
        read(entries)


@pytest.mark.parametrize(
    ("entry", "choices"),
    [
        ("algo.gamma=0.9,0.9,0.99", (0.9, 0.99)),
        ("algo.gamma=choice(1e-3,0.001,2)", (0.001, 2)),
        ("algo.x=1,1.0,true", (1, True)),
        ("net.hidden=[64,64],[64, 64],[8]", ("[64,64]", "[8]")),
        ("algo.x=null,null,'null'", ("null", "'null'")),
    ],
)
def test_a_value_given_twice_counts_once(entry: str, choices: tuple[object, ...]):
    (distribution,) = read([entry]).distributions.values()
    assert distribution == CategoricalDistribution(choices)


def test_a_grid_is_the_product_of_lists_and_refuses_intervals():
    assert read(["a=1,2", "b=range(0,3)"]).grid() == {"a": (1, 2), "b": [0, 1, 2]}
    with pytest.raises(ConfigError, match="a list or a range"):
        read(["a=interval(0.0,1.0)"]).grid()
