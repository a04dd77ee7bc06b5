"""Configuration of the algorithms that learn action values or from a replay memory, mirrored by conf/algo."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from rlkit.config.algo import AlgoConfig, idle
from rlkit.config.checks import Checked, Flag, Whole
from rlkit.config.learning import OptimizerConfig, ScheduleConfig
from rlkit.config.memory import MemoryConfig, ReplayConfig
from rlkit.config.net import MLPConfig, NetConfig, RecurrentConfig, SequentialConfig
from rlkit.errors import ConfigError


@dataclass(kw_only=True)
class OffPolicyConfig(AlgoConfig):
    """What algorithms that learn from a replay memory have."""

    learning_rate: float = 1e-3
    """Learning rate of the optimiser, at the first frame."""
    learning_rate_schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    """Schedule of the learning rate."""
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    """Optimiser."""
    max_grad_norm: float | None = None
    """Maximal gradient norm of each network; null: no clipping."""
    batch_size: Whole = 256
    """Transitions per update."""
    learning_starts: Whole = 1000
    """Frames before the first update, collected with random actions."""
    train_every_frames: Whole = 1
    """Frames, over all environments, between two groups of `gradient_steps` updates."""
    gradient_steps: Whole = 1
    """Updates for every `train_every_frames` frames; a remainder is carried over."""
    n_step: Whole = 1
    """Rewards summed before the bootstrap."""
    target_update_every: Whole = 1
    """Updates between two target network updates."""
    tau: float = 0.005
    """Step size of the target network update, above 0 to 1 (a copy)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.real("learning_rate", "max_grad_norm", above=0)
        self.real("tau", above=0, high=1)
        self.whole("batch_size", "train_every_frames", "gradient_steps", "n_step", "target_update_every")
        self.whole("learning_starts", low=0)
        self.scheduled("learning_rate")


@dataclass(kw_only=True)
class ValueExploration(Checked):
    """How algorithms that learn action values try out actions."""

    prefix = "algo.exploration."

    kind: Literal["epsilon_greedy", "boltzmann"] = "epsilon_greedy"
    """epsilon_greedy: a random action with probability `epsilon`. boltzmann: probabilities softmax(Q / temperature)."""
    epsilon: float = 1.0
    """Probability of a random action at the first frame, 0 to 1."""
    epsilon_schedule: ScheduleConfig = field(default_factory=lambda: ScheduleConfig(kind="linear", end=0.05))
    """Schedule of epsilon; by default linear to 0.05 at the end of the budget."""
    repeat_exponent: float | None = None
    """Repeat an exploratory action for n steps with probability proportional to n^-repeat_exponent (Dabney et al.
    2021, arXiv:2006.01782, use 2); null: for one step."""
    temperature: float = 1.0
    """boltzmann: temperature at the first frame, in units of reward."""
    temperature_schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    """Schedule of the temperature."""

    def __post_init__(self) -> None:
        self.real("epsilon", low=0, high=1)
        self.real("temperature", low=0)
        self.real("repeat_exponent", above=1)
        if self.repeat_exponent is not None and self.kind != "epsilon_greedy":
            raise self.reject("repeat_exponent", f"null, since algo.exploration.kind={self.kind}")
        self.epsilon_schedule.check("algo.exploration.epsilon", self.epsilon, low=0, high=1)
        self.temperature_schedule.check("algo.exploration.temperature", self.temperature, low=0)

    def without_effect(self) -> None:
        """Refuse keys that have no effect beside the others."""
        if self.kind != "boltzmann":
            idle(self, "algo.exploration.kind=boltzmann alone has a temperature", "temperature")


