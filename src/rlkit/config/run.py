"""The whole configuration of a run: what `compose` returns and `train` takes."""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass, field
from typing import Literal

from rlkit.config.algo import AlgoConfig
from rlkit.config.algorithms import check_fit
from rlkit.config.checks import Checked, Flag, Whole
from rlkit.config.env import EnvConfig
from rlkit.config.memory import MemoryConfig
from rlkit.config.net import AutoConfig, NetConfig
from rlkit.config.search import SearchConfig, TrialConfig
from rlkit.config.tracker import TrackerConfig
from rlkit.errors import ConfigError

MOST_EPISODES = 1_000_000
"""Of an evaluation."""


@dataclass(kw_only=True)
class EvalConfig(Checked):
    """How a policy is scored, always on separate environments and seeds."""

    prefix = "eval."

    every_frames: Whole | None = None
    """Frames between evaluations during training; null: a tenth of the budget, a twentieth in a search with a
    pruner."""
    periodic_episodes: Whole = 20
    """Episodes of each evaluation during training."""
    episodes: Whole = 100
    """Episodes of the final evaluation, which gives the score."""
    deterministic: Flag = True
    """Evaluate the mode of the policy; false: sample from it."""
    video_every: Whole | None = None
    """Record a video every N evaluations, in `session_<seed>/videos/`; null: never."""

    def __post_init__(self) -> None:
        self.whole("every_frames", "video_every")
        self.whole("periodic_episodes", "episodes", high=MOST_EPISODES)


@dataclass(kw_only=True)
class LogConfig(Checked):
    """When rows are written and lines printed."""

    prefix = "log."

    every_frames: Whole | None = None
    """Frames between rows of metrics.jsonl; null: a hundredth of the budget."""
    norms: Flag = False
    """Log the norm of every weight (train/weight_norm/...) and of its latest gradient (train/gradient_norm/...)."""
    console_seconds: float = 5.0
    """Seconds between progress lines where standard output is no terminal."""

    def __post_init__(self) -> None:
        self.whole("every_frames")
        self.real("console_seconds", above=0)


@dataclass(kw_only=True)
class CheckpointConfig(Checked):
    """When the state is saved."""

    prefix = "checkpoint."

    every_frames: Whole = 50_000
    """Frames between checkpoints; one more is written at the end and on Ctrl-C."""
    keep: Whole = 2
    """Number of checkpoints kept, at least 2."""

    def __post_init__(self) -> None:
        self.whole("every_frames")
        self.whole("keep", low=2)


MOST_THREADS = 1024
"""Of a session: more than any machine has cores, and few enough to be started."""


@dataclass(kw_only=True)
class DebugConfig(Checked):
    """Looking for faults; `debug=fast`, `debug=nan` and `debug=profile` are presets."""

    prefix = "debug."

    check_finite: Flag = False
    """Check every batch, loss, gradient and weight after each update, and name the first that is not finite."""
    profile: Flag = False
    """Profile the training loop into the session's folder."""


@dataclass(kw_only=True)
class RunConfig(Checked):
    """One trial: an algorithm on an environment, over `seeds` seeds."""

    algo: AlgoConfig
    env: EnvConfig
    net: NetConfig
    critic_net: NetConfig | None = None
    """The critic's network where it differs from the actor's (`net`)."""
    memory: MemoryConfig
    search: SearchConfig = field(default_factory=SearchConfig)
    trial: TrialConfig = field(default_factory=TrialConfig)
    name: str | None = None
    """Folder of the run below `runs/`; null: the algorithm and the environment's id."""
    seed: Whole = 0
    """Root of all random streams of the first session, 0 or more."""
    seeds: Whole = 1
    """Number of sessions, with the seeds seed, seed + 1, ..."""
    frames: Whole = 100_000
    """Budget in frames: transitions, summed over the parallel environments."""
    num_envs: Whole = 8
    """Parallel environments of a session."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1 or mps; auto takes a GPU for pictures and wide layers, the CPU for small networks."""
    threads: Whole = 1
    """CPU threads of a session. A different number changes the order of floating-point sums, and so the result."""
    deterministic: Flag = False
    """Use deterministic CUDA kernels; runs on the CPU are always deterministic."""
    upload: Literal["never", "auto"] = "never"
    """never, or auto: push the finished run to HF_DATASET_REPO without asking; a failed push does not fail the run."""
    eval: EvalConfig = field(default_factory=EvalConfig)
    log: LogConfig = field(default_factory=LogConfig)
    tracker: TrackerConfig = field(default_factory=TrackerConfig)
    checkpoint: CheckpointConfig = field(default_factory=CheckpointConfig)
    debug: DebugConfig = field(default_factory=DebugConfig)

    def __post_init__(self) -> None:
        self.whole("seed", low=0, high=2**31 - 1)
        self.whole("seeds", high=10_000)
        self.whole("frames", "num_envs")
        self.whole("threads", high=MOST_THREADS)
        if not re.fullmatch(r"auto|cpu|mps|cuda(:\d+)?", self.device):
            raise self.reject("device", "auto, cpu, mps, cuda, or cuda:<number>")
        if type(self.critic_net) is NetConfig:  # keys alone do not say which network they are of
            raise ConfigError("critic_net is not accepted\n  accepted: a choice of the net group: net@critic_net=mlp")
        check_fit(self.algo, self.net, self.critic_net, self.memory)
        if self.name is None:
            self.name = f"{self.algo.name}_{slug(self.env.today)}"
        if not re.fullmatch(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)*", self.name):
            raise self.reject("name", "letters, digits, '_', '-' and '.', and '/' for a folder below runs/")

    def settled(self, pictures: bool) -> RunConfig:
        """The configuration with a net of one kind, where none was chosen, for what the environment observes."""
        net, critic = self.net, self.critic_net
        if not isinstance(net, AutoConfig) and not isinstance(critic, AutoConfig):
            return self
        return dataclasses.replace(
            self,
            net=net.settled(pictures) if isinstance(net, AutoConfig) else net,
            critic_net=critic.settled(pictures) if isinstance(critic, AutoConfig) else critic,
        )

    @property
    def label(self) -> str:
        """The name, which is never None once the configuration has been checked."""
        return self.name or ""

    @property
    def seed_list(self) -> list[int]:
        """The seeds of the sessions."""
        return list(range(self.seed, self.seed + self.seeds))

    @property
    def eval_every_frames(self) -> int:
        """Frames between evaluations."""
        return self.eval.every_frames or max(1, int(self.frames) // (10 if self.search.pruner == "none" else 20))

    @property
    def log_every_frames(self) -> int:
        """Frames between metric rows."""
        return self.log.every_frames or max(1, self.frames // 100)


def slug(text: str) -> str:
    """A name fit for a folder: `ALE/Pong-v5` becomes `ale_pong_v5`, `CartPole-v1` `cartpole_v1`."""
    return re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")
