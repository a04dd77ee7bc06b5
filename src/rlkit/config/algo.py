"""Configuration of the algorithms: one dataclass each, mirrored by conf/algo."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from rlkit.config.checks import Checked, Flag, Whole
from rlkit.config.learning import OptimizerConfig, ScheduleConfig
from rlkit.config.memory import MemoryConfig
from rlkit.config.net import NetConfig


@dataclass(kw_only=True)
class AlgoConfig(Checked):
    """What every algorithm has."""

    prefix = "algo."
    name: str
    gamma: float = 0.99
    """Discount factor per step, 0 to 1."""

    def __post_init__(self) -> None:
        self.real("gamma", low=0, high=1)

    def check_fit(self, net: NetConfig, critic_net: NetConfig | None, memory: MemoryConfig) -> None:
        """Check what only this algorithm asks of networks and memory; `config.algorithms.check_fit` has the rest.

        Raises:
            ConfigError: it cannot learn with these.
        """

    def advice_on_net(self, key: str, sees: str) -> str:
        """What to use as `net` or `net@critic_net`, where another net does not take what is observed.

        Args:
            key: `net` or `net@critic_net`.
            sees: what the environment shows, `pictures` or `vectors`.
        """
        return f"use {key}={'conv' if sees == 'pictures' else 'mlp'}"

    def without_effect(self) -> None:
        """Check that no option was given that has no effect beside the others.

        Raises:
            ConfigError: naming the first, and the option on which it depends.
        """

    def scheduled(self, *keys: str) -> None:
        """Check the schedules of keys that are never negative, once the keys have been checked."""
        for key in keys:
            getattr(self, f"{key}_schedule").check(f"algo.{key}", getattr(self, key), low=0)


def idle(cfg: Checked, why: str, *keys: str) -> None:
    """Refuse keys of a config dataclass that have no effect, unless they have their defaults.

    Args:
        cfg: the dataclass.
        why: ends the message.
        keys: of fields without a default factory.
    """
    for key in keys:
        default = getattr(type(cfg), key)
        if getattr(cfg, key) != default:
            shown = "null" if default is None else default
            raise cfg.reject(key, f"{shown}, the default; another value would have no effect: {why}")


@dataclass(kw_only=True)
class PolicyGradientConfig(AlgoConfig):
    """What algorithms with a policy, a value and one optimiser have."""

    learning_rate: float = 3e-4
    """Learning rate of the optimiser, at the first frame."""
    learning_rate_schedule: ScheduleConfig = field(default_factory=lambda: ScheduleConfig(kind="linear"))
    """Schedule of the learning rate; by default linear to 0 at the end of the budget."""
    optimizer: OptimizerConfig = field(default_factory=lambda: OptimizerConfig(eps=1e-5))
    """Optimiser; its epsilon is 1e-5 instead of 1e-8 (Huang et al. 2022, detail 3)."""
    normalize_advantage: Literal["standard", "percentile", "none"] = "standard"
    """standard: zero mean and unit deviation per batch. percentile: divided by the running range of returns from
    the 5th to the 95th percentile where that is above 1 (Hafner et al. 2023, arXiv:2301.04104). none."""
    ent_coef: float = 0.0
    """Coefficient of the entropy bonus, 0 or more."""
    ent_coef_schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    """Schedule of the entropy coefficient."""
    vf_coef: float = 0.5
    """Coefficient of the value loss, which is the mean squared error without 1/2."""
    value_transform: Literal["none", "normalize", "symlog"] = "none"
    """Target of the critic: the return (none), the return normalised by running statistics (normalize), or
    sign(x) log(1 + |x|) of it (symlog). normalize does not rescale the last layer, as PopArt does."""
    max_grad_norm: float | None = 0.5
    """Maximal gradient norm, over actor and critic together; null: no clipping."""
    distribution: Literal["auto", "gaussian", "tanh_gaussian", "beta"] = "auto"
    """Policy over continuous actions: auto and gaussian are clipped to the bounds; tanh_gaussian (Haarnoja et al.
    2018) and beta (Chou et al. 2017) stay within them. Other action spaces have one distribution each: auto."""
    log_std_init: float = 0.0
    """Initial log standard deviation of a Gaussian policy, in units of the action scaled to [-1, 1]."""
    state_dependent_std: Flag = False
    """The network gives the log standard deviation; false: it is a learnt parameter, equal in all states."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.real("learning_rate", "max_grad_norm", above=0)
        self.real("ent_coef", "vf_coef", low=0)
        self.real("log_std_init", low=-5 if self.state_dependent_std else -20, high=2)
        self.scheduled("learning_rate", "ent_coef")


