import numpy as np
import pytest
import torch

from rlkit.maths import losses, q_learning
from rlkit.maths.distributions import Categorical, Gaussian
from rlkit.maths.losses import explained_variance, ppo_loss, standardise
from rlkit.types import Batch

PLAIN = {"clip_coef": 0.2, "vf_coef": 0.0, "ent_coef": 0.0}


def gradients(loss, outputs: tuple, *rest, **kwargs) -> tuple:
    """The gradients by the outputs: in closed form, and those of autograd through the function that is read."""
    leaves = [out.detach().requires_grad_() for out in outputs]
    closed = loss(*leaves, *rest, **kwargs)
    closed.backward()
    found = [leaf.grad for leaf in leaves]
    value, stats = loss.__wrapped__(*leaves, *rest, **kwargs)
    assert closed.value == value
    assert closed.stats.keys() == stats.keys()
    return found, torch.autograd.grad(value, leaves)


def assert_closed(loss, outputs: tuple, *rest, **kwargs) -> None:
    found, expected = gradients(loss, outputs, *rest, **kwargs)
    for one, other in zip(found, expected, strict=True):
        assert one.abs().sum() > 0
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-12)


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
    loss = ppo_loss(*bandit(ratio, advantage), dist=Categorical(2), **PLAIN)
    assert loss.value.item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(("ratio", "advantage", "moves"), [(1.5, 1.0, False), (0.5, -1.0, False), (1.5, -1.0, True)])
def test_a_clipped_ratio_has_no_gradient(ratio: float, advantage: float, moves: bool):
    policy, value, batch = bandit(ratio, advantage)
    (d_policy, _), _ = gradients(ppo_loss, (policy, value), batch, dist=Categorical(2), **PLAIN)
    assert bool(d_policy.abs().sum() > 0) == moves


def test_at_ratio_1_the_gradient_is_reinforces():
    dist, batch = make_case(Categorical(3))
    policy = torch.randn(9, 3, requires_grad=True)
    batch.fields["log_prob"] = dist.log_prob(policy, batch.action).detach()
    reinforce = -(batch.advantage * dist.log_prob(policy, batch.action)).mean()
    (expected,) = torch.autograd.grad(reinforce, policy)
    (d_policy, _), _ = gradients(ppo_loss, (policy, torch.zeros(9)), batch, dist=dist, **PLAIN)
    torch.testing.assert_close(d_policy, expected)


def make_case(dist, rows: int = 9, dtype=torch.float32, seed: int = 0):
    g = torch.Generator().manual_seed(seed)
    old = torch.randn(rows, dist.outputs + dist.free, generator=g, dtype=dtype)
    action = torch.from_numpy(dist.sample(old.float().numpy(), np.random.default_rng(seed)))
    action = action.to(dtype) if action.is_floating_point() else action
    numbers = {name: torch.randn(rows, generator=g, dtype=dtype) for name in ("advantage", "target", "value")}
    return dist, Batch({"action": action, "log_prob": dist.log_prob(old, action), **numbers})


