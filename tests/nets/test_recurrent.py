"""Recurrent networks: sequences, states, the ends of episodes."""

import numpy as np
import pytest
import torch
from gymnasium import spaces

from rlkit.config.net import MLPConfig, RecurrentConfig
from rlkit.nets.build import Output
from rlkit.nets.network import Network

SHAPES = {
    "gru": (RecurrentConfig(hidden=[6], width=5), None),
    "lstm": (RecurrentConfig(cell="lstm", hidden=[6], width=5, layers=2), None),
    "separate": (RecurrentConfig(hidden=[], width=5, shared=False), None),
    "two kinds": (RecurrentConfig(hidden=[6], width=5), RecurrentConfig(cell="lstm", width=4)),
    "critic without memory": (RecurrentConfig(hidden=[6], width=5), MLPConfig(hidden=[8])),
}
L, B = 7, 3


def make(shape: str) -> Network:
    net, critic = SHAPES[shape]
    outputs = {"actor": Output(net, (3,), 0.01), "critic": Output(critic or net, (), 1.0)}
    generator = torch.Generator().manual_seed(0)
    return Network(outputs, spaces.Box(-1, 1, (2,)), generator, torch.device("cpu"))


def case(net: Network):
    generator = torch.Generator().manual_seed(1)
    obs = torch.randn(L, B, 2, generator=generator)
    state = torch.randn(B, net.state_size, generator=generator)
    boundary = torch.zeros(L, B, dtype=torch.bool)
    boundary[2, 0] = boundary[2, 1] = boundary[5, 2] = boundary[6, 1] = True
    return obs, state, boundary


@pytest.mark.parametrize("shape", SHAPES)
def test_a_sequence_is_its_steps_one_by_one_with_resets(shape: str):
    net = make(shape)
    obs, state, boundary = case(net)
    policy, value = net.sequence(obs.flatten(0, 1), state, boundary.flatten(), constant=True)[0]
    at = state.numpy()
    for t in range(L):
        (params, v), at = net.advance(obs[t].numpy(), at)
        np.testing.assert_allclose(params, policy.view(L, B, -1)[t].numpy(), atol=1e-6)
        np.testing.assert_allclose(v, value.view(L, B)[t].numpy(), atol=1e-6)
        at = at.copy()
        at[boundary[t].numpy()] = 0


@pytest.mark.parametrize("shape", SHAPES)
def test_the_gradient_is_that_of_finite_differences(shape: str):
    net = make(shape)
    obs, state, boundary = case(net)
    generator = torch.Generator().manual_seed(3)
    d_policy, d_value = torch.randn(L * B, 3, generator=generator), torch.randn(L * B, generator=generator)
    inputs = obs.flatten(0, 1), state, boundary.flatten()

    def along(direction: torch.Tensor, step: float) -> float:
        net.flat.weight.add_(direction, alpha=step)
        policy, value = net.sequence(*inputs, constant=True)[0]
        net.flat.weight.add_(direction, alpha=-step)
        return float((policy * d_policy).sum() + (value * d_value).sum())

    torch.autograd.backward(net.sequence(*inputs)[0], (d_policy, d_value))
    grad = net.flat.grad.clone()
    assert all(bool(g.abs().sum() > 0) for g in net.views(grad).values())
    for seed in range(3):
        direction = torch.randn(grad.shape, generator=torch.Generator().manual_seed(seed))
        expected = (along(direction, 1e-2) - along(direction, -1e-2)) / 2e-2
        assert float(grad @ direction) == pytest.approx(expected, rel=0.03, abs=0.1)


def test_the_gradient_stops_where_an_episode_ends():
    net = make("gru")
    obs, state, boundary = case(net)
    obs, state = obs.requires_grad_(), state.requires_grad_()
    outs, after = net.nets[0].module(obs.flatten(0, 1), state, boundary.flatten())
    value = outs[1].view(L, B)
    d_obs, d_state = torch.autograd.grad(value[5].sum(), (obs, state))
    assert (d_obs[:3, :2] == 0).all()  # rows 0 and 1 ended at step 2
    assert (d_obs[3:6, :2].abs().sum(-1) > 0).all()
    assert (d_obs[:6, 2].abs().sum(-1) > 0).all()
    assert (d_state[:2] == 0).all()
    assert d_state[2].abs().sum() > 0
    assert after.shape == state.shape


def test_rows_that_are_left_out_have_no_gradient():
    net = make("gru")
    obs, state, boundary = case(net)
    rows = torch.tensor([0, 4, 10])
    outs, _ = net.sequence(obs.flatten(0, 1), state, boundary.flatten(), rows)
    assert outs[0].shape == (3, 3)
    torch.autograd.backward(outs, (torch.ones(3, 3), torch.ones(3)))
    some = net.flat.grad.clone()
    net.flat.slots["net0"].fresh = True
    full = torch.zeros(L * B, 3), torch.zeros(L * B)
    for whole in full:
        whole[rows] = 1
    torch.autograd.backward(net.sequence(obs.flatten(0, 1), state, boundary.flatten())[0], full)
    torch.testing.assert_close(some, net.flat.grad)


def test_nets_of_their_own_have_names_of_their_own():
    names = set(make("two kinds").state_dict())
    assert {"memories.actor.cells.weight_ih_l0", "memories.critic.cells.weight_ih_l0"} <= names
    cells = make("gru").state_dict()["memories.trunk.cells.weight_hh_l0"]
    torch.testing.assert_close(cells.T @ cells, torch.eye(5), atol=1e-5, rtol=1e-5)
