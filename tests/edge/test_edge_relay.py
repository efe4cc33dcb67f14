"""What goes in at one side comes out at the other, in order and under the right epoch and generation."""

import msgspec
import pytest
from edge_harness import Client, EdgeProcess, Session, Worker, client, conversation, worker

from services.contracts import commands, events, frame
from services.contracts.assignment import Control
from services.contracts.errors import MEANINGS, Code
from services.contracts.frame import Flags, Header, Kind
from services.contracts.settings import SettingsPatch


async def test_hello_carries_settings_and_client_to_the_worker(edge: EdgeProcess, scripted: Worker):
    async with client(edge) as talking:
        await talking.say(commands.Hello(protocol=1, settings=SettingsPatch(silence_ms=700), client="page 1"))
        ready = await talking.become_ready()
        session = await scripted.next_session()
        assert session.attach.settings == SettingsPatch(silence_ms=700)
        assert session.attach.client == "page 1"
        assert not session.attach.resume
        assert ready.session_id == session.attach.sid
        assert ready.token == session.attach.token
        assert session.attach.sid not in (ready.token, "")


async def test_uplink_keeps_order_and_bytes(edge: EdgeProcess, scripted: Worker):
    async with conversation(edge, scripted) as (talking, session):
        await talking.say(commands.StartListening())
        sent = [talking.frame(bytes([number]) * 640) for number in range(20)]
        for message in sent:
            await talking.socket.send(message)
        await talking.socket.send('{"type": "stop_listening",   "future": 1}')

        header, payload = await session.next()
        assert (header.kind, header.epoch) == (Kind.JSON, session.epoch)
        assert commands.decode(payload) == commands.StartListening()
        first = header.sequence
        for message in sent:
            header, payload = await session.next()
            assert frame.pack(header, payload) == message
        header, payload = await session.next()
        assert payload == b'{"type": "stop_listening",   "future": 1}', "commands pass unread"
        assert header.sequence == first + 1, "the edge counts its own messages"


async def test_a_wrong_command_is_the_workers_business(edge: EdgeProcess, scripted: Worker):
    async with conversation(edge, scripted) as (talking, session):
        await talking.socket.send("no JSON {")
        assert (await session.next())[1] == b"no JSON {"


async def test_downlink_keeps_order_of_events_and_audio(edge: EdgeProcess, scripted: Worker):
    async with conversation(edge, scripted) as (talking, session):
        await scripted.event(session, events.AudioStreamStart(generation=1, character="aria", sample_rate=24_000))
        for number in range(10):
            await scripted.audio(session, 1, bytes([number]) * 4800)
            await scripted.event(session, events.TextChunk(generation=1, text=f"word {number} é"))
        await scripted.audio(session, 1, b"\x01\x02", Flags.LAST)

        assert isinstance(await talking.receive(), events.AudioStreamStart)
        for number in range(10):
            header, pcm = await audio(talking)
            assert (header.kind, header.generation, pcm) == (Kind.AUDIO, 1, bytes([number]) * 4800)
            chunk = await talking.event(events.TextChunk)
            assert chunk.text == f"word {number} é"
            assert chunk.sequence == header.sequence + 1
        header, pcm = await audio(talking)
        assert (header.flags, pcm) == (Flags.LAST, b"\x01\x02")


async def test_stale_epochs_pass_in_neither_direction(edge: EdgeProcess, scripted: Worker):
    async with conversation(edge, scripted) as (talking, session):
        await talking.audio(b"\x07" * 640, epoch=session.epoch - 1)
        await talking.audio(b"\x09" * 640, epoch=session.epoch + 1)
        await talking.audio(b"\x08" * 640)
        assert (await session.next())[1] == b"\x08" * 640

        await scripted.raw(session, frame.pack(Header(Kind.AUDIO, session.epoch - 1), b"old!"))
        await scripted.event(session, events.Pong(at_ms=1, server_ms=2))
        await talking.event(events.Pong)


