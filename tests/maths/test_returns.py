"""Closed forms: each of these fails when the matching bug is put in."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlkit.maths.returns import gae, reverse_scan

GAMMA, LAM = 0.9, 0.8


def arrays(rewards, values, next_values, terminated=None, boundary=None, num_envs=1):
    T = len(rewards)
    none = np.zeros(T, bool)
    terminated = none if terminated is None else np.array(terminated, bool)
    boundary = terminated if boundary is None else np.array(boundary, bool)
    columns = [np.asarray(x, np.float32) for x in (rewards, values, next_values)] + [terminated, boundary]
    return [np.repeat(c[:, None], num_envs, 1) for c in columns]


@pytest.mark.parametrize("num_envs", [1, 3])
def test_endless_reward_of_one_with_the_true_value_has_no_advantage(num_envs: int):
    value = np.full(6, 1 / (1 - GAMMA))
    data = arrays(np.ones(6), value, value, num_envs=num_envs)
    np.testing.assert_allclose(gae(*data, gamma=GAMMA, lam=LAM), 0, atol=1e-5)


@pytest.mark.parametrize("num_envs", [1, 3])
def test_a_truncation_changes_nothing_where_the_value_is_right(num_envs: int):
    value = np.full(6, 1 / (1 - GAMMA))
    cut = [0, 0, 1, 0, 0, 1]
    data = arrays(np.ones(6), value, value, np.zeros(6), cut, num_envs=num_envs)
    np.testing.assert_allclose(gae(*data, gamma=GAMMA, lam=LAM), 0, atol=1e-5)


def test_lambda_0_is_the_one_step_error():
    data = arrays([1, 2, 3], [0.5, 0.6, 0.7], [0.6, 0.7, 0.8])
    expected = [1 + 0.9 * 0.6 - 0.5, 2 + 0.9 * 0.7 - 0.6, 3 + 0.9 * 0.8 - 0.7]
    np.testing.assert_allclose(gae(*data, gamma=0.9, lam=0.0)[:, 0], expected, rtol=1e-6)


def test_lambda_1_without_values_is_the_discounted_sum():
    data = arrays([1, 1, 1, 5], np.zeros(4), np.zeros(4), [0, 0, 0, 1])
    expected = [1 + 0.9 + 0.81 + 5 * 0.729, 1 + 0.9 + 5 * 0.81, 1 + 0.9 * 5, 5]
    np.testing.assert_allclose(gae(*data, gamma=0.9, lam=1.0)[:, 0], expected, rtol=1e-6)


def test_termination_stops_the_bootstrap_and_the_trace():
    data = arrays([1, 1, 1], [0, 0, 0], [7, 7, 7], [0, 1, 0])
    # step 1 ends: its successor's value of 7 does not count, and step 2 belongs to the next episode
    expected = [1 + 0.9 * 7 + 0.9 * 0.8 * 1, 1, 1 + 0.9 * 7]
    np.testing.assert_allclose(gae(*data, gamma=0.9, lam=0.8)[:, 0], expected, rtol=1e-6)


def test_truncation_stops_the_trace_and_keeps_the_bootstrap():
    data = arrays([1, 1, 100], [0, 0, 0], [7, 7, 7], [0, 0, 0], [0, 1, 0])
    expected = [1 + 0.9 * 7 + 0.9 * 0.8 * (1 + 0.9 * 7), 1 + 0.9 * 7, 100 + 0.9 * 7]
    np.testing.assert_allclose(gae(*data, gamma=0.9, lam=0.8)[:, 0], expected, rtol=1e-6)


@settings(deadline=None, max_examples=50)
@given(st.integers(1, 20), st.integers(1, 4), st.integers(0, 2**31))
def test_the_scan_equals_its_definition(T: int, N: int, seed: int):
    rng = np.random.default_rng(seed)
    term, decay = rng.normal(size=(2, T, N)).astype(np.float32)
    decay = np.clip(decay, -1, 1)
    expected, last = np.zeros((T, N)), np.zeros(N)
    for t in reversed(range(T)):
        last = term[t] + decay[t].astype(np.float64) * last
        expected[t] = last
    np.testing.assert_allclose(reverse_scan(term, decay), expected, rtol=1e-4, atol=1e-4)
