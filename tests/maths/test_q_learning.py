import numpy as np
import pytest
import torch

from rlkit.maths import q_learning as q

F64 = torch.float64


def test_dueling_is_value_plus_centred_advantage_and_its_gradient():
    out = torch.randn(5, 4, 2, dtype=F64).requires_grad_()
    values = q.dueling(out)
    assert values.shape == (5, 3, 2)
    torch.testing.assert_close(values.mean(1), out[:, 0])
    torch.testing.assert_close(values[:, 1] - values[:, 0], out[:, 2] - out[:, 1])
    d = torch.randn(5, 3, 2, dtype=F64)
    (expected,) = torch.autograd.grad(values, out, d)
    torch.testing.assert_close(q.back_dueling(d), expected)


@pytest.mark.parametrize("huber", [True, False])
def test_the_loss_of_one_action_is_torchs(huber: bool):
    value, target = torch.randn(50, 3, dtype=F64) * 3, torch.randn(50, dtype=F64)
    action = torch.randint(3, (50,))
    taken = value[torch.arange(50), action]
    theirs = torch.nn.functional.huber_loss if huber else lambda v, t: 0.5 * (v - t).square().mean()
    loss = q.td_loss(value, action, target, huber=huber)
    torch.testing.assert_close(loss.value, theirs(taken, target))
    torch.testing.assert_close(loss.stats["priority"], (taken - target).abs())


def test_the_entries_of_actions_are_picked_on_any_axis():
    action = torch.tensor([2, 0])
    plain, atoms = torch.arange(6).view(2, 3), torch.arange(24).view(2, 3, 4)
    assert q.of_action(plain, action).tolist() == [2, 3]
    assert q.of_action(atoms, action).tolist() == [[8, 9, 10, 11], [12, 13, 14, 15]]
    assert q.of_action(torch.stack([plain, 10 * plain]), action, 2).tolist() == [[2, 3], [20, 30]]


def test_a_distribution_is_projected_as_bellemare_et_al_write_it():
    support = torch.linspace(-2, 2, 5, dtype=F64)
    probability = torch.softmax(torch.randn(6, 5, dtype=F64), -1)
    reward = torch.tensor([0.0, 0.3, -5.0, 9.0, 0.25, 1.0], dtype=F64)
    discount = torch.tensor([1.0, 0.9, 0.9, 0.9, 0.0, 0.5], dtype=F64)
    expected = torch.zeros(6, 5, dtype=F64)
    for b in range(6):
        for j in range(5):
            place = min(2.0, max(-2.0, float(reward[b] + discount[b] * support[j]))) + 2
            low, high = int(np.floor(place)), int(np.ceil(place))
            if low == high:
                expected[b, low] += probability[b, j]
            else:
                expected[b, low] += probability[b, j] * (high - place)
                expected[b, high] += probability[b, j] * (place - low)
    projected = q.project(probability, support, reward, discount)
    torch.testing.assert_close(projected, expected)
    torch.testing.assert_close(projected.sum(-1), torch.ones(6, dtype=F64))
    torch.testing.assert_close(projected[0], probability[0])  # nothing happens without reward and discount
    assert projected[4].tolist() == pytest.approx([0, 0, 0.75, 0.25, 0])  # a terminal reward of 0.25


def test_tqcs_loss_is_the_papers():
    quantile, target = torch.randn(2, 3, 5, dtype=F64), torch.randn(3, 8, dtype=F64)
    expected = 0.0
    for n in range(2):
        for b in range(3):
            for m in range(5):
                for y in target[b]:
                    error = float(y - quantile[n, b, m])
                    huber = 0.5 * error**2 if abs(error) <= 1 else abs(error) - 0.5
                    expected += abs((m + 0.5) / 5 - (error < 0)) * huber / (5 * 8) / 3
    loss = q.tqc_loss(quantile, target, torch.ones(3, dtype=F64))
    assert loss.value.item() == pytest.approx(expected)


def test_quantiles_go_to_the_quantiles():
    draws = torch.from_numpy(np.random.default_rng(0).exponential(100, (1, 4000)))  # wide beside the Huber bound
    quantile, action, weight = torch.zeros(1, 1, 4, dtype=F64), torch.zeros(1, dtype=torch.int64), torch.ones(1)
    for _ in range(8000):
        quantile -= 0.5 * q.quantile_gradient(quantile, action, draws, weight)[0]
    expected = np.quantile(draws.numpy(), [1 / 8, 3 / 8, 5 / 8, 7 / 8])
    np.testing.assert_allclose(quantile[0, 0].numpy(), expected, rtol=0.03, atol=0.6)
