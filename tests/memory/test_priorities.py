import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlkit.memory.priorities import Priorities
from rlkit.memory.sum_tree import SumTree


@settings(deadline=None)
@given(
    st.integers(1, 40),
    st.lists(st.tuples(st.integers(0, 39), st.floats(0, 100, allow_subnormal=False)), min_size=1, max_size=60),
)
def test_the_tree_holds_what_was_set_last_and_sums_it(capacity: int, writes: list[tuple[int, float]]):
    tree, plain = SumTree(capacity), np.zeros(capacity)
    writes = [(i % capacity, x) for i, x in writes]
    for chunk in np.array_split(np.arange(len(writes)), 3):
        if len(chunk):
            index, value = (np.array([writes[k][j] for k in chunk]) for j in (0, 1))
            tree[index.astype(int)] = value
            for k in chunk:
                plain[writes[k][0]] = writes[k][1]
    np.testing.assert_array_equal(tree[np.arange(capacity)], plain)
    assert tree.total == pytest.approx(plain.sum(), rel=1e-12)
    inner = np.arange(1, tree.leaves)
    np.testing.assert_allclose(tree.nodes[inner], tree.nodes[2 * inner] + tree.nodes[2 * inner + 1])


@settings(deadline=None)
@given(
    st.lists(st.floats(0, 10, allow_subnormal=False), min_size=1, max_size=33).filter(lambda x: sum(x) > 1e-3),
    st.integers(0, 2**31),
)
def test_a_mass_is_found_where_the_running_sum_passes_it(values: list[float], seed: int):
    tree = SumTree(len(values))
    tree[np.arange(len(values))] = np.array(values)
    mass = np.random.default_rng(seed).random(50) * tree.total
    found = tree.find(mass)
    edges = np.concatenate([[0], np.cumsum(values)])
    assert (tree[found] > 0).all()
    slack = 1e-9 * tree.total
    assert (edges[found] <= mass + slack).all()
    assert (mass <= edges[found + 1] + slack).all()


def test_rows_are_drawn_as_often_as_their_priorities_say():
    priorities = Priorities(6, alpha=0.5)
    given_ = np.array([1.0, 4.0, 9.0, 0.25, 16.0])
    priorities.update(np.arange(5), given_)
    rng = np.random.default_rng(0)
    drawn = np.concatenate([priorities.draw(32, rng) for _ in range(1000)])
    share = np.sqrt(given_) / np.sqrt(given_).sum()
    counts = np.bincount(drawn, minlength=6)
    assert counts[5] == 0  # never filled
    # chi-square with 4 degrees of freedom: 23.5 is passed once in ten thousand
    assert ((counts[:5] - 32_000 * share) ** 2 / (32_000 * share)).sum() < 23.5


def test_weights_undo_the_priorities_and_are_one_where_they_are_equal():
    priorities = Priorities(4, alpha=1.0)
    priorities.update(np.arange(4), np.array([1.0, 1.0, 1.0, 1.0]))
    np.testing.assert_array_equal(priorities.weight(np.arange(4), 4, 0.7), 1)
    priorities.update(np.arange(4), np.array([1.0, 2.0, 4.0, 1.0]))
    np.testing.assert_allclose(priorities.weight(np.arange(4), 4, 1.0), [1, 0.5, 0.25, 1], rtol=1e-5)
    np.testing.assert_allclose(priorities.weight(np.arange(1, 3), 4, 0.5), [1, 0.5**0.5], rtol=1e-5)


def test_new_rows_get_the_largest_priority_so_far():
    priorities = Priorities(4, alpha=0.5)
    priorities.update(np.array([0]), np.array([9.0]))
    priorities.update(np.array([0]), np.array([4.0]))
    priorities.new(np.array([1]))
    np.testing.assert_allclose(priorities.tree[np.array([0, 1])], [2, 3], rtol=1e-5)


def test_their_state_moves_to_another():
    one, other = Priorities(8, alpha=0.6), Priorities(8, alpha=0.6)
    one.update(np.arange(5), np.arange(1.0, 6.0))
    other.load_state_dict(one.state_dict(5))
    np.testing.assert_array_equal(one.tree.nodes, other.tree.nodes)
    assert other.largest == one.largest
