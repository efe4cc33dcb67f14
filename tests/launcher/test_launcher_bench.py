"""From a client's report to the figures of the benchmarks, and what processes use."""

import math
import os
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.launcher import bench_processes, bench_stack
from services.launcher.bench_bargein import history_agrees, interruptions
from services.launcher.bench_client import Run, Sample, window
from services.launcher.bench_density import Conditions, row
from services.launcher.bench_figures import Figures, figures, largest_within, parts_said, percentile
from services.launcher.bench_peers import ratio
from services.launcher.bench_processes import Usage, parse_cpu, parse_memory

KNOWN = {"silence": 200.0, "recognition": 100.0}


def turn(**given: Any) -> dict[str, Any]:
    empty: dict[str, Any] = {
        "pause_s": 0.0,
        "latency_s": 0.32,
        "gap_s": 0.0,
        "cuts": 0,
        "cut_heard": False,
        "silent_s": None,
        "flushed_s": None,
        "late_samples": 0,
        "false_pauses": 0,
        "kept": "",
        "acknowledged": 0,
        "failure": "",
    }
    return {**empty, **given}


def report(*sessions: list[dict[str, Any]], **given: Any) -> dict[str, Any]:
    return {
        "sessions": [{"turns": turns, "troubles": []} for turns in sessions],
        "known_ms": KNOWN,
        "ended": [],
        "late_p99_s": 0.002,
        "cpu": 0.1,
        "probes": [],
        "reply": {"text": "one two three four", "character_s": 0.1, "sample_rate": 1000},
        **given,
    }


@given(st.lists(st.floats(-1e6, 1e6), min_size=1), st.sampled_from((0.5, 0.95, 0.99, 1.0)))
def test_a_percentile_is_one_of_the_values_and_covers_its_share(values: list[float], share: float):
    found = percentile(values, share)
    assert found in values
    assert sum(value <= found for value in values) >= math.floor(share * len(values) * 1000) / 1000


def test_no_values_have_no_percentile():
    assert math.isnan(percentile([], 0.5))


def test_latency_is_counted_over_the_known_parts():
    found = figures(report([turn(latency_s=0.32), turn(latency_s=0.34)], [turn(latency_s=0.30)]))
    assert (found.sessions, found.turns, found.known_ms) == (2, 3, 300)
    assert (found.p50, found.largest) == (pytest.approx(20), pytest.approx(40))


def test_cuts_and_failures_are_counted_and_not_hidden():
    turns = [
        turn(cuts=1, pause_s=0.4),
        turn(cuts=1, cut_heard=True, latency_s=None),
        turn(latency_s=None, failure="no answer"),
    ]
    found = figures(report(turns, ended=["1006"]))
    assert (found.paused, found.cut_off, found.cut_off_heard) == (1, 2, 1)
    assert list(found.failures) == ["no answer", "connection: 1006"]


def of(sessions: int, p95: float, failures: tuple[str, ...] = ()) -> Figures:
    return Figures(sessions, 8, p95, p95, p95, 300, 0, 0, 0, failures, 0, 0, 0)


def test_the_largest_run_within_the_allowance():
    runs = [of(1, 10), of(10, 60), of(25, 110), of(50, 111)]
    assert largest_within(runs, 100) == 25
    assert largest_within([of(1, 10), of(10, 200), of(25, 20)], 100) == 1, "one that is slow ends it"
    assert largest_within([of(1, 10), of(10, 10, ("no answer",))], 100) == 1
    assert largest_within([of(1, math.nan)], 100) == 0


def test_the_known_parts_are_said_with_their_sum():
    assert parts_said(KNOWN) == "silence 200 + recognition 100 = 300 ms"


def test_what_is_measured_lies_between_the_last_beginning_and_the_first_end():
    def at(seconds: float) -> Sample:
        return Sample(seconds, {}, 0)

    samples = {"begin": at(0), "ramped": at(10), "first_done": at(40), "end": at(50)}
    assert window(samples) == (at(10), at(40))
    assert window({**samples, "first_done": at(5)}) == (at(0), at(50))
    assert window({"begin": at(0), "end": at(50)}) == (at(0), at(50))


