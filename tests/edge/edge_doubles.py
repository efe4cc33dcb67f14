"""A WebSocket and a NATS made for the tests of one connection; the tests say what happens on both."""

import asyncio
from typing import Any

import msgspec

from services.contracts import commands, events, frame
from services.contracts.assignment import Attach, Attached, Control
from services.contracts.frame import Header, Kind
from services.contracts.settings import SessionSettings
from services.edge.connection import Connection
from services.edge.link import Surroundings
from services.edge.timekeeper import Timekeeper
from services.edge.workers import Roster
from services.telemetry.tracing import NoTracer

HELLO = {"type": "websocket.receive", "text": '{"type":"hello","protocol":1}'}
GONE = {"type": "websocket.disconnect", "code": 1005}


class Bus:
    """Answers every request with what it was made with, and keeps what is published."""

    def __init__(self, *replies: Attached | Exception) -> None:
        self.connected = True
        self.replies = list(replies)
        self.asked: list[str] = []
        self.published: list[bytes] = []
        self.publish_error: Exception | None = None
        self.faults: list[Exception | None] = []
        self.receive: Any = None
        self.requests: list[Attach] = []
        """Those that were answered."""
        self.greets = True

    def away(self, now: float) -> float:
        return 0.0

    async def request(
        self, subject: str, message: bytes, timeout: float, headers: dict[str, str] | None = None
    ) -> bytes:
        self.asked.append(subject)
        reply = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
        if isinstance(reply, Exception):
            raise reply
        self.requests.append(msgspec.json.decode(message, type=Attach))
        if reply.status == "ok" and self.greets and self.receive:
            self.receive(greeting(reply.epoch))
        return msgspec.json.encode(reply)

    def said(self) -> list[tuple[Kind, int, bytes]]:
        """Kind, epoch and payload of what was published."""
        return [(frame.unpack(one).kind, frame.unpack(one).epoch, one[24:]) for one in self.published]

    async def publish(self, subject: str, message: bytes) -> None:
        if self.publish_error:
            raise self.publish_error
        await asyncio.sleep(0)
        fault = self.faults.pop() if self.faults else None
        if fault:
            raise fault
        self.published.append(message)

    async def subscribe(self, subject: str, receive: Any) -> Any:
        self.receive = receive

        async def unsubscribe() -> None:
            self.receive = None

        return unsubscribe


class Socket:
    """A WebSocket at which the test says what comes in, and how long sending takes."""

    def __init__(self, *incoming: dict[str, Any]) -> None:
        self.scope = {"state": {"abandon": self._abandon}}
        self.headers: dict[str, str] = {}
        self.incoming: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        for message in incoming:
            self.incoming.put_nowait(message)
        self.sent: list[Any] = []
        """Without `ready`."""
        self.ready = asyncio.Event()
        self.code: int | None = None
        self.writable = asyncio.Event()
        self.writable.set()

    def _abandon(self, code: int, reason: str) -> None:
        self.code = code
        self.incoming.put_nowait(GONE)

    async def receive(self) -> dict[str, Any]:
        return await self.incoming.get()

    async def send_text(self, text: str) -> None:
        await self.writable.wait()
        event = events.decode(text)
        if isinstance(event, events.Ready):
            self.ready.set()
        else:
            self.sent.append(event)

    async def send_bytes(self, data: bytes) -> None:
        await self.writable.wait()
        self.sent.append(data)

    async def close(self, code: int, reason: str) -> None:
        await self.writable.wait()
        self.code = code
        self.incoming.put_nowait(GONE)


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


OK = Attached(status="ok", wid="w", epoch=1)


def made(socket: Socket, bus: Bus) -> tuple[Connection, Clock, Roster]:
    clock, roster = Clock(), Roster()
    timekeeper = Timekeeper(bus, roster, clock, clock)  # type: ignore[arg-type]
    surroundings = Surroundings(bus, roster, clock, clock, timekeeper, NoTracer())  # type: ignore[arg-type]
    return Connection(socket, surroundings, b"secret"), clock, roster  # type: ignore[arg-type]


def ready(epoch: int, attach: Attach) -> events.Ready:
    return events.Ready(
        protocol=commands.PROTOCOL,
        session_id=attach.sid,
        token=attach.token,
        epoch=epoch,
        generation=0,
        resumed=attach.resume,
        settings=SessionSettings(),
        characters=[],
        answer_source=events.AnswerSource(mode="echo"),
        history=[],
    )


def greeting(epoch: int) -> bytes:
    """What every worker says first."""
    event = ready(epoch, Attach(sid="0" * 32, token="t", resume=epoch > 1))
    return frame.pack(Header(Kind.JSON, epoch), events.encode(event))


def present(epoch: int, wid: str) -> tuple[Kind, int, bytes]:
    return Kind.CONTROL, epoch, msgspec.json.encode(Control(verb="present", wid=wid))


def says(text: str) -> dict[str, Any]:
    return {"type": "websocket.receive", "text": text}


def pong(epoch: int = 1) -> bytes:
    return frame.pack(Header(Kind.JSON, epoch), events.encode(events.Pong(at_ms=0, server_ms=0)))


async def turns(count: int = 20) -> None:
    """Let the other tasks run."""
    for _ in range(count):
        await asyncio.sleep(0)
