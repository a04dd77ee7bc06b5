"""The program that trains or loads is left as it was."""

import os
import random
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from threadpoolctl import threadpool_info

from rlkit import compose, evaluate, load, train


def state() -> dict[str, object]:
    return {
        "threads": torch.get_num_threads(),
        "pools": [pool["num_threads"] for pool in threadpool_info()],
        "python": random.getstate(),
        "numpy": np.random.get_state()[1].tolist(),  # type: ignore[index, union-attr]
        "torch": torch.get_rng_state().tolist(),
        "errors": np.geterr(),
        "flushes": bool(torch.tensor([1e-40]) * 1),
        "precision": torch.get_float32_matmul_precision(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "directory": Path.cwd(),
        # torch itself names a folder for its compiler when deterministic kernels are asked for
        "environment": {name: x for name, x in os.environ.items() if not name.startswith("TORCHINDUCTOR")},
        "signals": [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)],
        "grad": torch.is_grad_enabled(),
    }


@pytest.mark.parametrize("words", [[], ["algo=dqn", "algo.learning_starts=50"], ["deterministic=true"], ["seeds=2"]])
def test_training_evaluating_and_loading_leave_the_host_as_it_was(words: list[str], tiny: list[str]):
    if "algo=dqn" in words:
        tiny = [word for word in tiny if not word.startswith("algo.")]
    torch.set_num_threads(3)
    try:
        before = state()
        result = train(compose([*tiny, "env=cartpole", "~tuned", *words]), quiet=True)
        assert state() == before
        evaluate(result.folder, episodes=1)
        assert state() == before
        agent = load(result.folder)
        agent.act(np.zeros(4, np.float32))
        assert state() == before
    finally:
        torch.set_num_threads(1)


def test_a_failure_leaves_it_so_too(tiny: list[str]):
    from rlkit.errors import EnvError
    from tests.envs.strangers import strange

    before = state()
    with pytest.raises(EnvError):
        train(compose([*tiny, "env=gym", f"env.id={strange('Raises')}"]), quiet=True)
    assert state() == before
