"""What the worker counts of prepared answers, as the benchmarks read it, and what preparing them won."""

import math
from typing import Any

import pytest
from prometheus_client import generate_latest

from services.launcher.bench_prepared import Prepared, parse, said, won_p50_s
from services.launcher.bench_speculation import gain
from services.telemetry import metrics


def test_what_a_worker_publishes_is_read_under_the_names_that_it_has():
    before = parse(generate_latest(metrics.WORKER).decode())
    for won in (0.25, 0.25, 0.45):
        metrics.SPECULATIONS.labels("kept").inc()
        metrics.SPECULATION_WON.observe(won)
    metrics.SPECULATIONS.labels("resumed").inc()
    metrics.SPECULATION_WASTED_SECONDS.inc(0.5)
    metrics.SPECULATION_WASTED_CHARACTERS.inc(12)
    found = parse(generate_latest(metrics.WORKER).decode()).since(before)
    assert (found.outcomes["kept"], found.outcomes["resumed"]) == (3, 1)
    assert found.hit_rate == pytest.approx(0.75)
    assert 0.2 < won_p50_s(found.won) <= 0.3
    assert (found.wasted_seconds, found.wasted_characters) == (pytest.approx(0.5), 12)


def test_hits_head_start_and_waste_are_told():
    prepared = Prepared({"kept": 3, "resumed": 1}, {0.2: 0, 0.3: 3, math.inf: 3}, 0.5, 12)
    assert said(prepared) == (
        "prepared in pauses: 4 answers, 75% of them kept, with a head start of 250 ms (p50);\n"
        "  wasted: 1 answers (1 resumed), 0.5 s of preparing, 12 characters of text"
    )
    assert said(Prepared()) == "no answer was prepared in a pause"


@pytest.mark.parametrize(
    ("won", "median"),
    [
        ({0.1: 1, 0.2: 2, math.inf: 2}, 0.1),
        ({0.1: 0, 0.2: 4, math.inf: 4}, 0.15),
        ({0.1: 0, 0.2: 1, math.inf: 4}, 0.2),
    ],
)
def test_a_median_lies_within_its_bucket(won: dict[float, float], median: float):
    assert won_p50_s(won) == pytest.approx(median)


def test_nothing_kept_has_no_median():
    assert math.isnan(won_p50_s({}))
    assert math.isnan(won_p50_s({0.1: 0, math.inf: 0}))


def report(*latencies: float, silence: float = 500.0) -> dict[str, Any]:
    turns = [
        {"pause_s": 0.0, "latency_s": each, "gap_s": 0.0, "cuts": 0, "cut_heard": False, "failure": ""}
        for each in latencies
    ]
    return {
        "sessions": [{"turns": turns, "troubles": []}],
        "known_ms": {"silence": silence, "recognition": 100.0, "rest": 470.0},
        "ended": [],
        "late_p99_s": 0.0,
        "cpu": 0.0,
    }


def test_what_was_won_is_a_share_of_what_is_possible():
    found = gain([report(1.1), report(1.1, 1.2)], [report(0.7, 0.7), report(0.9)])
    assert (found.off_ms, found.on_ms) == (pytest.approx(1100), pytest.approx(700))
    assert (found.won_ms, found.possible_ms, found.share) == (
        pytest.approx(400), pytest.approx(500), pytest.approx(0.8),
    )  # fmt: skip
    assert gain([report(1.6, silence=1000)], [report(1.0, silence=1000)]).possible_ms == pytest.approx(570)
