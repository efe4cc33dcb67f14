"""Junk, floods and clients that never read: a documented error or a refusal, and nobody else notices."""

import asyncio
import json
import sys
import time

import pytest
import websockets
from stack import ROOT, Stack

from services.contracts import events
from services.contracts.errors import Code
from services.contracts.frame import Header, Kind, pack
from services.launcher.talker import Talker, read_speech

SENTENCE = ROOT / "loadtest" / "speech" / "00-slt.wav"
VANDALS = ROOT / "tests" / "stack" / "vandals.py"
HELLO = '{"type": "hello", "protocol": 1}'


@pytest.mark.timeout(120)
async def test_junk_from_many_harms_nobody(stack: Stack):
    worker, edge = stack.part("services.dialogue"), stack.part("services.edge")
    async with Talker(stack.socket_url) as talker:
        await talker.listen()
        before = await talker.say(read_speech(SENTENCE))
        sizes = [worker.memory_info().rss, edge.memory_info().rss]
        attack = await asyncio.create_subprocess_exec(
            sys.executable, str(VANDALS), stack.socket_url, "12", "150", stdout=asyncio.subprocess.PIPE
        )
        during = await talker.say(read_speech(SENTENCE))
        printed, _ = await attack.communicate()
        assert attack.returncode == 0
        codes = {Code(code) for code in json.loads(printed)}
        after = await talker.say(read_speech(SENTENCE))
    for answer in (before, during, after):
        assert answer.errors == []
        assert answer.transcript == "hello how are you today"
    assert {Code.MALFORMED_JSON, Code.UNKNOWN_TYPE, Code.INVALID_COMMAND} & codes
    assert Code.INTERNAL_ERROR not in codes
    grown = [worker.memory_info().rss - sizes[0], edge.memory_info().rss - sizes[1]]
    assert max(grown) < 40 * 2**20, grown
    assert "Traceback" not in "\n".join(stack.lines)


@pytest.mark.timeout(120)
async def test_a_thousand_connects_from_one_address(stack: Stack):
    """Most are refused with a status; a conversation that is under way goes on."""

    async def knock() -> int:
        try:
            async with asyncio.timeout(20):
                async with websockets.connect(stack.socket_url, compression=None, open_timeout=15):
                    return 101
        except websockets.InvalidStatus as refused:
            return refused.response.status_code
        except (OSError, TimeoutError, websockets.WebSocketException):
            return 0

    async with Talker(stack.socket_url) as talker:
        await talker.listen()
        flood = asyncio.gather(*(knock() for _ in range(1000)))
        during = await talker.say(read_speech(SENTENCE))
        statuses = await flood
    assert during.errors == []
    assert during.turn is not None
    assert statuses.count(429) > 500
    assert set(statuses) <= {0, 101, 429, 503}


@pytest.mark.timeout(120)
async def test_a_client_that_never_reads_costs_bounded_memory(stack: Stack):
    worker, edge = stack.part("services.dialogue"), stack.part("services.edge")
    socket = await websockets.connect(stack.socket_url, compression=None, max_queue=1)
    try:
        await socket.send(HELLO)
        await socket.recv()
        sizes = [worker.memory_info().rss, edge.memory_info().rss]
        ends = time.monotonic() + 6
        sent = 0
        while time.monotonic() < ends:
            try:
                await asyncio.wait_for(socket.send('{"type": "export_history"}'), 1)
                await asyncio.wait_for(socket.send('{"type": "user_message", "text": "' + "tell me " * 400 + '"}'), 1)
                sent += 1
            except (TimeoutError, websockets.ConnectionClosed):
                break
            await asyncio.sleep(0.1)
        assert sent
        grown = [worker.memory_info().rss - sizes[0], edge.memory_info().rss - sizes[1]]
        assert max(grown) < 30 * 2**20, grown
        async with Talker(stack.socket_url) as talker:
            assert (await talker.type("are you well")).turn is not None
    finally:
        socket.transport.abort()


async def test_a_text_of_100_kilobytes(stack: Stack):
    async with websockets.connect(stack.socket_url, compression=None) as socket:
        await socket.send(HELLO)
        await socket.recv()
        await socket.send(json.dumps({"type": "user_message", "text": "x" * 100_000}))
        await asyncio.wait_for(socket.wait_closed(), 10)
        assert socket.close_code == 1009


async def test_audio_before_a_session(stack: Stack):
    async with websockets.connect(stack.socket_url, compression=None) as socket:
        await socket.send(pack(Header(Kind.AUDIO), bytes(640)))
        event = events.decode(await asyncio.wait_for(socket.recv(), 5))
        assert isinstance(event, events.Error)
        assert event.code == Code.HELLO_REQUIRED
        await socket.send(HELLO)
        assert isinstance(events.decode(await asyncio.wait_for(socket.recv(), 5)), events.Ready)


@pytest.mark.timeout(120)
async def test_clients_that_are_gone_shut_nobody_out(stack: Stack):
    """More of them than there are places: each is greeted, and so is whoever comes after them."""

    async def greeted() -> None:
        while True:
            try:
                async with websockets.connect(stack.socket_url, compression=None) as socket:
                    await socket.send(HELLO)
                    event = events.decode(await asyncio.wait_for(socket.recv(), 5))
                    assert isinstance(event, events.Ready), event
                    return
            except websockets.InvalidStatus as refused:
                if refused.response.status_code != 429:
                    raise
                await asyncio.sleep(0.1)  # this address has connected a lot

    for _ in range(40):
        await greeted()
    async with Talker(stack.socket_url) as talker:
        assert (await talker.type("are you well")).turn is not None
