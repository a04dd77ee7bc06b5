"""Configuration of the algorithms: one dataclass each, mirrored by conf/algo."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from rlkit.config.checks import Checked, Whole


@dataclass(kw_only=True)
class AlgoConfig(Checked):
    """What every algorithm has."""

    prefix = "algo."

    name: str
    gamma: float = 0.99
    """Discount per step, 0 to 1."""

    def __post_init__(self) -> None:
        self.real("gamma", low=0, high=1)


@dataclass(kw_only=True)
class PolicyGradientConfig(AlgoConfig):
    """What algorithms with a policy, a value and one optimiser have."""

    learning_rate: float = 3e-4
    """Step size of the optimiser at the first frame."""
    learning_rate_schedule: Literal["constant", "linear"] = "linear"
    """`linear` anneals the learning rate to 0 at the last frame of the budget."""
    adam_eps: float = 1e-5
    """Adam's epsilon (Huang et al. 2022, detail 3: 1e-5, not the library default of 1e-8)."""
    normalize_advantage: bool = True
    """Standardise the advantages of each batch."""
    ent_coef: float = 0.0
    """Weight of the entropy bonus."""
    vf_coef: float = 0.5
    """Weight of the value loss, which is the mean squared error."""
    max_grad_norm: float | None = 0.5
    """Bound on the norm of the gradient of actor and critic together; null: no clipping."""
    log_std_init: float = 0.0
    """First log standard deviation of a continuous policy, in units of the action scaled to [-1, 1]."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.real("learning_rate", "adam_eps", "max_grad_norm", above=0)
        self.real("ent_coef", "vf_coef", low=0)
        self.real("log_std_init", low=-20, high=2)


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
    clip_coef_schedule: Literal["constant", "linear"] = "constant"
    """`linear` anneals the clip coefficient to 0 at the last frame of the budget."""
    clip_value: bool = False
    """Clip the new value to within `clip_coef` of the old one in the value loss (Huang et al. 2022, detail 9)."""
    target_kl: float | None = None
    """Stop a rollout's updates when the approximate KL divergence exceeds 1.5 times this; null: never."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.whole("n_steps", "epochs", "minibatch_size")
        self.real("gae_lambda", low=0, high=1)
        self.real("clip_coef", "target_kl", above=0)


@dataclass(kw_only=True)
class A2CConfig(PolicyGradientConfig):
    """Advantage actor-critic (Mnih et al. 2016, arXiv:1602.01783)."""

    name: str = "a2c"
    learning_rate: float = 7e-4
    normalize_advantage: bool = False
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
        self.whole("episodes")


@dataclass(kw_only=True)
class RandomConfig(AlgoConfig):
    """Actions drawn uniformly, nothing learnt."""

    name: str = "random"
    n_steps: Whole = 128
    """Steps per environment between two looks at the schedule of logs and evaluations."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.whole("n_steps")
