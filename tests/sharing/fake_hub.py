"""A small Hub on this machine: the part of its HTTP API that the real client uses to push, list and pull.

Repositories are lists of commits, each a whole tree, so that what a reader may ever see is on record. A transfer can be
cut after a number of bytes, after which nothing gets through until `restore`.
"""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

LFS_SUFFIXES = (".safetensors", ".png", ".mp4")


@dataclass
class Stored:
    """An entry of a tree; `kind` is "file", or what a hostile repository may list."""

    data: bytes
    kind: str = "file"
    lfs: bool = False

    @property
    def oid(self) -> str:
        if self.lfs:
            return hashlib.sha256(self.data).hexdigest()
        return hashlib.sha1(b"blob %d\0" % len(self.data) + self.data).hexdigest()


Tree = dict[str, Stored]


@dataclass
class FakeRepo:
    private: bool = True
    commits: list[tuple[str, Tree]] = field(default_factory=list)

    def commit(self, tree: Tree) -> str:
        sha = hashlib.sha1(f"{len(self.commits)}{sorted(tree)}".encode()).hexdigest()
        self.commits.append((sha, dict(tree)))
        return sha

    def at(self, revision: str) -> tuple[str, Tree] | None:
        if revision == "main":
            return self.commits[-1]
        return next((c for c in self.commits if c[0] == revision), None)


