"""Updates of the off-policy algorithms against plain autograd, and when they happen."""

import copy
import math

import numpy as np
import pytest
import torch
from torch.distributions import Normal, TransformedDistribution
from torch.distributions.transforms import TanhTransform

from rlkit.config.net import MLPConfig, RecurrentConfig
from rlkit.config.off_policy import (
    CrossQConfig,
    DQNConfig,
    NoiseConfig,
    SACConfig,
    SARSAConfig,
    TD3Config,
    ValueExploration,
)
from rlkit.nets.optim import Flat
from rlkit.training.evaluate import lend
from rlkit.types import Batch
from tests.algos.loop import Loop

CARTPOLE, PENDULUM = "CartPole-v1", "Pendulum-v1"
SOON = {"learning_starts": 40, "batch_size": 32}


def ready(env_id: str, cfg, **kwargs) -> tuple[Loop, Batch]:
    """A loop that has learnt a little, so that targets differ from what they follow, and a batch."""
    loop = Loop(env_id, cfg, **kwargs)
    while loop.algo.updates < 5:
        loop.learn()
    batch = loop.memory.sample(32, gamma=cfg.gamma, n_step=cfg.n_step)
    batch.fields["weight"] = torch.rand(32)
    return loop, batch


def gradients(network, loss: torch.Tensor, parts: dict[str, torch.nn.Module]) -> dict[str, torch.Tensor]:
    names = [(f"{prefix}.{name}", p) for prefix, part in parts.items() for name, p in part.named_parameters()]
    return dict(zip([n for n, _ in names], torch.autograd.grad(loss, [p for _, p in names]), strict=True))


def check(network, expected: dict[str, torch.Tensor], grad: torch.Tensor) -> None:
    mine = network.views(grad)
    assert set(mine) == set(expected)
    for name, value in expected.items():
        torch.testing.assert_close(mine[name], value, atol=1e-6, rtol=1e-4)


def caught(optimizer) -> list[torch.Tensor]:
    """The gradients that an optimiser is given from now on; it takes no steps."""
    seen: list[torch.Tensor] = []

    def step(loss) -> None:
        Flat.stepped = optimizer.flat
        loss.backward()
        Flat.stepped = None
        seen.append(optimizer.flat.grad.clone())
        optimizer.flat.slots["net0"].fresh = True

    optimizer.step = step
    return seen


@pytest.mark.parametrize("double", [False, True])
@pytest.mark.parametrize("dueling", [False, True])
@pytest.mark.parametrize("loss", ["huber", "squared"])
def test_dqns_update_is_autograds(double: bool, dueling: bool, loss: str):
    cfg = DQNConfig(**SOON, double=double, dueling=dueling, loss=loss, n_step=2, target_update_every=3)
    loop, batch = ready(CARTPOLE, cfg)
    algo = loop.algo
    online, target = algo.q.nets[0].twin(0), algo.target.nets[0].twin(0)

    def q(net, obs):
        out = net(obs)
        return out[:, :1] + out[:, 1:] - out[:, 1:].mean(1, keepdim=True) if dueling else out

    with torch.no_grad():
        rated = q(target, batch.next_obs)
        best = q(online if double else target, batch.next_obs).argmax(-1, keepdim=True)
        goal = batch.reward + batch.discount * rated.gather(1, best)[:, 0]
    value = q(online, batch.obs).gather(1, batch.action[:, None])[:, 0]
    each = (
        torch.nn.functional.huber_loss(value, goal, reduction="none") if loss == "huber" else 0.5 * (value - goal) ** 2
    )
    total = (batch.weight * each).mean()
    seen = caught(algo.optims["q"])
    update = algo.update(batch)
    check(algo.q, gradients(algo.q, total, {"q": online}), seen[0])
    torch.testing.assert_close(update.priority(), (value - goal).abs().detach(), atol=1e-5, rtol=1e-5)
    assert float(update.report()["loss"]) == pytest.approx(total.item(), rel=1e-5)


