"""From raw samples to the verdict, its table and its page."""

import re
import xml.etree.ElementTree as xml
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest import page, samples, table, verdict
from loadtest.samples import Lateness, Samples, SessionSample, TurnSample
from loadtest.verdict import Limits, Summary

PROMPT = {0: 100, 5: 1}
"""Frames by tenths of a millisecond of lateness."""
LIMITS = Limits()
OVERLOAD = Limits(alone_within_ms=100, refusal_ms=100)


def turn(latency_ms: float | None = 700.0, **given: Any) -> TurnSample:
    return TurnSample(
        **{"session": "s", "turn": 1, "kind": "talking", "ended_at": 5.0, "latency_ms": latency_ms} | given
    )


def session(outcome: str = "done", answer_ms: float = 20.0, **given: Any) -> SessionSample:
    known: dict[str, Any] = {"session": "s", "kind": "talking", "at": 1.0, "until": 9.0}
    return SessionSample(**known | {"outcome": outcome, "answer_ms": answer_ms} | given)


def judged(turns: list[TurnSample], limits: Limits = LIMITS, late: dict[int, int] = PROMPT, **given: Any) -> Summary:
    collected = Samples(turns=turns, sessions=given.get("sessions", [session()]), late=late)
    return verdict.summarise(collected, limits, {})


def missed(summary: Summary) -> list[str]:
    return [check.what for check in summary.checks if not check.met]


def test_what_was_promised_passes():
    summary = judged([turn()] * 99 + [turn(2500.0)])
    assert (summary.result, missed(summary)) == ("passed", [])
    assert (summary.first_audio.p50, summary.first_audio.p99, summary.first_audio.max) == (700, 700, 2500)


@pytest.mark.parametrize(
    ("turns", "sessions", "what"),
    [
        ([turn(2000.0)] * 10, [session()], "first audio, p95"),
        ([turn()] * 99 + [turn(failure="no answer")], [session()], "failed turns"),
        ([turn()], [session("failed", reason="lost")], "failed sessions"),
        ([turn()], [session("refused", reason="at_capacity")], "refused sessions"),
    ],
)
def test_each_limit_can_be_missed(turns: list[TurnSample], sessions: list[SessionSample], what: str):
    summary = judged(turns, sessions=sessions)
    assert (summary.result, missed(summary)) == ("missed", [what])


def test_nothing_measured_is_nothing_promised():
    assert judged([], sessions=[]).result == "missed"


def test_a_late_generator_makes_the_run_invalid_whatever_it_found():
    summary = judged([turn()], late={0: 98, 101: 2})
    assert summary.result == "invalid"
    assert "INVALID" in table.table(summary)


def test_who_waits_when_the_test_ends_counts_once_the_limit_has_passed():
    assert judged([turn(1900.0, unfinished=True)]).first_audio.count == 0
    assert judged([turn(2100.0, unfinished=True)]).result == "missed"


def test_overload_holds_the_admitted_to_the_single_session_and_the_refused_to_their_time():
    alone = [turn(900.0, alone=True), *[turn(600.0, alone=True, turn=2)] * 5]
    refused = session("refused", 99.0, session="", reason="at_capacity")
    assert judged([*alone, turn(699.0)], OVERLOAD, sessions=[session(), refused]).result == "passed"
    late = session("refused", 101.0, session="", reason="at_capacity")
    assert missed(judged([*alone, turn(699.0)], OVERLOAD, sessions=[session(), late])) == ["slowest refusal"]
    assert missed(judged([*alone, turn(701.0)], OVERLOAD, sessions=[refused])) == ["p95 over that of one session alone"]
    # Nobody alone, nobody refused: not shown.
    assert len(missed(judged([turn(699.0)], OVERLOAD))) == 2


def test_gaps_of_slow_and_lost_lines_are_their_own():
    summary = judged([turn(gap_ms=41.0), turn(gap_ms=500.0, kind="slow"), turn(gap_ms=900.0, away=True)])
    assert (summary.underruns, summary.worst_gap_ms) == (1, 41.0)


def test_the_hops_are_those_that_the_server_names_in_its_order():
    summary = judged([turn(parts={"zeta": 1.0, "alpha": 2.0}), turn(parts={"zeta": 3.0, "brand new": 4.0})])
    assert list(summary.parts) == ["zeta", "alpha", "brand new"]
    assert summary.parts["zeta"].max == 3.0
    assert "brand new" in table.table(summary)
    header, first, _ = samples.turns_csv([turn(parts={"zeta": 1.0}), turn()]).splitlines()
    assert header.endswith(",part: zeta")
    assert first.endswith(",1.0")


def test_the_page_needs_nothing_else_and_its_plots_are_well_formed():
    turns = [turn(600.0 + at, parts={"a <b> & c": 5.0}, ended_at=at) for at in range(20)] + [
        turn(failure="<no> answer")
    ]
    collected = Samples(turns=turns, sessions=[session()], late=PROMPT)
    text = page.page(judged(turns), collected)
    plots = re.findall(r"<svg.*?</svg>", text, re.DOTALL)
    assert len(plots) == 4
    assert [len(xml.fromstring(plot)) > 3 for plot in plots] == [True] * 4
    assert len(re.findall("<circle", plots[0])) == 21
    assert "http" not in text
    assert "<no>" not in text


def test_a_page_of_nothing_is_a_page():
    assert page.page(judged([], sessions=[], late={}), Samples()).count("<svg") == 4


@given(st.lists(st.floats(0, 2), min_size=1), st.lists(st.floats(0, 2)))
def test_lateness_of_two_processes_adds_up_as_of_one(one: list[float], other: list[float]):
    together, first, second = Lateness(), Lateness(), Lateness()
    for late in one:
        first.add(late)
        together.add(late)
    for late in other:
        second.add(late)
        together.add(late)
    first.merge(second.counts)
    assert first.counts == together.counts
    exact = max([*one, *other]) * 1000
    assert exact <= together.percentile_ms(1.0) + 1e-6
    assert together.percentile_ms(1.0) <= exact + 0.1 + 1e-6


def test_samples_travel_as_they_are():
    sent = Samples(turns=[turn(parts={"a": 1.5})], sessions=[session(troubles=["x"])], late={3: 4})
    master = Samples(late={3: 1})
    master.merge(samples.unpack(samples.pack(sent)))
    assert (master.turns, master.sessions, master.late) == (sent.turns, sent.sessions, {3: 5})
