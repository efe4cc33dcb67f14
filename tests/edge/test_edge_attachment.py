"""How a connection comes to its session's worker, and stays with it or finds another."""

import asyncio
from typing import Any

import pytest
from edge_doubles import GONE, HELLO, OK, Bus, Socket, greeting, made, present, says, turns

from services.contracts import events, frame, trace
from services.contracts.assignment import PRESENCE_SECONDS, Attach, Attached, Beat
from services.contracts.errors import MEANINGS, Code
from services.contracts.frame import Header, Kind
from services.edge import attaching, link, tokens
from services.edge.attaching import Ask, Refused, attach
from services.edge.bus import NoResponder, Unavailable


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
    assert bus.said() == [present(1, "w"), present(7, "w2"), (Kind.AUDIO, 7, b"au"), (Kind.AUDIO, 7, b"io")]
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


async def test_the_worker_is_told_again_and_again_whose_the_session_is():
    socket, bus = Socket(HELLO), Bus(OK)
    talking, clock, roster = made(socket, bus)
    running = asyncio.create_task(talking.run())
    await turns()
    assert bus.said() == [present(1, "w")]
    clock.now += PRESENCE_SECONDS - 0.1
    roster.heard(Beat(wid="w", slots=1, active=1), clock.now)
    await talking.present(clock.now)
    assert bus.said() == [present(1, "w")]
    clock.now += 0.2
    bus.publish_error = Unavailable("away")
    await talking.present(clock.now)
    bus.publish_error = None
    await talking.present(clock.now)
    await talking.present(clock.now)
    assert bus.said() == [present(1, "w")] * 2
    talking.finish(Code.SESSION_SUPERSEDED)
    clock.now += 2 * PRESENCE_SECONDS
    await talking.present(clock.now)
    await running
    assert bus.said() == [present(1, "w")] * 2, "nothing of a connection that is over"


async def test_whose_the_session_is_comes_before_what_the_client_says():
    """Even when NATS was away at the moment of the attachment."""
    socket, bus = Socket(HELLO), Bus(OK)
    bus.publish_error = Unavailable("away")
    bus.greets = False
    talking, _, _ = made(socket, bus)
    running = asyncio.create_task(talking.run())
    await turns()
    bus.publish_error = None
    socket.incoming.put_nowait(says('{"type":"interrupt"}'))
    bus.receive(greeting(1))
    await turns()
    assert bus.said() == [present(1, "w"), (Kind.JSON, 1, b'{"type":"interrupt"}')]
    socket.incoming.put_nowait(GONE)
    await running


async def test_what_was_held_stays_held_in_order_when_nats_goes_away_again():
    socket, bus = Socket(HELLO), Bus(OK)
    talking, _, _ = made(socket, bus)
    running = asyncio.create_task(talking.run())
    await turns()
    bus.publish_error = Unavailable("away")
    texts = ['{"type":"interrupt"}', '{"type":"cancel"}', '{"type":"stop_listening"}']
    for text in texts:
        socket.incoming.put_nowait(says(text))
    await turns()
    bus.publish_error = None
    bus.faults = [Unavailable("again"), None, None]  # the last is met first: `present`, a command, and then
    talking.link.bus_returned()
    await turns()
    assert [said[2].decode() for said in bus.said()[2:]] == texts[:1]
    talking.link.bus_returned()
    await turns(40)
    assert [said[2].decode() for said in bus.said()[2:] if said[0] is Kind.JSON] == texts
    socket.incoming.put_nowait(GONE)
    await running


async def test_what_is_said_while_the_held_is_sent_follows_it():
    socket, bus = Socket(HELLO), Bus(OK)
    talking, _, _ = made(socket, bus)
    running = asyncio.create_task(talking.run())
    await turns()
    bus.publish_error = Unavailable("away")
    socket.incoming.put_nowait(says('{"type":"interrupt"}'))
    await turns()
    bus.publish_error = None
    talking.link.bus_returned()
    for _ in range(10):
        await asyncio.sleep(0)
        await talking.link.send_command(b"{}")
    await talking.link.send_command(b'{"type":"cancel"}')
    await turns()
    said = [payload for kind, _, payload in bus.said() if kind is Kind.JSON]
    assert said[0] == b'{"type":"interrupt"}'
    assert said[-1] == b'{"type":"cancel"}'
    assert b"{}" in said
    socket.incoming.put_nowait(GONE)
    await running


async def test_a_ping_is_answered_here_only_while_no_worker_can():
    socket, bus = Socket(HELLO), Bus(OK, NoResponder())
    talking, clock, roster = made(socket, bus)
    running = asyncio.create_task(talking.run())
    await turns()
    socket.incoming.put_nowait(says('{"type":"ping","at_ms":1}'))
    await turns()
    assert socket.sent == []
    roster.heard(Beat(wid="w", slots=1, active=1, leaving=True), clock.now)
    talking.check(clock.now)
    socket.incoming.put_nowait(says('{"type":"ping","at_ms":2}'))
    await turns()
    assert [type(event) for event in socket.sent] == [events.Error, events.Pong]
    assert (socket.sent[1].at_ms, socket.sent[1].sequence) == (2, 0)
    socket.incoming.put_nowait(GONE)
    await running


