"""Each sampler proposes points of a mixed space, and other ones when a study goes on."""

import optuna
import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra

from rlkit.config import schema
from rlkit.search import study as record
from rlkit.search.cmaes import RebuiltCmaEsSampler
from rlkit.search.space import read
from rlkit.search.sweep import make_sampler

SPACE = read(["algo.learning_rate=tag(log,interval(1e-5,1e-2))", "algo.gamma=interval(0.9,0.99)", "algo.epochs=1,2,4"])


def sampler(name: str, url: str):
    """The one that a command makes for the study at a place."""
    schema.register()
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(schema.conf_dir())):
        words = ["search=asha", f"hydra/sweeper/sampler={name}"]
        node = compose("config", words, return_hydra_config=True).hydra.sweeper.sampler
    return make_sampler(node, url)


def study_at(url: str, sampler=None) -> optuna.Study:
    storage = record.open_storage(url)
    return optuna.create_study(storage=storage, study_name=record.STUDY, sampler=sampler, load_if_exists=True)


@pytest.fixture
def url(tmp_path) -> str:
    return f"journal:{tmp_path / 'study.journal'}"


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
def test_each_sampler_draws_from_the_space(name: str, url: str):
    drawn = points(sampler(name, url), 14)
    assert len(set(drawn)) > 7
    for learning_rate, gamma, epochs in drawn:
        assert 1e-5 <= learning_rate <= 1e-2
        assert 0.9 <= gamma <= 0.99
        assert epochs in (1, 2, 4)


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning", "ignore:.*:UserWarning")
@pytest.mark.parametrize("name", ["tpe", "random", "cmaes", "gp", "nsgaii"])
def test_a_study_that_goes_on_is_not_proposed_the_first_points_again(name: str, url: str):
    first = points(sampler(name, url), 5)
    assert points(sampler(name, url), 5) == first
    study = study_at(url)
    for _ in range(3):
        study.tell(study.ask(), 0.0)
    assert not set(points(sampler(name, url), 5)) & set(first)


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
@pytest.mark.parametrize("name", ["grid", "qmc"])
def test_a_sequence_goes_on_where_the_study_is(name: str, url: str):
    space = read(["algo.gamma=0.9,0.95,0.99", "algo.epochs=1,2,4"]) if name == "grid" else SPACE
    drawn = []
    for _ in range(3):  # the same command, started three times
        which = sampler(name, url)
        study = study_at(url, which(space.grid()) if name == "grid" else which)
        for _ in range(3):
            trial = study.ask()
            space.suggest(trial)
            study_at(url).tell(trial.number, 0.0)  # by a job, which has no sampler of its own
            drawn.append(tuple(trial.params.values()))
    assert len(set(drawn)) == 9
    if name == "qmc":
        assert drawn == points(sampler(name, url), 9)


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning", "ignore:.*:FutureWarning")
@pytest.mark.parametrize("settings", [{}, {"with_margin": True}, {"use_separable_cma": True}, {"lr_adapt": True}])
def test_the_state_of_cma_es_is_what_optuna_would_have_unpickled(settings: dict[str, bool]):
    """Optuna keeps the optimiser in the study; from the same trials the same one is computed, and none is kept."""

    def value(trial: optuna.Trial) -> float:
        return (trial.suggest_float("x", -5, 5) - 1) ** 2 + abs(trial.suggest_int("k", 1, 30) - 20)

    study = optuna.create_study(sampler=optuna.samplers.CmaEsSampler(seed=3, **settings))
    study.optimize(value, n_trials=30)
    ours = RebuiltCmaEsSampler(seed=3, **settings)
    ours._study, ours._space = study, dict(sorted(study.trials[-1].distributions.items()))
    theirs, rebuilt = study.sampler._restore_optimizer(study.trials), ours._restore_optimizer(study.trials)
    assert rebuilt.generation == theirs.generation > 2
    assert list(rebuilt.mean) == pytest.approx(list(theirs.mean))
    study.sampler = ours
    study.optimize(value, n_trials=10)
    assert not any("optimizer" in key for t in study.trials[30:] for key in t.system_attrs)
