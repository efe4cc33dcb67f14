"""What breaks, and what a client notices of it."""

import asyncio
import random
import signal
import time
from collections.abc import Callable

import pytest
import websockets
from edge_harness import WAIT, EdgeProcess, NatsServer, Session, Worker, client, conversation, edge_process, worker

from services.contracts import commands, events, frame
from services.contracts.errors import MEANINGS, Code
from services.contracts.frame import Flags, Header, Kind
from services.edge.link import GREETING_SECONDS


async def test_a_lost_worker_is_replaced_without_the_browser_reconnecting(edge: EdgeProcess, nats_url: str):
    store: dict[str, Session] = {}
    async with worker(nats_url, store=store) as first, conversation(edge, first) as (talking, session):
        await first.event(session, events.TextChunk(generation=1, text="seen"))
        await talking.event(events.TextChunk)
        seen = session.sequence
        async with worker(nats_url, store=store) as second:
            await first.die()
            lost = await talking.event(events.Error)
            assert (lost.code, lost.recoverable) == (Code.WORKER_LOST, True)
            ready = await talking.become_ready()
            assert (ready.resumed, ready.epoch) == (True, 2)
            again = await second.next_session()
            assert again.attach.resume
            assert again.attach.epoch == 1
            assert again.attach.last_sequence == seen
            await talking.say(commands.Ping(at_ms=1))
            await talking.audio()
            assert (await again.next_command())["type"] == "ping"
            assert (await again.next())[0].epoch == 2


async def test_a_leaving_worker_is_replaced_at_once(edge: EdgeProcess, nats_url: str):
    store: dict[str, Session] = {}
    async with worker(nats_url, store=store) as first, conversation(edge, first) as (talking, _):
        async with worker(nats_url, store=store) as second:
            started = time.perf_counter()
            await first.leave()
            assert (await talking.event(events.Error)).code == Code.WORKER_LOST
            await talking.become_ready()
            assert time.perf_counter() - started < 1
            await second.next_session()


async def test_commands_said_while_no_worker_holds_the_session_arrive_later(edge: EdgeProcess, nats_url: str):
    store: dict[str, Session] = {}
    async with worker(nats_url, store=store) as first, conversation(edge, first) as (talking, _):
        await first.leave()
        assert (await talking.event(events.Error)).code == Code.WORKER_LOST
        await talking.say(commands.UserMessage(text="are you there?"))
        await talking.say(commands.Ping(at_ms=5))
        assert (await talking.event(events.Pong)).at_ms == 5, "the edge itself answers"
        await talking.say(commands.StopListening())
        async with worker(nats_url, store=store) as second:
            again = await second.next_session()
            await talking.become_ready()
            assert (await again.next_command())["text"] == "are you there?"
            assert (await again.next_command())["type"] == "stop_listening", "and the ping is not sent after"


async def test_each_attachment_is_told_whose_the_session_is(edge: EdgeProcess, nats_url: str):
    store: dict[str, Session] = {}
    async with worker(nats_url, store=store) as first, conversation(edge, first) as (talking, session):
        assert await asyncio.wait_for(session.presents.get(), WAIT) == (1, first.wid)
        async with client(edge) as again:
            await again.hello(talking.ready.token)
            assert await asyncio.wait_for(session.presents.get(), WAIT) == (2, first.wid)
            async with worker(nats_url, store=store) as second:
                await first.leave()
                assert (await again.event(events.Error)).code == Code.WORKER_LOST
                await again.become_ready()
                assert await asyncio.wait_for(session.presents.get(), WAIT) == (3, second.wid)


async def test_a_worker_that_takes_a_session_and_says_nothing_is_not_waited_for(edge: EdgeProcess, nats_url: str):
    store: dict[str, Session] = {}
    async with worker(nats_url, store=store) as closing, client(edge) as talking:
        closing.greets = False
        await talking.say(commands.Hello(protocol=1))
        await closing.next_session()
        for subscription in closing._subscriptions:
            await subscription.unsubscribe()
        await closing.flush()
        async with worker(nats_url, store=store) as other:
            session = await asyncio.wait_for(other.attached.get(), 2 * GREETING_SECONDS)
            ready = await talking.become_ready()
            assert (ready.resumed, ready.epoch) == (False, 2), "for the client it is a new session"
            await talking.say(commands.UserMessage(text="hello"))
            assert (await session.next_command())["text"] == "hello"


