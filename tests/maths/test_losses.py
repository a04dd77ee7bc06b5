import numpy as np
import pytest
import torch

from rlkit.maths import losses
from rlkit.maths.distributions import Categorical, Gaussian
from rlkit.maths.losses import PPOCoefficients, by_autograd, explained_variance, ppo_head, ppo_loss, standardise
from rlkit.types import Batch

PLAIN = PPOCoefficients(clip=0.2, vf=0.0, ent=0.0, clip_value=False)


def bandit(ratio: float, advantage: float) -> tuple[torch.Tensor, torch.Tensor, Batch]:
    """One row whose new probability is `ratio` times the old."""
    dist, policy = Categorical(2), torch.zeros(1, 2)
    action = torch.zeros(1, dtype=torch.int64)
    old = dist.log_prob(policy, action) - np.log(ratio)
    fields = {"action": action, "log_prob": old, "advantage": torch.tensor([advantage]), "target": torch.zeros(1)}
    return policy, torch.zeros(1), Batch({**fields, "value": torch.zeros(1)})


@pytest.mark.parametrize(
    ("ratio", "advantage", "expected"),
    [(1.5, 1.0, -1.2), (1.1, 1.0, -1.1), (0.5, 1.0, -0.5), (0.5, -1.0, 0.8), (1.5, -1.0, 1.5), (1.0, 2.0, -2.0)],
)
def test_the_clipped_surrogate_is_what_the_paper_says(ratio: float, advantage: float, expected: float):
    loss, _ = ppo_loss(Categorical(2), *bandit(ratio, advantage), PLAIN)
    assert loss.item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(("ratio", "advantage", "moves"), [(1.5, 1.0, False), (0.5, -1.0, False), (1.5, -1.0, True)])
def test_a_clipped_ratio_has_no_gradient(ratio: float, advantage: float, moves: bool):
    head = ppo_head(Categorical(2), *bandit(ratio, advantage), PLAIN, stats=False)
    assert bool(head.d_policy.abs().sum() > 0) == moves


def test_at_ratio_1_the_gradient_is_reinforces():
    dist, batch = make_case(Categorical(3))
    policy = torch.randn(9, 3, requires_grad=True)
    batch.fields["log_prob"] = dist.log_prob(policy, batch.action).detach()
    reinforce = -(batch.advantage * dist.log_prob(policy, batch.action)).mean()
    (expected,) = torch.autograd.grad(reinforce, policy)
    head = ppo_head(dist, policy.detach(), torch.zeros(9), batch, PLAIN, stats=False)
    torch.testing.assert_close(head.d_policy, expected)


def make_case(dist, rows: int = 9, dtype=torch.float32, seed: int = 0):
    g = torch.Generator().manual_seed(seed)
    old = torch.randn(rows, dist.outputs + dist.free, generator=g, dtype=dtype)
    action = torch.from_numpy(dist.sample(old.float().numpy(), np.random.default_rng(seed)))
    action = action.to(dtype) if action.is_floating_point() else action
    numbers = {name: torch.randn(rows, generator=g, dtype=dtype) for name in ("advantage", "target", "value")}
    return dist, Batch({"action": action, "log_prob": dist.log_prob(old, action), **numbers})


@pytest.mark.parametrize("dist", [Categorical(3), Gaussian(2)], ids=["categorical", "gaussian"])
@pytest.mark.parametrize("ent", [0.0, 0.03])
@pytest.mark.parametrize("clip_value", [True, False])
def test_the_closed_head_is_the_gradient_of_the_loss(dist, ent: float, clip_value: bool):
    dist, batch = make_case(dist, rows=64, dtype=torch.float64)
    g = torch.Generator().manual_seed(1)
    policy = torch.randn(64, dist.outputs + dist.free, generator=g, dtype=torch.float64) * 0.5
    value = batch.value + 0.3 * torch.randn(64, generator=g, dtype=torch.float64)
    c = PPOCoefficients(clip=0.2, vf=0.5, ent=ent, clip_value=clip_value)
    closed, traced = (
        ppo_head(dist, policy, value, batch, c, stats=True),
        by_autograd(ppo_loss, dist, policy, value, batch, c),
    )
    torch.testing.assert_close(closed.d_policy, traced.d_policy, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(closed.d_value, traced.d_value, rtol=1e-9, atol=1e-12)
    assert closed.stats.keys() == traced.stats.keys() == {*losses_logged()}
    for name in closed.stats:
        torch.testing.assert_close(closed.stats[name], traced.stats[name], rtol=1e-9, atol=1e-12)
    assert 0 < closed.stats["clip_fraction"] < 1


def losses_logged() -> tuple[str, ...]:
    return ("policy_loss", "value_loss", "entropy", "approx_kl", "clip_fraction")


def test_the_value_loss_is_the_mean_squared_error_without_a_half():
    _, batch = make_case(Categorical(2), rows=2)
    batch.fields.update(target=torch.tensor([1.0, 3.0]), advantage=torch.zeros(2))
    c = PLAIN._replace(vf=0.5)
    loss, stats = ppo_loss(Categorical(2), torch.zeros(2, 2), torch.tensor([0.0, 0.0]), batch, c)
    assert stats["value_loss"].item() == 5.0
    assert loss.item() == 2.5


def test_the_approximate_kl_is_the_exact_one_in_expectation():
    dist = Categorical(3)
    old, new = torch.tensor([[0.2, -0.1, 0.4]]), torch.tensor([[0.0, 0.3, 0.1]])
    p, q = torch.softmax(old, -1)[0], torch.softmax(new, -1)[0]
    exact = (p * (p / q).log()).sum()
    log_ratio = (q / p).log()
    estimate = (p * (log_ratio.exp() - 1 - log_ratio)).sum()
    torch.testing.assert_close(estimate, exact)
    action = torch.arange(3)
    rows = Batch({"action": action, "log_prob": dist.log_prob(old.expand(3, 3), action), "advantage": torch.zeros(3)})
    rows.fields["target"] = torch.zeros(3)
    logged = ppo_loss(dist, new.expand(3, 3), torch.zeros(3), rows, PLAIN)[1]["approx_kl"]
    torch.testing.assert_close(logged, (log_ratio.exp() - 1 - log_ratio).mean())


def test_standardising():
    x = standardise(torch.tensor([1.0, 2.0, 3.0]))
    torch.testing.assert_close(x, torch.tensor([-1.0, 0.0, 1.0]))
    assert standardise(torch.tensor([5.0])).tolist() == [0.0]
    each = standardise(torch.tensor([[1.0, 2.0, 3.0], [10.0, 30.0, 50.0]]))
    torch.testing.assert_close(each, torch.tensor([[-1.0, 0.0, 1.0]] * 2))


def test_explained_variance():
    target = np.array([1.0, 2.0, 3.0], np.float32)
    assert explained_variance(target, target) == 1
    assert explained_variance(np.zeros(3, np.float32), target) == pytest.approx(0)
    assert explained_variance(-target, target) == pytest.approx(-3)
    assert explained_variance(target, np.ones(3, np.float32)) is None


def test_a_missing_field_says_which_there_are():
    with pytest.raises(AttributeError, match="no field 'weight'; it has action"):
        _ = make_case(Categorical(2))[1].weight
    assert losses.PPOCoefficients._fields == ("clip", "vf", "ent", "clip_value")
