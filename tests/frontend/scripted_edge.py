"""An edge whose lines are written by the test: serves the page's files and speaks the protocol on one socket."""

import asyncio
import http
import json
import mimetypes
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from services.contracts import events, frame
from services.contracts.characters import Character
from services.contracts.errors import MEANINGS, Code
from services.contracts.settings import SessionSettings

FRONTEND = Path(__file__).parents[2] / "frontend"
PATIENCE_SECONDS = 10.0
CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self' ws: wss:; "
    "base-uri 'none'; form-action 'none'"
)
ARIA = Character(id="aria", name="Aria", persona="", greeting="Hello, I am Aria. What is on your mind?")
SOURCE = events.AnswerSource(mode="llm", model="test-model")


class Connection:
    """One WebSocket of the page. Commands and frames are kept in the order in which they came."""

    def __init__(self, socket: ServerConnection) -> None:
        self.socket = socket
        self.hello: dict[str, Any] = {}
        self.messages: list[dict[str, Any] | bytes] = []
        self.sequence = 0
        self._read = 0
        self._news = asyncio.Condition()

    @property
    def commands(self) -> list[str]:
        """The types of all commands so far but the ones that come by the clock."""
        kinds = [message["type"] for message in self.messages if isinstance(message, dict)]
        return [kind for kind in kinds if kind not in ("ping", "played")]

    @property
    def frames(self) -> list[bytes]:
        return [message for message in self.messages if isinstance(message, bytes)]

    async def take(self, message: str | bytes) -> None:
        async with self._news:
            self.messages.append(json.loads(message) if isinstance(message, str) else message)
            self._news.notify_all()

    async def until(self, condition: Callable[[], Any]) -> Any:
        """What the condition gives once it gives something true, looked at after each message."""
        async with asyncio.timeout(PATIENCE_SECONDS), self._news:
            await self._news.wait_for(condition)
            return condition()

    async def command(self, kind: str) -> dict[str, Any]:
        """The next command of that type that no call has given yet; those before it are passed over."""

        def find() -> dict[str, Any] | None:
            for place in range(self._read, len(self.messages)):
                message = self.messages[place]
                if isinstance(message, dict) and message["type"] == kind:
                    self._read = place + 1
                    return message
            return None

        async with asyncio.timeout(PATIENCE_SECONDS), self._news:
            while (found := find()) is None:
                await self._news.wait()
            return found

    async def send(self, event: events.AnyEvent) -> None:
        self.sequence += 1
        numbered = msgspec.structs.replace(event, sequence=self.sequence)
        await self.socket.send(events.encode(numbered).decode())

    async def audio(self, generation: int, pcm: bytes, flags: frame.Flags = frame.Flags.NONE) -> None:
        """PCM16 at 24 kHz in wire frames of 100 ms; `flags` go with the last."""
        size = 4800
        for start in range(0, len(pcm), size):
            self.sequence += 1
            last = start + size >= len(pcm)
            header = frame.Header(
                frame.Kind.AUDIO,
                epoch=1,
                generation=generation,
                sequence=self.sequence,
                flags=flags if last else frame.Flags.NONE,
            )
            await self.socket.send(frame.pack(header, pcm[start : start + size]))

    async def ready(self, **changes: Any) -> None:
        fields: dict[str, Any] = {
            "protocol": 1,
            "session_id": "0" * 32,
            "token": "token-1",
            "epoch": 1,
            "generation": 0,
            "resumed": False,
            "settings": SessionSettings(),
            "characters": [ARIA],
            "answer_source": SOURCE,
            "history": [],
        }
        await self.send(events.Ready(**{**fields, **changes}))

    async def refuse(self, code: Code, retry_after_ms: int | None = None) -> None:
        """The error, outside of the count as the edge's own events are, and the close that goes with it."""
        await self.socket.send(events.encode(events.error(code, retry_after_ms=retry_after_ms)).decode())
        await self.socket.close(MEANINGS[code].close or 1011)


class Edge:
    def __init__(self) -> None:
        self.url = ""
        self.accepted: asyncio.Queue[Connection] = asyncio.Queue()

    async def connection(self) -> Connection:
        """The next connection of the page, after its hello."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            return await self.accepted.get()

    async def ready_connection(self, **changes: Any) -> Connection:
        connection = await self.connection()
        await connection.ready(**changes)
        return connection

    async def _serve_socket(self, socket: ServerConnection) -> None:
        connection = Connection(socket)
        try:
            connection.hello = json.loads(await socket.recv())
        except ConnectionClosed:
            return
        self.accepted.put_nowait(connection)
        with suppress(ConnectionClosed):
            async for message in socket:
                await connection.take(message)


def serve_file(_socket: ServerConnection, request: Request) -> Response | None:
    """The page's files, with the security policy of the real edge; None goes on with the WebSocket."""
    path = request.path.split("?")[0]
    if path == "/v1/conversation":
        return None
    file = FRONTEND / {"/": "index.html", "/latency": "latency.html"}.get(path, path.lstrip("/"))
    if path == "/blank":
        body, kind = b"<!doctype html><title>blank</title><link rel=icon href=/favicon.svg>", "text/html"
    elif file.is_file() and FRONTEND in file.resolve().parents:
        body, kind = file.read_bytes(), mimetypes.guess_type(file.name)[0] or "application/octet-stream"
    else:
        return Response(http.HTTPStatus.NOT_FOUND, "Not Found", Headers({"Content-Length": "0"}))
    headers = Headers(
        {
            "Content-Type": f"{kind}; charset=utf-8" if kind.startswith("text/") else kind,
            "Content-Length": str(len(body)),
            "Content-Security-Policy": CSP,
            "Cache-Control": "no-store",
        }
    )
    return Response(http.HTTPStatus.OK, "OK", headers, body)


@asynccontextmanager
async def scripted_edge(port: int = 0) -> AsyncIterator[Edge]:
    edge = Edge()
    server: Server
    async with serve(edge._serve_socket, "127.0.0.1", port, process_request=serve_file, compression=None) as server:
        edge.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        yield edge
