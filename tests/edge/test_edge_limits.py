import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.edge import limits
from services.edge.limits import AddressLimits, MessageLimits, TokenBucket, Verdict, network

GAPS = st.lists(st.floats(0, 3), max_size=200)


@given(st.floats(0.1, 100), st.floats(1, 50), GAPS)
def test_a_bucket_never_gives_more_than_burst_and_rate(rate: float, burst: float, gaps: list[float]):
    bucket = TokenBucket(rate, burst, 100.0)
    now = 100.0
    taken = 0
    for gap in gaps:
        now += gap
        taken += bucket.take(now)
        assert taken <= burst + rate * (now - 100.0) + 1e-6


@given(st.floats(0.5, 100), st.floats(1, 50))
def test_who_stays_below_the_rate_is_never_refused(rate: float, burst: float):
    bucket = TokenBucket(rate, burst, 0.0)
    assert all(bucket.take((number + 1) * 1.0001 / rate) for number in range(300))


def test_a_bucket_survives_a_clock_that_stands_still():
    bucket = TokenBucket(1, 2, 5.0)
    assert [bucket.take(5.0) for _ in range(3)] == [True, True, False]
    assert not bucket.take(4.0)
    assert bucket.take(6.0)


def test_addresses_have_a_bucket_each():
    addresses = AddressLimits(rate=1, burst=2)
    assert [addresses.take("192.0.2.1", 0) for _ in range(3)] == [True, True, False]
    assert addresses.take("192.0.2.2", 0)
    assert addresses.take("192.0.2.1", 1)


def test_the_table_of_addresses_is_bounded_and_forgets_the_quiet_first():
    addresses = AddressLimits(rate=1, burst=1, addresses=3)
    for host in "abc":
        assert addresses.take(host, 0)
    assert not addresses.take("a", 0)  # refused, but heard of last
    assert addresses.take("d", 0)
    assert len(addresses) == 3
    assert not addresses.take("a", 0), "still remembered"
    assert addresses.take("b", 0), "forgotten: it was quiet the longest"


@pytest.mark.parametrize(
    ("address", "key"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "2001:db8:1:2::/64"),
        ("", ""),
        ("testclient", "testclient"),
    ],
)
def test_an_address_stands_for_its_network(address: str, key: str):
    assert network(address) == key


def test_a_real_time_client_is_never_refused():
    checked = MessageLimits(0.0)
    for number in range(5000):  # 100 s of 20 ms frames, five `played` a second
        assert checked.audio(number * 0.02) is Verdict.TAKE
        if number % 10 == 0:
            assert checked.command(number * 0.02) is Verdict.TAKE


def test_a_client_that_catches_up_after_four_seconds_is_not_refused():
    checked = MessageLimits(0.0)
    assert all(checked.audio(4.0) is Verdict.TAKE for _ in range(200))


def test_refusals_are_said_once_a_second():
    checked = MessageLimits(0.0)
    verdicts = [checked.audio(0.0) for _ in range(230)]
    assert verdicts[:200] == [Verdict.TAKE] * 200
    assert verdicts[200:] == [Verdict.REFUSE_AND_SAY] + [Verdict.REFUSE] * 29
    assert checked.refuse(0.9) is Verdict.REFUSE
    assert checked.refuse(1.0) is Verdict.REFUSE_AND_SAY


def test_commands_and_audio_have_limits_of_their_own():
    checked = MessageLimits(0.0)
    while checked.audio(0.0) is Verdict.TAKE:
        pass
    assert checked.command(0.0) is Verdict.TAKE


@pytest.mark.parametrize(("per_second", "ends"), [(250, False), (150, False), (400, True), (1000, True)])
def test_only_lasting_abuse_ends_a_connection(per_second: int, ends: bool):
    checked = MessageLimits(0.0)
    verdicts = {checked.audio(number / per_second) for number in range(20 * per_second)}
    assert (Verdict.END in verdicts) is ends


def test_refusals_of_long_ago_do_not_count():
    checked = MessageLimits(0.0)
    for number in range(limits.ABUSE_REFUSALS - 1):
        assert checked.refuse(number * 1e-6) is not Verdict.END
    assert checked.refuse(limits.ABUSE_SECONDS) is not Verdict.END
