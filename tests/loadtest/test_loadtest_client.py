"""The session that is tried past capacity leaves nothing open, whatever becomes of it."""

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest
from websockets.asyncio.server import Server, ServerConnection, serve

from loadtest.client import probe
from loadtest.wires import ParleyWire
from services.contracts.settings import SettingsPatch

FULL = '{"type": "error", "code": "at_capacity", "message": "full", "recoverable": false}'


class Edge:
    """Answers the first message with `says`, or with nothing."""

    def __init__(self) -> None:
        self.says = ""
        self.left = asyncio.Event()

    async def __call__(self, connection: ServerConnection) -> None:
        await connection.recv()
        if self.says:
            await connection.send(self.says)
        await connection.wait_closed()
        self.left.set()


@pytest.fixture
def edge() -> Edge:
    return Edge()


@pytest.fixture
async def server(edge: Edge) -> AsyncIterator[Server]:
    async with serve(edge, "127.0.0.1", 0, compression=None) as running:
        yield running


async def probed(port: int) -> str:
    async with asyncio.timeout(5):
        return str((await probe(port, ParleyWire(SettingsPatch()), within=0.2))["code"])


def port(server: Server) -> int:
    return next(iter(server.sockets)).getsockname()[1]


async def test_a_refusal_is_told_by_its_code(edge: Edge, server: Server):
    edge.says = FULL
    assert await probed(port(server)) == "at_capacity"
    await asyncio.wait_for(edge.left.wait(), 5)


async def test_a_probe_without_an_answer_leaves(edge: Edge, server: Server):
    assert await probed(port(server)) == "TimeoutError"
    await asyncio.wait_for(edge.left.wait(), 5)


async def test_a_probe_that_is_not_let_in_leaves():
    left = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await reader.read(1000):
                pass
        except ConnectionError:
            pass
        left.set()
        writer.close()

    async with await asyncio.start_server(silent, "127.0.0.1", 0) as listening:
        assert await probed(listening.sockets[0].getsockname()[1]) == "TimeoutError"
        await asyncio.wait_for(left.wait(), 5)


async def test_a_probe_that_reaches_nobody_says_so():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        free = taken.getsockname()[1]
    assert (await probed(free)).startswith("ConnectionRefusedError")
