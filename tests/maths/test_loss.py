"""Gradients that are propagated without the engine of autograd are the engine's."""

import pytest
import torch
from gymnasium import spaces

from rlkit.config.net import MLPConfig
from rlkit.maths.loss import propagate
from rlkit.maths.squashed import tanh_gaussian
from rlkit.nets.build import Output
from rlkit.nets.network import Network


def network(inputs: int, *shapes: tuple[int, ...], stack: bool = False) -> Network:
    outputs = {f"n{k}": Output(MLPConfig(hidden=[8]), shape, 1.0) for k, shape in enumerate(shapes)}
    generator = torch.Generator().manual_seed(len(shapes))
    return Network(outputs, spaces.Box(-1, 1, (inputs,)), generator, torch.device("cpu"), stack=stack)


def by_engine(outputs, gradients) -> None:
    torch.autograd.backward(list(outputs), list(gradients))


def run(graph: str, take) -> list[torch.Tensor]:
    """The gradients of both networks' parameters after a backward pass that `take` makes."""
    generator = torch.Generator().manual_seed(7)
    actor, critics = network(3, (4,), (2,)), network(5, (), (), stack=True)
    obs, noise = torch.randn(6, 3, generator=generator), torch.randn(6, 2, generator=generator)
    first, second = actor(obs)
    action, log_prob = tanh_gaussian(first, noise)
    if graph == "one node":
        outputs = [first, second]
    elif graph == "one output of two":
        outputs = [second]
    elif graph == "a chain that meets again":
        outputs = [critics(obs, action), log_prob]
    elif graph == "the action alone":
        outputs = [critics(obs, action)]
    elif graph == "the probability alone":
        outputs = [log_prob]
    else:  # nodes of autograd between ours
        outputs = [critics(obs, action * second), log_prob.square()]
    with torch.no_grad():
        take(outputs, [torch.randn(out.shape, generator=generator) for out in outputs])
    return [actor.flat.grad.clone(), critics.flat.grad.clone()]


@pytest.mark.parametrize(
    "graph",
    [
        "one node",
        "one output of two",
        "a chain that meets again",
        "the action alone",
        "the probability alone",
        "nodes of autograd between",
    ],
)
def test_propagating_is_what_the_engine_does(graph: str):
    ours, theirs = run(graph, propagate), run(graph, by_engine)
    assert any(x.abs().sum() > 0 for x in ours)
    for mine, its in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, its, rtol=0, atol=0)


def test_the_engine_is_left_out_only_where_every_node_is_ours(monkeypatch):
    called: list[int] = []
    monkeypatch.setattr(torch.autograd, "backward", lambda *_: called.append(1))
    run("a chain that meets again", propagate)
    assert not called
    run("nodes of autograd between", propagate)
    assert called


def test_what_does_not_depend_on_parameters_is_refused():
    with pytest.raises(RuntimeError, match="does not require grad"):
        propagate([torch.ones(2)], [torch.ones(2)])
