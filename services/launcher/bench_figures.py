"""From what the load test's client reports to the figures that a table shows. Pure."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least this share of the values does not exceed; not a number when there is none."""
    if not values:
        return math.nan
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, -(-int(len(ordered) * share * 1000) // 1000) - 1))]


@dataclass(frozen=True)
class Figures:
    """Of one run. Latencies in milliseconds over the known parts."""

    sessions: int
    turns: int
    p50: float
    p95: float
    largest: float
    known_ms: float
    paused: int
    """Turns with a pause for thought inside."""
    cut_off: int
    """Turns that were taken to be over before they were."""
    cut_off_heard: int
    """Of those, answered aloud into the user's words."""
    failures: Sequence[str]
    gap_ms: float
    """The worst of all sessions."""
    late_p99_ms: float
    """How late the client sent its frames."""
    client_cpu: float
    """Cores."""


def figures(report: Mapping[str, Any]) -> Figures:
    turns = [turn for session in report["sessions"] for turn in session["turns"]]
    known = sum(report["known_ms"].values())
    over = [turn["latency_s"] * 1000 - known for turn in turns if turn["latency_s"] is not None]
    failures = [turn["failure"] for turn in turns if turn["failure"]]
    failures += [trouble for session in report["sessions"] for trouble in session["troubles"]]
    failures += [f"connection: {why}" for why in report["ended"]]
    return Figures(
        sessions=len(report["sessions"]),
        turns=len(turns),
        p50=percentile(over, 0.5),
        p95=percentile(over, 0.95),
        largest=max(over, default=math.nan),
        known_ms=known,
        paused=sum(turn["pause_s"] > 0 for turn in turns),
        cut_off=sum(turn["cuts"] > 0 or turn["cut_heard"] for turn in turns),
        cut_off_heard=sum(turn["cut_heard"] for turn in turns),
        failures=failures,
        gap_ms=max((turn["gap_s"] * 1000 for turn in turns), default=0.0),
        late_p99_ms=report["late_p99_s"] * 1000,
        client_cpu=report["cpu"],
    )


def merged(reports: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """Several runs of the same load as one report."""
    return {
        **reports[0],
        "sessions": [session for report in reports for session in report["sessions"]],
        "ended": [why for report in reports for why in report["ended"]],
        "late_p99_s": max(report["late_p99_s"] for report in reports),
        "cpu": max(report["cpu"] for report in reports),
    }


def largest_within(runs: Sequence[Figures], allowed_ms: float) -> int:
    """The most sessions, in ascending order of runs, whose p95 stays within so much of the first run's; 0: none."""
    found = 0
    for run in runs:
        if run.failures or not run.p95 <= runs[0].p95 + allowed_ms:
            break
        found = run.sessions
    return found


def parts_said(known_ms: Mapping[str, float]) -> str:
    """The known parts as a sum."""
    return " + ".join(f"{name} {ms:g}" for name, ms in known_ms.items()) + f" = {sum(known_ms.values()):g} ms"
