"""What only time or a fault of our own brings about, with a WebSocket and a NATS made for it."""

import asyncio

import pytest
import structlog
from edge_doubles import GONE, HELLO, OK, Bus, Socket, made, pong, turns
from structlog.testing import capture_logs

from services.contracts import events, frame
from services.contracts.assignment import Beat
from services.contracts.errors import MEANINGS, Code
from services.contracts.frame import Header, Kind
from services.edge import connection


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
