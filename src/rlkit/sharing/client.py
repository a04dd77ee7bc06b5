"""The Hub's client, and what its errors mean."""

from __future__ import annotations

import contextlib
import logging
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rlkit.errors import RlkitError, SharingError
from rlkit.settings import setting
from rlkit.sharing import safety

if TYPE_CHECKING:
    from huggingface_hub import HfApi

TOKENS = "https://huggingface.co/settings/tokens"


@dataclass(frozen=True)
class Repo:
    """A repository: a data set of runs, or the model that a single agent is."""

    id: str
    kind: str = "dataset"

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}", self.id):
            raise SharingError(f"{safety.shown(self.id)} is no repository: it is written user/name")

    def __str__(self) -> str:
        return f"{'data set' if self.kind == 'dataset' else 'model'} {self.id}"


@contextlib.contextmanager
def client(repo: Repo, *, write: bool = False) -> Iterator[HfApi]:
    """The Hub's client. Whatever goes wrong with it becomes a SharingError of one line.

    Raises:
        SharingError: in place of the client's own errors; also where writing needs a token and there is none.
    """
    token = setting("HF_TOKEN")
    if write and token is None:
        raise SharingError(f"HF_TOKEN is missing: set it in the environment or in .env (made at {TOKENS})")
    if token is not None and not (token.isascii() and token.isprintable()):
        raise SharingError(f"HF_TOKEN is not valid: it has characters that no token has (made at {TOKENS})")
    from huggingface_hub import HfApi
    from huggingface_hub.utils.logging import set_verbosity
    from huggingface_hub.utils.tqdm import disable_progress_bars

    disable_progress_bars()
    set_verbosity(logging.CRITICAL)  # it warns of each retry on a separate line
    endpoint = os.environ.get("HF_ENDPOINT") or None
    try:
        # False: no login that was saved elsewhere takes the place of a token that was not given.
        yield HfApi(endpoint=endpoint, token=token or False, library_name="rlkit")
    except RlkitError:
        raise
    except Exception as error:
        said = _explained(error, repo, token)
        if said is None:
            raise
        raise SharingError(said) from None  # the client's error holds its request, and that the token


def _explained(error: BaseException, repo: Repo, token: str | None) -> str | None:
    """What an error of the client means; None for an error that is not of the Hub."""
    from huggingface_hub import errors

    causes = [error]
    while (cause := causes[-1].__cause__ or causes[-1].__context__) is not None and cause not in causes:
        causes.append(cause)
    for cause in causes:
        if isinstance(cause, errors.GatedRepoError):
            return f"{repo} is gated: ask for access on its page"
        status = cause.response.status_code if isinstance(cause, errors.HfHubHTTPError) else None
        if isinstance(cause, errors.RepositoryNotFoundError) or (status == 401 and not token):
            hint = "it may be private, and HF_TOKEN of another account" if token else "a private one needs HF_TOKEN"
            return f"{repo} was not found ({hint})"
        if status == 401:
            return f"HF_TOKEN is not valid: the Hub does not know it (new ones are made at {TOKENS})"
        told = getattr(cause, "server_message", None)
        why = f"; it says: {safety.shown(told)}" if told else ""
        if status == 403:
            return f"HF_TOKEN may not do this with {repo}: it needs the permission to write (see {TOKENS}){why}"
        if status == 412:
            return f"{repo} is being changed by others all the time; try again"
        if status is not None:
            return f"the Hub answered {status} about {repo}{why or '; try again later'}"
    if any(type(cause).__module__.split(".")[0] in ("httpx", "httpx2", "httpcore", "httpcore2") for cause in causes):
        return f"the connection to the Hub failed ({type(causes[-1]).__name__}); the same command continues it"
    if any(isinstance(cause, OSError) and "Consistency check" in str(cause) for cause in causes):
        return "a file arrived incomplete; the same command continues it"
    if any(isinstance(cause, errors.OfflineModeIsEnabled) for cause in causes):
        return "HF_HUB_OFFLINE is set: without it the Hub is asked"
    return None


def check_token(api: HfApi) -> None:
    """Refuse a token that may only read, before anything is asked of the user.

    Raises:
        SharingError: it may only read.
    """
    access = (api.whoami().get("auth") or {}).get("accessToken") or {}
    if access.get("role") == "read":
        raise SharingError(f"HF_TOKEN may only read: pushing needs one that may write (made at {TOKENS})")