@dataclass(kw_only=True)
class PPOConfig(PolicyGradientConfig):
    """Proximal policy optimisation (Schulman et al. 2017, arXiv:1707.06347)."""

    name: str = "ppo"
    n_steps: Whole = 128
    """Steps per environment and rollout."""
    epochs: Whole = 4
    """Passes over each rollout."""
    minibatch_size: Whole = 256
    """Rows per update; the last minibatch of an epoch may be smaller."""
    gae_lambda: float = 0.95
    """Lambda of generalised advantage estimation, 0 (one step) to 1 (Monte Carlo)."""
    clip_coef: float = 0.2
    """Clip range epsilon of the probability ratio, above 0."""
    clip_coef_schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    """Schedule of the clip range."""
    clip_value: Flag = False
    """Clip the new value to within `clip_coef` of the old one in the value loss (Huang et al. 2022, detail 9)."""
    target_kl: float | None = None
    """Stop the updates on a rollout when the approximate KL divergence exceeds 1.5 times this; null: never."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.whole("n_steps", "epochs", "minibatch_size")
        self.real("gae_lambda", low=0, high=1)
        self.real("clip_coef", "target_kl", above=0)
        self.scheduled("clip_coef")


@dataclass(kw_only=True)
class A2CConfig(PolicyGradientConfig):
    """Advantage actor-critic (Mnih et al. 2016, arXiv:1602.01783)."""

    name: str = "a2c"
    learning_rate: float = 7e-4
    normalize_advantage: Literal["standard", "percentile", "none"] = "none"
    n_steps: Whole = 16
    """Steps per environment and rollout, with one update each."""
    returns: Literal["gae", "nstep", "mc"] = "gae"
    """Advantage estimate: gae; nstep, rewards and a bootstrap; mc, all rewards to the end of the episode, with a
    bootstrap where it was truncated or the rollout ends."""
    gae_lambda: float = 0.95
    """Lambda of generalised advantage estimation, 0 to 1."""
    nstep: Whole = 5
    """nstep: rewards before the bootstrap."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.whole("n_steps", "nstep")
        self.real("gae_lambda", low=0, high=1)

    def without_effect(self) -> None:
        if self.returns != "nstep":
            idle(self, "algo.returns=nstep alone counts them", "nstep")


@dataclass(kw_only=True)
class SILConfig(Checked):
    """Self-imitation (Oh et al. 2018, arXiv:1806.05635), beside an on-policy algorithm."""

    prefix = "algo.sil."

    updates: Whole = 4
    """Updates on past episodes after those on each rollout (M in the paper)."""
    batch_size: Whole = 512
    """Steps per update on past episodes."""
    buffer_size: Whole = 100_000
    """Steps of past episodes in the memory."""
    alpha: float = 0.6
    """Priority exponent, 0 (uniform) to 1."""
    beta: float = 0.1
    """Exponent of the importance weights, 0 to 1 (full correction)."""
    coef: float = 1.0
    """Coefficient of the self-imitation loss."""
    vf_coef: float = 0.01
    """Coefficient of its value part, half the squared error; the authors' code has half of that."""
    clip_advantage: float | None = None
    """Bound on the advantage (return minus value) in both parts; null: none, as in the paper. The authors' code
    has 1, with rewards clipped to [-1, 1]."""

    def __post_init__(self) -> None:
        self.real("clip_advantage", above=0)
        self.whole("updates", "batch_size", "buffer_size")
        self.real("alpha", "beta", low=0, high=1)
        self.real("coef", "vf_coef", low=0)


@dataclass(kw_only=True)
class A2CSILConfig(A2CConfig):
    """A2C with self-imitation."""

    name: str = "a2c_sil"
    sil: SILConfig = field(default_factory=SILConfig)
    """Self-imitation."""


@dataclass(kw_only=True)
class PPOSILConfig(PPOConfig):
    """PPO with self-imitation."""

    name: str = "ppo_sil"
    sil: SILConfig = field(default_factory=SILConfig)
    """Self-imitation."""


@dataclass(kw_only=True)
class ReinforceConfig(PolicyGradientConfig):
    """REINFORCE (Williams 1992)."""

    name: str = "reinforce"
    learning_rate: float = 2e-3
    episodes: Whole = 1
    """Whole episodes per environment and update."""
    baseline: Literal["none", "mean", "value"] = "value"
    """Baseline subtracted from the returns: none, their mean over the rollout, or a learnt value."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.whole("episodes", high=100_000)


@dataclass(kw_only=True)
class RandomConfig(AlgoConfig):
    """Actions drawn uniformly, nothing learnt."""

    name: str = "random"

    n_steps: Whole = 128
    """Steps per environment between checks of what is due."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.whole("n_steps")
