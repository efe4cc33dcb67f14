"""From raw samples to figures, and from figures to a verdict. Pure."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence

import msgspec

from loadtest.samples import Lateness, Samples, SessionSample, TurnSample, part_names
from services.launcher.bench_figures import percentile

JITTER_BUFFER_MS = 40.0
"""Of the page: a player that ran dry for longer was heard to."""
NAN = math.nan


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    first_audio_p95_ms: float = 2000.0
    failed_share: float = 0.01
    """Of the turns."""
    refused_share: float = 0.01
    """Of the sessions that were wanted; not held against a run that wants more than there is room for."""
    late_p99_ms: float = 10.0
    """A generator that is later than this has measured itself: the run is invalid."""
    refusal_ms: float | None = None
    """The slowest refusal, where there are to be some."""
    alone_within_ms: float | None = None
    """How much the p95 may be over that of the one session before the load."""


class Spread(msgspec.Struct, frozen=True, kw_only=True):
    """Milliseconds."""

    count: int
    p50: float
    p95: float
    p99: float
    max: float


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One threshold."""

    what: str
    found: str
    wanted: str
    met: bool


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    result: str
    """passed, missed or invalid."""
    checks: list[Check]
    limits: Limits
    conditions: dict[str, str]
    first_audio: Spread
    """As the client heard it."""
    first_audio_alone: Spread
    by_kind: dict[str, Spread]
    parts: dict[str, Spread]
    """By the server's names, in its order."""
    server_total: Spread
    interruption_to_silence: Spread
    opening: Spread
    """From wanting a session to having it."""
    refusal: Spread
    lateness: Spread
    turns: int
    failed_turns: int
    failures: dict[str, int]
    unfinished_turns: int
    """Waited for when the test ended; counted among the latencies where they had waited past the limit."""
    sessions: int
    refused: int
    refusals: dict[str, int]
    failed_sessions: dict[str, int]
    reconnects: int
    troubles: dict[str, int]
    underruns: int
    """Answers within which a player with the page's jitter buffer ran dry."""
    worst_gap_ms: float
    cut_off: int
    """Turns that were taken to be over before they were."""


def spread(values: Iterable[float]) -> Spread:
    known = list(values)
    p50, p95, p99 = (percentile(known, share) for share in (0.5, 0.95, 0.99))
    return Spread(count=len(known), p50=p50, p95=p95, p99=p99, max=max(known, default=NAN))


def _latencies(turns: Iterable[TurnSample], limit_ms: float) -> list[float]:
    """What was waited for first audio. A turn that the end of the test cut short counts once it is past the limit."""
    return [
        turn.latency_ms
        for turn in turns
        if turn.latency_ms is not None and (not turn.unfinished or turn.latency_ms > limit_ms)
    ]


def _own_doing(turn: TurnSample) -> bool:
    """A client that reads slowly hears late by itself, and one that was away has gaps by itself."""
    return turn.kind == "slow" or turn.away


def _counted(values: Iterable[str]) -> dict[str, int]:
    return dict(Counter(values).most_common(20))


