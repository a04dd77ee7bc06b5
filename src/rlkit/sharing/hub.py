"""Push runs to the Hugging Face Hub, list and pull them, and load an agent from there.

A repository holds its runs in `<name>/<date-time>/`, an index in `runs.json` and a page in `README.md`. A push is one
commit of all three, over the state that it read: a run is there whole or not at all. A pull gathers a run in a hidden
folder and renames it when every hash is right.
"""

from __future__ import annotations

import contextlib
import fnmatch
import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from rlkit.errors import RlkitError, SharingError
from rlkit.redaction import redact
from rlkit.runs.folder import SCHEMA, writing
from rlkit.settings import setting
from rlkit.sharing import card, safety
from rlkit.sharing.client import Repo, check_token, client
from rlkit.sharing.publication import MANIFEST, Publication, prepare

if TYPE_CHECKING:
    from huggingface_hub import HfApi

INDEX, PAGE = "runs.json", "README.md"
OWN = ("config.yaml", MANIFEST)
"""Files by which a folder is that of a run."""
LIMIT_GB = 10.0
"""A run of more is pulled only when asked to."""
THREADS, ATTEMPTS = 8, 4

Index = dict[str, dict[str, Any]]
"""Name of a run -> its summary, and the hash of its manifest."""


def push(
    publications: Sequence[Publication],
    repo_id: str,
    *,
    public: bool = False,
    confirm: Callable[[str], bool] = lambda question: True,
) -> list[str] | None:
    """Upload runs, all in one commit. Doing it again uploads only what is not there yet.

    Args:
        publications: from `prepare`: runs, or one single agent, which goes to a model repository.
        repo_id: `user/name`; made, private, where there is none.
        public: make a new repository public.
        confirm: asked before the upload, with the sizes.

    Returns:
        The address of each run; None where `confirm` said no.

    Raises:
        SharingError: the token or the repository will not do, or the Hub cannot be reached.
    """
    from huggingface_hub.errors import HfHubHTTPError, RepositoryNotFoundError

    agents = [p for p in publications if p.session is not None]
    if agents and len(publications) > 1:
        raise SharingError("a single agent is pushed alone: one session's folder, or any number of runs")
    repo = Repo(repo_id, "model" if agents else "dataset")
    with client(repo, write=True) as api:
        check_token(api)
        try:
            there = _tree(api, repo, _head(api, repo), None)
            new = ""
        except RepositoryNotFoundError:
            there, new = {}, " (new, public)" if public else " (new, private)"
        strange = PAGE in there and INDEX not in there
        if not confirm(_question(publications, repo, new, strange)):
            return None
        if new:
            api.create_repo(repo.id, repo_type=repo.kind, private=not public, exist_ok=True)
        for attempt in range(1, ATTEMPTS + 1):
            try:
                _commit(api, repo, publications)
                break
            except HfHubHTTPError as error:  # 412: somebody else has pushed since the index was read
                if error.response.status_code != 412 or attempt == ATTEMPTS:
                    raise
        prefix = f"{api.endpoint}/datasets" if repo.kind == "dataset" else api.endpoint
        return [f"{prefix}/{repo.id}/tree/main/{p.name}" for p in publications]


def listed(repo: Repo) -> Index:
    """The runs of a repository.

    Raises:
        SharingError: it is not found, or its index is not to be trusted.
    """
    with client(repo) as api:
        return _index(api, repo, _head(api, repo))


def pull(pattern: str, repo: Repo, root: Path, *, limit_gb: float = LIMIT_GB) -> list[tuple[Path, bool]]:
    """Fetch runs and verify every byte; what is there already is verified and left as it is.

    Args:
        pattern: a run's name, its beginning up to a `/`, or either with `*` and `?`.
        repo: where from.
        root: the folder of runs; each goes to `root/<name>/<date-time>`.
        limit_gb: larger runs are refused.

    Returns:
        For each run its folder, and whether it was fetched now.

    Raises:
        SharingError: nothing matches, a run is refused, or the transfer was cut: then the same command continues it.
    """
    with client(repo) as api:
        head = _head(api, repo)
        index = _index(api, repo, head)
        names = matching(index, pattern)
        if not names:
            there = ", ".join(sorted(index)[:5]) or "none"
            raise SharingError(f"no run in {repo} matches {safety.shown(pattern)}; it has {there}")
        return [_fetch(api, repo, head, name, index[name], root, limit_gb) for name in names]


