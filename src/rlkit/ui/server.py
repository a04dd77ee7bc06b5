"""The web application of `rlkit ui`: its routes, what it refuses, and how it is started."""

from __future__ import annotations

import json
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rlkit.errors import ConfigError, RlkitError
from rlkit.runs.writing import finite
from rlkit.ui.curves import MOST_POINTS, RETURN
from rlkit.ui.runs import VIDEOS, MissingError, Runs

HOST = "127.0.0.1"
HOSTS = ["127.0.0.1", "localhost"]
"""Names under which the page answers: a stranger's name that leads to this machine is refused."""
STATIC = Path(__file__).parent / "static"
HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; media-src 'self'; "
        "connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}
REPORT = "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; media-src data:"
"""The policy of a report, which comes from the folder of runs: it runs no script, and loads nothing."""


class Headers:
    """Adds to each answer the headers that it does not have."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                present = {name.lower() for name, _ in message["headers"]}
                added = [(k.encode(), v.encode()) for k, v in HEADERS.items() if k.encode() not in present]
                message["headers"] = [*message["headers"], *added]
            await send(message)

        await self.app(scope, receive, with_headers)


def application(root: Path) -> Starlette:
    """The application over a folder of runs."""
    runs = Runs(root)

    def listing(request: Request) -> Response:
        return _json(runs.listing())

    def run(request: Request) -> Response:
        return _json(runs.run(_word(request, "run")))

    def curves(request: Request) -> Response:
        points = min(max(_whole(request.query_params.get("points", str(MOST_POINTS))), 10), MOST_POINTS)
        pairs = [pair.split(":") for pair in request.query_params.get("after", "").split(",") if pair]
        if any(len(pair) != 2 for pair in pairs):
            raise ConfigError("after is a list of seed:frames")
        after = {_whole(seed): _whole(frames) for seed, frames in pairs}
        return _json(runs.curves(_word(request, "run"), request.query_params.get("metric", RETURN), after, points))

    def differences(request: Request) -> Response:
        return _json(runs.differences(request.query_params.getlist("run")[:50]))

    def search(request: Request) -> Response:
        return _json(runs.search(_word(request, "search")))

    def video(request: Request) -> Response:
        file = runs.video(request.path_params["name"])
        return FileResponse(file, media_type=VIDEOS[file.suffix])

    def report(request: Request) -> Response:
        file = runs.report(request.path_params["name"])
        return FileResponse(file, media_type="text/html", headers={"content-security-policy": REPORT})

    paths: dict[str, Callable[[Request], Response]] = {
        "/api/runs": listing,
        "/api/run": run,
        "/api/curves": curves,
        "/api/differences": differences,
        "/api/search": search,
        "/video/{name:path}": video,
        "/report/{name:path}": report,
    }
    return Starlette(
        routes=[
            Route("/", lambda _: FileResponse(STATIC / "index.html"), methods=["GET"]),
            *(Route(path, answer, methods=["GET"]) for path, answer in paths.items()),
            Mount("/static", StaticFiles(directory=STATIC)),
        ],
        middleware=[Middleware(Headers), Middleware(TrustedHostMiddleware, allowed_hosts=HOSTS)],
        exception_handlers={MissingError: _refused(404), ConfigError: _refused(400), RlkitError: _refused(422)},
    )


def _refused(status: int) -> Callable[[Request, Exception], Awaitable[Response]]:
    async def answer(request: Request, error: Exception) -> Response:
        return _json({"error": str(error)}, status)

    return answer


def _json(value: Any, status: int = 200) -> Response:
    text = json.dumps(finite(value), separators=(",", ":"))
    return Response(text, status, media_type="application/json")


def _word(request: Request, name: str) -> str:
    word = request.query_params.get(name)
    if not word:
        raise ConfigError(f"{name} is missing")
    return word


def _whole(text: str) -> int:
    if not text.lstrip("-").isdecimal() or len(text) > 16:
        raise ConfigError(f"{text[:20]} is no whole number")
    return int(text)


def bound(port: int) -> socket.socket:
    """A socket on the loopback address.

    Raises:
        ConfigError: the port is taken, or not to be had.
    """
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
        listener.listen()  # the address is told before the server runs
    except (OSError, OverflowError) as error:
        listener.close()
        why = getattr(error, "strerror", None) or str(error)
        raise ConfigError(f"--port {port} cannot be used: {why}\n  choose another one; 0 takes any free one") from error
    return listener


def serve(root: Path, port: int, started: Callable[[str], None]) -> None:
    """Serve the page until Ctrl-C.

    Args:
        root: the folder of runs.
        port: on 127.0.0.1; 0: any free one.
        started: called with the address once the port is taken.

    Raises:
        ConfigError: there is no such folder, or the port is taken.
    """
    if not root.is_dir():
        raise ConfigError(f"{root} is not a folder\n  accepted: a folder with runs below it, by default runs/")
    with bound(port) as listener:
        config = uvicorn.Config(application(root), log_level="warning", lifespan="off", timeout_graceful_shutdown=1)
        started(f"http://{HOST}:{listener.getsockname()[1]}")
        try:
            uvicorn.Server(config).run(sockets=[listener])
        except KeyboardInterrupt:  # uvicorn has shut down, and hands the signal on
            return
