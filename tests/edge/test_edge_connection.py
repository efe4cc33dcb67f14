"""What only time or a fault of our own brings about, with a WebSocket and a NATS made for it."""

import asyncio
from typing import Any

import msgspec
import pytest
import structlog
from structlog.testing import capture_logs

from services.contracts import events, frame
from services.contracts.assignment import Attach, Attached, Beat
from services.contracts.errors import MEANINGS, Code
from services.contracts.frame import Header, Kind
from services.edge import attaching, connection
from services.edge.attaching import Ask, Refused, attach
from services.edge.bus import NoResponder, Unavailable
from services.edge.connection import Connection
from services.edge.link import Surroundings
from services.edge.workers import Roster

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
        self.faults: list[Exception] = []
        self.receive: Any = None

    def away(self, now: float) -> float:
        return 0.0

    async def request(self, subject: str, message: bytes, timeout: float) -> bytes:
        self.asked.append(subject)
        reply = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
        if isinstance(reply, Exception):
            raise reply
        return msgspec.json.encode(reply)

    async def publish(self, subject: str, message: bytes) -> None:
        if self.publish_error:
            raise self.publish_error
        if self.faults:
            raise self.faults.pop()
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
        self.incoming: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        for message in incoming:
            self.incoming.put_nowait(message)
        self.sent: list[Any] = []
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
        self.sent.append(events.decode(text))

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
    surroundings = Surroundings(bus, roster, clock)  # type: ignore[arg-type]
    return Connection(socket, surroundings, b"secret"), clock, roster  # type: ignore[arg-type]


def pong(epoch: int = 1) -> bytes:
    return frame.pack(Header(Kind.JSON, epoch), events.encode(events.Pong(at_ms=0, server_ms=0)))


async def turns(count: int = 20) -> None:
    """Let the other tasks run."""
    for _ in range(count):
        await asyncio.sleep(0)