class FakeHub(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.tokens = {"hf_" + "w" * 34: "write", "hf_" + "r" * 34: "read"}
        self.forbidden: set[str] = set()  # namespaces in which nobody may write
        self.repos: dict[tuple[str, str], FakeRepo] = {}
        self.objects: dict[str, bytes] = {}
        self.requests: list[str] = []
        self.statuses: dict[str, int] = {}  # beginning of "METHOD /path" -> status to answer with
        self.budget: int | None = None
        self.uploaded_bytes = 0
        self.before_commit: Any = None
        self.lock = threading.RLock()
        self.thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self.thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def cut_after(self, count: int) -> None:
        self.budget = count

    def restore(self) -> None:
        self.budget = None

    def spend(self, count: int) -> int:
        """How many of `count` bytes still get through."""
        with self.lock:
            if self.budget is None:
                return count
            through = min(count, self.budget)
            self.budget -= through
            return through

    def tree(self, repo: str, kind: str = "datasets") -> dict[str, bytes]:
        return {path: s.data for path, s in self.repos[kind, repo].commits[-1][1].items()}

    def handle_error(self, *_: Any) -> None:
        pass

    def stop(self) -> None:
        self.shutdown()
        self.server_close()


class CutError(ConnectionError):
    pass


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: FakeHub

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        self.route("GET")

    def do_HEAD(self) -> None:
        self.route("HEAD")

    def do_POST(self) -> None:
        self.route("POST")

    def do_PUT(self) -> None:
        self.route("PUT")

    # Bytes in and out, as long as the line holds.

    def body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") == "chunked":
            data = b""
            while size := int(self.rfile.readline(), 16):
                data += self.take(size)
                self.rfile.readline()
            self.rfile.readline()
            return data
        return self.take(int(self.headers.get("Content-Length") or 0))

    def take(self, size: int) -> bytes:
        through = self.server.spend(size)
        data = self.rfile.read(through)
        if through < size:
            raise CutError
        return data

    def answer(self, status: int, data: bytes = b"", headers: dict[str, str] | None = None) -> None:
        sent = {"Content-Length": str(len(data)), **(headers or {})}
        head = f"HTTP/1.1 {status} x\r\n" + "".join(f"{k}: {v}\r\n" for k, v in sent.items()) + "\r\n"
        whole = head.encode() + (b"" if self.command == "HEAD" else data)
        through = self.server.spend(len(whole))
        self.wfile.write(whole[:through])
        self.wfile.flush()
        if through < len(whole):
            raise CutError

    def json(self, value: Any, status: int = 200) -> None:
        self.answer(status, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def error(self, status: int, code: str = "", message: str = "") -> None:
        self.answer(status, b"{}", {"X-Error-Code": code, "X-Error-Message": message} if code or message else None)

    # The API.

    def route(self, method: str) -> None:
        try:
            if self.server.spend(1) == 0:
                raise CutError
            self.server.requests.append(f"{method} {self.path}")
            body = self.body()
            for start, status in self.server.statuses.items():
                if f"{method} {self.path}".startswith(start):
                    return self.error(status)
            self.handle_api(method, body)
        except CutError:
            self.close_connection = True
        return None

    @property
    def role(self) -> str | None:
        """What the token allows; None without one, "" for one that is not known."""
        given = self.headers.get("Authorization")
        return None if given is None else self.server.tokens.get(given.removeprefix("Bearer "), "")

    def handle_api(self, method: str, body: bytes) -> None:
        url = urlsplit(self.path)
        parts = [unquote(p) for p in url.path.strip("/").split("/")]
        if self.role == "":
            return self.error(401, message="Invalid credentials in Authorization header")
        if parts == ["api", "whoami-v2"]:
            if self.role is None:
                return self.error(401)
            return self.json({"name": "me", "type": "user", "auth": {"accessToken": {"role": self.role}}})
        if parts == ["api", "validate-yaml"]:
            return self.json({"errors": [], "warnings": []})
        if parts == ["api", "repos", "create"]:
            return self.create(json.loads(body))
        if parts[0] == "api" and parts[1] in ("datasets", "models"):
            return self.repo(method, parts[1], "/".join(parts[2:4]), parts[4:], body, parse_qs(url.query))
        if parts[0] == "lfs":
            return self.upload(parts[1], body)
        kind = "datasets" if parts[0] == "datasets" else "models"
        rest = parts[1:] if kind == "datasets" else parts
        name = "/".join(rest[:2])
        if name.endswith(".git"):
            return self.batch(kind, name.removesuffix(".git"), json.loads(body))
        return self.resolve(kind, name, rest[3], "/".join(rest[4:]))

    def may_write(self, name: str) -> bool:
        return self.role == "write" and name.split("/")[0] not in self.server.forbidden

    def create(self, asked: dict[str, Any]) -> None:
        name = f"{asked.get('organization') or 'me'}/{asked['name']}"
        key = ("datasets" if asked.get("type") == "dataset" else "models", name)
        if not self.may_write(name):
            return self.error(403, message="You don't have the rights to create a repo under this namespace")
        if key in self.server.repos:
            return self.error(409, message="You already created this repo")
        private = asked.get("private") or asked.get("visibility") == "private"
        self.server.repos[key] = FakeRepo(private=bool(private))
        self.server.repos[key].commit({".gitattributes": Stored(b"*.safetensors filter=lfs\n")})
        return self.json({"url": f"{self.server.url}/{key[0]}/{name}"})

    def repo(
        self, method: str, kind: str, name: str, rest: list[str], body: bytes, query: dict[str, list[str]]
    ) -> None:
        repo = self.server.repos.get((kind, name))
        if repo is None or (repo.private and self.role is None):
            return self.error(404 if self.role else 401, "RepoNotFound" if self.role else "")
        what = rest[0] if rest else "info"
        at = repo.at(rest[1] if len(rest) > 1 else "main")
        if at is None:
            return self.error(404, "RevisionNotFound")
        sha, tree = at
        if what in ("info", "revision"):
            return self.json({"id": name, "sha": sha, "private": repo.private, "siblings": [], "tags": []})
        if what == "tree":
            return self.list_tree(tree, "/".join(rest[2:]), query.get("recursive", [""])[0].lower() == "true")
        if not self.may_write(name):
            return self.error(403, message="You need the permission to write")
        if what == "preupload":
            files = json.loads(body)["files"]
            return self.json({"files": [self.mode(file, tree) for file in files]})
        assert what == "commit"
        return self.commit(repo, body)

    def mode(self, file: dict[str, Any], tree: Tree) -> dict[str, Any]:
        lfs = file["path"].endswith(LFS_SUFFIXES)
        there = tree.get(file["path"])
        mode = {"path": file["path"], "uploadMode": "lfs" if lfs else "regular", "shouldIgnore": False}
        return {**mode, "oid": there.oid} if there else mode

    def list_tree(self, tree: Tree, below: str, recursive: bool) -> None:
        shown: dict[str, dict[str, Any]] = {}
        start = f"{below}/" if below else ""
        inside = {path: s for path, s in tree.items() if path.startswith(start)}
        if below and not inside:
            return self.error(404, "EntryNotFound")
        for path, stored in inside.items():
            steps = path[len(start) :].split("/")
            for depth in range(1, len(steps)):
                if recursive or depth == 1:
                    folder = start + "/".join(steps[:depth])
                    shown[folder] = {"type": "directory", "oid": "0" * 40, "path": folder, "size": 0}
            if recursive or len(steps) == 1:
                entry = {"type": stored.kind, "oid": stored.oid, "size": len(stored.data), "path": path}
                lfs = {"oid": stored.oid, "size": len(stored.data), "pointerSize": 130}
                shown[path] = {**entry, "lfs": lfs} if stored.lfs else entry
        return self.json(list(shown.values()))

    def batch(self, kind: str, name: str, asked: dict[str, Any]) -> None:
        if not self.may_write(name):
            return self.error(403, message="You need the permission to write")
        objects = []
        for wanted in asked["objects"]:
            entry = {"oid": wanted["oid"], "size": wanted["size"]}
            if wanted["oid"] not in self.server.objects:
                entry["actions"] = {"upload": {"href": f"{self.server.url}/lfs/{wanted['oid']}"}}
            objects.append(entry)
        return self.json({"transfer": "basic", "objects": objects})

    def upload(self, oid: str, data: bytes) -> None:
        if hashlib.sha256(data).hexdigest() != oid:
            return self.error(400)
        self.server.uploaded_bytes += len(data)
        self.server.objects[oid] = data
        return self.answer(200)

    def commit(self, repo: FakeRepo, body: bytes) -> None:
        if self.server.before_commit is not None:
            hook, self.server.before_commit = self.server.before_commit, None
            hook(repo)
        lines = [json.loads(line) for line in body.splitlines()]
        with self.server.lock:
            sha, before = repo.commits[-1]
            tree = dict(before)
            for line in lines:
                value = line["value"]
                if line["key"] == "header" and value.get("parentCommit") not in (None, sha):
                    return self.error(412, message="A commit has happened since")
                if line["key"] == "file":
                    tree[value["path"]] = Stored(base64.b64decode(value["content"]))
                elif line["key"] == "lfsFile":
                    tree[value["path"]] = Stored(self.server.objects[value["oid"]], lfs=True)
                elif line["key"] == "deletedFile":
                    del tree[value["path"]]
            new = repo.commit(tree)
        return self.json({"commitUrl": f"{self.server.url}/x/y/commit/{new}", "commitOid": new})

    def resolve(self, kind: str, name: str, revision: str, path: str) -> None:
        repo = self.server.repos.get((kind, name))
        at = repo.at(revision) if repo else None
        if at is None or repo is None or (repo.private and self.role is None):
            return self.error(404 if self.role else 401, "RepoNotFound" if self.role else "")
        if path not in at[1]:
            return self.error(404, "EntryNotFound")
        stored = at[1][path]
        headers = {"ETag": f'"{stored.oid}"', "X-Repo-Commit": at[0], "Accept-Ranges": "bytes"}
        asked = self.headers.get("Range")
        if asked is None:
            return self.answer(200, stored.data, headers)
        start = int(asked.removeprefix("bytes=").split("-")[0])
        if start >= len(stored.data):
            return self.answer(416, b"", {"Content-Range": f"bytes */{len(stored.data)}"})
        span = f"bytes {start}-{len(stored.data) - 1}/{len(stored.data)}"
        return self.answer(206, stored.data[start:], {**headers, "Content-Range": span})