@dataclass(kw_only=True)
class DQNConfig(OffPolicyConfig):
    """Deep Q-learning (Mnih et al. 2015)."""

    name: str = "dqn"
    batch_size: Whole = 64
    tau: float = 1.0
    target_update_every: Whole = 500
    max_grad_norm: float | None = 10.0
    double: Flag = False
    """Double Q-learning: the online network selects the successor's action, the target network evaluates it (van
    Hasselt et al. 2016, arXiv:1509.06461)."""
    dueling: Flag = False
    """Dueling network: separate heads for the state value and the advantages (Wang et al. 2016, arXiv:1511.06581)."""
    loss: Literal["huber", "squared"] = "huber"
    """Loss of the temporal-difference error: half its square, or huber, linear beyond an error of 1."""
    distribution: Literal["none", "categorical", "quantile"] = "none"
    """Distributional learning: categorical over `atoms` fixed returns (C51, Bellemare et al. 2017,
    arXiv:1707.06887), or `atoms` quantiles (QR-DQN, Dabney et al. 2018, arXiv:1710.10044)."""
    atoms: Whole = 51
    """Number of fixed returns or quantiles."""
    v_min: float = -10.0
    """categorical: lowest return."""
    v_max: float = 10.0
    """categorical: highest return."""
    exploration: ValueExploration = field(default_factory=ValueExploration)
    """Exploration; with noisy layers epsilon may be 0."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.whole("atoms", low=2)
        self.real("v_min", "v_max")
        if self.v_min >= self.v_max:
            raise self.reject("v_max", f"more than algo.v_min={self.v_min:g}")

    def without_effect(self) -> None:
        self.exploration.without_effect()
        if self.distribution == "none":
            idle(self, "algo.distribution=categorical or quantile have them", "atoms")
        else:
            idle(self, f"algo.distribution={self.distribution} has another loss", "loss")
        if self.distribution != "categorical":
            idle(self, "algo.distribution=categorical alone has them", "v_min", "v_max")

    def check_fit(self, net: NetConfig, critic_net: NetConfig | None, memory: MemoryConfig) -> None:
        """Sequences are drawn evenly, and their returns have one step."""
        plain = isinstance(memory, ReplayConfig) and memory.name == "replay" and not memory.combined
        if isinstance(net, RecurrentConfig) and not (plain and self.n_step == 1):
            raise ConfigError(
                f"net={net.name}: {self.name} replays sequences evenly and with one-step returns\n"
                "  accepted: memory=replay memory.combined=false algo.n_step=1"
            )


@dataclass(kw_only=True)
class SARSAConfig(AlgoConfig):
    """SARSA (Rummery & Niranjan 1994)."""

    name: str = "sarsa"
    learning_rate: float = 1e-3
    """Learning rate of the optimiser, at the first frame."""
    learning_rate_schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    """Schedule of the learning rate."""
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    """Optimiser."""
    max_grad_norm: float | None = 10.0
    """Maximal gradient norm; null: no clipping."""
    n_steps: Whole = 8
    """Steps per environment and rollout, with one update each."""
    expected: Flag = False
    """Bootstrap from the mean over the policy's actions (van Seijen et al. 2009) instead of the action taken."""
    loss: Literal["huber", "squared"] = "squared"
    """Loss of the temporal-difference error: half its square, or huber, linear beyond an error of 1."""
    exploration: ValueExploration = field(default_factory=ValueExploration)
    """Exploration."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.real("learning_rate", "max_grad_norm", above=0)
        self.whole("n_steps")
        self.scheduled("learning_rate")
        if self.exploration.repeat_exponent is not None:
            raise self.exploration.reject("repeat_exponent", "null, in SARSA, which draws the next action afresh")

    def without_effect(self) -> None:
        self.exploration.without_effect()


@dataclass(kw_only=True)
class NoiseConfig(Checked):
    """Noise that is added to continuous actions while exploring, in units of the action scaled to [-1, 1]."""

    prefix = "algo.noise."

    kind: Literal["none", "gaussian", "ornstein_uhlenbeck", "pink"] = "none"
    """none; gaussian, independent at each step; ornstein_uhlenbeck, from 0 in each episode (Lillicrap et al.
    2016, arXiv:1509.02971); pink, with power inverse to frequency, across episodes (Eberhard et al. 2023)."""
    std: float = 0.1
    """Standard deviation; for ornstein_uhlenbeck that of one step's change. SAC's pink noise has 1, inside of tanh."""
    theta: float = 0.15
    """ornstein_uhlenbeck: mean reversion per step, 0 to 1."""

    def __post_init__(self) -> None:
        self.real("std", low=0)
        self.real("theta", low=0, high=1)

    def without_effect(self) -> None:
        """Refuse keys that have no effect beside the others."""
        if self.kind == "none":
            idle(self, "algo.noise.kind=none", "std")
        if self.kind != "ornstein_uhlenbeck":
            idle(self, "algo.noise.kind=ornstein_uhlenbeck alone has it", "theta")


@dataclass(kw_only=True)
class SACConfig(OffPolicyConfig):
    """Soft actor-critic (Haarnoja et al. 2018, arXiv:1812.05905; for discrete actions Christodoulou 2019)."""

    name: str = "sac"
    learning_rate: float = 3e-4
    alpha: float | None = None
    """Temperature, the weight of the entropy; null: learnt, towards `target_entropy`."""
    alpha_schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    """Schedule of a given temperature."""
    alpha_init: float = 1.0
    """Initial value of a learnt temperature."""
    alpha_lr: float | None = None
    """Constant learning rate of the temperature; null: that of the networks, with its schedule."""
    alpha_min: float = 1e-5
    """Lower bound on a learnt temperature."""
    alpha_max: float = 1e3
    """Upper bound on a learnt temperature."""
    alpha_loss: Literal["log", "plain"] = "log"
    """The temperature's loss is linear in log alpha (log), or in alpha (plain; eq. 18 of the paper)."""
    target_entropy: float | None = None
    """Target entropy in nats, of the action in [-1, 1]; null: minus the number of continuous dimensions, or half
    of log(choices) for discrete actions."""
    twin: Literal["min", "mean"] = "min"
    """How the critics are combined in targets and the policy's loss: their minimum or their mean."""
    policy_delay: Whole = 1
    """Critic updates per update of policy and temperature."""
    noise: NoiseConfig = field(default_factory=NoiseConfig)
    """Exploration noise added to the policy's own (continuous actions); pink noise replaces the policy's own."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.real("alpha", low=0)
        self.real("alpha_init", "alpha_lr", "alpha_min", above=0)
        if not self.alpha_min <= self.alpha_init <= self.alpha_max:
            raise self.reject(
                "alpha_init", f"a number from alpha_min={self.alpha_min:g} to alpha_max={self.alpha_max:g}"
            )
        self.whole("policy_delay")
        if self.alpha is not None:
            self.scheduled("alpha")
        elif self.alpha_schedule.kind != "constant":
            raise self.reject("alpha", "a number together with algo.alpha_schedule; a learnt temperature has none")

    def without_effect(self) -> None:
        self.noise.without_effect()
        if self.noise.kind == "pink":
            idle(self.noise, "pink noise takes the place of the policy's own, whose deviation is learnt", "std")


@dataclass(kw_only=True)
class CrossQConfig(SACConfig):
    """CrossQ (Bhatt et al. 2024, arXiv:1902.05605): SAC with batch renormalisation and no target networks."""

    name: str = "crossq"
    learning_rate: float = 1e-3
    optimizer: OptimizerConfig = field(default_factory=lambda: OptimizerConfig(betas=[0.5, 0.999]))
    policy_delay: Whole = 3

    def check_fit(self, net: NetConfig, critic_net: NetConfig | None, memory: MemoryConfig) -> None:
        """The critics need batch renormalisation, which takes the place of target networks."""
        critic = critic_net or net
        if not renormalised(critic):
            raise ConfigError(
                f"crossq needs batch renormalisation in its critics, whose net is {critic.name} without it\n"
                f"  vectors: {RENORMALISED['vectors']}\n  pictures: {RENORMALISED['pictures']}"
            )

    def advice_on_net(self, key: str, sees: str) -> str:
        return RENORMALISED[sees] if key == "net@critic_net" else super().advice_on_net(key, sees)

    def without_effect(self) -> None:
        super().without_effect()
        idle(self, "crossq has no target networks", "tau", "target_update_every")


@dataclass(kw_only=True)
class TQCConfig(SACConfig):
    """Truncated quantile critics (Kuznetsov et al. 2020, arXiv:2005.04269)."""

    name: str = "tqc"
    critics: Whole = 5
    """Number of critics."""
    quantiles: Whole = 25
    """Quantiles of the return that each critic gives."""
    drop: Whole = 2
    """Largest quantiles dropped from the targets for each critic, 0 to below `quantiles`."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.whole("critics", "quantiles", high=1000)
        self.whole("drop", low=0, high=int(self.quantiles) - 1)

    def without_effect(self) -> None:
        super().without_effect()
        idle(self, "tqc pools the quantiles of its critics", "twin")


