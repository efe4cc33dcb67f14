"""What the supervisor's core decides, as tables: no process, no clock."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.launcher import supervision
from services.launcher.supervision import (
    AllReady,
    CheckMissed,
    CheckPassed,
    Event,
    Exited,
    Kill,
    Part,
    Phase,
    Ready,
    ShowLastWords,
    Start,
    State,
    StopAsked,
    Terminate,
    Tick,
)

PARTS = (
    Part("nats", ready_within=10, stop_within=1.0),
    Part("triton", ready_within=30, stop_within=2.6),
    Part("worker", after=("nats", "triton"), ready_within=20, stop_within=1.2),
    Part("edge", after=("nats", "worker"), ready_within=20, stop_within=1.0),
)


def play(*script: tuple[float, Event], parts: tuple[Part, ...] = PARTS) -> tuple[State, list[tuple[float, object]]]:
    """The state after a script of timed events, and all that was done, without what was said."""
    state, done = supervision.begin(parts), []
    for now, event in script:
        state, actions = supervision.step(state, event, now)
        done += [(now, action) for action in actions if not isinstance(action, supervision.Say)]
    return state, done


UP: Sequence[tuple[float, Event]] = (
    (0.0, Tick()),
    (0.1, Ready("nats")),
    (2.0, Ready("triton")),
    (3.0, Ready("worker")),
    (4.0, Ready("edge")),
)


def after_up(*script: tuple[float, Event]) -> tuple[State, list[tuple[float, object]]]:
    state, done = play(*UP, *script)
    return state, [entry for entry in done if entry[0] > 4.0]


def test_parts_start_when_what_they_come_after_is_ready() -> None:
    state, done = play(*UP)
    assert done == [
        (0.0, Start("nats")),
        (0.0, Start("triton")),
        (2.0, Start("worker")),
        (3.0, Start("edge")),
        (4.0, AllReady()),
    ]
    assert state.up
    assert supervision.wake_at(state) is None


@pytest.mark.parametrize(
    ("exits", "rests"),
    [
        ([10.0], [0.5]),
        ([10.0, 10.6, 11.7, 13.8, 17.9, 26.0, 36.1], [0.5, 1.0, 2.0, 4.0, 8.0, 10.0, 10.0]),
    ],
)
def test_rest_doubles_up_to_ten_seconds(exits: list[float], rests: list[float]) -> None:
    state, _ = play(*UP)
    for at, rest in zip(exits, rests, strict=True):
        state, _ = supervision.step(state, Exited("worker", 1), at)
        assert supervision.wake_at(state) == pytest.approx(at + rest)
        state, actions = supervision.step(state, Tick(), at + rest - 0.01)
        assert Start("worker") not in actions
        state, actions = supervision.step(state, Tick(), at + rest)
        assert Start("worker") in actions


@pytest.mark.parametrize(("ready_for", "rest"), [(59.9, 1.0), (60.0, 0.5)])
def test_a_minute_of_health_makes_good_for_earlier_failures(ready_for: float, rest: float) -> None:
    state, _ = after_up((10.0, Exited("worker", -9)), (10.5, Tick()), (11.0, Ready("worker")))
    state, _ = supervision.step(state, Exited("worker", -9), 11.0 + ready_for)
    assert state.lives["worker"].rest == rest


def test_a_part_that_was_up_is_restarted_however_often_it_fails() -> None:
    state, _ = play(*UP)
    now = 10.0
    for _ in range(50):
        state, _ = supervision.step(state, Exited("triton", 1), now)
        now += 11
        state, actions = supervision.step(state, Tick(), now)
        assert Start("triton") in actions
    assert state.stopping_since is None


def test_the_others_stay_while_one_is_restarted() -> None:
    _, done = after_up((10.0, Exited("nats", -9)), (10.5, Tick()), (10.6, Ready("nats")))
    assert done == [(10.5, Start("nats"))]


def test_a_first_start_that_fails_three_times_ends_everything_with_its_last_words() -> None:
    state, done = play(
        (0.0, Tick()),
        (0.1, Ready("nats")),
        (1.0, Exited("triton", 1)),
        (1.5, Tick()),
        (2.0, Exited("triton", 1)),
        (3.0, Tick()),
        (4.0, Exited("triton", 1)),
        (4.1, Exited("nats", 0)),
    )
    assert done[-2:] == [(4.0, ShowLastWords("triton")), (4.0, Terminate("nats"))]
    assert state.finished
    assert state.status == 1


def test_a_wrong_configuration_is_not_tried_again() -> None:
    state, done = play(
        *UP[:3],
        (2.5, Exited("worker", 2)),
        (2.6, Exited("nats", 0)),
        (2.7, Exited("triton", 0)),
    )
    assert (2.5, ShowLastWords("worker")) in done
    assert state.finished
    assert state.status == supervision.CONFIGURATION_STATUS


def test_status_2_of_a_part_that_was_ready_before_is_a_failure_like_any_other() -> None:
    state, _ = after_up((10.0, Exited("worker", 2)))
    assert state.lives["worker"].phase is Phase.RESTING


def test_a_part_that_is_not_ready_in_time_is_ended_and_tried_again() -> None:
    state, done = play((0.0, Tick()), (10.0, Tick()), (10.2, Exited("nats", -15)), (10.7, Tick()))
    assert done[2:] == [(10.0, Terminate("nats")), (10.7, Start("nats"))]
    assert state.lives["nats"].failures == 1


def test_checks_missed_in_a_row_restart_a_part() -> None:
    miss = CheckMissed("triton", "canary of espeak: no answer")
    _, done = after_up((10.0, miss), (10.5, miss), (11.0, miss), (11.1, Exited("triton", -9)), (11.6, Tick()))
    assert done == [(11.0, Kill("triton")), (11.6, Start("triton"))]


def test_a_check_that_passes_forgives_the_missed_ones() -> None:
    miss = CheckMissed("triton", "busy")
    _, done = after_up((10.0, miss), (10.5, miss), (11.0, CheckPassed("triton")), (14.0, miss), (14.5, miss))
    assert done == []


def test_a_part_that_does_not_end_when_asked_is_killed() -> None:
    _, done = play((0.0, Tick()), (10.0, Tick()), (10.9, Tick()), (11.0, Tick()))
    assert done[2:] == [(10.0, Terminate("nats")), (11.0, Kill("nats"))]


def test_a_stop_ends_each_part_before_those_it_needs() -> None:
    state, done = after_up(
        (10.0, StopAsked()),
        (10.3, Exited("edge", 0)),
        (10.6, Exited("worker", 0)),
        (10.7, Exited("nats", 0)),
        (12.9, Exited("triton", 0)),
    )
    assert done == [
        (10.0, Terminate("edge")),
        (10.3, Terminate("worker")),
        (10.6, Terminate("nats")),
        (10.6, Terminate("triton")),
    ]
    assert state.finished
    assert state.status == 0


def test_a_second_stop_kills_at_once() -> None:
    _, done = after_up((10.0, StopAsked()), (10.1, StopAsked()))
    assert {action for at, action in done if at == 10.1} == {Kill(part.name) for part in PARTS}


def test_a_stop_during_the_start_ends_what_runs_and_starts_nothing_more() -> None:
    state, done = play(
        (0.0, Tick()),
        (0.5, StopAsked()),
        (0.6, Ready("nats")),
        (0.7, Exited("nats", 0)),
        (0.8, Exited("triton", -15)),
    )
    assert done[2:] == [(0.5, Terminate("nats")), (0.5, Terminate("triton"))]
    assert state.finished


def test_nothing_is_restarted_during_a_stop() -> None:
    state, done = after_up((10.0, Exited("triton", 1)), (10.2, StopAsked()), (10.3, Exited("edge", 1)), (11.0, Tick()))
    assert state.lives["triton"].phase is Phase.ENDED
    assert not any(isinstance(action, Start) for _, action in done)


def test_parts_that_never_end_are_all_killed_in_time() -> None:
    state, _ = play(*UP)
    state, actions = supervision.step(state, StopAsked(), 10.0)
    killed: list[str] = []
    while (at := supervision.wake_at(state)) is not None:
        assert at <= 10.0 + supervision.STOP_WITHIN
        state, actions = supervision.step(state, Tick(), at)
        killed += [action.part for action in actions if isinstance(action, Kill)]
    assert sorted(killed) == sorted(part.name for part in PARTS)


@pytest.mark.parametrize(
    "parts", [(Part("a", after=("b",)), Part("b")), (Part("a"), Part("a")), (Part("a", after=("a",)),)]
)
def test_an_order_that_cannot_be_is_refused(parts: tuple[Part, ...]) -> None:
    with pytest.raises(ValueError, match="must come once"):
        supervision.begin(parts)


NAMES = st.sampled_from([part.name for part in PARTS])
EVENTS = st.one_of(
    st.just(Tick()),
    st.builds(Ready, NAMES),
    st.builds(Exited, NAMES, st.sampled_from([0, 1, 2, -9])),
    st.builds(CheckMissed, NAMES, st.just("why")),
    st.builds(CheckPassed, NAMES),
    st.just(StopAsked()),
)


@given(st.lists(st.tuples(st.floats(0, 15), EVENTS), max_size=80))
def test_whatever_happens_a_part_runs_at_most_once_and_a_stop_ends(script: list[tuple[float, Event]]) -> None:
    state, now, running = supervision.begin(PARTS), 0.0, set[str]()

    def follow(event: Event) -> None:
        nonlocal state
        if isinstance(event, Exited):
            if event.part not in running:
                return
            running.discard(event.part)
        state, actions = supervision.step(state, event, now)
        for action in actions:
            if isinstance(action, Start):
                assert action.part not in running
                running.add(action.part)
        assert running == {name for name, life in state.lives.items() if life.phase in supervision.RUNNING}
        wake = supervision.wake_at(state)
        assert wake is None or wake > now

    for wait, event in script:
        now += wait
        follow(event)
    follow(StopAsked())
    now += supervision.STOP_WITHIN
    follow(Tick())
    for name in sorted(running):
        assert state.lives[name].phase is Phase.KILLED
        follow(Exited(name, -9))
    assert state.finished