@pytest.mark.parametrize("tau", [1.0, 0.1])
def test_targets_really_move(tau: float):
    loop = Loop(CARTPOLE, DQNConfig(**SOON, tau=tau, target_update_every=3))
    algo = loop.algo
    before, moves = algo.target.flat.weight.clone(), []
    while algo.updates < 9:
        mine = algo.target.flat.weight.clone()
        loop.rollout()
        for batch in algo.batches(loop.memory):
            mine = algo.target.flat.weight.clone()
            algo.update(batch)
            moved = not torch.equal(mine, algo.target.flat.weight)
            assert moved == (algo.updates % 3 == 0)
            if moved:
                moves.append(algo.updates)
                expected = torch.lerp(mine, algo.q.flat.weight, tau)
                torch.testing.assert_close(algo.target.flat.weight, expected)
    assert moves[:3] == [3, 6, 9]
    assert not torch.equal(before, algo.target.flat.weight)


@pytest.mark.parametrize("num_envs", [1, 4, 16])
@pytest.mark.parametrize(("every", "steps"), [(1, 1), (4, 1), (3, 2), (64, 10), (10, 1)])
def test_updates_are_owed_by_frames_whatever_the_number_of_environments(num_envs: int, every: int, steps: int):
    cfg = DQNConfig(learning_starts=100, batch_size=8, train_every_frames=every, gradient_steps=steps)
    loop = Loop(CARTPOLE, cfg, num_envs)
    while loop.frames < 100:
        assert loop.learn() == [] or loop.frames > 100
    while loop.frames < 600:
        loop.learn()
    owed = (loop.frames - 100) * steps / every
    assert loop.algo.updates == pytest.approx(owed, abs=1)
    assert loop.algo.updates + loop.algo.owed == pytest.approx(owed)


def test_actions_are_drawn_evenly_before_learning_starts():
    loop = Loop(PENDULUM, TD3Config(learning_starts=400), 4)
    actions = np.concatenate([loop.rollout().fields["action"].flatten() for _ in range(100)])
    assert np.histogram(actions, 4, (-1, 1))[0] == pytest.approx(np.full(4, 100), abs=50)
    loop.frames = 400
    assert np.abs(loop.rollout().fields["action"]).max() < 0.9  # an untrained policy and a little noise


def sac_parts(algo):
    critic, target = algo.critics.nets[0], algo.targets["critic"].nets[0]
    return algo.actor.nets[0].twin(0), [critic.twin(k) for k in (0, 1)], [target.twin(k) for k in (0, 1)]


@pytest.mark.parametrize("twin", ["min", "mean"])
def test_sacs_update_is_autograds(twin: str):
    cfg = SACConfig(**SOON, twin=twin, n_step=2)
    loop, batch = ready(PENDULUM, cfg)
    algo = loop.algo
    actor, critics, targets = sac_parts(algo)
    alpha = float(algo.temperature.alpha)
    noises = torch.from_numpy(copy.deepcopy(algo.rng).standard_normal((64, 1), dtype=np.float32))

    def policy(obs, noise):
        mean, log_std = actor(obs).chunk(2, -1)
        std = log_std.clamp(-20, 2).exp()
        action = torch.tanh(mean + std * noise)
        dist = TransformedDistribution(Normal(mean, std), TanhTransform(cache_size=1))
        return action, (dist.base_dist.log_prob(mean + std * noise) - torch.log(1 - action**2 + 1e-9)).sum(-1)

    def join(nets, obs, action):
        q = torch.stack([net(torch.cat([obs, action], -1))[:, 0] for net in nets])
        return q.min(0).values if twin == "min" else q.mean(0)

    with torch.no_grad():
        next_action, next_log_prob = policy(batch.next_obs, noises[32:])
        goal = batch.reward + batch.discount * (join(targets, batch.next_obs, next_action) - alpha * next_log_prob)
    qs = [net(torch.cat([batch.obs, batch.action], -1))[:, 0] for net in critics]
    critic_loss = sum((batch.weight * (q - goal) ** 2).mean() for q in qs)
    action, log_prob = policy(batch.obs, noises[:32])
    actor_loss = (alpha * log_prob - join(critics, batch.obs, action)).mean()
    of_critic, of_actor = caught(algo.optims["critic"]), caught(algo.optims["actor"])
    log_alpha = float(algo.temperature.log_alpha.flat.weight)
    update = algo.update(batch)
    check(algo.critics, gradients(algo.critics, critic_loss, {"q1": critics[0], "q2": critics[1]}), of_critic[0])
    check(algo.actor, gradients(algo.actor, actor_loss, {"actor": actor}), of_actor[0])
    entropy = -float(log_prob.detach().mean())
    assert float(update.report()["entropy"]) == pytest.approx(entropy, abs=1e-4)
    assert np.sign(float(algo.temperature.log_alpha.flat.weight) - log_alpha) == np.sign(
        algo.temperature.target_entropy - entropy
    )
    assert algo.temperature.target_entropy == -1


