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
    """Discount per step, 0 to 1."""

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
    """Step size of the optimiser at the first frame."""
    learning_rate_schedule: ScheduleConfig = field(default_factory=lambda: ScheduleConfig(kind="linear"))
    """How the learning rate moves; by default it falls to 0 at the last frame of the budget."""
    optimizer: OptimizerConfig = field(default_factory=lambda: OptimizerConfig(eps=1e-5))
    """The optimiser; its epsilon is 1e-5, not the library default of 1e-8 (Huang et al. 2022, detail 3)."""
    normalize_advantage: Literal["standard", "percentile", "none"] = "standard"
    """standard: less the mean, over the deviation of each batch. percentile: over the running range of returns from
    the 5th to the 95th percentile, where that is above 1 (Hafner et al. 2023, arXiv:2301.04104)."""
    ent_coef: float = 0.0
    """Weight of the entropy bonus."""
    ent_coef_schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    """How it moves."""
    vf_coef: float = 0.5
    """Weight of the value loss, which is the mean squared error."""
    value_transform: Literal["none", "normalize", "symlog"] = "none"
    """What the critic learns: returns, returns less their running mean over their running deviation, or
    sign(return) log(1 + |return|). normalize does not rescale the last layer when the statistics move (it is not
    PopArt)."""
    max_grad_norm: float | None = 0.5
    """Bound on the norm of the gradient of actor and critic together; null: no clipping."""
    distribution: Literal["auto", "gaussian", "tanh_gaussian", "beta"] = "auto"
    """Of continuous actions. auto: gaussian, whose actions are clipped to the bounds; the two others keep within them
    (tanh_gaussian: Haarnoja et al. 2018; beta: Chou et al. 2017). Other actions have one of their own."""
    log_std_init: float = 0.0
    """First log standard deviation of a Gaussian policy, in units of the action scaled to [-1, 1]."""
    state_dependent_std: Flag = False
    """A network gives the log standard deviation; false: it is learnt, and the same in every state."""

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
    """Rows per update; the last minibatch of an epoch takes the rest if it does not divide the rollout."""
    gae_lambda: float = 0.95
    """Lambda of generalised advantage estimation, 0 (one-step) to 1 (Monte Carlo)."""
    clip_coef: float = 0.2
    """Half-width of the interval around 1 outside which the probability ratio is not rewarded."""
    clip_coef_schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    """How it moves."""
    clip_value: Flag = False
    """Clip the new value to within `clip_coef` of the old one in the value loss (Huang et al. 2022, detail 9)."""
    target_kl: float | None = None
    """Stop a rollout's updates when the approximate KL divergence exceeds 1.5 times this; null: never."""

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
    """Steps per environment and rollout, and so between two updates."""
    returns: Literal["gae", "nstep", "mc"] = "gae"
    """How advantages are estimated: `gae` with `gae_lambda`; `nstep` rewards, then a bootstrap; `mc`, all rewards to
    the end of the episode, bootstrapped where it was truncated or the rollout ends."""
    gae_lambda: float = 0.95
    """Lambda of generalised advantage estimation, 0 to 1."""
    nstep: Whole = 5
    """Rewards before the bootstrap, with `returns: nstep`."""

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
    """Steps of each."""
    buffer_size: Whole = 100_000
    """Steps of past episodes that are held."""
    alpha: float = 0.6
    """Exponent of the priorities: 0 draws evenly."""
    beta: float = 0.1
    """Exponent of the importance weights: 1 undoes the priorities' bias in full."""
    coef: float = 1.0
    """Weight of the self-imitation loss."""
    vf_coef: float = 0.01
    """Weight of the half square of the value's error within it; the authors' code has half of that."""
    clip_advantage: float | None = None
    """Bound on the advantage (return less value) in both parts. null: none, as in the paper. The authors' code has 1,
    with rewards clipped to [-1, 1]."""

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
    """The self-imitation part."""


@dataclass(kw_only=True)
class PPOSILConfig(PPOConfig):
    """PPO with self-imitation."""

    name: str = "ppo_sil"
    sil: SILConfig = field(default_factory=SILConfig)
    """The self-imitation part."""


@dataclass(kw_only=True)
class ReinforceConfig(PolicyGradientConfig):
    """REINFORCE (Williams 1992)."""

    name: str = "reinforce"
    learning_rate: float = 2e-3
    episodes: Whole = 1
    """Whole episodes per environment and update."""
    baseline: Literal["none", "mean", "value"] = "value"
    """Subtracted from the returns: nothing, their mean over the rollout, or a learnt value."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.whole("episodes", high=100_000)


@dataclass(kw_only=True)
class RandomConfig(AlgoConfig):
    """Actions drawn uniformly, nothing learnt."""

    name: str = "random"

    n_steps: Whole = 128
    """Steps per environment between two looks at the schedule of logs and evaluations."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.whole("n_steps")
