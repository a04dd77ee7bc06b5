from types import SimpleNamespace

import pytest
import torch

from rlkit.config.learning import OptimizerConfig
from rlkit.errors import ConfigError
from rlkit.nets.optim import Flat, build

CPU = torch.device("cpu")
THEIRS = {
    "adam": (OptimizerConfig(eps=1e-5), lambda p: torch.optim.Adam(p, lr=0.01, eps=1e-5)),
    "adam with decay": (OptimizerConfig(weight_decay=0.1), lambda p: torch.optim.Adam(p, lr=0.01, weight_decay=0.1)),
    "adamw": (
        OptimizerConfig(name="adamw", weight_decay=0.1, betas=[0.5, 0.9]),
        lambda p: torch.optim.AdamW(p, lr=0.01, weight_decay=0.1, betas=(0.5, 0.9)),
    ),
    "rmsprop": (
        OptimizerConfig(name="rmsprop", eps=1e-5, alpha=0.9),
        lambda p: torch.optim.RMSprop(p, lr=0.01, eps=1e-5, alpha=0.9),
    ),
    "rmsprop with momentum": (
        OptimizerConfig(name="rmsprop", momentum=0.8, weight_decay=0.1),
        lambda p: torch.optim.RMSprop(p, lr=0.01, momentum=0.8, weight_decay=0.1),
    ),
    "sgd": (OptimizerConfig(name="sgd"), lambda p: torch.optim.SGD(p, lr=0.01)),
    "sgd with momentum": (
        OptimizerConfig(name="sgd", momentum=0.9, weight_decay=0.1),
        lambda p: torch.optim.SGD(p, lr=0.01, momentum=0.9, weight_decay=0.1),
    ),
    "NAdam": (
        OptimizerConfig(name="NAdam", kwargs={"momentum_decay": 0.01, "betas": [0.8, 0.99]}),
        lambda p: torch.optim.NAdam(p, lr=0.01, momentum_decay=0.01, betas=(0.8, 0.99)),
    ),
}


def views(flat: torch.Tensor) -> dict[str, torch.Tensor]:
    """A weight [2, 3] and a bias [3]."""
    return {"weight": flat[:6].view(2, 3), "bias": flat[6:]}


def make(cfg: OptimizerConfig, **kwargs):
    flat = Flat({"a": 6, "b": 3}, CPU)
    flat.weight.copy_(torch.randn(9, generator=torch.Generator().manual_seed(7)))
    parameters = SimpleNamespace(flat=flat, views=views)
    return build(cfg, parameters, **{"learning_rate": 0.01, "max_grad_norm": None, **kwargs})


class Given:
    """A loss whose gradient is known."""

    def __init__(self, flat: Flat, gradient: torch.Tensor) -> None:
        self.flat, self.gradient = flat, gradient

    def backward(self) -> None:
        self.flat.grad.copy_(self.gradient)
        self.flat.slots["a"].fresh = False


def gradient(step: int) -> torch.Tensor:
    return torch.randn(9, generator=torch.Generator().manual_seed(step))


@pytest.mark.parametrize("max_grad_norm", [None, 0.5])
@pytest.mark.parametrize("which", THEIRS)
def test_each_equals_torchs(which: str, max_grad_norm: float | None):
    cfg, theirs = THEIRS[which]
    cfg.decay_biases = True
    mine = make(cfg, max_grad_norm=max_grad_norm)
    parameter = torch.nn.Parameter(mine.flat.weight.clone())
    reference = theirs([parameter])
    for step in range(20):
        parameter.grad = gradient(step)
        if max_grad_norm is not None:
            torch.nn.utils.clip_grad_norm_([parameter], max_grad_norm)
        reference.step()
        mine.step(Given(mine.flat, gradient(step)))
    torch.testing.assert_close(mine.flat.weight, parameter.detach(), rtol=1e-5, atol=1e-6)
    assert mine.flat.slots["a"].fresh


@pytest.mark.parametrize("name", ["adam", "adamw", "rmsprop", "sgd", "NAdam"])
def test_biases_decay_only_when_told(name: str):
    for decay_biases in (False, True):
        decaying, plain = (
            make(OptimizerConfig(name=name, weight_decay=d, decay_biases=decay_biases)) for d in (0.1, 0.0)
        )
        for step in range(3):  # Adam's first step has one size whatever the gradient's
            for optim in (decaying, plain):
                optim.step(Given(optim.flat, gradient(step)))
        moved = decaying.flat.weight != plain.flat.weight
        assert moved[:6].any()
        assert bool(moved[6:].any()) == decay_biases


def test_muon_takes_matrices_and_says_what_it_cannot_take():
    with pytest.raises(ConfigError, match=r"Muon.*2D"):
        make(OptimizerConfig(name="Muon"))


def test_a_short_gradient_is_not_scaled_up():
    optim = make(OptimizerConfig(), max_grad_norm=1.0)
    short = torch.tensor([0.3, 0.4, 0, 0, 0, 0, 0, 0, 0])
    optim.step(Given(optim.flat, short))
    assert optim.grad_norm.item() == pytest.approx(0.5)
    torch.testing.assert_close(optim.flat.grad[:2], torch.tensor([0.3, 0.4]))


@pytest.mark.parametrize("name", ["adam", "sgd", "SGD"])
@pytest.mark.parametrize("kwargs", [{}, {"max_grad_norm": 0.1}, {"max_grad_norm": None}])
@pytest.mark.parametrize("decay", [0.0, 0.5])
def test_the_norm_is_that_of_the_gradient_as_it_was_given(name: str, kwargs: dict, decay: float):
    optim = make(OptimizerConfig(name=name, weight_decay=decay), **kwargs)
    for step in range(3):
        optim.step(Given(optim.flat, gradient(step)))
        assert optim.grad_norm.item() == pytest.approx(gradient(step).norm().item(), rel=1e-5)


@pytest.mark.parametrize("which", THEIRS)
def test_its_state_continues_where_it_was(which: str):
    def run(optim, steps: range) -> None:
        for step in steps:
            optim.step(Given(optim.flat, gradient(step)))

    whole, first, second = (make(THEIRS[which][0]) for _ in range(3))
    run(whole, range(10))
    run(first, range(4))
    second.load_state_dict(
        {k: v.clone() if isinstance(v, torch.Tensor) else dict(v) for k, v in first.state_dict().items()}
    )
    second.flat.weight.copy_(first.flat.weight)
    run(second, range(4, 10))
    assert torch.equal(second.flat.weight, whole.flat.weight)


@pytest.mark.parametrize(
    ("cfg", "said"),
    [
        ({"name": "Adma"}, ["Adma", "did you mean Adam", "rmsprop", "NAdam"]),
        ({"name": "LBFGS"}, ["LBFGS is not accepted"]),
        ({"name": "NAdam", "kwargs": {"momentum_dcay": 1}}, ["momentum_dcay", "momentum_decay"]),
        ({"name": "NAdam", "kwargs": {"betas": [2, 3]}}, ["NAdam", "beta"]),
    ],
)
def test_what_torch_does_not_have_is_named(cfg: dict, said: list[str]):
    with pytest.raises(ConfigError) as error:
        make(OptimizerConfig(**cfg))
    assert all(part in str(error.value) for part in said), str(error.value)


def test_slots_are_contiguous_views_of_the_flat_tensor():
    flat = Flat({"actor": 3, "critic": 2}, CPU)
    flat.slots["critic"].weight.fill_(1)
    flat.slots["critic"].grad.fill_(2)
    assert flat.weight.tolist() == [0, 0, 0, 1, 1]
    assert flat.grad.tolist() == [0, 0, 0, 2, 2]
