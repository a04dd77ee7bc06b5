"""Tokens and passwords stay out of everything that rlkit writes, prints or uploads.

Two things give a secret away: it is the value of an environment variable (or of a line of `.env`) whose name says so,
or it has the shape of a well-known kind of token. What an override or an option calls a token is refused at the door.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence

from rlkit.errors import ConfigError
from rlkit.settings import read_dotenv

HIDDEN = "[hidden]"

SECRET_NAME = re.compile(
    r"(.*[_.-])?(token|secret|password|passwd|api_?key|access_?key|secret_?key|private_?key|credentials?)",
    re.IGNORECASE,
)
"""Names of variables, keys and options whose value is a secret."""

SHORTEST = 8
"""A shorter value of such a variable is no secret worth the name, and would be found in every text."""

SHAPES = re.compile(
    r"\bhf_[A-Za-z0-9]{16,}"  # Hugging Face
    r"|\bapi_org_[A-Za-z0-9]{16,}"  # Hugging Face, of an organisation
    r"|\bgh[pousr]_[A-Za-z0-9]{20,}"  # GitHub
    r"|\bgithub_pat_\w{20,}"
    r"|\bglpat-[\w-]{16,}"  # GitLab
    r"|\bsk-[\w-]{20,}"  # OpenAI, Anthropic
    r"|\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"  # Amazon
    r"|\bAIza[\w-]{30,}"  # Google
    r"|\bxox[abposr]-[\w-]{10,}"  # Slack
    r"|\bpypi-[\w-]{16,}"
    r"|\bwandb_v\d_\w{16,}"
    r"|\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]{8,}"  # a JSON web token
    r"|\bBearer\s+[\w.~+/=-]{12,}"
    r"|(?<=://)[^/\s:@]+:[^/\s:@]+(?=@)"  # user:password@ in an address
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----"
)


def redact(text: str) -> str:
    """The text with every secret in it replaced by `[hidden]`."""
    for value in _known():
        text = text.replace(value, HIDDEN)
    return SHAPES.sub(HIDDEN, text)


def refuse_secrets(words: Sequence[str]) -> None:
    """Refuse words of a command line that hold a secret: a shell's history and `ps` show them to others.

    Raises:
        ConfigError: naming the key, never the value.
    """
    for before, word in zip(["", *words], words, strict=False):
        name, given, value = word.lstrip("+~-").partition("=")
        option = before.lstrip("-") if before.startswith("-") and "=" not in before else ""
        named = _says_secret(name, value) if given else bool(option) and _says_secret(option, word)
        if named or redact(word) != word:
            what = redact(name) if given else option or "an argument"
            raise ConfigError(
                f"{what}: this looks like a token or a password, which do not go on a command line\n"
                "  put it in the environment or in .env, as HF_TOKEN=..., and nowhere else"
            )


def _says_secret(name: str, value: str) -> bool:
    plain = re.fullmatch(r"|null|none|true|false|[\d.]+|\$\{.*\}", value, re.IGNORECASE)
    return SECRET_NAME.fullmatch(name) is not None and plain is None


def _known() -> list[str]:
    """The secrets of this process, the longest first, so that one that holds another goes whole."""
    values = {v for n, v in [*os.environ.items(), *read_dotenv().items()] if SECRET_NAME.fullmatch(n)}
    return sorted((v for v in values if len(v) >= SHORTEST), key=len, reverse=True)
