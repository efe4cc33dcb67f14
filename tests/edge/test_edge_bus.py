"""The edge's NATS connection, on a real server."""

import asyncio

import nats
from nats.aio.msg import Msg

from services.edge.bus import Bus


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
