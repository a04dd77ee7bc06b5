"""An environment that is given secrets and talks: for tests of what reaches the disk."""

from __future__ import annotations

import os
from typing import Any

from gymnasium.envs.classic_control import CartPoleEnv
from gymnasium.envs.registration import register
from loguru import logger


class Tattling(CartPoleEnv):
    def __init__(self, render_mode: str | None = None, **given: Any) -> None:
        super().__init__(render_mode=render_mode)
        logger.info("made with {}", given)
        logger.info("the environment is {}", dict(os.environ))
        try:
            raise ValueError(f"refused: {given}")
        except ValueError:
            logger.exception("it failed with {}", given)


class Demanding(CartPoleEnv):
    """Needs the key that it is given, whole."""

    def __init__(self, api_key: str, render_mode: str | None = None) -> None:
        super().__init__(render_mode=render_mode)
        if len(api_key) != 40:
            raise ValueError("this is no key")


register("Demanding-v0", entry_point=Demanding, max_episode_steps=50)
register("Tattling-v0", entry_point=Tattling, max_episode_steps=50)
