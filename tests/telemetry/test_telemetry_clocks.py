import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.telemetry.clocks import KEPT, ClockOffset, Offset


def test_nothing_is_known_before_the_first_exchange():
    assert ClockOffset().best is None


def test_an_exchange_with_equal_ways_is_exact():
    clocks = ClockOffset()
    clocks.exchanged(sent=10.0, took=110.004, answered=110.005, received=10.009)
    assert clocks.best is not None
    assert clocks.best.ahead == pytest.approx(100.0)
    assert clocks.best.error == pytest.approx(0.004)


def test_the_quickest_of_the_last_exchanges_counts():
    clocks = ClockOffset()
    clocks.exchanged(0.0, 5.001, 5.001, 0.002)
    clocks.exchanged(1.0, 6.5, 6.5, 1.6)
    assert clocks.best is not None
    assert clocks.best.ahead == pytest.approx(5.0)
    for number in range(KEPT):
        clocks.exchanged(10.0 + number, 16.01 + number, 16.01 + number, 10.02 + number)
    assert clocks.best.ahead == pytest.approx(6.0)


def test_an_exchange_in_which_time_ran_backwards_says_nothing():
    clocks = ClockOffset()
    clocks.exchanged(10.0, 110.0, 110.5, 10.1)
    clocks.exchanged(10.0, 110.5, 110.0, 10.1)
    assert clocks.best is None


@given(st.floats(-1e6, 1e6), st.floats(0, 1), st.floats(0, 1), st.floats(0, 1))
def test_the_offset_is_wrong_by_no_more_than_it_says(ahead, there, thinking, back):
    clocks = ClockOffset()
    took = 50.0 + there + ahead
    clocks.exchanged(50.0, took, took + thinking, 50.0 + there + thinking + back)
    best = clocks.best
    if best is not None:
        assert isinstance(best, Offset)
        assert abs(best.ahead - ahead) <= best.error + 1e-6