def outputs_for(dist, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
    """A policy and a value near those that the batch was made with."""
    g, rows = torch.Generator().manual_seed(1), len(batch)
    policy = torch.randn(rows, dist.outputs + dist.free, generator=g, dtype=torch.float64) * 0.5
    return policy, batch.value + 0.3 * torch.randn(rows, generator=g, dtype=torch.float64)


@pytest.mark.parametrize("dist", [Categorical(3), Gaussian(2)], ids=["categorical", "gaussian"])
@pytest.mark.parametrize("ent_coef", [0.0, 0.03])
@pytest.mark.parametrize("clip_value", [True, False])
def test_ppos_closed_gradient_is_that_of_its_loss(dist, ent_coef: float, clip_value: bool):
    dist, batch = make_case(dist, rows=64, dtype=torch.float64)
    outputs = outputs_for(dist, batch)
    numbers = {"clip_coef": 0.2, "vf_coef": 0.5, "ent_coef": ent_coef, "clip_value": clip_value}
    assert_closed(ppo_loss, outputs, batch, dist=dist, **numbers)
    assert 0 < ppo_loss(*outputs, batch, dist=dist, **numbers).stats["clip_fraction"] < 1


@pytest.mark.parametrize("dist", [Categorical(3), Gaussian(2)], ids=["categorical", "gaussian"])
def test_a2cs_closed_gradient_is_that_of_its_loss(dist):
    dist, batch = make_case(dist, rows=64, dtype=torch.float64)
    assert_closed(losses.a2c_loss, outputs_for(dist, batch), batch, dist=dist, vf_coef=0.5, ent_coef=0.03)


@pytest.mark.parametrize("clip", [None, 0.4])
def test_self_imitations_closed_gradient_is_that_of_its_loss(clip: float | None):
    dist, batch = make_case(Categorical(3), rows=64, dtype=torch.float64)
    batch.fields.update(ret=batch.target, weight=batch.advantage.abs())
    assert_closed(losses.sil_loss, outputs_for(dist, batch), batch, dist=dist, coef=0.7, vf_coef=0.2, clip=clip)


@pytest.mark.parametrize("twin", ["min", "mean"])
def test_sacs_closed_gradients_are_those_of_its_losses(twin: str):
    g = torch.Generator().manual_seed(0)
    q, log_prob = torch.randn(2, 9, generator=g).double(), torch.randn(9, generator=g).double()
    alpha = torch.tensor(0.3, dtype=torch.float64)
    assert_closed(losses.soft_actor_loss, (q, log_prob), alpha, twin=twin)
    logits, values = torch.randn(9, 4, generator=g).double(), torch.randn(9, 4, generator=g).double()
    assert_closed(losses.soft_policy_loss, (logits,), values, alpha)
    assert_closed(losses.temperature_loss, (alpha,), log_prob, -1.0, plain=twin == "mean")


@pytest.mark.parametrize("huber", [True, False])
def test_the_closed_gradients_of_q_learning_are_those_of_its_losses(huber: bool):
    g = torch.Generator().manual_seed(0)
    q, action = 2 * torch.randn(9, 4, generator=g).double(), torch.randint(4, (9,), generator=g)
    target, weight = torch.randn(9, generator=g).double(), torch.rand(9, generator=g).double()
    assert_closed(q_learning.td_loss, (q,), action, target, weight, huber=huber)
    twins = torch.randn(3, 9, 4, generator=g).double()
    assert_closed(q_learning.critics_loss, (twins,), target, weight, action)
    assert_closed(q_learning.critics_loss, (twins[..., 0],), target, weight)
    atoms = torch.randn(9, 4, 5, generator=g).double()
    assert_closed(
        q_learning.categorical_loss, (atoms,), action, torch.rand(9, 5, generator=g).double().softmax(-1), weight
    )
    assert_closed(q_learning.quantile_loss, (atoms,), action, torch.randn(9, 7, generator=g).double(), weight)


def test_the_value_loss_is_the_mean_squared_error_without_a_half():
    _, batch = make_case(Categorical(2), rows=2)
    batch.fields.update(target=torch.tensor([1.0, 3.0]), advantage=torch.zeros(2))
    numbers = {**PLAIN, "vf_coef": 0.5}
    loss = ppo_loss(torch.zeros(2, 2), torch.tensor([0.0, 0.0]), batch, dist=Categorical(2), **numbers)
    assert loss.stats["value_loss"].item() == 5.0
    assert loss.value.item() == 2.5


def test_the_logged_kl_is_the_exact_one_in_expectation():
    dist, actions = Categorical(3), torch.arange(3)
    old, new = torch.tensor([[0.2, -0.1, 0.4]]), torch.tensor([[0.0, 0.3, 0.1]])
    p, q = torch.softmax(old, -1)[0], torch.softmax(new, -1)[0]
    each = []
    for action in actions:
        fields = {"action": action[None], "log_prob": dist.log_prob(old, action[None]), "advantage": torch.zeros(1)}
        batch = Batch({**fields, "target": torch.zeros(1)})
        each.append(ppo_loss(new, torch.zeros(1), batch, dist=dist, **PLAIN).stats["approx_kl"])
    torch.testing.assert_close((p * torch.stack(each)).sum(), (p * (p / q).log()).sum())


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
