"""NATS as the worker uses it: one connection that outlives restarts, and publishing that never waits."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

log = structlog.get_logger(__name__)


async def connect(url: str, name: str) -> Client:
    """A connection that outlives restarts of NATS. Raises when there is none within a few seconds at start."""
    client = Client()

    async def on_error(error: Exception) -> None:
        log.warning("nats", cause=str(error) or type(error).__name__)

    async def on_disconnect() -> None:
        if not client.is_closed:  # our own closing ends here, too
            log.warning("nats connection lost")

    async def on_reconnect() -> None:
        log.info("nats connection is back")

    untyped: Any = client
    await untyped.connect(
        url,
        name=name,
        connect_timeout=2,
        max_reconnect_attempts=-1,
        reconnect_time_wait=0.25,
        ping_interval=10,
        error_cb=on_error,
        disconnected_cb=on_disconnect,
        reconnected_cb=on_reconnect,
    )
    return client


class Sender:
    """Publishing from code that cannot wait: messages leave in order from one task."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._queue: deque[tuple[str, bytes]] = deque()
        self._signal = asyncio.Event()

    def publish(self, subject: str, message: bytes) -> None:
        """Bounded by what sessions may send ahead: 1.5 s of audio each, and their events."""
        self._queue.append((subject, message))
        self._signal.set()

    async def run(self) -> None:
        while True:
            await self._signal.wait()
            self._signal.clear()
            while self._queue:
                subject, message = self._queue.popleft()
                try:
                    await self._client.publish(subject, message)
                except Exception as failure:
                    log.warning("message not published", subject=subject, cause=str(failure))


async def subscribe(
    client: Client, subject: str, take: Callable[[Msg], Awaitable[None]], *, queue: str = "", pending: int = 1024
) -> Subscription:
    """Messages of a subject, one after the other. `pending`: so many may wait; more are dropped and logged.

    A message that cannot be dealt with costs one log line with its subject, and nobody else anything.
    """

    async def guarded(msg: Msg) -> None:
        try:
            await take(msg)
        except Exception:
            log.exception("a message could not be dealt with", subject=msg.subject)

    untyped: Any = client
    return await untyped.subscribe(subject, queue=queue, cb=guarded, pending_msgs_limit=pending)


async def settle(client: Client) -> None:
    """Returns when the server has taken all that was subscribed and published before.

    nats-py writes the ping of a flush past what its buffer still holds, so one flush proves nothing of that;
    by the end of it the buffer is written, and the second one's ping is behind it.
    """
    await client.flush()
    await client.flush()