def summarise(samples: Samples, limits: Limits, conditions: dict[str, str]) -> Summary:
    turns = [turn for turn in samples.turns if not turn.alone]
    sessions = [session for session in samples.sessions if not session.alone]
    prompt = [turn for turn in turns if turn.kind != "slow"]
    first_audio = spread(_latencies(prompt, limits.first_audio_p95_ms))
    # Its first turn has a server load what it loads on first use.
    warm = (turn for turn in samples.turns if turn.alone and turn.turn > 1)
    alone = spread(_latencies(warm, limits.first_audio_p95_ms))
    failures = [turn.failure for turn in turns if turn.failure]
    refused = [session for session in sessions if session.outcome == "refused"]
    refusal = spread(session.answer_ms or NAN for session in refused)
    lateness = Lateness(samples.late)
    late = Spread(
        count=lateness.total,
        p50=lateness.percentile_ms(0.5),
        p95=lateness.percentile_ms(0.95),
        p99=lateness.percentile_ms(0.99),
        max=lateness.percentile_ms(1.0),
    )
    checks = _checks(limits, first_audio, alone, len(failures), len(turns), sessions, refused, refusal)
    valid = Check(
        what="generator late, p99",
        found=f"{late.p99:.1f} ms",
        wanted=f"at most {limits.late_p99_ms:g} ms, or nothing else counts",
        met=late.p99 <= limits.late_p99_ms,
    )
    gaps = [turn.gap_ms for turn in turns if not _own_doing(turn)]
    result = "invalid" if not valid.met else "passed" if all(check.met for check in checks) else "missed"
    return Summary(
        result=result,
        checks=[*checks, valid],
        limits=limits,
        conditions=conditions,
        first_audio=first_audio,
        first_audio_alone=alone,
        by_kind={
            kind: spread(_latencies((turn for turn in turns if turn.kind == kind), limits.first_audio_p95_ms))
            for kind in sorted({turn.kind for turn in turns})
        },
        parts={
            name: spread(turn.parts[name] for turn in turns if name in turn.parts) for name in part_names(samples.turns)
        },
        server_total=spread(turn.server_ms for turn in turns if turn.server_ms is not None),
        interruption_to_silence=spread(turn.silent_ms for turn in turns if turn.silent_ms is not None),
        opening=spread(
            session.answer_ms for session in sessions if session.answer_ms is not None and session.outcome != "refused"
        ),
        refusal=refusal,
        lateness=late,
        turns=len(turns),
        failed_turns=len(failures),
        failures=_counted(failures),
        unfinished_turns=sum(turn.unfinished for turn in turns),
        sessions=len(sessions),
        refused=len(refused),
        refusals=_counted(session.reason for session in refused),
        failed_sessions=_counted(session.reason for session in sessions if session.outcome == "failed"),
        reconnects=sum(session.reconnects for session in sessions),
        troubles=_counted(trouble for session in sessions for trouble in session.troubles),
        underruns=sum(gap > JITTER_BUFFER_MS for gap in gaps),
        worst_gap_ms=max(gaps, default=0.0),
        cut_off=sum(turn.cuts > 0 for turn in turns),
    )


def _checks(
    limits: Limits,
    first_audio: Spread,
    alone: Spread,
    failed: int,
    turns: int,
    sessions: Sequence[SessionSample],
    refused: Sequence[SessionSample],
    refusal: Spread,
) -> list[Check]:
    """A figure that is not there meets nothing."""
    lost = [session for session in sessions if session.outcome == "failed"]
    checks = [
        Check(
            what="first audio, p95",
            found=f"{first_audio.p95:.0f} ms",
            wanted=f"under {limits.first_audio_p95_ms:g} ms",
            met=first_audio.p95 < limits.first_audio_p95_ms,
        ),
        Check(
            what="failed turns",
            found=f"{failed} of {turns}",
            wanted=f"under {limits.failed_share:.2%}",
            met=bool(turns) and (not failed or failed < limits.failed_share * turns),
        ),
        Check(
            what="failed sessions",
            found=f"{len(lost)} of {len(sessions)}",
            wanted=f"under {limits.failed_share:.2%}",
            met=bool(sessions) and (not lost or len(lost) < limits.failed_share * len(sessions)),
        ),
    ]
    if limits.refusal_ms is None:
        checks.append(
            Check(
                what="refused sessions",
                found=f"{len(refused)} of {len(sessions)}",
                wanted=f"under {limits.refused_share:.2%}",
                met=not refused or len(refused) < limits.refused_share * len(sessions),
            )
        )
    else:
        checks.append(
            Check(
                what="slowest refusal",
                found=f"{refusal.max:.0f} ms of {refusal.count}",
                wanted=f"within {limits.refusal_ms:g} ms",
                met=refusal.max <= limits.refusal_ms,
            )
        )
    if limits.alone_within_ms is not None:
        over = first_audio.p95 - alone.p95
        checks.append(
            Check(
                what="p95 over that of one session alone",
                found=f"{over:.0f} ms ({first_audio.p95:.0f} and {alone.p95:.0f})",
                wanted=f"within {limits.alone_within_ms:g} ms",
                met=over <= limits.alone_within_ms,
            )
        )
    return checks