RENORMALISED = {
    "vectors": "use net@critic_net=crossq_critic, or net@critic_net=mlp critic_net.batch_renorm=true",
    "pictures": "use net@critic_net=crossq_conv, or algo=sac, which needs none",
}
"""Critics for CrossQ, by what the environment observes."""


def renormalised(net: NetConfig) -> bool:
    """Whether a network has batch renormalisation."""
    if isinstance(net, SequentialConfig):
        return any(layer.type == "batch_renorm" for layer in net.layers)
    return isinstance(net, MLPConfig) and net.batch_renorm


@dataclass(kw_only=True)
class TD3Config(OffPolicyConfig):
    """Twin delayed deep deterministic policy gradient (Fujimoto et al. 2018, arXiv:1802.09477)."""

    name: str = "td3"
    policy_delay: Whole = 2
    """Critic updates per policy update; `target_update_every` counts policy updates."""
    noise: NoiseConfig = field(default_factory=lambda: NoiseConfig(kind="gaussian"))
    """Exploration noise added to actions."""
    target_noise: float = 0.2
    """Standard deviation of the noise added to target actions."""
    target_noise_clip: float = 0.5
    """Bound on that noise."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.whole("policy_delay")
        self.real("target_noise", "target_noise_clip", low=0)

    def without_effect(self) -> None:
        self.noise.without_effect()