async def test_audio_of_an_interrupted_answer_does_not_follow_the_flush(edge: EdgeProcess, scripted: Worker):
    async with conversation(edge, scripted) as (talking, session):
        await scripted.event(session, events.AudioFlush(generation=2), Flags.FLUSH)
        await scripted.audio(session, 1, b"old!")
        await scripted.audio(session, 2, b"new!")
        await talking.event(events.AudioFlush)
        header, pcm = await audio(talking)
        assert (header.generation, pcm) == (2, b"new!")


async def test_what_the_worker_sends_before_its_reply_is_not_lost(edge: EdgeProcess, scripted: Worker):
    scripted.ready_before_reply = True
    async with conversation(edge, scripted) as (talking, session):
        await talking.audio()
        await session.next()


async def test_worker_can_close_with_a_code(edge: EdgeProcess, scripted: Worker):
    async with conversation(edge, scripted) as (talking, session):
        await scripted.event(session, events.Pong(at_ms=1, server_ms=2))
        await scripted.control(session, Control(verb="close", code=Code.SESSION_IDLE))
        await talking.event(events.Pong)
        error = await talking.event(events.Error)
        assert (error.code, error.recoverable) == (Code.SESSION_IDLE, True)
        assert await talking.closed() == MEANINGS[Code.SESSION_IDLE].close


async def test_worker_learns_that_the_browser_is_gone(edge: EdgeProcess, scripted: Worker):
    async with conversation(edge, scripted) as (talking, session):
        await talking.socket.close()
        header, payload = await session.next()
        assert header.kind is Kind.CONTROL
        assert msgspec.json.decode(payload, type=Control) == Control(verb="detached")


async def test_resume_at_the_holder_replays_what_was_missed(edge: EdgeProcess, scripted: Worker):
    async with conversation(edge, scripted) as (talking, session):
        await scripted.event(session, events.TextChunk(generation=1, text="heard"))
        seen = (await talking.event(events.TextChunk)).sequence
        token = talking.ready.token
        await talking.socket.close()
        await session.next()
    await scripted.event(session, events.TextChunk(generation=1, text="missed"))
    async with client(edge) as again:
        ready = await again.hello(token, seen)
        assert (ready.resumed, ready.epoch, ready.session_id) == (True, session.epoch, session.attach.sid)
        assert session.epoch == 2
        assert (await again.event(events.TextChunk)).text == "missed"
        await again.audio()
        assert (await session.next())[0].epoch == 2


async def test_resume_when_the_holder_is_gone_goes_to_another_worker(edge: EdgeProcess, nats_url: str):
    store: dict[str, Session] = {}
    async with worker(nats_url, store=store) as first:
        async with conversation(edge, first) as (talking, _):
            token = talking.ready.token
        await first.leave()
    async with worker(nats_url, store=store) as second, client(edge) as again:
        ready = await again.hello(token)
        assert (ready.resumed, ready.epoch) == (True, 2)
        assert list(second.sessions) == [ready.session_id]


async def test_a_session_nobody_remembers(edge: EdgeProcess, scripted: Worker):
    async with conversation(edge, scripted) as (talking, session):
        token = talking.ready.token
        await talking.socket.close()
        await session.next()
    await scripted.leave()
    async with worker(scripted._url), client(edge) as again:
        await again.say(commands.Hello(protocol=1, token=token))
        assert (await again.event(events.Error)).code == Code.SESSION_UNKNOWN
        assert await again.closed() == MEANINGS[Code.SESSION_UNKNOWN].close


async def test_a_second_connection_takes_the_session_over(edge: EdgeProcess, scripted: Worker):
    async with conversation(edge, scripted) as (first, session), client(edge) as second:
        await second.hello(first.ready.token)
        error = await first.event(events.Error)
        assert (error.code, error.recoverable) == (Code.SESSION_SUPERSEDED, False)
        assert await first.closed() == MEANINGS[Code.SESSION_SUPERSEDED].close
        await second.say(commands.Ping(at_ms=3))
        assert (await session.next_command())["type"] == "ping", "no detached of the first comes between"


async def test_sessions_do_not_hear_each_other(edge: EdgeProcess, scripted: Worker):
    async with conversation(edge, scripted) as (one, first), conversation(edge, scripted) as (two, second):
        await scripted.event(first, events.TextChunk(generation=1, text="for one"))
        await scripted.event(second, events.TextChunk(generation=1, text="for two"))
        assert (await one.event(events.TextChunk)).text == "for one"
        assert (await two.event(events.TextChunk)).text == "for two"
        await one.say(commands.UserMessage(text="from one"))
        assert (await first.next_command())["text"] == "from one"
        assert second.received.empty()