def test_sacs_update_over_choices_is_autograds():
    loop, batch = ready(CARTPOLE, SACConfig(**SOON))
    algo = loop.algo
    actor, critics, targets = sac_parts(algo)
    alpha = float(algo.temperature.alpha)
    with torch.no_grad():
        log_p = actor(batch.next_obs).log_softmax(-1)
        q = torch.min(*(net(batch.next_obs) for net in targets))
        goal = batch.reward + batch.discount * (log_p.exp() * (q - alpha * log_p)).sum(-1)
    qs = [net(batch.obs).gather(1, batch.action[:, None])[:, 0] for net in critics]
    critic_loss = sum((batch.weight * (q - goal) ** 2).mean() for q in qs)
    log_p = actor(batch.obs).log_softmax(-1)
    least = torch.min(*(net(batch.obs) for net in critics)).detach()
    actor_loss = (log_p.exp() * (alpha * log_p - least)).sum(-1).mean()
    of_critic, of_actor = caught(algo.optims["critic"]), caught(algo.optims["actor"])
    algo.update(batch)
    check(algo.critics, gradients(algo.critics, critic_loss, {"q1": critics[0], "q2": critics[1]}), of_critic[0])
    check(algo.actor, gradients(algo.actor, actor_loss, {"actor": actor}), of_actor[0])
    assert algo.temperature.target_entropy == pytest.approx(0.5 * math.log(2))


def test_td3s_update_is_autograds():
    loop, batch = ready(PENDULUM, TD3Config(**SOON, policy_delay=1))
    algo = loop.algo
    actor, slow = algo.actor.nets[0].twin(0), algo.targets["actor"].nets[0].twin(0)
    critics, targets = ([net.twin(k) for k in (0, 1)] for net in (algo.critics.nets[0], algo.targets["critic"].nets[0]))
    rng = copy.deepcopy(algo.rng)
    with torch.no_grad():
        noise = torch.from_numpy(rng.standard_normal((32, 1), dtype=np.float32))
        action = (slow(batch.next_obs).tanh() + (0.2 * noise).clamp(-0.5, 0.5)).clamp(-1, 1)
        then = torch.cat([batch.next_obs, action], -1)
        goal = batch.reward + batch.discount * torch.min(*(net(then) for net in targets))[:, 0]
    now = torch.cat([batch.obs, batch.action], -1)
    critic_loss = sum((batch.weight * (net(now)[:, 0] - goal) ** 2).mean() for net in critics)
    actor_loss = -critics[0](torch.cat([batch.obs, actor(batch.obs).tanh()], -1)).mean()
    of_critic, of_actor = caught(algo.optims["critic"]), caught(algo.optims["actor"])
    algo.update(batch)
    check(algo.critics, gradients(algo.critics, critic_loss, {"q1": critics[0], "q2": critics[1]}), of_critic[0])
    check(algo.actor, gradients(algo.actor, actor_loss, {"actor": actor}), of_actor[0])


