"""Each sampler proposes points of a mixed space, and other ones when a study goes on."""

import optuna
import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra

from rlkit.config import schema
from rlkit.search.space import read
from rlkit.search.sweep import make_sampler

SPACE = read(["algo.learning_rate=tag(log,interval(1e-5,1e-2))", "algo.gamma=interval(0.9,0.99)", "algo.epochs=1,2,4"])


def sampler(name: str, tmp_path, trials_before: int = 0):
    schema.register()
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(schema.conf_dir())):
        words = ["search=asha", f"hydra/sweeper/sampler={name}"]
        node = compose("config", words, return_hydra_config=True).hydra.sweeper.sampler
    url = f"journal:{tmp_path / 'study.journal'}"
    if trials_before:
        from rlkit.search import study as record

        study = optuna.create_study(storage=record.open_storage(url), study_name=record.STUDY)
        for _ in range(trials_before):
            study.tell(study.ask(), 0.0)
    return make_sampler(node, url)


def points(which, count: int) -> list[tuple[object, ...]]:
    study = optuna.create_study(sampler=which)
    drawn = []
    for _ in range(count):
        trial = study.ask()
        SPACE.suggest(trial)
        study.tell(trial, trial.params["algo.gamma"])
        drawn.append(tuple(trial.params.values()))
    return drawn


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning", "ignore:.*:UserWarning")
@pytest.mark.parametrize("name", ["tpe", "random", "cmaes", "gp", "qmc", "nsgaii"])
def test_each_sampler_draws_from_the_space(name: str, tmp_path):
    drawn = points(sampler(name, tmp_path), 14)
    assert len(set(drawn)) > 7
    for learning_rate, gamma, epochs in drawn:
        assert 1e-5 <= learning_rate <= 1e-2
        assert 0.9 <= gamma <= 0.99
        assert epochs in (1, 2, 4)


@pytest.mark.parametrize("name", ["tpe", "random"])
def test_a_study_that_goes_on_is_not_proposed_the_first_points_again(name: str, tmp_path):
    first = points(sampler(name, tmp_path), 5)
    assert points(sampler(name, tmp_path), 5) == first
    assert not set(points(sampler(name, tmp_path, trials_before=3), 5)) & set(first)
