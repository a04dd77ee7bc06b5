"""Configuration of an environment, mirrored by conf/env."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from rlkit.config.checks import Checked, Flag, Whole
from rlkit.config.names import Fate, fate_of
from rlkit.errors import ConfigError


@dataclass(kw_only=True)
class AtariConfig(Checked):
    """How the Arcade Learning Environment is played (Machado et al. 2018, arXiv:1709.06009)."""

    prefix = "env.atari."

    frame_skip: Whole = 4
    """Emulator frames per action, the last two max-pooled; a frame of rlkit is one action."""
    sticky: float = 0.25
    """Probability that the emulator repeats the previous action; 0.25 since 2018 (Machado et al.), 0 before."""
    noop_max: Whole = 30
    """Maximal number of no-op actions at the start of a game."""
    fire_reset: Flag = True
    """Press FIRE after a reset in games that wait for it (native only)."""
    life_loss: Flag = False
    """Treat a lost life as terminal for learning; the game and its score continue."""
    full_action_space: Flag = False
    """Use all 18 actions in every game."""
    size: Whole = 84
    """Height and width of the pictures, in pixels."""
    grayscale: Flag = True
    """One channel per picture instead of three."""
    stack: Whole = 4
    """Pictures per observation, the newest last."""
    max_emulator_frames: Whole = 108_000
    """Emulator frames after which a game is truncated; 108,000 are half an hour."""

    def __post_init__(self) -> None:
        self.whole("frame_skip", "max_emulator_frames")
        self.whole("size", high=1024)
        self.whole("stack", high=64)
        self.whole("noop_max", low=0, high=100_000)
        self.real("sticky", low=0, high=1)


@dataclass(kw_only=True)
class EnvConfig(Checked):
    """A Gymnasium environment; nothing in the package has to change for a new one."""

    prefix = "env."

    name: str = "gym"
    id: str | None = None
    """Gymnasium id such as CartPole-v1, or `package.module:EnvId` for an environment of your own."""
    game: str | None = None
    """Atari game such as Pong; short for the id ALE/Pong-v5."""
    kwargs: dict[str, Any] = field(default_factory=dict)
    """Arguments of the environment's constructor."""
    vectorization: Literal["auto", "native", "sync", "async", "envpool"] = "auto"
    """How environments are stepped: native (one vectorised implementation; CartPole-v1, Atari), sync (in turn, in
    this process), async (a process each), envpool (where installed), or auto: native where available, else sync,
    or for many slow environments the faster of sync and async in a short probe."""
    timeout_seconds: float = 60.0
    """Seconds that an asynchronous environment may take for a step or a reset."""
    max_episode_steps: Whole | None = None
    """Steps after which an episode is truncated; null: the environment's own limit."""
    ignore: list[str] = field(default_factory=list)
    """Parts of a Dict or Tuple observation to leave out, such as [mission]; a dot leads into a part: camera.depth."""
    frame_stack: Whole = 1
    """Number of latest observations stacked into one, the newest last; Atari has `atari.stack`."""
    time_aware: Flag = False
    """Append the elapsed share of the time limit to a vector observation (Pardo et al. 2018, arXiv:1712.00378)."""
    normalize_obs: Flag = False
    """Standardise observations by their running mean and variance, which are saved with the agent."""
    clip_obs: float = 10.0
    """Bound on standardised observations, in standard deviations."""
    normalize_reward: Flag = False
    """Divide training rewards by the running standard deviation of the discounted return; scores are not scaled."""
    clip_reward: float | None = None
    """Bound on training rewards, after normalisation; null: 10 with `normalize_reward`, else none. A large number
    such as 1e9 leaves normalised rewards as they are. Scores are not clipped."""
    sign_reward: Flag = False
    """Train on the sign of the reward; scores keep the reward."""
    atari: AtariConfig = field(default_factory=AtariConfig)
    """Settings of Atari games."""

    def __post_init__(self) -> None:
        if not self.id and not self.game:
            raise self.reject(
                "id",
                "a Gymnasium id: env=gym env.id=LunarLander-v3, or env=gym env.id=my_package:MyEnv-v0; "
                "for Atari env=atari env.game=Breakout",
            )
        if self.fate is not None and self.fate.successor is None:
            raise ConfigError(f"env.id={self.id} has no successor\n  {self.fate.words}")
        self.whole("max_episode_steps")
        self.whole("frame_stack", high=1024)
        self.real("timeout_seconds", "clip_obs", "clip_reward", above=0)
        if self.sign_reward and self.normalize_reward:
            raise self.reject("sign_reward", "false together with env.normalize_reward: one or the other")

    @property
    def fate(self) -> Fate | None:
        """What became of the id, where it is an old one."""
        return None if self.game or not self.id else fate_of(self.id)

    @property
    def today(self) -> str:
        """The id that is made: of the game, of an old id's successor, or as given."""
        if self.game:
            return f"ALE/{self.game}-v5"
        return self.fate.successor or "" if self.fate else self.id or ""

    @property
    def atari_game(self) -> str | None:
        """The game, if it is an Atari one, however it was named."""
        return self.today.removeprefix("ALE/").removesuffix("-v5") if self.today.startswith("ALE/") else None
