import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.contracts.moments import PARTS, Moment
from services.dialogue.ledger import Ledger, parts

ORDER = list(Moment)


def filled(steps_ms, spoken=True, client_end_ms=1_000_000.0):
    ledger, at = Ledger(spoken=spoken, client_end_ms=client_end_ms), 50.0
    for moment, step in zip(ORDER if spoken else ORDER[1:], steps_ms, strict=False):
        at += step / 1000
        ledger = ledger.stamp(moment, at)
    return ledger


def test_every_moment_of_a_turn_is_covered_by_the_parts_without_holes():
    joined = [PARTS[0][2]]
    for _, _, start, end in PARTS:
        assert start is joined[-1]
        joined.append(end)
    assert joined == ORDER


def test_a_spoken_turn():
    ledger = filled([0, 500, 20, 1, 200, 75, 200, 2])
    total, found = parts(ledger, received_ms=1_001_020, started_ms=1_001_060)
    assert total == pytest.approx(1060)
    named = {part.name: part.ms for part in found}
    assert named["end of turn"] == pytest.approx(500)
    assert named["recognition"] == pytest.approx(20)
    assert named["voice"] == pytest.approx(200)
    assert named["player"] == pytest.approx(40)
    assert named["network"] == pytest.approx(1060 - 998 - 40)


def test_a_client_without_a_usable_clock_gets_what_the_worker_knows():
    ledger = filled([0, 500, 20, 1, 200, 75, 200, 2], client_end_ms=0)
    total, found = parts(ledger, received_ms=0, started_ms=0)
    assert total == pytest.approx(998)
    assert sum(part.ms for part in found) == pytest.approx(total)


def test_the_first_stamp_of_a_moment_counts():
    ledger = Ledger().stamp(Moment.FIRST_TOKEN, 1.0).stamp(Moment.FIRST_TOKEN, 2.0)
    assert ledger.moments[Moment.FIRST_TOKEN] == 1.0


@given(
    st.lists(st.floats(0, 3000), min_size=8, max_size=8),
    st.booleans(),
    st.floats(0, 2e6),
    st.floats(0, 2e6),
)
def test_the_parts_sum_to_the_whole(steps, spoken, received, started):
    total, found = parts(filled(steps, spoken), received, started)
    assert sum(part.ms for part in found) == pytest.approx(total, abs=1e-3)
    assert total >= 0
