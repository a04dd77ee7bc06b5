"""Learning to a score with the tuned values, on seeds on which nothing was tuned. Minutes."""

import pytest

from rlkit import compose, train

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("env", "seeds", "at_least"),
    [("cartpole", 4, 475), ("acrobot", 2, -90), ("pendulum", 8, -220)],
)
def test_ppo_reaches_its_score(env: str, seeds: int, at_least: float):
    # One seed of Pendulum in seven ends far below the others (docs/algorithms/ppo.md), so that two say too little.
    result = train(compose(["algo=ppo", f"env={env}", f"seeds={seeds}"]), quiet=True)
    assert result.final_return.mean is not None
    assert result.final_return.mean >= at_least