def matching(index: Mapping[str, Any], pattern: str) -> list[str]:
    """The names that a pattern means."""
    return sorted(n for n in index if fnmatch.fnmatchcase(n, pattern) or fnmatch.fnmatchcase(n, f"{pattern}/*"))


def local(run: str | Path) -> str | Path:
    """A run's folder on this machine: as it is, or for `hf://user/repo/run` a verified copy in the cache.

    `hf://` looks for a data set, then for a model; `hf://datasets/...` and `hf://models/...` say which. The run may be
    left out where the repository holds one. `XDG_CACHE_HOME` moves the cache.

    Raises:
        SharingError: it is not found, is refused, or names several runs.
    """
    text = str(run).replace("hf:/", "hf://", 1) if re.match(r"hf:/[^/]", str(run)) else str(run)  # a Path was given
    if not text.startswith("hf://"):
        return run
    parts = text.removeprefix("hf://").strip("/").split("/")
    kinds = {"datasets": ["dataset"], "models": ["model"]}.get(parts[0])
    if kinds is not None:
        parts = parts[1:]
    if len(parts) < 2:
        raise SharingError(f"{safety.shown(text)}: written hf://user/repo/run")
    session = parts.pop() if parts[-1].startswith("session_") else None
    repo, index = _first("/".join(parts[:2]), kinds or ["dataset", "model"])
    wanted = "/".join(parts[2:])
    names = matching(index, wanted or "*")
    if len(names) != 1:
        what = f"{len(names)} runs" if names else "no run"
        there = ", ".join((names or sorted(index))[:5]) or "none"
        raise SharingError(f"{safety.shown(text)} means {what} of {repo}; name one of: {there}")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "rlkit" / "hub"
    manifest = str(index[names[0]]["manifest"])
    ((folder, _),) = pull(names[0], repo, cache / repo.kind / repo.id / manifest[:16])
    return folder / (session or index[names[0]].get("session") or "")


def upload_after_training(folder: Path) -> str:
    """Push a run without asking anything; the line to show says what was done, or why not. Never raises."""
    try:
        repo = setting("HF_DATASET_REPO")
        if repo is None:
            raise SharingError("HF_DATASET_REPO is missing: set it to user/name in the environment or in .env")
        publication = prepare(folder)
        (address,) = push([publication], repo) or [""]
        return f"uploaded {card.size(publication.bytes)} to {address}"
    except RlkitError as error:
        why = str(error).splitlines()[0]
    except Exception as error:  # training is done and saved: nothing of the upload may spoil that
        why = f"{type(error).__name__}: {error}".splitlines()[0]
    return redact(f"not uploaded: {why}; later: rlkit push {folder}")


# The Hub


def _question(publications: Sequence[Publication], repo: Repo, new: str, strange: bool) -> str:
    lines = [f"the {PAGE} that {repo} has is not rlkit's; it will be replaced"] if strange else []
    for p in publications:
        left = f"; left out: {card.size(p.left_out_bytes)} that only training needs" if p.left_out_bytes else ""
        lines.append(f"{p.name}: {len(p.files)} files, {card.size(p.bytes)}{left}")
    return "\n".join([*lines, f"upload {card.size(sum(p.bytes for p in publications))} to {repo}{new}?"])


def _head(api: HfApi, repo: Repo) -> str:
    """The newest commit, over which everything is then read: it does not change while it is."""
    sha = api.repo_info(repo.id, repo_type=repo.kind).sha
    if sha is None:
        raise SharingError(f"{repo} has no commit yet")
    return sha


