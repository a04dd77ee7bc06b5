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
def test_the_error_is_torchs_loss_and_gradient(huber: bool):
    value = (torch.randn(50, dtype=F64) * 3).requires_grad_()
    target = torch.randn(50, dtype=F64)
    theirs = torch.nn.functional.huber_loss if huber else lambda v, t, reduction: 0.5 * (v - t).square()
    expected = theirs(value, target, reduction="none")
    loss, gradient, error = q.td_error(value.detach(), target, huber)
    torch.testing.assert_close(loss, expected.detach())
    torch.testing.assert_close(gradient, torch.autograd.grad(expected.sum(), value)[0])
    torch.testing.assert_close(error, value.detach() - target)


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


def test_the_gradients_of_distributional_errors_are_autograds():
    logits = torch.randn(4, 7, dtype=F64).requires_grad_()
    target = torch.softmax(torch.randn(4, 7, dtype=F64), -1)
    loss, gradient = q.categorical_error(logits, target)
    torch.testing.assert_close(gradient, torch.autograd.grad(loss.sum(), logits)[0])
    quantile = torch.randn(4, 7, dtype=F64).requires_grad_()
    loss, gradient = q.quantile_error(quantile, torch.randn(4, 7, dtype=F64) * 2)
    torch.testing.assert_close(gradient, torch.autograd.grad(loss.sum(), quantile)[0])


def test_quantiles_go_to_the_quantiles():
    draws = torch.from_numpy(np.random.default_rng(0).exponential(100, (1, 4000)))  # wide beside the Huber bound
    quantile = torch.zeros(1, 4, dtype=F64)
    for _ in range(8000):
        quantile -= 0.5 * q.quantile_error(quantile, draws)[1]
    expected = np.quantile(draws.numpy(), [1 / 8, 3 / 8, 5 / 8, 7 / 8])
    np.testing.assert_allclose(quantile[0].numpy(), expected, rtol=0.03, atol=0.6)
