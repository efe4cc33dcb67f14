"""The edge's NATS connection, on a real server, and before a client that takes nothing for a while."""

import asyncio
from typing import Any

import nats
import pytest
from nats.aio.msg import Msg

from services.edge.bus import OUTGOING_BYTES, Bus, Unavailable


class SlowClient:
    """Takes each message and returns only once `open` is set, as nats-py does while the server reads nothing."""

    is_connected = True

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.entered = asyncio.Event()
        self.taken: list[bytes] = []

    async def publish(self, subject: str, message: bytes) -> None:
        self.taken.append(message)
        self.entered.set()
        await self.open.wait()

    async def subscribe(self, subject: str, **options: Any) -> None:
        self.taken.append(b"subscribed")

    async def request(self, subject: str, message: bytes, timeout: float) -> Msg:
        raise AssertionError("a request overtook what was published before it")


def behind(client: SlowClient) -> Bus:
    bus = Bus("nats://127.0.0.1:1", lambda: None, lambda subject: None)
    bus._client = client  # pyright: ignore[reportAttributeAccessIssue]
    return bus


async def test_nothing_overtakes_a_message_that_waits_within_nats_py() -> None:
    client = SlowClient()
    bus = behind(client)
    for number in range(3):
        await bus.publish("test.in", b"%d" % number)
    await asyncio.wait_for(client.entered.wait(), 5)
    for number in range(3, 6):
        await bus.publish("test.in", b"%d" % number)
    subscribing = asyncio.create_task(bus.subscribe("test.out", lambda message: None))
    for _ in range(10):
        await asyncio.sleep(0)
    client.open.set()
    await asyncio.wait_for(subscribing, 5)
    assert client.taken == [b"0", b"1", b"2", b"3", b"4", b"5", b"subscribed"]


async def test_a_server_that_takes_nothing_costs_bounded_memory() -> None:
    client = SlowClient()
    bus = behind(client)
    megabyte = bytes(1024 * 1024)
    for _ in range(OUTGOING_BYTES // len(megabyte)):
        await bus.publish("test.in", megabyte)
    with pytest.raises(Unavailable, match="takes nothing"):
        await bus.publish("test.in", b"one byte too many")
    client.open.set()
    await bus.subscribe("test.out", lambda message: None)
    await bus.publish("test.in", megabyte)
    await bus.subscribe("test.out", lambda message: None)
    assert client.taken.count(megabyte) == OUTGOING_BYTES // len(megabyte) + 1


async def test_a_request_behind_a_server_that_takes_nothing_ends_in_its_time() -> None:
    client = SlowClient()
    bus = behind(client)
    await bus.publish("test.in", b"first")
    await asyncio.wait_for(client.entered.wait(), 5)
    with pytest.raises(Unavailable):
        await asyncio.wait_for(bus.request("test.in", b"?", 0.01), 5)
    client.open.set()
    await bus.subscribe("test.out", lambda message: None)
    assert client.taken == [b"first", b"subscribed"]


async def test_messages_of_one_moment_leave_in_order_and_before_what_follows(nats_url: str) -> None:
    other = await nats.connect(nats_url)
    received: asyncio.Queue[bytes] = asyncio.Queue()

    async def take(message: Msg) -> None:
        received.put_nowait(message.data)
        if message.reply:
            await message.respond(b"%d" % received.qsize())

    await other.subscribe("test.in", cb=take)
    await other.flush()
    bus = Bus(nats_url, lambda: None, lambda subject: None)
    await bus.connect()
    try:
        for number in range(100):
            await bus.publish("test.in", b"%d" % number)
        # A request is answered after everything that was published before it was taken.
        assert await bus.request("test.in", b"last", 5) == b"101"
        assert [received.get_nowait() for _ in range(101)] == [*(b"%d" % number for number in range(100)), b"last"]
        await bus.publish("test.in", b"alone")
        assert await asyncio.wait_for(received.get(), 5) == b"alone"
        await bus.publish("test.in", b"at the end")
    finally:
        await bus.close()
    assert await asyncio.wait_for(received.get(), 5) == b"at the end"
    await other.close()