def _commit(api: HfApi, repo: Repo, publications: Sequence[Publication]) -> None:
    """One commit: the runs, the index, the page, and the removal of files that a run no longer has."""
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete

    head = _head(api, repo)
    index = _index(api, repo, head)
    additions, gone = [], []
    for p in publications:
        index[p.name] = {**p.summary, "session": p.session, "manifest": hashlib.sha256(p.manifest).hexdigest()}
        additions += [CommitOperationAdd(f"{p.name}/{path}", str(file)) for path, file in p.files.items()]
        additions.append(CommitOperationAdd(f"{p.name}/{MANIFEST}", p.manifest))
        kept = {f"{p.name}/{path}" for path in [*p.files, MANIFEST]}
        there = [path for path, size in _tree(api, repo, head, p.name).items() if size is not None]
        gone += [CommitOperationDelete(path, is_folder=False) for path in there if path not in kept]
    text = json.dumps({"schema": SCHEMA, "runs": dict(sorted(index.items()))}, indent=1, ensure_ascii=False) + "\n"
    page = card.dataset_card(repo.id, index) if repo.kind == "dataset" else card.model_card(repo.id, publications[0])
    additions += [CommitOperationAdd(INDEX, text.encode()), CommitOperationAdd(PAGE, redact(page).encode())]
    # A .gitignore in the repository must not leave files out of the commit: an empty one takes its place.
    api.preupload_lfs_files(
        repo.id, additions, repo_type=repo.kind, revision="main", gitignore_content="", free_memory=False
    )
    for p in publications:
        p.check_unchanged()
    what = publications[0].name if len(publications) == 1 else f"{len(publications)} runs"
    api.create_commit(
        repo.id, [*gone, *additions], commit_message=f"rlkit: {what}", repo_type=repo.kind, parent_commit=head
    )


def _tree(api: HfApi, repo: Repo, head: str, below: str | None) -> dict[str, int | None]:
    """Path -> size of every file of a folder of the repository; None for what is no file. Empty if it is not there."""
    from huggingface_hub import RepoFile
    from huggingface_hub.errors import EntryNotFoundError

    try:
        entries = api.list_repo_tree(repo.id, below, recursive=below is not None, revision=head, repo_type=repo.kind)
        return {entry.path: entry.size if isinstance(entry, RepoFile) else None for entry in entries}
    except EntryNotFoundError:
        return {}


def _read(api: HfApi, repo: Repo, head: str, path: str, size: int | None) -> bytes:
    """A small file of the repository."""
    if size is None or size > safety.MAX_MANIFEST_BYTES:
        raise SharingError(f"refused: {safety.shown(path)} of {repo} is missing, no file, or far too large")
    with tempfile.TemporaryDirectory() as folder:
        found = api.hf_hub_download(repo.id, path, repo_type=repo.kind, revision=head, local_dir=folder)
        return Path(found).read_bytes()


def _index(api: HfApi, repo: Repo, head: str) -> Index:
    """The runs of a repository; none where it has no index yet.

    Raises:
        SharingError: the index is not of the form that rlkit writes.
    """
    top = _tree(api, repo, head, None)
    if INDEX not in top:
        return {}
    found = _json(_read(api, repo, head, INDEX, top[INDEX]), f"{INDEX} of {repo}")
    runs = found.get("runs")
    if not isinstance(runs, dict):
        raise SharingError(f"refused: {INDEX} of {repo} lists no runs")
    for name, run in runs.items():
        safety.check_name(name)
        session = run.get("session") if isinstance(run, dict) else ""
        right = session is None or re.fullmatch(r"session_\d+", str(session))
        if not right or not re.fullmatch(r"[0-9a-f]{64}", str(run.get("manifest"))):
            raise SharingError(f"refused: {INDEX} of {repo} says of {safety.shown(name)} what it cannot")
        if any(str(above) in runs for above in PurePosixPath(name).parents):
            raise SharingError(f"refused: by {INDEX} of {repo} {safety.shown(name)} lies inside another run")
    return runs


def _json(data: bytes, what: str) -> dict[str, Any]:
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict) or value.get("schema") != SCHEMA:
        raise SharingError(f"refused: {what} is not of schema {SCHEMA}, which this version of rlkit reads")
    return value