async def test_no_hello_in_time(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(connection, "HELLO_SECONDS", 0.01)
    socket = Socket()
    made_connection, _, _ = made(socket, Bus(OK))
    await made_connection.run()
    assert [event.code for event in socket.sent] == [Code.HELLO_TIMEOUT]
    assert socket.code == MEANINGS[Code.HELLO_TIMEOUT].close


async def test_a_message_not_taken_in_ten_seconds_ends_the_connection():
    socket, bus = Socket(HELLO), Bus(OK)
    talking, clock, roster = made(socket, bus)
    running = asyncio.create_task(talking.run())
    await turns()
    socket.writable.clear()
    bus.receive(pong())
    await turns()
    clock.now += connection.SEND_SECONDS - 0.1
    roster.heard(Beat(wid="w", slots=1, active=1), clock.now)
    talking.check(clock.now)
    assert socket.code is None
    clock.now += 0.2
    talking.check(clock.now)
    assert socket.code == MEANINGS[Code.SLOW_CLIENT].close
    await running
    assert frame.unpack(bus.published[-1]).kind is Kind.CONTROL
    assert bus.receive is None, "unsubscribed"


async def test_a_client_that_does_not_take_its_last_messages_is_cut_off():
    socket, bus = Socket(HELLO), Bus(OK)
    talking, clock, _ = made(socket, bus)
    running = asyncio.create_task(talking.run())
    await turns()
    socket.writable.clear()
    talking.finish(Code.SERVER_DRAINING)
    await turns()
    talking.check(clock.now)
    assert socket.code is None
    clock.now += connection.FINISH_SECONDS + 0.1
    talking.check(clock.now)
    assert socket.code == 1012
    await running


async def test_a_fault_of_ours_is_logged_with_its_session_and_told():
    socket, bus = Socket(HELLO), Bus(OK)
    talking, _, _ = made(socket, bus)
    structlog.reset_defaults()
    with capture_logs() as lines:
        running = asyncio.create_task(talking.run())
        await turns()
        bus.faults.append(ZeroDivisionError("ours"))
        socket.incoming.put_nowait({"type": "websocket.receive", "text": '{"type":"ping"}'})
        await running
    assert [event.code for event in socket.sent] == [Code.INTERNAL_ERROR]
    assert socket.code == 1011
    failed = [line for line in lines if line["event"] == "connection failed"]
    assert failed[0]["session"] == talking.sid != ""
    assert failed[0]["exc_info"]


async def test_an_event_that_is_no_utf8_is_our_fault_too():
    socket, bus = Socket(HELLO), Bus(OK)
    talking, _, _ = made(socket, bus)
    running = asyncio.create_task(talking.run())
    await turns()
    bus.receive(frame.pack(Header(Kind.JSON, 1), b"\xff"))
    await running
    assert socket.code == 1011


async def test_malformed_messages_of_a_worker_harm_nobody():
    socket, bus = Socket(HELLO), Bus(OK)
    talking, _, _ = made(socket, bus)
    running = asyncio.create_task(talking.run())
    await turns()
    for junk in (
        b"",
        bytes(24),
        frame.pack(Header(Kind.CONTROL, 1), b"{"),
        frame.pack(Header(Kind.CONTROL, 1), b'{"verb":"close","code":"no such"}'),
    ):
        bus.receive(junk)
    bus.receive(pong())
    await turns()
    assert [type(event) for event in socket.sent] == [events.Pong]
    socket.incoming.put_nowait(GONE)
    await running


async def test_held_frames_of_a_gap_arrive_under_the_new_epoch():
    socket, bus = Socket(HELLO), Bus(OK, OK, Attached(status="ok", wid="w2", epoch=7))
    bus.replies.pop(0)
    talking, clock, roster = made(socket, bus)
    running = asyncio.create_task(talking.run())
    await turns()
    bus.publish_error = Unavailable("away")
    for text in (frame.pack(Header(Kind.AUDIO, 1, sequence=1), b"au"), frame.pack(Header(Kind.AUDIO, 1), b"io")):
        socket.incoming.put_nowait({"type": "websocket.receive", "bytes": text})
    await turns()
    bus.publish_error = None
    roster.heard(Beat(wid="w", slots=1, active=1, leaving=True), clock.now)
    talking.check(clock.now)
    await turns()
    assert [(frame.unpack(sent).epoch, sent[24:]) for sent in bus.published] == [(7, b"au"), (7, b"io")]
    assert (talking.link.wid, talking.link.epoch) == ("w2", 7)
    socket.incoming.put_nowait(GONE)
    await running


async def test_seeking_a_worker_ends_after_a_while():
    socket, bus = Socket(HELLO), Bus(OK, NoResponder())
    talking, clock, roster = made(socket, bus)
    running = asyncio.create_task(talking.run())
    await turns()
    roster.heard(Beat(wid="w", slots=1, active=1, leaving=True), clock.now)
    talking.check(clock.now)
    await turns()
    clock.now += 21
    await running
    assert [event.code for event in socket.sent] == [Code.WORKER_LOST, Code.NO_WORKER]
    assert socket.code == MEANINGS[Code.NO_WORKER].close


BUSY = Attached(status="busy")
UNKNOWN = Attached(status="unknown")


@pytest.mark.parametrize(
    ("replies", "ask", "alive", "outcome", "requests"),
    [
        ([OK], Ask.ANYONE, True, "ok", ["assign"]),
        ([BUSY, BUSY, OK], Ask.ANYONE, True, "ok", ["assign"] * 3),
        ([BUSY], Ask.ANYONE, True, Code.AT_CAPACITY, ["assign"] * 3),
        ([NoResponder()], Ask.ANYONE, True, Code.AT_CAPACITY, ["assign"]),
        ([NoResponder()], Ask.ANYONE, False, Code.NO_WORKER, ["assign"]),
        ([Unavailable()], Ask.ANYONE, True, Code.NO_WORKER, ["assign"] * 3),
        ([Unavailable(), OK], Ask.ANYONE, True, "ok", ["assign"] * 2),
        ([UNKNOWN], Ask.ANYONE, True, Code.SESSION_UNKNOWN, ["assign"]),
        ([OK], Ask.HOLDER_THEN_ANYONE, True, "ok", ["attach"]),
        ([UNKNOWN], Ask.HOLDER_THEN_ANYONE, True, Code.SESSION_UNKNOWN, ["attach"]),
        ([NoResponder(), OK], Ask.HOLDER_THEN_ANYONE, True, "ok", ["attach", "assign"]),
        ([Unavailable(), OK], Ask.HOLDER_THEN_ANYONE, True, "ok", ["attach", "assign"]),
        ([BUSY, OK], Ask.HOLDER_THEN_ANYONE, True, "ok", ["attach", "assign"]),
        ([NoResponder(), UNKNOWN], Ask.HOLDER_THEN_ANYONE, True, Code.SESSION_UNKNOWN, ["attach", "assign"]),
        ([NoResponder()], Ask.HOLDER, True, Code.NO_WORKER, ["attach"]),
        ([OK], Ask.HOLDER, True, "ok", ["attach"]),
    ],
)
async def test_who_is_asked_and_what_a_refusal_is_called(
    replies: list[Any], ask: Ask, alive: bool, outcome: str, requests: list[str]
):
    bus = Bus(*replies)
    request = Attach(sid="0" * 32, token="t", resume=ask is not Ask.ANYONE)
    try:
        got = (await attach(bus, request, ask, alive)).status  # type: ignore[arg-type]
    except Refused as refused:
        got = refused.code
    assert got == outcome
    assert [subject.rpartition(".")[2] for subject in bus.asked] == requests
    assert attaching.TRIES == 3