async def test_a_worker_that_hangs_is_left(edge: EdgeProcess, nats_url: str):
    """It neither beats nor answers, but NATS still has its subscriptions."""
    store: dict[str, Session] = {}
    async with worker(nats_url, store=store) as first, conversation(edge, first) as (talking, session):
        assert first._beating
        first._beating.cancel()
        first.answers = False
        async with worker(nats_url, store=store) as second:
            await first._subscriptions[0].unsubscribe()
            assert (await talking.event(events.Error)).code == Code.WORKER_LOST
            await talking.become_ready()
            await second.next_session()
            # The old one comes back to life and still speaks under its old epoch.
            await first.raw(
                session, frame.pack(Header(Kind.JSON, 1, 0, 99), events.encode(events.Pong(at_ms=0, server_ms=0)))
            )
            await first.flush()
            await second.event(session, events.TextChunk(generation=3, text="mine"))
            assert (await talking.event(events.TextChunk)).text == "mine"


async def test_a_new_worker_may_have_forgotten(edge: EdgeProcess, nats_url: str):
    async with worker(nats_url) as first, conversation(edge, first) as (talking, _):
        await first.leave()
        async with worker(nats_url):
            assert (await talking.event(events.Error)).code == Code.WORKER_LOST
            assert (await talking.event(events.Error)).code == Code.SESSION_UNKNOWN
            assert await talking.closed() == MEANINGS[Code.SESSION_UNKNOWN].close


async def test_nats_restarts_in_mid_session():
    server = NatsServer()
    try:
        with edge_process(server.url) as edge:
            async with worker(server.url) as scripted, conversation(edge, scripted) as (talking, session):
                await scripted.event(session, events.TextChunk(generation=1, text="before"))
                await talking.event(events.TextChunk)
                server.stop()
                # Neither side knows yet; whatever of this NATS lost, the resumption brings.
                await scripted.event(session, events.TextChunk(generation=1, text="meanwhile"))
                await talking.say(commands.UserMessage(text="while it is away"))
                await talking.audio()
                server.start_again()
                again = await scripted.next_session()
                assert again is session
                ready = await talking.become_ready()
                assert (ready.resumed, ready.epoch) == (True, 2)
                assert (await talking.event(events.TextChunk)).text == "meanwhile"
                await talking.say(commands.UserMessage(text="afterwards"))
                texts: list[str] = []
                while "afterwards" not in texts:
                    header, payload = await session.next()
                    if header.kind is Kind.JSON:
                        command = commands.decode(payload)
                        assert isinstance(command, commands.UserMessage)
                        texts.append(command.text)
                assert texts[-1] == "afterwards"
            assert edge.tracebacks() == []
    finally:
        server.stop()


async def test_while_nats_stays_away_the_client_is_told():
    server = NatsServer()
    try:
        with edge_process(server.url) as edge:
            async with worker(server.url) as scripted, conversation(edge, scripted) as (talking, session):
                server.stop()
                assert (await talking.event(events.Error)).code == Code.WORKER_LOST
                await talking.say(commands.UserMessage(text="kept"))
                server.start_again()
                await talking.become_ready()
                assert (await session.next_command())["text"] == "kept"
            assert edge.tracebacks() == []
    finally:
        server.stop()


async def test_a_client_that_never_reads_is_ended_and_costs_no_memory(edge: EdgeProcess, scripted: Worker):
    async with conversation(edge, scripted) as (good, good_session), conversation(edge, scripted) as (deaf, session):
        before = edge.rss()
        blocked = False
        for _ in range(200):  # 20 MB of audio
            for _ in range(20):
                await scripted.audio(session, 1, bytes(4800))
            await scripted.flush()
            await scripted.event(good_session, events.TextChunk(generation=1, text="go on"))
            await good.event(events.TextChunk)
            if not session.received.empty():
                blocked = True
                break
        assert blocked, "the worker is told that the client is gone"
        header, _ = await session.next()
        assert header.kind is Kind.CONTROL
        assert edge.rss() - before < 10e6
        await asyncio.to_thread(edge.wait_for, rf"(?=.*{Code.SLOW_CLIENT}).*{session.attach.sid}")
        port = deaf.socket.local_address[1]
        # Cut off, though what was sent will never be taken.
        await eventually(lambda: port not in edge.peer_ports())


async def test_a_slow_client_that_reads_on_learns_why_and_may_resume(edge: EdgeProcess, scripted: Worker):
    async with conversation(edge, scripted) as (slow, session):
        while session.received.empty():
            await scripted.audio(session, 1, bytes(4800))
            await scripted.flush()
        assert await slow.closed() == MEANINGS[Code.SLOW_CLIENT].close
    async with client(edge) as again:
        assert (await again.hello(slow.ready.token, session.sequence)).resumed


