"""NATS as the worker uses it: one connection that outlives restarts, and publishing that never waits."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any
from weakref import WeakKeyDictionary

import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import SlowConsumerError

from services.telemetry import metrics

log = structlog.get_logger(__name__)

_PENDING_BYTES = 4 * 1024 * 1024
_GATHER_SECONDS = 0.001

_on_loss: WeakKeyDictionary[Subscription, Callable[[], None]] = WeakKeyDictionary()
"""Whom to tell that messages of a subscription were dropped; the library tells the connection only."""


async def connect(url: str, name: str) -> Client:
    """A connection that outlives restarts of NATS. Raises when there is none within a few seconds at start."""
    client = Client()

    async def on_error(error: Exception) -> None:
        if isinstance(error, SlowConsumerError):
            metrics.WORKER_SLOW_CONSUMERS.inc()
            lost = _on_loss.get(error.sub)
            if lost is not None:
                lost()
        log.warning("nats", cause=str(error) or type(error).__name__)

    async def on_disconnect() -> None:
        metrics.WORKER_NATS_CONNECTED.set(0)
        if not client.is_closed:  # our own closing ends here, too
            log.warning("nats connection lost")

    async def on_reconnect() -> None:
        metrics.WORKER_NATS_CONNECTED.set(1)
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
    metrics.WORKER_NATS_CONNECTED.set(1)
    return client


class Sender:
    """Publishing from code that cannot wait: messages leave in order from one task.

    Those of all sessions within a millisecond leave together: one write for many, instead of one for each.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._queue: deque[tuple[str, bytes]] = deque()
        metrics.WORKER_OUTGOING.set_function(self._queue.__len__)
        self._signal = asyncio.Event()

    def publish(self, subject: str, message: bytes) -> None:
        """Bounded by what sessions may send ahead: 1.5 s of audio each, and their events."""
        self._queue.append((subject, message))
        self._signal.set()

    async def run(self) -> None:
        while True:
            await self._signal.wait()
            await asyncio.sleep(_GATHER_SECONDS)
            self._signal.clear()
            while self._queue:
                subject, message = self._queue.popleft()
                try:
                    await self._client.publish(subject, message)
                except Exception as failure:
                    log.warning("message not published", subject=subject, cause=str(failure))


async def subscribe(
    client: Client,
    subject: str,
    take: Callable[[Msg], Awaitable[None]],
    *,
    queue: str = "",
    pending: int = 1024,
    lost: Callable[[], None] | None = None,
) -> Subscription:
    """Messages of a subject, one after the other. `pending`: so many may wait, of 4 MiB together.

    Each one more is dropped, and `lost` is called; without it a line is logged. A message that cannot be dealt with
    costs one log line with its subject, and nobody else anything.
    """

    async def guarded(msg: Msg) -> None:
        try:
            await take(msg)
        except Exception:
            log.exception("a message could not be dealt with", subject=msg.subject)

    untyped: Any = client
    subscription: Subscription = await untyped.subscribe(
        subject, queue=queue, cb=guarded, pending_msgs_limit=pending, pending_bytes_limit=_PENDING_BYTES
    )
    if lost is not None:
        _on_loss[subscription] = lost
    return subscription


async def settle(client: Client) -> None:
    """Returns when the server has taken all that was subscribed and published before.

    nats-py writes the ping of a flush past what its buffer still holds, so one flush proves nothing of that;
    by the end of it the buffer is written, and the second one's ping is behind it.
    """
    await client.flush()
    await client.flush()
