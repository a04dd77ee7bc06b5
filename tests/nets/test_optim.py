import pytest
import torch

from rlkit.nets.optim import Adam, Flat


@pytest.mark.parametrize("max_grad_norm", [None, 0.5])
def test_adam_equals_torchs(max_grad_norm: float | None):
    flat = Flat({"a": 5, "b": 7}, torch.device("cpu"))
    flat.weight.copy_(torch.randn(12))
    theirs = torch.nn.Parameter(flat.weight.clone())
    reference = torch.optim.Adam([theirs], lr=0.01, eps=1e-5)
    mine = Adam(flat, learning_rate=0.01, eps=1e-5, max_grad_norm=max_grad_norm)
    for step in range(20):
        grad = torch.randn(12, generator=torch.Generator().manual_seed(step))
        theirs.grad = grad.clone()
        if max_grad_norm is not None:
            torch.nn.utils.clip_grad_norm_([theirs], max_grad_norm)
        reference.step()
        flat.grad.copy_(grad)
        flat.slots["a"].fresh = False
        mine.step()
    torch.testing.assert_close(flat.weight, theirs.detach(), rtol=1e-5, atol=1e-6)
    assert flat.slots["a"].fresh


def test_a_short_gradient_is_not_scaled_up():
    flat = Flat({"a": 2}, torch.device("cpu"))
    optim = Adam(flat, learning_rate=0.01, max_grad_norm=1.0)
    flat.grad.copy_(torch.tensor([0.3, 0.4]))
    optim.step()
    assert optim.grad_norm.item() == pytest.approx(0.5)
    torch.testing.assert_close(flat.grad, torch.tensor([0.3, 0.4]))


def test_its_state_continues_where_it_was():
    def run(optim: Adam, steps: range) -> None:
        for step in steps:
            optim.flat.grad.copy_(torch.randn(6, generator=torch.Generator().manual_seed(step)))
            optim.step()

    whole, first, second = (Adam(Flat({"a": 6}, torch.device("cpu")), learning_rate=0.1) for _ in range(3))
    run(whole, range(10))
    run(first, range(4))
    second.load_state_dict({k: v.clone() for k, v in first.state_dict().items()})
    second.flat.weight.copy_(first.flat.weight)
    run(second, range(4, 10))
    assert torch.equal(second.flat.weight, whole.flat.weight)


def test_slots_are_contiguous_views_of_the_flat_tensor():
    flat = Flat({"actor": 3, "critic": 2}, torch.device("cpu"))
    flat.slots["critic"].weight.fill_(1)
    flat.slots["critic"].grad.fill_(2)
    assert flat.weight.tolist() == [0, 0, 0, 1, 1]
    assert flat.grad.tolist() == [0, 0, 0, 2, 2]
