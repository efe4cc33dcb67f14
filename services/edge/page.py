"""The page as static files, and the headers that keep it ours."""

import mimetypes
from collections.abc import Callable
from pathlib import Path

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# A browser runs no module and no worklet of another type; what the machine's own table says differs.
for _type, _suffix in (("text/javascript", ".js"), ("text/css", ".css"), ("image/svg+xml", ".svg")):
    mimetypes.add_type(_type, _suffix)

# AudioWorklet modules fall under script-src, the WebSocket under connect-src.
_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "worker-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "font-src 'self'",
        "media-src 'self' blob:",
        "connect-src 'self'",
        "manifest-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
_HEADERS = {
    "content-security-policy": _POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "permissions-policy": "microphone=(self), camera=(), geolocation=()",
    "cross-origin-opener-policy": "same-origin",
    # Files have an ETag: asking again costs 304, and an updated page never mixes with an older script.
    "cache-control": "no-cache",
}


def files(folder: Path) -> StaticFiles:
    """The page's files; `/` is index.html."""
    return StaticFiles(directory=folder, html=True)


def file(path: Path) -> Callable[[Request], Response]:
    """One of the page's files, for an address without its suffix."""

    # Not a coroutine, so that it runs where it may wait for the disk.
    def serve(_request: Request) -> Response:
        return FileResponse(path) if path.is_file() else Response(status_code=404)

    return serve


class Headers:
    """Middleware: every HTTP response carries the headers above."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, send_with_headers)