def run_of(sessions: int, cpu: float, memory: int) -> Run:
    def sample(at: float, used: float) -> Sample:
        parts = {"edge": Usage(used, 0, memory), "worker": Usage(used, 0, 0), "nats": Usage(), "triton": Usage()}
        return Sample(at, parts, 2 * used)

    return Run(report(*[[turn()]] * sessions), sample(0, 0), sample(10, cpu))


def test_a_row_has_shares_of_a_core_and_memory_by_session():
    alone, many = run_of(1, 0.1, 100_000_000), run_of(11, 2.0, 130_000_000)
    cells = row(many, alone).replace("|", " ").split()
    assert cells[9:13] == ["20.0", "20.0", "0.0", "3.64"]
    assert cells[14] == "3.00"


def test_few_sessions_talk_longer_so_that_percentiles_mean_something():
    conditions = Conditions([1, 50], turns=4)
    assert "--turns=8" in conditions.arguments(1, 1)
    assert "--turns=4" in conditions.arguments(50, 1)
    assert "--turns=1" in Conditions([2], turns=1).arguments(2, 1)


def test_history_must_be_what_was_heard_to_the_word():
    reply = "one two three four five six seven"
    assert history_agrees("one two three", reply, 1.3, 0.1)
    assert history_agrees("one two", reply, 1.3, 0.1)
    assert not history_agrees("one two three four five six", reply, 0.4, 0.1), "more than was heard"
    assert not history_agrees("", reply, 3.0, 0.1), "less than was heard"
    assert not history_agrees("one two ...", reply, 1.0, 0.1), "not the answer's words"


def test_interruptions_are_told_with_what_went_wrong():
    interrupted = turn(silent_s=0.1, flushed_s=0.2, kept="one two", acknowledged=700, late_samples=5)
    wrong = turn(silent_s=0.1, flushed_s=0.3, kept="four", acknowledged=700)
    found = interruptions(report([interrupted, wrong, turn(failure="not silent")]))
    assert list(found.silent_ms) == [100, 100]
    assert list(found.flushed_ms) == [200, 300]
    assert found.stale_samples == 5
    assert list(found.wrong_histories) == ["'four' after 0.70 s"]
    assert list(found.failures) == ["not silent"]


def test_a_ratio_needs_something_to_compare_with():
    assert ratio(2.0, 5.0) == "2.5"
    assert ratio(0.0, 5.0) == "-"
    assert ratio(1.0, math.nan) == "-"


def test_proc_is_read_by_its_fields():
    stat = "12 (a (b) c) S 1 2 3 4 5 6 7 8 9 10 150 50 0 0 20 0 1 0 1 1 1"
    assert parse_cpu(stat) == pytest.approx(200 / os.sysconf("SC_CLK_TCK"))
    assert parse_memory("00-ff ---p 0 0 0 [rollup]\nPss:  10 kB\nPss_Anon:  7 kB\nPss_File: 3 kB\n") == 7 * 1024


def test_this_process_uses_something_and_one_that_ended_nothing():
    mine = bench_processes.usage(os.getpid())
    assert mine.cpu_s > 0
    assert mine.memory_bytes > 1_000_000
    assert bench_processes.usage(2**22 + 1) == Usage()


def test_processes_are_told_apart_by_their_command():
    assert bench_stack.part_of(["/x/python", "-m", "services.edge", ""]) == "edge"
    assert bench_stack.part_of(["/x/python", "-m", "services.dialogue", ""]) == "worker"
    assert bench_stack.part_of(["/x/nats-server", "--config", "c"]) == "nats"
    assert bench_stack.part_of(["/x/triton_python_backend_stub", "m"]) == "triton"
    assert bench_stack.part_of(["sh"]) == ""
    assert bench_stack.part_of([]) == ""