@pytest.mark.parametrize(
    ("message", "says"),
    [
        (b"", "at least 24 bytes"),
        (b"x" * 23, "at least 24 bytes"),
        (bytes([1, 9]) + bytes(22), "version is 1"),
        (bytes([77, 1]) + bytes(22), "kind"),
        (frame.pack(Header(Kind.JSON, 1), b"{}"), "kind 2"),
        (frame.pack(Header(Kind.CONTROL, 1), b'{"verb":"close"}'), "kind 3"),
        (frame.pack(Header(Kind.AUDIO, 1), b"odd"), "2 bytes"),
        (frame.pack(Header(Kind.AUDIO, 1), bytes(2 * 1600 + 2)), "at most 1600 samples"),
    ],
)
async def test_malformed_frames_are_refused_in_words(edge: EdgeProcess, scripted: Worker, message: bytes, says: str):
    async with conversation(edge, scripted) as (talking, session):
        await talking.socket.send(message)
        error = await talking.event(events.Error)
        assert error.code == Code.MALFORMED_FRAME
        assert says in error.message
        await talking.audio()
        assert (await session.next())[0].kind is Kind.AUDIO, "the session goes on"


async def test_the_longest_frame_and_the_longest_command_pass(edge: EdgeProcess, scripted: Worker):
    async with conversation(edge, scripted) as (talking, session):
        await talking.audio(bytes(2 * 1600))
        await talking.socket.send("x" * commands.MAX_JSON_BYTES)
        assert len((await session.next())[1]) == 3200
        assert len((await session.next())[1]) == commands.MAX_JSON_BYTES


async def test_a_message_too_large_ends_the_connection_in_words(edge: EdgeProcess, scripted: Worker):
    async with conversation(edge, scripted) as (talking, _):
        await talking.socket.send("é" * (commands.MAX_JSON_BYTES // 2 + 1))
        assert (await talking.event(events.Error)).code == Code.MESSAGE_TOO_LARGE
        assert await talking.closed() == 1009


async def test_an_enormous_message_ends_the_connection(edge: EdgeProcess, scripted: Worker):
    async with conversation(edge, scripted) as (talking, _):
        await talking.socket.send("x" * 1_000_000)
        assert await talking.closed() == 1009


async def audio(talking: Client) -> tuple[Header, bytes]:
    message = await talking.receive()
    assert isinstance(message, tuple), message
    return message


@pytest.mark.parametrize(
    ("first", "code"),
    [
        ('{"type":"ping"}', Code.HELLO_REQUIRED),
        (b"\x01\x01" + bytes(22), Code.HELLO_REQUIRED),
        ("{", Code.MALFORMED_JSON),
        ('{"type":"helo"}', Code.UNKNOWN_TYPE),
        ('{"type":"hello"}', Code.INVALID_COMMAND),
        ('{"type":"hello","protocol":1,"settings":{"volume":3}}', Code.INVALID_SETTING),
    ],
)
async def test_before_hello_nothing_else_is_taken(edge: EdgeProcess, scripted: Worker, first: str | bytes, code: Code):
    async with client(edge) as talking:
        await talking.socket.send(first)
        assert (await talking.event(events.Error)).code == code
        await talking.hello()


@pytest.mark.parametrize(
    ("hello", "code"),
    [
        (commands.Hello(protocol=2), Code.UNSUPPORTED_PROTOCOL),
        (commands.Hello(protocol=1, token="forged"), Code.TOKEN_INVALID),
        (commands.Hello(protocol=1, token="0" * 32 + "." + "0" * 64), Code.TOKEN_INVALID),
    ],
)
async def test_hellos_that_end_the_connection(edge: EdgeProcess, scripted: Worker, hello: commands.Hello, code: Code):
    async with client(edge) as talking:
        await talking.say(hello)
        assert (await talking.event(events.Error)).code == code
        assert await talking.closed() == MEANINGS[code].close
