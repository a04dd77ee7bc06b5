"""Settings that are no part of an experiment: from the environment, else from `.env` in the working directory."""

from __future__ import annotations

import os
import re
from pathlib import Path

from rlkit.errors import ConfigError

LINE = re.compile(r"(?:export\s+)?([A-Za-z_]\w*)\s*=\s*(.*)")


def setting(name: str) -> str | None:
    """The value of a setting; None if it is not set, or empty."""
    return os.environ.get(name, "").strip() or read_dotenv().get(name) or None


def flag(name: str) -> bool:
    """Whether a setting is on; off where it is not set.

    Raises:
        ConfigError: it is neither true nor false.
    """
    given = (setting(name) or "false").lower()
    if given not in ("true", "1", "yes", "false", "0", "no"):
        raise ConfigError(f"{name}={given} is not accepted\n  accepted: true or false")
    return given in ("true", "1", "yes")


def read_dotenv(path: Path | None = None) -> dict[str, str]:
    """The `NAME=value` lines of a `.env` file; `export`, quotes and comments are understood, other lines skipped.

    Args:
        path: the file; by default `.env` in the working directory.
    """
    try:
        text = (path or Path(".env")).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError):
        return {}
    found = {}
    for line in text.splitlines():
        if match := LINE.fullmatch(line.strip()):
            found[match[1]] = _unquoted(match[2])
    return found


def _unquoted(value: str) -> str:
    quoted = re.match(r"""(["'])(.*?)\1\s*(?:#.*)?$""", value)
    return quoted[2] if quoted else re.split(r"\s+#", value, maxsplit=1)[0].strip()
