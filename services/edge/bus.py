"""The edge's one connection to NATS, behind the few verbs that the edge needs."""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Awaitable, Callable

import structlog
from nats import errors as nats_errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from services.edge.limits import TokenBucket
from services.telemetry import metrics

log = structlog.get_logger("edge.bus")

Receive = Callable[[bytes], None]

# Callbacks only put into queues of their own, so what waits here is what came within one turn of the event
# loop. nats-py's own limits (512 Ki messages, 128 MiB per subscription) would hide a stall for minutes.
PENDING_MESSAGES = 2048
PENDING_BYTES = 4 * 1024 * 1024
OUTGOING_BYTES = 8 * 1024 * 1024
"""So much waits for a server that takes nothing; nats-py holds about 2 MiB more. Beyond it publishing fails."""
GATHER_SECONDS = 0.002
"""Messages of all connections leave together so often: one write for many frames instead of one for each."""


class NoResponder(Exception):
    """Nobody listens on that subject."""


class Unavailable(Exception):
    """NATS is away, or no reply came in time."""


class Bus:
    """Connects in the background, for ever, and comes back by itself after NATS was away.

    `on_reconnect` is called when it is back: core NATS keeps nothing, so messages may have been missed.
    `on_slow(subject)` is called when a message of that subject was lost because we did not take it in time.
    """

    def __init__(
        self,
        url: str,
        on_reconnect: Callable[[], None],
        on_slow: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._url = url
        self._clock = clock
        self._away_since = clock()
        self._reached = False
        self._closing = False
        self._on_reconnect = on_reconnect
        self._on_slow = on_slow
        self._client: Client = Client()
        self._errors = TokenBucket(1, 3, clock())
        self._outgoing: deque[tuple[str, bytes]] = deque()
        """What was published within the last GATHER_SECONDS, and longer while the server does not take it."""
        self._outgoing_bytes = 0
        metrics.NATS_OUTGOING_BYTES.set_function(lambda: self._outgoing_bytes)
        self._sending = asyncio.Lock()
        """nats-py's `publish` waits once it holds much: a second sender must not overtake one that waits there."""
        self._gathering: asyncio.Task[None] | None = None
        self.closed = asyncio.Event()
        """Set when the connection is given up, by us or by the server (wrong credentials)."""

    @property
    def connected(self) -> bool:
        return self._client.is_connected

    def away(self, now: float) -> float:
        """For how many seconds NATS has been away; 0 while it is connected."""
        return 0.0 if self.connected else now - self._away_since

    async def connect(self) -> None:
        """Returns when NATS was reached for the first time, however long that takes.

        Raises nats.errors.Error when NATS refuses us.
        """
        await self._client.connect(
            self._url.split(","),
            name="parley-edge",
            error_cb=self._failed,
            disconnected_cb=self._disconnected,
            reconnected_cb=self._reconnected,
            closed_cb=self._closed,
            max_reconnect_attempts=-1,
            reconnect_time_wait=0.25,  # pyright: ignore[reportArgumentType]  (annotated int, used as seconds)
            ping_interval=10,
            # Seconds that are left to a server that takes nothing before its connection counts as broken.
            flush_timeout=2,
        )
        self._reached = True
        metrics.NATS_CONNECTED.set(1)
        log.info("connected to NATS")

    async def close(self) -> None:
        """Send what is still queued and end the connection."""
        if not self._reached:
            return  # nats-py cannot close what it has not opened
        self._closing = True
        if self._client.is_connected:
            with contextlib.suppress(nats_errors.Error, OSError):
                await self._send()
                await self._client.flush(timeout=1)
        await self._client.close()

    async def publish(self, subject: str, message: bytes) -> None:
        """Takes the message and returns; it leaves within GATHER_SECONDS if the server takes it, after all that was
        published before it and before all that is published, requested or subscribed to later.

        Raises Unavailable while NATS is away and when OUTGOING_BYTES wait already: the message is not kept then.
        """
        if not self._client.is_connected:
            raise Unavailable("NATS is away")
        if self._outgoing_bytes + len(message) > OUTGOING_BYTES:
            raise Unavailable("NATS takes nothing")
        self._outgoing.append((subject, message))
        self._outgoing_bytes += len(message)
        if self._gathering is None or self._gathering.done():
            self._gathering = asyncio.create_task(self._gather(), name="edge-gather")

    async def _gather(self) -> None:
        await asyncio.sleep(GATHER_SECONDS)
        while self._outgoing:  # sending may wait, and more may come meanwhile
            await self._send()

    async def _send(self) -> None:
        """Returns once everything that was published before the call has gone to nats-py, in order."""
        async with self._sending:
            for _ in range(len(self._outgoing)):
                subject, message = self._outgoing.popleft()
                self._outgoing_bytes -= len(message)
                try:
                    await self._client.publish(subject, message)
                except (nats_errors.Error, OSError) as error:
                    await self._failed(error)

    async def request(
        self, subject: str, message: bytes, timeout: float, headers: dict[str, str] | None = None
    ) -> bytes:
        """The reply. Raises NoResponder at once when nobody listens, Unavailable after `timeout` seconds."""
        if not self._client.is_connected:
            raise Unavailable("NATS is away")
        try:
            async with asyncio.timeout(timeout):
                await self._send()
                return (await self._client.request(subject, message, timeout=timeout, headers=headers)).data
        except nats_errors.NoRespondersError as error:
            raise NoResponder(subject) from error
        except (nats_errors.Error, OSError, TimeoutError) as error:
            raise Unavailable(str(error) or type(error).__name__) from error

    async def subscribe(self, subject: str, receive: Receive) -> Callable[[], Awaitable[None]]:
        """Calls `receive` with every message of the subject, in order. Returns how to end that.

        Once this returns, the subscription precedes anything that we publish later on this connection.
        Raises Unavailable.
        """

        async def took(message: Msg) -> None:
            receive(message.data)

        await self._send()
        try:
            subscription = await self._client.subscribe(
                subject, cb=took, pending_msgs_limit=PENDING_MESSAGES, pending_bytes_limit=PENDING_BYTES
            )
        except nats_errors.Error as error:
            raise Unavailable(str(error)) from error
        return lambda: self._unsubscribe(subscription)

    async def _unsubscribe(self, subscription: Subscription) -> None:
        with contextlib.suppress(nats_errors.Error, OSError):
            await subscription.unsubscribe()

    async def _failed(self, error: Exception) -> None:
        if isinstance(error, nats_errors.SlowConsumerError):
            metrics.SLOW_CONSUMERS.inc()
            self._on_slow(error.subject)
        # Reconnecting reports one error per attempt.
        if self._errors.take(self._clock()):
            log.warning("NATS", error=str(error) or type(error).__name__, kind=type(error).__name__)

    async def _disconnected(self) -> None:
        self._away_since = self._clock()
        metrics.NATS_CONNECTED.set(0)
        if not self._closing:
            log.warning("NATS is away")

    async def _reconnected(self) -> None:
        metrics.NATS_CONNECTED.set(1)
        log.info("NATS is back")
        self._on_reconnect()

    async def _closed(self) -> None:
        metrics.NATS_CONNECTED.set(0)
        self.closed.set()