def test_crossqs_critics_see_both_halves_as_one_batch_and_only_then_move_their_statistics():
    net = MLPConfig(hidden=[16], activation="relu", batch_renorm=True)
    loop, batch = ready(PENDULUM, CrossQConfig(**SOON, policy_delay=1), net=net)
    algo = loop.algo
    assert not algo.targets
    module = copy.deepcopy(algo.critics.nets[0].module)
    rng = copy.deepcopy(algo.rng)
    alpha = float(algo.temperature.alpha)
    with torch.no_grad():
        mean, log_std = algo.actor.nets[0].module.eval()(batch.next_obs)[0].chunk(2, -1)
        noise = torch.from_numpy(rng.standard_normal((64, 1), dtype=np.float32))[32:]
        next_action = torch.tanh(mean + log_std.exp() * noise)
        log_prob = (Normal(mean, log_std.exp()).log_prob(mean + log_std.exp() * noise) - torch.log(1 - next_action**2))[
            :, 0
        ]
    both = torch.cat([torch.cat([batch.obs, batch.action], -1), torch.cat([batch.next_obs, next_action], -1)])
    outs = module.train()(both)
    with torch.no_grad():
        goal = batch.reward + batch.discount * (torch.min(outs[0], outs[1])[32:, 0] - alpha * log_prob)
    loss = sum((batch.weight * (out[:32, 0] - goal) ** 2).mean() for out in outs)
    of_critic = caught(algo.optims["critic"])
    algo.update(batch)
    check(algo.critics, gradients(algo.critics, loss, dict(module.heads.items())), of_critic[0])
    moved = algo.critics.nets[0].buffers()  # by the joint pass alone: the policy's loss came after it
    for name, value in module.named_buffers():
        torch.testing.assert_close(moved[name.removeprefix("heads.")] if name not in moved else moved[name], value)


@pytest.mark.parametrize("expected", [False, True])
@pytest.mark.parametrize("ending", ["terminated", "truncated"])
def test_sarsas_targets_on_the_chain(expected: bool, ending: str):
    cfg = SARSAConfig(gamma=0.9, n_steps=5, expected=expected, exploration=ValueExploration(epsilon=0.4))
    loop = Loop("tests.envs.chain:Chain-v0", cfg, 2, frames=10**9, ending=ending)
    rollout = loop.rollout()
    q = loop.algo.q.infer(np.arange(4, dtype=np.float32)[:, None])
    mixed = 0.6 * q.max(-1) + 0.4 * q.mean(-1)
    action, target = rollout.fields["action"], rollout.fields["target"]
    for n in range(2):
        for t in range(5):
            at, successor = int(rollout.obs[t, n, 0]), int(rollout.obs[t, n, 0]) + 1
            if successor == 3 and ending == "terminated":
                assert target[t, n] == 1.0
            elif expected:
                assert target[t, n] == pytest.approx(1 + 0.9 * mixed[successor], abs=1e-4)
            elif successor == 3 or t == 4:  # no action was taken there: one is drawn
                assert min(abs(target[t, n] - 1 - 0.9 * q[successor])) < 1e-5
            else:
                assert target[t, n] == pytest.approx(1 + 0.9 * q[successor, action[t + 1, n]], abs=1e-5)
            assert at < 3


@pytest.mark.parametrize(
    "options",
    [
        {"distribution": "categorical", "v_min": 0.0, "v_max": 1.0},
        {"distribution": "quantile", "atoms": 11},
        {"dueling": True, "double": True, "n_step": 3},
        {"exploration": ValueExploration(kind="boltzmann", temperature=0.2)},
        {"exploration": ValueExploration(repeat_exponent=2.0)},
    ],
    ids=lambda options: "-".join(options),
)
def test_variants_of_dqn_learn_the_identity(options: dict):
    cfg = DQNConfig(
        **{"learning_starts": 100, "batch_size": 64, "gamma": 0.0, "target_update_every": 50, "learning_rate": 3e-3}
        | options
    )
    loop = Loop("tests.envs.chain:Identity-v0", cfg, frames=2500, memory_name="prioritized")
    while loop.frames < 2500:
        loop.learn()
    obs = np.eye(3, dtype=np.float32)
    assert loop.algo.act(obs, frames=2500, explore=False).action.tolist() == [0, 1, 2]


