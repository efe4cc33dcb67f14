"""The cheap WebSocket client against a real server, and against one that refuses."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from websockets.asyncio.server import Server, ServerConnection, serve

from loadtest.lean_websocket import Refused, connect, frame

LENGTHS = (0, 1, 125, 126, 127, 65_535, 65_536, 100_000)


async def echo(connection: ServerConnection) -> None:
    async for message in connection:
        await connection.send(message)


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    async with serve(echo, "127.0.0.1", 0, max_size=2**20, compression=None) as running:
        yield running


def port(server: Server) -> int:
    return next(iter(server.sockets)).getsockname()[1]


async def test_messages_of_every_length_come_back_as_they_were(server: Server):
    heard: asyncio.Queue[Any] = asyncio.Queue()
    connection = await connect("127.0.0.1", port(server), "/", heard.put_nowait, lambda why: None)
    for length in LENGTHS:
        connection.send(b"\x81" * length, binary=True)
        connection.send(b"t" * length, binary=False)
    async with asyncio.timeout(5):
        for length in LENGTHS:
            assert await heard.get() == b"\x81" * length
            assert await heard.get() == "t" * length
    connection.close()


async def test_pings_are_answered_and_a_close_is_told_once(server: Server):
    ended: asyncio.Queue[str] = asyncio.Queue()
    await connect("127.0.0.1", port(server), "/", lambda message: None, ended.put_nowait)
    [one] = server.connections
    async with asyncio.timeout(5):
        await (await one.ping())
        await one.close(4429, "at_capacity")
        assert await ended.get() == "4429 at_capacity"
    assert ended.empty()


async def test_what_is_no_websocket_is_refused_with_what_it_said():
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\n\r\nfull")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as server:
        with pytest.raises(Refused, match="503"):
            await connect("127.0.0.1", server.sockets[0].getsockname()[1], "/", print, print)


def test_a_clients_frame_is_masked_as_the_protocol_demands():
    assert frame(b"ab", binary=True) == b"\x82\x82\0\0\0\0ab"
