"""Tokens and passwords stay out of everything that rlkit writes, prints or uploads.

Three things give a secret away: it is the value of an environment variable (or of a line of `.env`) whose name says so;
it stands behind such a name in a text, as in `api_key: ...`; or it has the shape of a well-known kind of token. What an
override or an option calls a token is refused at the door.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence

from rlkit.errors import ConfigError
from rlkit.settings import read_dotenv

HIDDEN = "[hidden]"

NAMES = (
    r"[\w.-]*(?:token|secret|password|passwd|passphrase|credentials?|(?:api|access|secret|private|auth)[_-]?key)(?:_\w*)?"
    r"|(?:[\w.-]*[_.-])?(?:pass|sshpass)|[\w.-]*[_.-]pwd"  # not PWD, the working directory
)
SECRET_NAME = re.compile(NAMES, re.IGNORECASE)
"""Names of variables, keys and options whose value is a secret."""

PLAIN = r"null|none|true|false|[\d.]+|\$\{.*\}"
"""Values that are no secret, whatever they are called."""

SHORTEST = 8
"""A shorter value of such a variable is no secret worth the name, and would be found in every text."""

NAMED = re.compile(
    rf"""(?<![\w.-])((?:{NAMES})["']?\s*[:=]\s*["']?)(?!(?:{PLAIN})(?:[\s"',}}&]|$))([^\s"',{{}}&]{{8,}})""",
    re.IGNORECASE,
)
"""A name and the value behind it, in YAML, JSON, a command or an address."""

SHAPES = re.compile(
    r"\bhf_[A-Za-z0-9]{16,}"  # Hugging Face
    r"|\bapi_org_[A-Za-z0-9]{16,}"  # Hugging Face, of an organisation
    r"|\bgh[pousr]_[A-Za-z0-9]{20,}"  # GitHub
    r"|\bgithub_pat_\w{20,}"
    r"|\bglpat-[\w-]{16,}"  # GitLab
    r"|\bsk-[\w-]{20,}"  # OpenAI, Anthropic
    r"|\b[sr]k_(?:live|test)_\w{16,}"  # Stripe
    r"|\b(?:npm|gsk|r8)_[A-Za-z0-9]{20,}"  # npm, Groq, Replicate
    r"|\bnvapi-[\w-]{20,}"  # NVIDIA
    r"|\bSG\.[\w-]{16,}\.[\w-]{16,}"  # SendGrid
    r"|\bya29\.[\w-]{20,}"  # Google, of a session
    r"|\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"  # Amazon
    r"|\bAIza[\w-]{30,}"  # Google
    r"|\bxox[abposr]-[\w-]{10,}"  # Slack
    r"|\bpypi-[\w-]{16,}"
    r"|\bwandb_v\d_\w{16,}"
    r"|\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]{8,}"  # a JSON web token
    r"|\bBearer\s+[\w.~+/=-]{12,}"
    r"|(?<=://)(?:[^/\s:@]+:[^/\s:@]+|[^/\s:@]{16,})(?=@)"  # user:password@ or token@ in an address
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----"
)


def redact(text: str) -> str:
    """The text with every secret in it replaced by `[hidden]`."""
    for value in _known():
        text = text.replace(value, HIDDEN)
    return NAMED.sub(rf"\1{HIDDEN}", SHAPES.sub(HIDDEN, text))


def refuse_secrets(words: Sequence[str]) -> None:
    """Refuse words of a command line that hold a secret: a shell's history and `ps` show them to others.

    Raises:
        ConfigError: naming the key, never the value.
    """
    for before, word in zip(["", *words], words, strict=False):
        name, given, value = word.lstrip("+~-").partition("=")
        option = before.lstrip("-") if before.startswith("-") and "=" not in before else ""
        named = _says_secret(name, value) if given else bool(option) and _says_secret(option, word)
        named = named or any(_says_secret(*pair) for pair in PAIR.findall(value))
        if named or redact(word) != word:
            what = redact(name) if given else option or "an argument"
            raise ConfigError(
                f"{what}: this looks like a token or a password, which do not go on a command line\n"
                "  put it in the environment or in .env, as HF_TOKEN=..., and nowhere else"
            )


PAIR = re.compile(r"""([\w.-]+)["']?\s*[:=]\s*["']?([^\s"',{}&?]+)""")
"""A name and its value inside of an override's value: `{api_key: ...}`, `https://host/?token=...`."""


def _says_secret(name: str, value: str) -> bool:
    plain = re.fullmatch(rf"|{PLAIN}", value, re.IGNORECASE)
    return SECRET_NAME.fullmatch(name) is not None and plain is None


def _known() -> list[str]:
    """The secrets of this process, the longest first, so that one that holds another goes whole."""
    values = {v for n, v in [*os.environ.items(), *read_dotenv().items()] if SECRET_NAME.fullmatch(n)}
    return sorted((v for v in values if len(v) >= SHORTEST), key=len, reverse=True)
