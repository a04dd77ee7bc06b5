import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlkit.maths.returns import gae, n_step


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 12), st.integers(1, 3), st.integers(1, 6), st.integers(0, 2**31))
def test_it_equals_its_definition_over_terminations_and_truncations(T: int, N: int, n: int, seed: int):
    rng = np.random.default_rng(seed)
    reward, value = rng.normal(size=(2, T, N)).astype(np.float32)
    terminated = rng.random((T, N)) < 0.15
    boundary = terminated | (rng.random((T, N)) < 0.15)
    found = n_step(reward, value, terminated, boundary, gamma=0.9, n=n)
    for t in range(T):
        for row in range(N):
            total, k = 0.0, t
            while True:
                total += 0.9 ** (k - t) * float(reward[k, row])
                if boundary[k, row] or k - t + 1 == n or k == T - 1:
                    break
                k += 1
            total += 0.9 ** (k - t + 1) * float(value[k, row]) * (not terminated[k, row])
            assert found[t, row] == pytest.approx(total, abs=1e-5)


def test_one_step_is_the_one_step_error_of_gae():
    rng = np.random.default_rng(0)
    reward, value, next_value = rng.normal(size=(3, 6, 2)).astype(np.float32)
    none = np.zeros((6, 2), bool)
    one = n_step(reward, next_value, none, none, gamma=0.9, n=1)
    np.testing.assert_allclose(one - value, gae(reward, value, next_value, none, none, gamma=0.9, lam=0), atol=1e-6)
