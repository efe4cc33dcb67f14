import msgspec
import pytest

from services.contracts import events
from services.contracts.characters import Character
from services.contracts.frame import HEADER_BYTES, Flags, Kind, unpack
from services.contracts.settings import SessionSettings
from services.dialogue.outbox import REPLAY_BYTES, Outbox


@pytest.fixture
def published():
    return []


@pytest.fixture
def outbox(published):
    box = Outbox(published.append, lambda: 12.5)
    box.epoch, box.attached = 3, True
    return box


def ready(generation=7):
    return events.Ready(
        protocol=1,
        session_id="s",
        token="t",
        epoch=3,
        generation=generation,
        resumed=True,
        settings=SessionSettings(),
        characters=[Character(id="a", name="A", persona="p")],
        answer_source=events.AnswerSource(mode="echo"),
        history=[],
    )


def test_events_and_audio_share_one_numbering(outbox, published):
    outbox.event(events.TextChunk(generation=1, text="a"), 1)
    assert outbox.audio(1, b"\1\0" * 10) == 2
    outbox.event(events.AudioFlush(generation=2), 2, Flags.FLUSH)
    headers = [unpack(message) for message in published]
    assert [header.sequence for header in headers] == [1, 2, 3]
    assert [header.kind for header in headers] == [Kind.JSON, Kind.AUDIO, Kind.JSON]
    assert {header.epoch for header in headers} == {3}
    assert headers[2].flags == Flags.FLUSH
    assert headers[0].time_us == 12_500_000
    decoded = events.decode(published[0][HEADER_BYTES:])
    assert isinstance(decoded, events.TextChunk)
    assert decoded.sequence == 1


def test_without_a_connection_nothing_is_published_and_nothing_lost(outbox, published):
    outbox.event(events.TextChunk(generation=1, text="a"))
    outbox.attached = False
    outbox.event(events.TextChunk(generation=1, text="b"))
    outbox.audio(1, b"\1\0")
    assert len(published) == 1
    published.clear()
    outbox.epoch, outbox.attached = 4, True
    assert outbox.remembers(1)
    outbox.replay(1)
    headers = [unpack(message) for message in published]
    assert [(header.sequence, header.epoch) for header in headers] == [(2, 4), (3, 4)]


def test_ready_takes_no_number_of_its_own(outbox, published):
    outbox.event(events.TextChunk(generation=1, text="a"))
    outbox.welcome(ready(), last_sequence=1)
    message = msgspec.json.decode(published[1][HEADER_BYTES:])
    assert (message["type"], message["sequence"]) == ("ready", 1)
    assert outbox.sequence == 1


def test_a_client_that_was_away_for_too_much_is_told_so(outbox, published):
    for _ in range(3):
        outbox.audio(1, bytes(REPLAY_BYTES // 2))
    assert not outbox.remembers(0)
    assert outbox.remembers(2)
    assert outbox.remembers(3)
    assert not outbox.remembers(4)


def test_what_is_kept_is_bounded(outbox):
    for _ in range(1000):
        outbox.audio(1, bytes(4800))
    assert sum(len(message) for _, message in outbox._kept) <= REPLAY_BYTES


def test_what_is_forgotten_is_not_sent_again(outbox, published):
    outbox.audio(1, bytes(100))
    outbox.forget()
    published.clear()
    outbox.replay(0)
    assert published == []
    assert (outbox.remembers(0), outbox.remembers(1)) == (False, True)
