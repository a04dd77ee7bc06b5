"""Tokens and passwords stay out of everything that rlkit writes, prints or uploads.

Three things give a secret away: it is the value of an environment variable (or of a line of `.env`) whose name says so;
it stands behind such a name in a text, as in `api_key: ...`; or it has the shape of a well-known kind of token. What an
override or an option calls a token is refused at the door.

Names say it with more or less certainty. A `password`, an `api_key`, a bare `token` or that of a known service is a
secret whatever its value. Of other names with such a word in them, as `map_token` or `token_env`, the value decides:
letters and digits in disorder are a secret, a word is not.
"""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Sequence
from typing import Any

from rlkit.errors import ConfigError
from rlkit.settings import read_dotenv

HIDDEN = "[hidden]"

NAMES = (
    r"[\w.-]{0,80}(?:token|secret|password|passwd|passphrase|credentials?|(?:api|access|secret|private|auth)[_-]?key)"
    r"(?:_\w{0,40})?|(?:[\w.-]{0,80}[_.-])?(?:pass|sshpass)|[\w.-]{0,80}[_.-]pwd"  # not PWD, the working directory
)
SECRET_NAME = re.compile(NAMES, re.IGNORECASE)
"""Names of variables, keys and options whose value may be a secret."""

CERTAIN = re.compile(
    r"(?:.*_)?(?:\w*password|passwd|passphrase|secrets?|credentials?|pass|sshpass|pwd"
    r"|(?:api|access|secret|private|auth)_?key)(?:_base|_write|_read|_\d+)?"
)
SERVICES = (
    r"access|admin|api|app|auth|aws|azure|bearer|bot|client|deploy|docker|gh|git|github|gitlab|google|hf|hub|huggingface"
    r"|face|id|jwt|key|login|mlflow|npm|oauth|openai|personal|pypi|refresh|secret|session|slack|trackio|user|wandb|web"
)
TOKEN = re.compile(rf"(?:(?:.*_)?(?:{SERVICES})_)?token(?:_base|_write|_read|_\d+)?")
"""Names, in lower case and with underscores, whose value is a secret whatever it is."""

PLAIN = r"null|none|true|false|[\d.]+|\$\{.*\}"
"""Values that are no secret, whatever they are called."""

DISORDER = re.compile(r"(?=[A-Za-z0-9]{8})[A-Za-z0-9]*?(?:[A-Za-z][0-9]+[A-Za-z]|[0-9][A-Za-z]+[0-9])[A-Za-z0-9]*")
"""Letters and digits that change places, as no word or version does."""

LONGEST_LOOKED_AT = 200
"""Characters of a value in which disorder is looked for."""

SHORTEST = 8
"""A shorter value of such a variable is no secret worth the name, and would be found in every text."""

NAMED = re.compile(
    rf"""(?<![\w.-])({NAMES})(["']?\s*[:=]\s*["']?)(?!(?:{PLAIN})(?:[\s"',}}&]|$))([^\s"',{{}}&]{{8,}})""",
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
    r"(?:[\s\S]{0,20000}?-----END [A-Z ]*PRIVATE KEY-----|(?:[\s\\n]*[A-Za-z0-9+/=]{16,})*)"
)


def redact(text: str) -> str:
    """The text with every secret in it replaced by `[hidden]`, also where it is folded over lines or escaped."""
    for value in _known():
        text = _written(value).sub(HIDDEN, text)
    return NAMED.sub(_hidden_if_secret, SHAPES.sub(HIDDEN, text))


def redact_values(value: Any, name: str = "") -> Any:
    """A document with every secret in it replaced: values before they are laid out as text.

    Args:
        value: nested dictionaries and lists.
        name: the key that it is the value of.
    """
    if isinstance(value, dict):
        return {redact(key) if isinstance(key, str) else key: redact_values(v, str(key)) for key, v in value.items()}
    if isinstance(value, list | tuple):
        return [redact_values(item, name) for item in value]
    if not isinstance(value, str):
        return value
    return HIDDEN if len(value) >= SHORTEST and _says_secret(name, value) else redact(value)


def hidden_keys(value: Any, path: str = "") -> dict[str, Any]:
    """The values of a document that hold a secret, by their dotted keys."""
    if isinstance(value, dict):
        return {k: v for key, item in value.items() for k, v in hidden_keys(item, f"{path}.{key}".lstrip(".")).items()}
    return {path: value} if redact_values(value, path.rpartition(".")[2]) != value else {}


def _hidden_if_secret(match: re.Match[str]) -> str:
    return f"{match[1]}{match[2]}{HIDDEN}" if _says_secret(match[1], match[3]) else match[0]


@functools.lru_cache(maxsize=256)
def _written(secret: str) -> re.Pattern[str]:
    """A secret as it may stand in YAML, JSON or a log: with escaped quotes, and broken at its spaces."""
    ways = {'"': r'\\?"', "\\": r"\\{1,2}", "'": r"(?:''?|\\')"}
    words = ("".join(ways.get(c, re.escape(c)) for c in word) for word in secret.split())
    return re.compile(r"(?:\\[nrt]|[\s\\])+".join(words))


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
                f"{what}: this looks like a token or a password, which must not be given on a command line\n"
                "  put it in the environment or in .env, as HF_TOKEN=..., and nowhere else"
            )


PAIR = re.compile(r"""([\w.-]+)["']?\s*[:=]\s*["']?([^\s"',{}&?]+)""")
"""A name and its value inside of an override's value: `{api_key: ...}`, `https://host/?token=...`."""


def _says_secret(name: str, value: str) -> bool:
    """Whether a value of this name is a secret."""
    if SECRET_NAME.fullmatch(name) is None or re.fullmatch(rf"|{PLAIN}", value, re.IGNORECASE):
        return False
    last = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name.rpartition(".")[2]).lower().replace("-", "_")
    return bool(CERTAIN.fullmatch(last) or TOKEN.fullmatch(last) or DISORDER.search(value[:LONGEST_LOOKED_AT]))


def _known() -> list[str]:
    """The secrets of this process, the longest first, so that one that holds another goes whole."""
    values = {v for n, v in [*os.environ.items(), *read_dotenv().items()] if SECRET_NAME.fullmatch(n)}
    return sorted((v for v in values if len(v) >= SHORTEST), key=len, reverse=True)
