import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.dialogue import endpointing
from services.dialogue.endpointing import QUIET, Began, Ended, Hesitated, Patience, Phase, Resumed

PATIENCE = Patience(onset_s=0.09, hesitation_s=0.2, silence_s=0.5, long_s=44, longest_s=50)


def run(script, patience=PATIENCE):
    """Plays (verb, time) pairs and, between them, every deadline that falls due; returns what was decided."""
    state, decided = QUIET, []
    for verb, at in script:
        while state.deadline is not None and state.deadline <= at:
            state, decisions = endpointing.elapsed(state, state.deadline, patience)
            decided += decisions
        if verb == "voice":
            state, decisions = endpointing.voice(state, at, patience)
        elif verb == "quiet":
            state, decisions = endpointing.quiet(state, at, patience)
        elif verb == "stop":
            state, decisions = endpointing.finish(state, at)
        else:
            decisions = []
        decided += decisions
    return state, decided


TABLE = {
    "a sentence": (
        [("voice", 1.0), ("quiet", 3.0), ("wait", 4.0)],
        [Began(1.0), Hesitated(), Ended(3.0, 2.0)],
    ),
    "a click is no speech": ([("voice", 1.0), ("quiet", 1.05), ("wait", 4.0)], []),
    "a click, then speech": (
        [("voice", 1.0), ("quiet", 1.05), ("voice", 1.2), ("quiet", 2.0), ("wait", 3.0)],
        [Began(1.2), Hesitated(), Ended(2.0, 0.8)],
    ),
    "a short stop within a word": (
        [("voice", 1.0), ("quiet", 2.0), ("voice", 2.125), ("quiet", 3.0), ("wait", 4.0)],
        [Began(1.0), Hesitated(), Ended(3.0, 1.875)],
    ),
    "a pause for thought": (
        [("voice", 1.0), ("quiet", 2.0), ("voice", 2.375), ("quiet", 3.0), ("wait", 4.0)],
        [Began(1.0), Hesitated(), Resumed(), Hesitated(), Ended(3.0, 1.625)],
    ),
    "resumed one millisecond before the end": (
        [("voice", 1.0), ("quiet", 2.0), ("voice", 2.499), ("quiet", 3.0), ("wait", 4.0)],
        [Began(1.0), Hesitated(), Resumed(), Hesitated(), Ended(3.0, 3.0 - (1.0 + (2.499 - 2.0)))],
    ),
    "resumed just after the end is a new turn": (
        [("voice", 1.0), ("quiet", 2.0), ("voice", 2.501), ("quiet", 3.0), ("wait", 4.0)],
        [Began(1.0), Hesitated(), Ended(2.0, 1.0), Began(2.501), Hesitated(), Ended(3.0, 3.0 - 2.501)],
    ),
    "stop pressed while speaking": ([("voice", 1.0), ("stop", 1.5)], [Began(1.0), Ended(1.5, 0.5)]),
    "stop pressed in a pause": ([("voice", 1.0), ("quiet", 2.0), ("stop", 2.1)], [Began(1.0), Ended(2.0, 1.0)]),
    "stop pressed in silence": ([("stop", 1.0)], []),
    "stop pressed at the first syllable": ([("voice", 1.0), ("stop", 1.02)], [Began(1.0), Ended(1.02, 1.02 - 1.0)]),
    "a short stop late in a long turn ends it before the limit would in mid-word": (
        [("voice", 1.0), ("quiet", 47.0), ("voice", 47.125), ("quiet", 49.0), ("wait", 60.0)],
        [Began(1.0), Ended(47.0, 46.0), Began(47.125), Hesitated(), Ended(49.0, 1.875)],
    ),
    "a short stop earlier does not": (
        [("voice", 1.0), ("quiet", 44.0), ("voice", 44.125), ("quiet", 44.5), ("wait", 60.0)],
        [Began(1.0), Hesitated(), Ended(44.5, 43.375)],
    ),
    "voice that never stops": ([("voice", 1.0), ("wait", 60.0)], [Began(1.0), Ended(51.0, 50.0, forced=True)]),
}


@pytest.mark.parametrize("name", TABLE)
def test_table(name):
    script, expected = TABLE[name]
    assert run(script)[1] == expected


def test_silence_counts_from_the_last_sample_not_from_the_decision():
    """The detector noticed the end 100 ms late; the turn still ends 500 ms after the last sample."""
    state, _ = run([("voice", 1.0), ("wait", 3.1)])
    state, _ = endpointing.quiet(state, 3.0, PATIENCE)
    assert state.deadline == pytest.approx(3.2)
    state, decisions = endpointing.elapsed(state, 3.5, PATIENCE)
    assert decisions == [Ended(3.0, 2.0)]


def test_decisions_that_arrive_in_one_burst_are_speech_all_the_same():
    state, began = endpointing.voice(QUIET, 1.0, PATIENCE)
    state, more = endpointing.quiet(state, 2.0, PATIENCE)
    assert began + more == [Began(1.0)]
    assert state.phase is Phase.PAUSING


def test_an_early_timer_is_harmless():
    state, _ = run([("voice", 1.0), ("quiet", 3.0)])
    assert endpointing.elapsed(state, 3.1, PATIENCE) == (state, [])


def test_silence_shorter_than_hesitation_ends_without_preparation():
    patience = Patience(hesitation_s=0.2, silence_s=0.2)
    assert run([("voice", 1.0), ("quiet", 2.0), ("wait", 3.0)], patience)[1] == [Began(1.0), Ended(2.0, 1.0)]


verbs = st.lists(st.tuples(st.sampled_from(["voice", "quiet", "stop", "wait"]), st.floats(0.001, 3.0)), max_size=40)


@given(verbs)
def test_never_two_ends_and_never_deaf(moves):
    now, script = 0.0, []
    for verb, gap in moves:
        now += gap
        script.append((verb, now))
    script.append(("wait", now + 100))
    state, decided = run(script)
    open_turn = False
    for decision in decided:
        match decision:
            case Began():
                assert not open_turn
                open_turn = True
            case Ended():
                assert open_turn
                open_turn = False
            case Hesitated() | Resumed():
                assert open_turn
    assert not open_turn
    assert state.phase is Phase.QUIET
    assert run([("voice", 1.0), ("wait", 2.0)])[1] == [Began(1.0)]
