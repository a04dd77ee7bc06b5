"""Atari through ale_py's vector environment in C++, which steps, resizes, stacks and pools for all rows at once.

Three things about ALE 0.12 that this file minds:

- In its NEXT_STEP mode a finished row would spend its next step on a reset. It is reset here, in the same step, with a
  mask, after its last observation has been handed out.
- `episodic_life` restarts the whole game at each lost life. `life_loss_info` only marks the loss as terminal, and the
  game is over when no life is left.
- `reward_clipping` would lose the score, so rewards come unclipped; `env.clip_reward` clips what the learner sees.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from rlkit.envs.backends import Backend, StepResult

if TYPE_CHECKING:
    from rlkit.config.env import AtariConfig
    from rlkit.types import Array


EMULATOR_FRAMES = 60.0
"""Of the console, a second."""


class Atari(Backend):
    """See `envs.backends.Backend`. Observations are uint8 `[N, stack, H, W]`, or `[N, 3 stack, H, W]` in colour."""

    name = "native"
    seed_every = 5_000  # ALE reloads the game for a seed: 90 ms, as long as 500 steps of a row

    def __init__(self, game: str, cfg: AtariConfig, num_envs: int, *, threads: int, drawing: bool = False) -> None:
        from ale_py.vector_env import AtariVectorEnv
        from gymnasium import spaces

        make = functools.partial(
            AtariVectorEnv,
            rom_name(game),
            num_envs,
            num_threads=min(num_envs, threads),
            max_num_frames_per_episode=cfg.max_emulator_frames,
            repeat_action_probability=cfg.sticky,
            full_action_space=cfg.full_action_space,
            autoreset_mode="NextStep",
            frameskip=cfg.frame_skip,
            noop_max=cfg.noop_max,
            use_fire_reset=cfg.fire_reset,
            episodic_life=False,
            life_loss_info=cfg.life_loss,
            reward_clipping=False,
        )
        self.envs = make(img_height=cfg.size, img_width=cfg.size, grayscale=cfg.grayscale, stack_num=cfg.stack)
        # The screen as it is comes from a twin with the same seeds and actions, and so the same random stream.
        self.screen = make(img_height=210, img_width=160, grayscale=False, stack_num=1) if drawing else None
        self.num_envs, self.cfg = num_envs, cfg
        self.frames_per_second = EMULATOR_FRAMES / cfg.frame_skip
        self.action: spaces.Space[Any] = self.envs.single_action_space
        channels = cfg.stack * (1 if cfg.grayscale else 3)
        self.observation: spaces.Space[Any] = spaces.Box(0, 255, (channels, cfg.size, cfg.size), np.uint8)

    def reset(self, rows: Sequence[int], seeds: Sequence[int]) -> Array:
        mask = np.zeros(self.num_envs, np.bool_)
        mask[list(rows)] = True
        chosen: dict[str, Any] = {"seed": np.asarray(seeds, np.int64), "options": {"reset_mask": mask}}
        if self.screen is not None:
            self.picture = self.screen.reset(**chosen)[0]
        return self._channels(self.envs.reset(**chosen)[0])

    def step(self, action: Array) -> StepResult:
        if self.screen is not None:
            self.picture = self.screen.step(action)[0]
        obs, reward, terminated, truncated, info = self.envs.step(action)
        over = (terminated & (info["lives"] == 0)) | truncated if self.cfg.life_loss else terminated | truncated
        return StepResult(self._channels(obs), reward.astype(np.float32), terminated, truncated, over)

    def _channels(self, obs: Array) -> Array:
        """Colour pictures `[N, stack, H, W, 3]` as `[N, 3 stack, H, W]`, as convolutions want them."""
        if self.cfg.grayscale:
            return obs
        n, stack, height, width, _ = obs.shape
        return obs.transpose(0, 1, 4, 2, 3).reshape(n, 3 * stack, height, width)

    def render(self) -> Array | None:
        """The screen of row 0 `[210, 160, 3]`, where it was made for drawing."""
        return None if self.screen is None else self.picture[0, -1].copy()

    def close(self) -> None:
        """Close the emulators."""
        self.envs.close()
        if self.screen is not None:
            self.screen.close()


def rom_name(game: str) -> str:
    """ALE's name of a game: `SpaceInvaders` is `space_invaders`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Za-z])(?=[A-Z][a-z])|(?<=[a-z])(?=[0-9])", "_", game).lower()