async def test_too_many_messages_are_dropped_and_said_once_a_second(edge: EdgeProcess, scripted: Worker):
    async with conversation(edge, scripted) as (hasty, session):
        for _ in range(400):
            await hasty.audio()
        await hasty.say(commands.Ping(at_ms=1))
        error = await hasty.event(events.Error)
        assert (error.code, error.recoverable) == (Code.RATE_LIMITED, True)
        taken = 0
        while (await session.next())[0].kind is Kind.AUDIO:
            taken += 1
        assert 200 <= taken < 400


async def test_a_flood_ends_the_connection(edge: EdgeProcess, scripted: Worker):
    async with conversation(edge, scripted) as (flood, _):

        async def pour() -> None:
            while True:
                await flood.say(commands.Ping(at_ms=1))
                await asyncio.sleep(0)  # sending alone would not let the close frame in

        with pytest.raises(websockets.ConnectionClosed) as closed:
            await asyncio.wait_for(pour(), 20)
        assert closed.value.rcvd
        assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (1008, Code.RATE_LIMITED)


async def test_junk_harms_nobody(edge: EdgeProcess, scripted: Worker):
    """Random bytes, text and half-right messages, before and after hello, next to a conversation that goes on."""
    random_source = random.Random(20)
    async with conversation(edge, scripted) as (good, good_session):
        memory = edge.rss()
        for attempt in range(40):
            async with client(edge) as junk:
                try:
                    if attempt % 2:
                        await junk.hello()
                    for _ in range(25):
                        await junk.socket.send(junk_message(random_source))
                except websockets.ConnectionClosed:
                    pass
            if attempt % 2:
                del scripted.sessions[(await scripted.next_session()).attach.sid]
            await good.say(commands.Ping(at_ms=attempt))
            assert (await good_session.next_command())["at_ms"] == attempt
        assert edge.rss() - memory < 20e6


async def eventually(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while True:
            if true():
                return
            await asyncio.sleep(0.05)


def junk_message(source: random.Random) -> str | bytes:
    header = Header(
        source.choice(list(Kind)), source.randrange(3), source.randrange(9), source.randrange(9), flags=Flags.FLUSH
    )
    return source.choice(
        (
            source.randbytes(source.randrange(100)),
            frame.pack(header, source.randbytes(source.randrange(4000))),
            source.randbytes(8).hex(),
            "[" * 10_000,
            '{"type":"hello","protocol":' + "9" * 400 + "}",
            '{"type":"user_message","text":"\\ud800"}',
            '{"type":"' + "x" * 2000 + '"}',
            '{"type":"played","generation":-1,"samples":1e400}',
            "null",
            "",
            "\0",
        )
    )


async def test_bytes_that_are_no_http_and_text_that_is_no_utf8(edge: EdgeProcess):
    host, _, port = edge.address.partition(":")
    for junk in (b"\x16\x03\x01" + bytes(100), b"GET / HTTP/9\r\n\r\n", b"\xff" * 1000):
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(junk)
        await writer.drain()
        writer.write_eof()
        await asyncio.wait_for(reader.read(), 5)
        writer.close()
    async with client(edge) as talking:
        await talking.socket.send(b"\xff\xfe", text=True)
        assert await talking.closed() == 1007


async def test_sigterm_hands_the_clients_on(nats_url: str):
    with edge_process(nats_url) as edge:
        async with (
            worker(nats_url) as scripted,
            conversation(edge, scripted) as (talking, session),
            client(edge) as silent,
        ):
            started = time.perf_counter()
            edge.signal(signal.SIGTERM)
            for one in (talking, silent):
                error = await one.event(events.Error)
                assert (error.code, error.recoverable) == (Code.SERVER_DRAINING, True)
                assert await one.closed() == 1012
            assert (await session.next())[0].kind is Kind.CONTROL
            assert await asyncio.to_thread(edge.end) == 0
            assert time.perf_counter() - started < 3
        assert edge.tracebacks() == []
        # The token holds at another edge.
        with edge_process(nats_url) as other:
            async with worker(nats_url, store=scripted.store), client(other) as again:
                assert (await again.hello(talking.ready.token)).resumed


async def test_sigterm_does_not_wait_for_clients_that_do_not_read(nats_url: str):
    with edge_process(nats_url) as edge:
        async with worker(nats_url) as scripted, conversation(edge, scripted) as (_, session):
            for _ in range(100):
                await scripted.audio(session, 1, bytes(4800))
            await scripted.flush()
            started = time.perf_counter()
            edge.signal(signal.SIGTERM)
            assert await asyncio.to_thread(edge.end) == 0
            assert time.perf_counter() - started < 3
