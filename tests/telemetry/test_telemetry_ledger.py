import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.contracts.moments import NETWORK, PARTS, Moment, Part
from services.telemetry.ledger import Heard, Ledger, parts

BY_WORKER = [
    Moment.SPEECH_ENDED,
    Moment.TURN_ENDED,
    Moment.TRANSCRIBED,
    Moment.ASKED,
    Moment.FIRST_TOKEN,
    Moment.FIRST_SENTENCE,
    Moment.FIRST_CHUNK,
    Moment.AUDIO_SENT,
]
STEPS = [0, 500, 20, 1, 200, 75, 200, 2]
"""Milliseconds before each of them; 998 together."""
BEGUN = 50.0
"""On the worker's clock. The client's says 1000 s then, so the worker's is 950 s behind."""
AHEAD_MS = -950_000.0


def filled(steps_ms=STEPS, spoken=True, client_end_ms=999_990.0):
    ledger, at = Ledger(spoken=spoken, client_end_ms=client_end_ms), BEGUN
    for moment, step in zip(BY_WORKER if spoken else BY_WORKER[1:], steps_ms, strict=False):
        at += step / 1000
        ledger = ledger.stamp(moment, at)
    return ledger


def relayed(ledger, heard_s, took_ms, sent_ms):
    """The edge got the end of speech at `heard_s`, and the first frame so many ms after it was sent."""
    out = ledger.moments[Moment.AUDIO_SENT]
    ledger = ledger.stamp(Moment.EDGE_HEARD, heard_s).stamp(Moment.EDGE_TOOK, out + took_ms / 1000)
    return ledger.stamp(Moment.EDGE_SENT, out + sent_ms / 1000)


def named(found: list[Part]) -> dict[str, float]:
    return {part.name: part.ms for part in found}


def test_every_moment_of_a_turn_is_covered_by_the_parts_without_holes():
    joined = [PARTS[0][2]]
    for _, _, start, end in PARTS:
        assert start is joined[-1]
        joined.append(end)
    assert joined == list(Moment)


def test_a_spoken_turn_whose_edge_said_nothing():
    total, found = parts(filled(), Heard(received_ms=1_001_020, played_ms=1_001_060))
    assert total == pytest.approx(1070)
    assert named(found) == pytest.approx(
        {
            "end of turn": 500,
            "recognition": 20,
            "turn taking": 1,
            "first token": 200,
            "first sentence": 75,
            "voice": 200,
            "sending": 2,
            "network": 1070 - 998 - 40,
            "player": 40,
        }
    )


def test_every_way_is_told_apart_where_edge_and_clocks_are_known():
    # Captured 10 ms before it reached the worker, 7 of them up to the edge; 3 ms down to the edge, 1 in it, 8 onwards.
    ledger = relayed(filled(), BEGUN - 0.003, 3, 4)
    total, found = parts(ledger, Heard(1_001_010, 1_001_050, AHEAD_MS))
    assert [part.name for part in found] == [name for name, *_ in PARTS]
    assert total == pytest.approx(1060)
    ways = {"to the edge": 7, "edge to worker": 3, "worker to edge": 3, "edge": 1, "to the client": 8, "player": 40}
    assert {name: ms for name, ms in named(found).items() if name in ways} == pytest.approx(ways)


def test_a_client_that_does_not_know_the_servers_clock_gets_both_of_its_ways_in_one():
    total, found = parts(relayed(filled(), BEGUN - 0.003, 3, 4), Heard(1_001_010, 1_001_050))
    assert total == pytest.approx(1060)
    assert named(found)[NETWORK] == pytest.approx(15)
    assert named(found)["edge to worker"] == pytest.approx(3)
    assert "to the edge" not in named(found)


def test_clocks_that_are_off_by_more_than_the_ways_move_time_between_these_and_nowhere_else():
    ledger = relayed(filled(), BEGUN - 5.0, 4000, 4001)
    total, found = parts(ledger, Heard(1_001_010, 1_001_050, AHEAD_MS - 700))
    assert total == pytest.approx(1060)
    assert sum(named(found).values()) == pytest.approx(total)
    assert min(named(found).values()) >= 0
    assert named(found)["voice"] == pytest.approx(200)


def test_a_typed_turn_begins_at_the_edge_as_a_spoken_one():
    ledger = relayed(filled([0, 0, 1, 200, 75, 200, 2], spoken=False), BEGUN - 0.002, 3, 4)
    total, found = parts(ledger, Heard(1_000_500, 1_000_520, AHEAD_MS))
    assert total == pytest.approx(530)
    assert named(found)["edge to worker"] == pytest.approx(2)
    assert named(found)["to the edge"] == pytest.approx(8)
    assert "end of turn" not in named(found)


def test_a_client_without_a_usable_clock_gets_what_worker_and_edge_know():
    total, found = parts(filled(client_end_ms=0), Heard(0, 0))
    assert total == pytest.approx(998)
    assert sum(part.ms for part in found) == pytest.approx(total)
    total, found = parts(relayed(filled(client_end_ms=0), BEGUN - 0.003, 3, 4), Heard(0, 0, AHEAD_MS))
    assert total == pytest.approx(998 + 3 + 3 + 1)
    assert sum(part.ms for part in found) == pytest.approx(total)


def test_the_first_stamp_of_a_moment_counts():
    ledger = Ledger().stamp(Moment.FIRST_TOKEN, 1.0).stamp(Moment.FIRST_TOKEN, 2.0)
    assert ledger.moments[Moment.FIRST_TOKEN] == 1.0


MS = st.floats(0, 3000)


@given(
    steps=st.lists(MS, min_size=8, max_size=8),
    spoken=st.booleans(),
    edge=st.none() | st.tuples(st.floats(40, 60), st.floats(-3000, 3000), MS),
    received=st.floats(0, 2e6),
    played=st.floats(0, 2e6),
    ahead=st.none() | st.floats(-1e6, 1e6),
)
def test_the_parts_sum_to_the_whole(steps, spoken, edge, received, played, ahead):
    ledger = filled(steps, spoken)
    if edge is not None:
        ledger = relayed(ledger, edge[0], edge[1], edge[1] + edge[2])
    total, found = parts(ledger, Heard(received, played, ahead))
    assert sum(part.ms for part in found) == pytest.approx(total, abs=1e-3)
    assert total >= 0
    assert all(part.ms >= -1e-9 for part in found if part.name != NETWORK)
