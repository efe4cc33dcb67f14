from hypothesis import given
from hypothesis import strategies as st

from services.edge import uplink
from services.edge.uplink import Uplink


def messages(queue: Uplink, now: float) -> list[bytes]:
    return [held.message for held in taken(queue, now)]


def taken(queue: Uplink, now: float) -> list[uplink.Held]:
    return list(iter(lambda: queue.take(now), None))


def test_order_of_arrival_holds_across_audio_and_commands():
    queue = Uplink()
    queue.hold_audio(b"a1", 0.0)
    assert queue.hold_command(b"c1", 0.0)
    queue.hold_audio(b"a2", 0.0)
    assert queue.hold_command(b"c2", 0.0)
    assert [(held.message, held.is_audio) for held in taken(queue, 0.1)] == [
        (b"a1", True),
        (b"c1", False),
        (b"a2", True),
        (b"c2", False),
    ]
    assert messages(queue, 0.1) == []


def test_audio_older_than_half_a_second_goes_and_commands_stay():
    queue = Uplink()
    assert queue.hold_command(b"c", 0.0)
    for number in range(100):
        queue.hold_audio(bytes([number]), number * 0.02)
    got = messages(queue, 2.0)
    assert got == [b"c", *(bytes([number]) for number in range(75, 100))]
    assert queue.dropped_audio == 75


def test_audio_is_bounded_in_number_even_when_it_comes_at_once():
    queue = Uplink()
    for number in range(uplink.MAX_AUDIO_FRAMES + 5):
        queue.hold_audio(bytes([number]), 0.0)
    assert messages(queue, 0.0)[0] == bytes([5])
    assert queue.dropped_audio == 5


def test_commands_are_bounded_in_number():
    queue = Uplink()
    taken = [queue.hold_command(bytes([number]), 0.0) for number in range(uplink.MAX_COMMANDS + 1)]
    assert taken == [True] * uplink.MAX_COMMANDS + [False]
    assert len(messages(queue, 100.0)) == uplink.MAX_COMMANDS
    assert queue.hold_command(b"again", 100.0), "released, there is room"


def test_what_could_not_be_sent_comes_first_again():
    queue = Uplink()
    queue.hold_audio(b"a1", 0.0)
    assert queue.hold_command(b"c1", 0.0)
    queue.hold_audio(b"a2", 0.0)
    for _ in range(3):
        held = queue.take(0.0)
        assert held
        queue.give_back(held)
        rest = taken(queue, 0.0)
        assert [held.message for held in rest] == [b"a1", b"c1", b"a2"]
        for held in reversed(rest):
            queue.give_back(held)


def test_commands_are_bounded_in_bytes():
    queue = Uplink()
    big = bytes(uplink.MAX_COMMAND_BYTES // 2)
    assert queue.hold_command(big, 0.0)
    assert queue.hold_command(big, 0.0)
    assert not queue.hold_command(b"x", 0.0)
    messages(queue, 0.0)
    assert queue.hold_command(big, 0.0)


STEPS = st.lists(st.tuples(st.booleans(), st.floats(0, 0.3)), max_size=300)


@given(STEPS)
def test_whatever_comes_what_leaves_is_in_order_young_and_bounded(steps: list[tuple[bool, float]]):
    queue = Uplink()
    now = 0.0
    arrived: dict[bytes, tuple[int, float, bool]] = {}
    refused = 0
    for number, (is_audio, gap) in enumerate(steps):
        now += gap
        message = number.to_bytes(4, "little")
        arrived[message] = (number, now, is_audio)
        if is_audio:
            queue.hold_audio(message, now)
        else:
            refused += not queue.hold_command(message, now)
        assert len(queue) <= uplink.MAX_AUDIO_FRAMES + uplink.MAX_COMMANDS
    left = [arrived[message] for message in messages(queue, now)]
    assert left == sorted(left)
    assert all(now - at <= uplink.MAX_AUDIO_AGE_SECONDS for _, at, is_audio in left if is_audio)
    audio = sum(is_audio for is_audio, _ in steps)
    commands = len(steps) - audio
    assert sum(not is_audio for _, _, is_audio in left) == commands - refused == min(commands, uplink.MAX_COMMANDS)
    assert sum(is_audio for _, _, is_audio in left) + queue.dropped_audio == audio
