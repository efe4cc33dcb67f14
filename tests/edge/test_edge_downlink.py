import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.contracts import frame
from services.contracts.frame import HEADER_BYTES, Flags, FrameError, Header, Kind
from services.edge.downlink import Downlink, Outcome


def audio(generation: int, pcm: bytes = b"pcm!", epoch: int = 1, sequence: int = 0, flags: Flags = Flags.NONE) -> bytes:
    return frame.pack(Header(Kind.AUDIO, epoch, generation, sequence, flags=flags), pcm)


def event(text: bytes, epoch: int = 1, generation: int = 0, sequence: int = 0, flags: Flags = Flags.NONE) -> bytes:
    return frame.pack(Header(Kind.JSON, epoch, generation, sequence, flags=flags), text)


def attached(epoch: int = 1, max_bytes: int = 10_000) -> Downlink:
    queue = Downlink(max_bytes)
    assert queue.attach(epoch) == []
    return queue


def drain(queue: Downlink) -> list[bytes]:
    """What goes to the WebSocket: events without, audio with its header."""
    out: list[bytes] = []
    while (outgoing := queue.get()) is not None:
        assert outgoing.is_audio == (outgoing.data[:2] == b"\x01\x01")
        out.append(outgoing.data)
    assert queue.bytes == 0
    return out


def test_events_lose_their_header_and_audio_keeps_it():
    queue = attached()
    assert queue.put(event(b"{}")) is Outcome.QUEUED
    assert queue.put(audio(1)) is Outcome.QUEUED
    assert drain(queue) == [b"{}", audio(1)]


@pytest.mark.parametrize(
    ("epoch", "outcome"), [(4, Outcome.STALE), (5, Outcome.QUEUED), (6, Outcome.SUPERSEDED), (0, Outcome.STALE)]
)
def test_epochs(epoch: int, outcome: Outcome):
    queue = attached(5)
    assert queue.put(event(b"{}", epoch)) is outcome
    assert len(queue) == (outcome is Outcome.QUEUED)


def test_before_the_epoch_is_known_messages_wait():
    queue = Downlink()
    for epoch in (1, 2, 3):
        assert queue.put(event(b"%d" % epoch, epoch)) is Outcome.HELD
    assert queue.get() is None
    held = queue.attach(2)
    assert [queue.put(message) for message in held] == [Outcome.STALE, Outcome.QUEUED, Outcome.SUPERSEDED]
    assert drain(queue) == [b"2"]


def test_while_attaching_anew_messages_wait_and_those_of_the_old_epoch_go():
    queue = attached(1)
    queue.put(event(b"before", 1))
    queue.detach()
    assert queue.put(event(b"zombie", 1)) is Outcome.HELD
    assert queue.put(event(b"ready", 2)) is Outcome.HELD
    assert [queue.put(message) for message in queue.attach(2)] == [Outcome.STALE, Outcome.QUEUED]
    assert drain(queue) == [b"before", b"ready"]


def test_the_edges_own_events_pass_at_any_time():
    queue = Downlink()
    assert queue.put_event(b"lost") is Outcome.QUEUED
    assert drain(queue) == [b"lost"]


def test_a_flush_purges_older_audio_and_nothing_else():
    queue = attached()
    queue.put(audio(1))
    queue.put(event(b"text of 1", generation=1))
    queue.put(audio(2))
    queue.put_event(b"own")
    queue.put(audio(3))
    assert queue.put(event(b"flush", generation=3, flags=Flags.FLUSH)) is Outcome.QUEUED
    assert drain(queue) == [b"text of 1", b"own", audio(3), b"flush"]
    assert queue.purged == 2


def test_after_a_flush_older_audio_is_not_taken_and_its_events_are():
    queue = attached()
    queue.put(event(b"flush", generation=3, flags=Flags.FLUSH))
    assert queue.put(audio(2)) is Outcome.STALE
    assert queue.put(event(b"stop of 2", generation=2)) is Outcome.QUEUED
    assert queue.put(audio(3)) is Outcome.QUEUED
    assert drain(queue) == [b"flush", b"stop of 2", audio(3)]


def test_an_older_flush_takes_nothing_back():
    queue = attached()
    queue.put(event(b"", generation=5, flags=Flags.FLUSH))
    queue.put(event(b"", generation=2, flags=Flags.FLUSH))
    assert queue.put(audio(3)) is Outcome.STALE