def test_noisy_layers_draw_for_every_action_and_are_still_when_scored():
    loop = Loop(CARTPOLE, DQNConfig(**SOON), net=MLPConfig(hidden=[16], noisy=True))
    algo = loop.algo
    obs = np.zeros((4, 4), np.float32)
    values = []
    for explore in (True, True, False, False):
        algo.act(obs, frames=10**6, explore=explore)
        values.append(algo.q.infer(obs))
    assert not np.array_equal(values[0], values[1])
    assert np.array_equal(values[2], values[3])
    before = {name: w.clone() for name, w in algo.weights().items()}
    while algo.updates < 3:
        loop.learn()
    assert all(not torch.equal(w, before[name]) for name, w in algo.weights().items())


@pytest.mark.parametrize("burn_in", [0, 3])
def test_recurrent_dqn_learns_from_stretches_as_they_were_lived(burn_in: int):
    """Against the module run step by step, with the state reset where an episode ended."""
    net = RecurrentConfig(hidden=[8], width=6, sequence_length=4, burn_in=burn_in)
    cfg = DQNConfig(**SOON, double=True)
    loop = Loop("tests.envs.chain:Chain-v0", cfg, 3, net=net, ending="terminated")
    algo = loop.algo
    while algo.updates < 3:
        loop.learn()
    (batch,) = algo.draw(loop.memory, 1)
    length, size = 4 + burn_in, 8
    assert len(batch.action) == length * size
    obs = batch.obs.view(length + 1, size, 1)
    ended = batch.boundary.view(length, size)

    def along(network) -> torch.Tensor:
        state, outs = torch.zeros(size, 6), []
        for t in range(length + 1):
            with torch.set_grad_enabled(network is algo.q and t >= burn_in):
                out, state = network.nets[0].module(obs[t], state, torch.zeros(size, dtype=torch.bool))
            outs.append(out[0])
            if t == burn_in - 1:
                state = state.detach()
            if t < length:
                state = state * ~ended[t].unsqueeze(-1)
        return torch.stack(outs)

    online, slow = along(algo.q), along(algo.target).detach()
    best = online.detach()[1:].argmax(-1, keepdim=True)
    going = (~batch.terminated.view(length, size)).float()
    goal = batch.reward.view(length, size) + cfg.gamma * going * slow[1:].gather(-1, best)[..., 0]
    value = online[:-1].gather(-1, batch.action.view(length, size, 1))[..., 0]
    each = torch.nn.functional.huber_loss(value[burn_in:], goal[burn_in:], reduction="mean")
    names = [name.removeprefix("heads.") for name, _ in algo.q.nets[0].module.named_parameters()]
    expected = dict(zip(names, torch.autograd.grad(each, list(algo.q.nets[0].module.parameters())), strict=True))
    seen = caught(algo.optims["q"])
    algo.update(batch)
    check(algo.q, expected, seen[0])


def test_a_truncated_step_of_a_stretch_is_left_out():
    net = RecurrentConfig(hidden=[], width=4, sequence_length=5)
    loop = Loop("tests.envs.chain:Chain-v0", DQNConfig(**SOON), 2, net=net, ending="truncated")
    while loop.algo.updates < 1:
        loop.learn()
    (batch,) = loop.algo.draw(loop.memory, 1)
    learnt, out, *_ = loop.algo.outputs(batch)
    assert batch.boundary.any()
    assert len(learnt.action) == len(out) == int((~batch.boundary).sum())


