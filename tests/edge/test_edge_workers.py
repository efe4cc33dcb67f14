from services.contracts.assignment import LOST_AFTER_SECONDS, Beat
from services.edge.workers import FORGET_SECONDS, Presence, Roster


def beat(wid: str = "w", slots: int = 4, active: int = 1, draining: bool = False, leaving: bool = False) -> Beat:
    return Beat(wid=wid, slots=slots, active=active, draining=draining, leaving=leaving)


def test_a_worker_is_there_as_long_as_it_beats():
    roster = Roster()
    assert roster.presence("w", 0.0) is Presence.SILENT
    roster.heard(beat(), 0.0)
    assert roster.presence("w", LOST_AFTER_SECONDS) is Presence.THERE
    assert roster.presence("w", LOST_AFTER_SECONDS + 0.01) is Presence.SILENT
    roster.heard(beat(), 5.0)
    assert roster.presence("w", 5.0) is Presence.THERE


def test_a_worker_that_leaves_has_left_at_once_and_for_good():
    roster = Roster()
    roster.heard(beat(), 0.0)
    roster.heard(beat(leaving=True), 0.1)
    assert roster.presence("w", 0.1) is Presence.LEFT
    roster.expect("w", 0.2)
    assert roster.presence("w", 30.0) is Presence.LEFT


def test_a_worker_not_heard_yet_has_the_same_time_to_beat():
    roster = Roster()
    roster.expect("w", 10.0)
    assert roster.presence("w", 11.0) is Presence.THERE
    assert roster.presence("w", 10.0 + LOST_AFTER_SECONDS + 0.01) is Presence.SILENT


def test_expecting_does_not_renew():
    roster = Roster()
    roster.heard(beat(), 0.0)
    roster.expect("w", 5.0)
    assert roster.presence("w", 5.0) is Presence.SILENT


def test_silence_while_nats_was_away_is_forgiven():
    roster = Roster()
    roster.heard(beat(), 0.0)
    roster.forgive(100.0)
    assert roster.presence("w", 101.0) is Presence.THERE
    assert roster.presence("w", 103.0) is Presence.SILENT


def test_alive_and_free_places_count_who_is_there():
    roster = Roster()
    roster.heard(beat("a", slots=4, active=1), 0.0)
    roster.heard(beat("b", slots=4, active=4), 0.0)
    roster.heard(beat("c", slots=9, active=0, draining=True), 0.0)
    roster.heard(beat("d", slots=9, active=0, leaving=True), 0.0)
    assert (roster.alive(1.0), roster.free(1.0)) == (3, 3)
    assert (roster.alive(9.0), roster.free(9.0)) == (0, 0)


def test_workers_long_gone_are_forgotten():
    roster = Roster()
    for number in range(50):
        roster.heard(beat(str(number)), number * FORGET_SECONDS)
    assert len(roster) <= 2