def _first(repo_id: str, kinds: Sequence[str]) -> tuple[Repo, Index]:
    """The first kind of repository of this name that is there."""
    for kind in kinds[:-1]:
        from huggingface_hub.errors import RepositoryNotFoundError

        repo = Repo(repo_id, kind)
        with client(repo) as api:
            try:
                return repo, _index(api, repo, _head(api, repo))
            except RepositoryNotFoundError:
                continue
    repo = Repo(repo_id, kinds[-1])
    return repo, listed(repo)


def _fetch(
    api: HfApi, repo: Repo, head: str, name: str, entry: Mapping[str, Any], root: Path, limit_gb: float
) -> tuple[Path, bool]:
    """One run: its manifest, then its files into a hidden folder, then that folder in its place."""
    target = root / safety.check_name(name)
    tree = _tree(api, repo, head, name)
    data = _read(api, repo, head, f"{name}/{MANIFEST}", tree.pop(f"{name}/{MANIFEST}", None))
    if hashlib.sha256(data).hexdigest() != entry["manifest"]:
        raise SharingError(f"refused: {MANIFEST} of {name} does not have the hash that {INDEX} gives")
    files = safety.check_files(_json(data, f"{MANIFEST} of {name}").get("files"), int(limit_gb * 2**30))
    safety.check_listing(name, files, tree)
    if target.is_symlink() or target.exists():
        _compare(target, files)
        return target, False
    for above in target.parents:
        if above != root and above.is_relative_to(root) and any((above / own).exists() for own in OWN):
            raise SharingError(f"refused: {safety.shown(name)} would lie inside the run {above}")
    partial = root / ".pull" / f"{name.replace('/', '--')}-{entry['manifest'][:16]}"
    with writing(target):
        partial.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(partial).free
        total = sum(wanted["bytes"] for wanted in files.values())
        if total > free:
            raise SharingError(f"{name} takes {card.size(total)}, and {root} has {card.size(free)} free")
    try:
        with ThreadPoolExecutor(THREADS) as pool:
            list(pool.map(lambda path: _download(api, repo, head, name, path, files[path], partial), files))
    except SharingError:  # of what was refused nothing stays; of what was cut, the files that are whole
        shutil.rmtree(partial, ignore_errors=True)
        raise
    with writing(target):
        shutil.rmtree(partial / ".cache", ignore_errors=True)  # of the Hub's client
        (partial / MANIFEST).write_bytes(data)
        found = {p.relative_to(partial).as_posix() for p in partial.rglob("*") if not p.is_dir() or p.is_symlink()}
        if found != {*files, MANIFEST}:
            shutil.rmtree(partial)
            raise SharingError(f"{name}: something else wrote to {partial}; pull it again")
        target.parent.mkdir(parents=True, exist_ok=True)
        partial.rename(target)
        with contextlib.suppress(OSError):  # another pull is under way
            partial.parent.rmdir()
    return target, True


def _download(
    api: HfApi, repo: Repo, head: str, name: str, path: str, wanted: Mapping[str, Any], partial: Path
) -> None:
    """One file into the hidden folder, unless an earlier pull has left it there whole."""
    file = partial / path
    if file.is_file() and not file.is_symlink() and safety.fingerprint(file) == wanted:
        return
    incoming = partial / ".cache" / "incoming"
    got = Path(
        api.hf_hub_download(
            repo.id, f"{name}/{path}", repo_type=repo.kind, revision=head, local_dir=incoming, force_download=True
        )
    )
    try:
        safety.check_content(got, path, wanted)
        with writing(file):
            file.parent.mkdir(parents=True, exist_ok=True)
            with got.open("rb+") as opened:
                os.fsync(opened.fileno())
            got.replace(file)
    finally:
        got.unlink(missing_ok=True)


def _compare(target: Path, files: Mapping[str, Mapping[str, Any]]) -> None:
    for path, wanted in files.items():
        file = target / path
        if target.is_symlink() or file.is_symlink() or not file.is_file() or safety.fingerprint(file) != wanted:
            raise SharingError(f"{target} is there already and {path} in it differs; move it away, then pull again")
