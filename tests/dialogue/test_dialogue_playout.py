from hypothesis import given
from hypothesis import strategies as st

from services.contracts.audio import DOWNLINK
from services.dialogue.playout import Playout

FRAME = DOWNLINK.frame_bytes


def pcm(slot: int, samples: int) -> bytes:
    return bytes([slot + 1, 0]) * samples


def drain(playout: Playout) -> bytes:
    taken = bytearray()
    while frame := playout.take():
        assert len(frame) <= FRAME
        taken += frame
    return bytes(taken)


def test_the_first_chunk_leaves_at_once_however_short():
    playout = Playout()
    playout.begin(1)
    playout.add(1, 0, pcm(0, 100))
    assert playout.take() == pcm(0, 100)
    assert playout.take() is None


def test_slots_leave_in_order_whatever_the_order_of_arrival():
    playout = Playout(credit=10**9)
    playout.begin(1)
    playout.add(1, 1, pcm(1, 500))
    playout.end(1, 1)
    assert playout.take() is None
    playout.add(1, 0, pcm(0, 300))
    assert drain(playout) == pcm(0, 300)
    playout.end(1, 0)
    playout.close(1, 2)
    assert drain(playout) == pcm(1, 500)
    assert playout.drained()


def test_a_slot_without_audio_is_passed_over():
    playout = Playout()
    playout.begin(1)
    playout.end(1, 0)
    playout.add(1, 1, pcm(1, 10))
    assert playout.take() == pcm(1, 10)


def test_no_more_than_the_credit_is_ahead_of_the_listener():
    playout = Playout(credit=2 * DOWNLINK.frame_samples)
    playout.begin(1)
    playout.add(1, 0, pcm(0, 10 * DOWNLINK.frame_samples))
    assert len(drain(playout)) == 2 * FRAME
    playout.played(1, DOWNLINK.frame_samples - 1)
    assert playout.take() is None
    playout.played(1, DOWNLINK.frame_samples)
    assert len(drain(playout)) == FRAME


def test_a_client_cannot_acknowledge_what_was_not_sent():
    playout = Playout(credit=DOWNLINK.frame_samples)
    playout.begin(1)
    playout.add(1, 0, pcm(0, 100 * DOWNLINK.frame_samples))
    playout.played(1, 10**9)
    assert len(drain(playout)) == FRAME


def test_a_new_generation_drops_what_is_held_and_what_comes_late():
    playout = Playout()
    playout.begin(1)
    playout.add(1, 0, pcm(0, 5000))
    playout.begin(2)
    playout.add(1, 0, pcm(0, 5000))
    playout.end(1, 0)
    playout.close(1, 1)
    assert playout.take() is None
    assert not playout.drained()


def test_drained_is_said_once_and_only_at_the_end():
    playout = Playout(credit=10)
    playout.begin(1)
    playout.add(1, 0, pcm(0, 10))
    playout.add(1, 0, pcm(0, 10))
    playout.end(1, 0)
    playout.close(1, 1)
    assert not playout.drained()
    playout = Playout()
    playout.begin(1)
    playout.close(1, 0)
    assert playout.drained()
    assert not playout.drained()


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(1, 4000)), max_size=30),
    st.lists(st.integers(0, 200_000), max_size=30),
)
def test_everything_leaves_once_in_order_and_within_credit(chunks, acknowledged):
    playout = Playout()
    playout.begin(7)
    for slot, samples in chunks:
        playout.add(7, slot, pcm(slot, samples))
    for slot in range(4):
        playout.end(7, slot)
    playout.close(7, 4)
    taken, heard = bytearray(), 0
    for samples in [*acknowledged, *range(0, 10**6, 20_000)]:
        taken += drain(playout)
        heard = max(heard, min(samples, playout.sent))
        assert playout.sent - heard <= 36_000 + samples
        playout.played(7, samples)
    expected = b"".join(pcm(slot, samples) for slot in range(4) for s, samples in chunks if s == slot)
    assert bytes(taken) == expected
    assert playout.sent == len(expected) // 2
