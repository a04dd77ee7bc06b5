"""The tables of a search at any width: fewer columns rather than cut ones."""

import io

import optuna
import pytest
from optuna.trial import FrozenTrial, TrialState, create_trial
from rich.console import Console

from rlkit.search import study as record
from rlkit.search.display import trial_table

SPACE = {
    "algo.learning_rate": optuna.distributions.FloatDistribution(1e-5, 1e-1, log=True),
    "algo.n_steps": optuna.distributions.CategoricalDistribution((32, 64)),
    "num_envs": optuna.distributions.CategoricalDistribution((4, 8)),
    "algo.minibatch_size": optuna.distributions.CategoricalDistribution((64, 128)),
    "algo.gae_lambda": optuna.distributions.FloatDistribution(0.8, 1.0),
    "algo.max_grad_norm": optuna.distributions.FloatDistribution(0.3, 2.0),
}


def made(value: float | None, **kwargs: object) -> FrozenTrial:
    params = dict(zip(SPACE, (0.000640221, 64, 8, 128, 0.9512, 1.0), strict=True))
    attrs = {record.FRAMES: 1_234_567, record.STATUS: "complete"}
    return create_trial(params=params, distributions=SPACE, value=value, user_attrs=attrs, **kwargs)


def drawn(width: int) -> list[list[str]]:
    trials = [made(None, state=TrialState.RUNNING, intermediate_values={10: 500.0}), made(-1234.5)]
    out = io.StringIO()
    Console(file=out, width=width).print(trial_table(trials, width))
    lines = out.getvalue().splitlines()
    assert all(len(line) <= width for line in lines)
    return [line.split() for line in lines]


@pytest.mark.parametrize(("width", "columns"), [(36, 4), (40, 4), (76, 7), (200, 10)])
def test_each_cell_is_whole(width: int, columns: int):
    header, running, over = drawn(width)
    names = ["trial", "state", "value", "frames", *(key.rpartition(".")[2] for key in SPACE)]
    assert header == names[:columns]
    cells = ["500", "1,234,567", "0.0006402", "64", "8", "128", "0.9512", "1"]
    assert running == ["-1", "running", *cells][:columns]
    assert over[:3] == ["-1", "complete", "-1234"]


def test_the_narrowest_terminal_has_a_column():
    assert [line[0] for line in drawn(8)] == ["trial", "-1", "-1"]