def test_a_flush_of_a_stale_epoch_purges_nothing():
    queue = attached(2)
    queue.put(audio(1, epoch=2))
    assert queue.put(event(b"", epoch=1, generation=9, flags=Flags.FLUSH)) is Outcome.STALE
    assert drain(queue) == [audio(1, epoch=2)]


def test_a_new_attachment_may_count_generations_anew():
    queue = attached()
    queue.put(event(b"", generation=9, flags=Flags.FLUSH))
    drain(queue)
    queue.detach()
    queue.attach(2)
    assert queue.put(audio(4, epoch=2)) is Outcome.QUEUED


def test_control_is_not_for_the_browser():
    queue = attached()
    assert queue.put(frame.pack(Header(Kind.CONTROL, 1), b"{}")) is Outcome.CONTROL
    assert queue.put(frame.pack(Header(Kind.CONTROL, 0), b"{}")) is Outcome.STALE
    assert len(queue) == 0


def test_the_bound_refuses_and_keeps_what_is_there():
    queue = attached(max_bytes=3 * len(audio(1)))
    assert [queue.put(audio(1)) for _ in range(4)] == [Outcome.QUEUED] * 3 + [Outcome.OVERFLOW]
    assert queue.put_event(b"x") is Outcome.OVERFLOW
    assert len(drain(queue)) == 3
    assert queue.put(audio(1)) is Outcome.QUEUED


def test_the_bound_holds_for_held_messages_too():
    queue = Downlink(max_bytes=2 * len(audio(1)))
    assert [queue.put(audio(1)) for _ in range(3)] == [Outcome.HELD] * 2 + [Outcome.OVERFLOW]


@pytest.mark.parametrize("junk", [b"", bytes(HEADER_BYTES - 1), bytes(HEADER_BYTES), b"\x09\x01" + bytes(22)])
def test_what_is_no_message_raises(junk: bytes):
    with pytest.raises(FrameError):
        attached().put(junk)


def test_last_sequence_is_that_of_the_last_message_taken():
    queue = attached()
    queue.put(event(b"", sequence=4))
    queue.put(audio(1, sequence=5))
    queue.put(event(b"", epoch=0, sequence=99))
    queue.put_event(b"own")
    assert queue.last_sequence == 5
    queue.put(event(b"", generation=2, sequence=6, flags=Flags.FLUSH))
    queue.put(audio(1, sequence=7))
    assert queue.last_sequence == 7, "purged is not missed: it is not to be sent again"


MESSAGES = st.lists(
    st.tuples(
        st.sampled_from(["audio", "event", "own", "get", "attach"]),
        st.integers(0, 3),  # epoch
        st.integers(0, 4),  # generation
        st.booleans(),  # flush
    ),
    max_size=100,
)


@given(MESSAGES)
def test_whatever_comes_the_rules_hold(steps: list[tuple[str, int, int, bool]]):
    """Against a model: a list, filtered after the fact."""
    queue = Downlink(max_bytes=2000)
    epoch: int | None = None
    expected: list[tuple[bool, int, bytes]] = []
    out: list[bytes] = []
    floor = 0
    for number, (what, its_epoch, generation, flush) in enumerate(steps):
        flags = Flags.FLUSH if flush else Flags.NONE
        text = b"%d" % number
        if what == "attach":
            epoch, floor = its_epoch, 0
            queue.detach()
            queue.attach(its_epoch)
        elif what == "own":
            if queue.put_event(text) is Outcome.QUEUED:
                expected.append((False, -1, text))
        elif what == "get":
            if (got := queue.get()) is not None:
                out.append(got.data)
                assert got.data == expected.pop(0)[2]
        elif epoch is not None:
            is_audio = what == "audio"
            message = (
                audio(generation, text, its_epoch, flags=flags)
                if is_audio
                else event(text, its_epoch, generation, flags=flags)
            )
            outcome = queue.put(message)
            if its_epoch == epoch:
                if flush:
                    floor = max(floor, generation)
                    expected = [held for held in expected if not held[0] or held[1] >= generation]
                if outcome is Outcome.QUEUED:
                    expected.append((is_audio, generation, message if is_audio else text))
                if is_audio:
                    assert (outcome is Outcome.STALE) == (generation < floor)
            else:
                assert outcome is (Outcome.STALE if its_epoch < epoch else Outcome.SUPERSEDED)
        assert queue.bytes <= 2000
    assert drain(queue) == [held[2] for held in expected]
