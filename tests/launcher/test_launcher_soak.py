"""What a soak makes of the servers' memory and of what they still hold."""

import os
import random

import pytest

from services.launcher import soak
from services.launcher.soak import FILES, SPARE, SUBSCRIPTIONS, UNSEEN, Growth, Soaked, Watched, growth, leaked, said

BEFORE = {"parley_sessions": 0.0, SUBSCRIPTIONS: 10.0, f"{FILES} edge": 30.0}


def grown(measured: list[tuple[float, float]]) -> Growth:
    return growth(Watched("edge", 1, measured, lived=True))


def points(mib_per_hour: float, minutes: float, noise: float = 0.2) -> list[tuple[float, float]]:
    choose = random.Random(1)
    return [
        (at, 100 + mib_per_hour * at / 3600 + choose.uniform(-noise, noise)) for at in range(0, int(minutes * 60), 2)
    ]


@pytest.mark.parametrize("mib_per_hour", [0.0, 5.0, 40.0])
def test_the_slope_is_found_and_outliers_do_not_move_it(mib_per_hour: float):
    measured = points(mib_per_hour, 30)
    for at in range(0, len(measured), 5):
        measured[at] = (measured[at][0], 400.0)
    assert grown(measured).mib_per_hour == pytest.approx(mib_per_hour, abs=1.0)


def test_what_fills_at_the_beginning_is_no_growth():
    measured = [(float(at), 100 + min(at, 400) / 10) for at in range(0, 1800, 2)]
    found = grown(measured)
    assert (found.mib_per_hour, found.at_first_mib, found.flat) == (0.0, 140.0, True)


@pytest.mark.parametrize(
    ("mib_per_hour", "minutes", "flat"), [(6, 30, True), (20, 30, False), (60, 2, True), (200, 2, False)]
)
def test_a_leak_is_not_flat(mib_per_hour: float, minutes: float, flat: bool):
    assert grown(points(mib_per_hour, minutes)).flat is flat


def test_too_little_seen_is_not_flat():
    assert not grown([(0.0, 100.0), (2.0, 100.0)]).flat


def test_a_process_that_ended_is_not_flat():
    assert not growth(Watched("edge", 1, points(0, 30), lived=False)).flat


FLAT, LEAKING = Growth("edge", 1, 100, 1, 20), Growth("worker", 2, 100, 100, 20)


def test_sound_is_flat_and_nothing_left_and_known():
    assert Soaked(5, [FLAT], BEFORE, BEFORE).sound
    assert not Soaked(5, [FLAT, LEAKING], BEFORE, BEFORE).sound
    assert not Soaked(5, [FLAT], BEFORE, {**BEFORE, "parley_sessions": 1.0}).sound
    assert not Soaked(5, [FLAT], BEFORE, {**BEFORE, SUBSCRIPTIONS: UNSEEN}).sound
    assert not Soaked(5, [], BEFORE, BEFORE).sound


@pytest.mark.parametrize(
    ("name", "allowed"), [("parley_sessions", 0), (SUBSCRIPTIONS, SPARE), (f"{FILES} edge", SPARE + 5)]
)
def test_what_is_made_once_or_kept_for_the_next_is_not_left_behind_and_more_is(name: str, allowed: int):
    assert leaked(BEFORE, {**BEFORE, name: BEFORE[name] + allowed}, users=5) == []
    assert leaked(BEFORE, {**BEFORE, name: BEFORE[name] + allowed + 1}, users=5) == [name]


def test_what_is_told_names_what_is_wrong():
    told = said(Soaked(5, [LEAKING], BEFORE, {**BEFORE, "parley_sessions": 2.0}))
    assert "NOT FLAT" in told
    assert [line.split()[0] for line in told.splitlines() if "LEFT BEHIND" in line] == ["parley_sessions"]


def test_a_process_is_looked_at_while_it_lives():
    own, gone = Watched("self", os.getpid()), Watched("gone", 2**22 + 1)
    for one in (own, gone):
        one.look(1.0)
    [(at, mib)] = own.points
    assert (at, own.lived) == (1.0, True)
    assert 1 < mib < 10_000
    assert (gone.points, gone.lived) == ([], False)
    assert not growth(gone).flat


def test_gauges_are_read_from_metrics():
    text = "# TYPE parley_sessions gauge\nparley_sessions 3.0\n# TYPE other gauge\nother 9.0\n"
    assert soak.gauges(text) == {"parley_sessions": 3.0}
