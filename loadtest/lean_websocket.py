"""A WebSocket client that costs little, so that one process can be a hundred talkers.

What a load test needs of RFC 6455 and no more: no extensions, no fragments, masks of zero (which leave the payload
as it is). It trusts its server.
"""

import asyncio
import base64
import os
from collections.abc import Callable
from typing import cast

_TEXT, _BINARY, _CLOSE, _PING, _PONG = 1, 2, 8, 9, 10
_FINAL = 0x80
_MASKED = 0x80
_NO_MASK = bytes(4)


class Refused(ConnectionError):
    """The server did not open a WebSocket; the text is its first line and what it said."""


class ProtocolBroken(ConnectionError):
    """The server sent what this client does not take."""


def frame(payload: bytes, binary: bool) -> bytes:
    """One message of a client, ready for the socket."""
    return _header(_BINARY if binary else _TEXT, len(payload)) + payload


def _header(opcode: int, length: int) -> bytes:
    if length < 126:
        return bytes((_FINAL | opcode, _MASKED | length)) + _NO_MASK
    if length < 1 << 16:
        return bytes((_FINAL | opcode, _MASKED | 126)) + length.to_bytes(2, "big") + _NO_MASK
    return bytes((_FINAL | opcode, _MASKED | 127)) + length.to_bytes(8, "big") + _NO_MASK


class Connection(asyncio.Protocol):
    """`connect` makes one. `send` never waits; what the server sends goes to `receive` at once."""

    def __init__(self, request: bytes, receive: Callable[[bytes | str], None], ended: Callable[[str], None]) -> None:
        self._request = request
        self._receive = receive
        self._ended = ended
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._open = False
        self._why = ""
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def send(self, payload: bytes, binary: bool) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(frame(payload, binary))

    def close(self) -> None:
        if self._transport is not None:
            self._transport.write(_header(_CLOSE, 2) + (1000).to_bytes(2, "big"))
            self._transport.close()

    # --- asyncio.Protocol ------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.write(self._request)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if not self.opened.done():
            self.opened.set_exception(Refused(self._buffer[:300].decode(errors="replace") or "closed at once"))
        else:
            self._ended(self._why or str(exc or "closed"))

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if not self._open and not self._shake_hands():
            return
        while self._next():
            pass

    def _shake_hands(self) -> bool:
        head, found, rest = bytes(self._buffer).partition(b"\r\n\r\n")
        if not found:
            return False
        if not head.startswith(b"HTTP/1.1 101"):
            assert self._transport is not None
            self._transport.close()
            return False
        self._open = True
        self._buffer = bytearray(rest)
        self.opened.set_result(None)
        return True

    def _next(self) -> bool:
        """Take one message from the buffer. False: it has not come whole yet."""
        buffer = self._buffer
        if len(buffer) < 2:
            return False
        first, length, start = buffer[0], buffer[1], 2
        if length == 126:
            start = 4
            length = int.from_bytes(buffer[2:4], "big")
        elif length == 127:
            start = 10
            length = int.from_bytes(buffer[2:10], "big")
        if len(buffer) < start + length:
            return False
        payload = bytes(buffer[start : start + length])
        del buffer[: start + length]
        self._take(first, payload)
        return True

    def _take(self, first: int, payload: bytes) -> None:
        match first:
            case 0x82:
                self._receive(payload)
            case 0x81:
                self._receive(payload.decode())
            case 0x89:
                assert self._transport is not None
                self._transport.write(_header(_PONG, len(payload)) + payload)
            case 0x8A:
                pass
            case 0x88:
                self._why = f"{int.from_bytes(payload[:2], 'big')} {payload[2:].decode(errors='replace')}".strip()
                self.close()
            case _:
                raise ProtocolBroken(f"a frame begins with {first:#x}; fragments and extensions were not asked for")


async def connect(
    host: str, port: int, path: str, receive: Callable[[bytes | str], None], ended: Callable[[str], None]
) -> Connection:
    """An open WebSocket. `ended` is told why it ended, once. Raises Refused, OSError."""
    key = base64.b64encode(os.urandom(16)).decode()
    request = (
        f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    loop = asyncio.get_running_loop()
    transport, connection = await loop.create_connection(
        lambda: Connection(request.encode(), receive, ended), host, port
    )
    try:
        await connection.opened
    except BaseException:
        transport.abort()
        raise
    return connection