@pytest.mark.slow
def test_recurrent_dqn_recalls():
    cfg = DQNConfig(
        learning_starts=1000,
        batch_size=360,
        learning_rate=2e-3,
        target_update_every=100,
        train_every_frames=8,
        double=True,
        exploration=ValueExploration(epsilon=0.2),
    )
    net = RecurrentConfig(hidden=[32], width=32, sequence_length=18)
    loop = Loop("tests.envs.chain:Recall-v0", cfg, 4, frames=30_000, net=net, delay=8)
    while loop.frames < 30_000:
        loop.learn()
    state, right = None, []
    for side in (-1.0, 1.0):
        state = None
        for t in range(9):
            obs = np.array([[side if t == 0 else 0.0, float(t == 8)]], np.float32)
            action = loop.algo.act(obs, state, frames=30_000, explore=False)
            state = action.state
        right.append(int(action.action[0]) == (side > 0))
    assert all(right)


@pytest.mark.parametrize(
    "cfg",
    [
        SACConfig(),
        SACConfig(noise=NoiseConfig(kind="pink")),
        SACConfig(noise=NoiseConfig(kind="ornstein_uhlenbeck")),
        TD3Config(noise=NoiseConfig(kind="pink")),
        TD3Config(noise=NoiseConfig(kind="ornstein_uhlenbeck")),
    ],
    ids=lambda cfg: f"{cfg.name}-{cfg.noise.kind}",
)
def test_noise_is_for_training_alone_and_an_evaluation_does_not_move_it(cfg):
    algo = Loop(PENDULUM, cfg, 4).algo
    before = copy.deepcopy(algo.noise.state_dict())
    with lend(algo, np.random.default_rng(0)):
        for rows in (1, 4, 16):
            action = algo.act(np.zeros((rows, 3), np.float32), frames=10**6, explore=True)
            assert action.action.shape == (rows, 1)
            assert action.state is None
    for name, value in algo.noise.state_dict().items():
        np.testing.assert_array_equal(value, before[name])
    obs = np.zeros((4, 3), np.float32)
    if cfg.name == "td3":
        quiet = algo.act(obs, frames=10**6, explore=False).action
        assert not np.array_equal(algo.act(obs, frames=10**6, explore=True).action, quiet)


def test_repeated_actions_are_for_training_alone_and_are_saved():
    algo = Loop(CARTPOLE, DQNConfig(**SOON, exploration=ValueExploration(repeat_exponent=1.5)), 4).algo
    obs = np.zeros((4, 4), np.float32)
    algo.act(obs, frames=0, explore=True)
    before = copy.deepcopy(algo.state_dict()["repeats"])
    assert before["left"].any()
    with lend(algo, np.random.default_rng(0)):
        algo.act(obs, frames=0, explore=True)
    algo.act(obs, frames=0, explore=False)
    for name, value in algo.state_dict()["repeats"].items():
        np.testing.assert_array_equal(value, before[name])


def test_pink_noise_has_the_deviation_of_the_policy():
    algo = Loop(PENDULUM, SACConfig(noise=NoiseConfig(kind="pink")), 4).algo
    drawn = np.concatenate([algo.noise(np.random.default_rng(seed))[0] for seed in range(1024)])
    assert drawn.std() == pytest.approx(1, abs=0.1)


def test_every_report_of_crossq_has_the_policys_figures():
    net = MLPConfig(hidden=[16], activation="relu", batch_renorm=True)
    loop = Loop(PENDULUM, CrossQConfig(**SOON), 1, net=net)
    reports = []
    while loop.algo.updates < 12:
        reports += [u.report() for u in loop.learn()]
    assert all({"entropy", "alpha", "critic_loss"} <= set(metrics) for metrics in reports[3:])


def test_a_new_run_and_a_loaded_one_begin_with_the_same_temperature():
    one, other = (Loop(PENDULUM, SACConfig(alpha_init=0.2)).algo for _ in range(2))
    other.load_state_dict(copy.deepcopy(one.state_dict()))
    assert float(one.temperature.alpha) == float(other.temperature.alpha)


@pytest.mark.parametrize("cfg", [SACConfig(), TD3Config()], ids=lambda cfg: cfg.name)
def test_twin_critics_share_nothing(cfg):
    algo = Loop(PENDULUM, cfg, net=MLPConfig(hidden=[8], shared=True)).algo
    assert not any("trunk" in name for name in algo.critics.state_dict())