async def test_workers_that_take_a_session_and_say_nothing(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(link, "GREETING_SECONDS", 0.01)
    socket, bus = Socket(HELLO), Bus(*(Attached(status="ok", wid=f"w{epoch}", epoch=epoch) for epoch in (1, 2, 3)))
    bus.greets = False
    talking, _, _ = made(socket, bus)
    await talking.run()
    assert [event.code for event in socket.sent] == [Code.NO_WORKER]
    assert [(asked.epoch, asked.resume) for asked in bus.requests] == [(0, False), (1, False), (2, False)]
    assert bus.said()[:3] == [present(1, "w1"), present(2, "w2"), present(3, "w3")]


async def test_a_session_is_sought_on_when_its_new_worker_says_nothing(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(link, "GREETING_SECONDS", 0.01)
    socket = Socket(HELLO)
    bus = Bus(OK, Attached(status="ok", wid="w2", epoch=2), Attached(status="ok", wid="w3", epoch=3))
    talking, clock, roster = made(socket, bus)
    running = asyncio.create_task(talking.run())
    await turns()
    bus.greets = False
    roster.heard(Beat(wid="w", slots=1, active=1, leaving=True), clock.now)
    talking.check(clock.now)
    await turns()
    bus.greets = True
    await talking.link.send_command(b'{"type":"interrupt"}')
    seeking = talking.link._seeking
    assert seeking
    await asyncio.wait_for(seeking, 5)
    assert [asked.epoch for asked in bus.requests] == [0, 1, 2]
    assert [said for said in bus.said() if said[0] is Kind.JSON] == [(Kind.JSON, 3, b'{"type":"interrupt"}')]
    socket.incoming.put_nowait(GONE)
    await running


async def test_seeking_ends_when_there_is_no_time_for_another_look(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(link, "GREETING_SECONDS", 0.01)
    socket, bus = Socket(HELLO), Bus(OK, *(Attached(status="ok", wid=f"w{epoch}", epoch=epoch) for epoch in (2, 3)))
    talking, clock, roster = made(socket, bus)
    running = asyncio.create_task(talking.run())
    await turns()
    bus.greets = False
    roster.heard(Beat(wid="w", slots=1, active=1, leaving=True), clock.now)
    talking.check(clock.now)
    await turns()
    clock.now += link.REATTACH_SECONDS
    await asyncio.wait_for(running, 5)
    assert [event.code for event in socket.sent] == [Code.WORKER_LOST, Code.NO_WORKER]
    assert len(bus.requests) == 2


async def test_a_worker_lost_before_its_greeting_is_noticed_once(monkeypatch: pytest.MonkeyPatch):
    """By whoever waits for the greeting: two searches for one session would take it from each other."""
    monkeypatch.setattr(link, "GREETING_SECONDS", 0.05)
    socket, bus = Socket(HELLO), Bus(OK, Attached(status="ok", wid="w2", epoch=2))
    bus.greets = False
    talking, clock, roster = made(socket, bus)
    running = asyncio.create_task(talking.run())
    await turns()
    roster.heard(Beat(wid="w", slots=1, active=1, leaving=True), clock.now)
    talking.check(clock.now)
    talking.link.bus_returned()
    await turns()
    assert [asked.epoch for asked in bus.requests] == [0]
    assert socket.sent == []
    bus.greets = True
    async with asyncio.timeout(5):
        await socket.ready.wait()
    assert [asked.epoch for asked in bus.requests] == [0, 1]
    socket.incoming.put_nowait(GONE)
    await running


async def test_a_resumed_client_that_lost_its_worker_at_once_misses_nothing():
    """Its number of the last message seen goes to the next worker, too."""
    sid = "0" * 32
    token = tokens.issue(sid, b"secret")
    socket = Socket(says(f'{{"type":"hello","protocol":1,"token":"{token}","last_sequence":44}}'))
    bus = Bus(OK)
    bus.greets = False
    talking, _, _ = made(socket, bus)
    running = asyncio.create_task(talking.run())
    await turns()
    bus.receive(frame.pack(Header(Kind.CONTROL, 1), b'{"verb":"close","code":"no such"}'))
    bus.greets = True
    await turns()
    talking.link.bus_returned()
    await turns()
    assert [asked.last_sequence for asked in bus.requests] == [44, 44]
    socket.incoming.put_nowait(GONE)
    await running


async def test_who_may_have_taken_the_session_unheard_is_outranked():
    bus = Bus(Unavailable(), BUSY, Unavailable(), OK)
    await attach(bus, Attach(sid="0" * 32, token="t", resume=True, epoch=4), Ask.HOLDER_THEN_ANYONE, True, trace.new())  # type: ignore[arg-type]
    assert [asked.unheard for asked in bus.requests] == [1, 2]
    assert {asked.epoch for asked in bus.requests} == {4}


async def test_nor_is_who_took_it_in_an_earlier_round():
    socket, bus = (
        Socket(HELLO),
        Bus(OK, Unavailable(), FAILED, FAILED, FAILED, Attached(status="ok", wid="w2", epoch=2)),
    )
    talking, clock, _ = made(socket, bus)
    running = asyncio.create_task(talking.run())
    await turns()
    clock.now += 3
    talking.check(clock.now)
    seeking = talking.link._seeking
    assert seeking
    await asyncio.wait_for(seeking, 5)
    assert [asked.unheard for asked in bus.requests] == [0, 1, 1, 1, 1]
    socket.incoming.put_nowait(GONE)
    await running


async def test_what_could_not_be_sent_while_nats_is_there_is_sent_a_little_later():
    socket, bus = Socket(HELLO), Bus(OK, Attached(status="ok", wid="w", epoch=2))
    talking, clock, roster = made(socket, bus)
    running = asyncio.create_task(talking.run())
    await turns()
    bus.publish_error = Unavailable("for a moment")
    await talking.link.send_command(b'{"type":"interrupt"}')
    bus.publish_error = None
    talking.check(clock.now)
    await turns()
    assert len(bus.requests) == 1, "not again and again, should it fail for long"
    clock.now += 1.1
    roster.heard(Beat(wid="w", slots=1, active=1), clock.now)
    talking.check(clock.now)
    await turns()
    assert bus.said()[-1] == (Kind.JSON, 2, b'{"type":"interrupt"}')
    assert [event for event in socket.sent if isinstance(event, events.Error)] == []
    socket.incoming.put_nowait(GONE)
    await running


BUSY = Attached(status="busy")
FAILED = Attached(status="failed")
UNKNOWN = Attached(status="unknown")


@pytest.mark.parametrize(
    ("replies", "ask", "alive", "outcome", "requests"),
    [
        ([OK], Ask.ANYONE, True, "ok", ["assign"]),
        ([BUSY, BUSY, OK], Ask.ANYONE, True, "ok", ["assign"] * 3),
        ([BUSY], Ask.ANYONE, True, Code.AT_CAPACITY, ["assign"] * 3 + ["reclaim"] * 3),
        ([NoResponder()], Ask.ANYONE, True, Code.AT_CAPACITY, ["assign", "reclaim"]),
        ([NoResponder()], Ask.ANYONE, False, Code.NO_WORKER, ["assign", "reclaim"]),
        ([NoResponder(), OK], Ask.ANYONE, True, "ok", ["assign", "reclaim"]),
        ([BUSY, NoResponder(), BUSY, OK], Ask.ANYONE, True, "ok", ["assign"] * 2 + ["reclaim"] * 2),
        ([BUSY, NoResponder()], Ask.ANYONE, False, Code.AT_CAPACITY, ["assign"] * 2 + ["reclaim"]),
        ([Unavailable()], Ask.ANYONE, True, Code.NO_WORKER, ["assign"] * 3),
        ([Unavailable(), OK], Ask.ANYONE, True, "ok", ["assign"] * 2),
        ([UNKNOWN], Ask.ANYONE, True, Code.SESSION_UNKNOWN, ["assign"]),
        ([OK], Ask.HOLDER_THEN_ANYONE, True, "ok", ["attach"]),
        ([UNKNOWN], Ask.HOLDER_THEN_ANYONE, True, Code.SESSION_UNKNOWN, ["attach"]),
        ([NoResponder(), OK], Ask.HOLDER_THEN_ANYONE, True, "ok", ["attach", "assign"]),
        ([Unavailable(), OK], Ask.HOLDER_THEN_ANYONE, True, "ok", ["attach", "assign"]),
        ([BUSY, OK], Ask.HOLDER_THEN_ANYONE, True, "ok", ["attach", "assign"]),
        ([NoResponder(), UNKNOWN], Ask.HOLDER_THEN_ANYONE, True, Code.SESSION_UNKNOWN, ["attach", "assign"]),
        ([FAILED], Ask.ANYONE, True, Code.NO_WORKER, ["assign"] * 3),
        ([FAILED, OK], Ask.ANYONE, True, "ok", ["assign"] * 2),
        ([FAILED, BUSY, FAILED], Ask.ANYONE, True, Code.AT_CAPACITY, ["assign"] * 3 + ["reclaim"] * 3),
        ([FAILED, OK], Ask.HOLDER_THEN_ANYONE, True, "ok", ["attach", "assign"]),
        ([FAILED], Ask.HOLDER, True, Code.NO_WORKER, ["attach"]),
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
        got = (await attach(bus, request, ask, alive, trace.new())).status  # type: ignore[arg-type]
    except Refused as refused:
        got = refused.code
    assert got == outcome
    assert [subject.rpartition(".")[2] for subject in bus.asked] == requests
    assert attaching.TRIES == 3
