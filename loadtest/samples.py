"""The load test's raw samples: one a turn, one a session, and how late the generator was. Plain data.

Locust rounds response times (to 100 ms above a second), so what is decided is decided by these. Workers send theirs to
the master as they are.
"""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from loadtest.talking import Turn
from loadtest.wires import SAMPLE_RATE

TENTHS_MS = 10
"""Lateness is counted in tenths of a millisecond."""


class TurnSample(msgspec.Struct, frozen=True, kw_only=True):
    """What came of one thing said or typed."""

    session: str
    turn: int
    kind: str
    """Of the user; see `people`."""
    alone: bool = False
    """Measured before the load came."""
    ended_at: float
    """When the last speech sample was due, or the message was sent: seconds since 1970."""
    latency_ms: float | None
    """From then to the first audio, as the client heard it; where none came, how long it was waited for."""
    server_ms: float | None = None
    """The same as the server counts it; its parts sum to it."""
    prepared_ms: float = 0.0
    parts: dict[str, float] = {}
    gap_ms: float = 0.0
    """The longest time that a player without jitter buffer ran dry within the answer."""
    audio_s: float = 0.0
    """Of the answer."""
    cuts: int = 0
    """How often the turn was taken to be over before it was."""
    silent_ms: float | None = None
    """With an interruption: from its first sound until the answer was silent."""
    away: bool = False
    unfinished: bool = False
    failure: str = ""
    trace_id: str = ""


class SessionSample(msgspec.Struct, frozen=True, kw_only=True):
    """What came of one session that somebody wanted."""

    session: str
    kind: str
    alone: bool = False
    at: float
    """When it was wanted: seconds since 1970."""
    until: float
    outcome: str
    """done, stopped (by the end of the test), refused or failed."""
    reason: str = ""
    """The error's code with a refusal; what went wrong with a failure."""
    answer_ms: float | None = None
    """From when it was wanted to `ready` or the refusal."""
    turns: int = 0
    reconnects: int = 0
    troubles: list[str] = []


class Lateness:
    """How late frames were sent, counted by tenths of a millisecond, so that millions take no room and add up."""

    def __init__(self, counts: Mapping[int, int] | None = None) -> None:
        self.counts: dict[int, int] = dict(counts or {})

    def add(self, seconds: float) -> None:
        bucket = max(0, int(seconds * 1000 * TENTHS_MS))
        self.counts[bucket] = self.counts.get(bucket, 0) + 1

    def merge(self, counts: Mapping[int, int]) -> None:
        for bucket, count in counts.items():
            self.counts[bucket] = self.counts.get(bucket, 0) + count

    @property
    def total(self) -> int:
        return sum(self.counts.values())

    def percentile_ms(self, share: float) -> float:
        """The upper end of the tenth in which it lies; 0 when nothing was counted."""
        needed, seen = share * self.total, 0
        for bucket in sorted(self.counts):
            seen += self.counts[bucket]
            if seen >= needed:
                return (bucket + 1) / TENTHS_MS
        return 0.0


class Samples(msgspec.Struct):
    """Of one process, or of all together."""

    turns: list[TurnSample] = []
    sessions: list[SessionSample] = []
    late: dict[int, int] = {}
    """As `Lateness.counts`."""

    def merge(self, other: "Samples") -> None:
        self.turns.extend(other.turns)
        self.sessions.extend(other.sessions)
        lateness = Lateness(self.late)
        lateness.merge(other.late)
        self.late = lateness.counts


def pack(samples: Samples) -> bytes:
    """For the way from a worker to its master."""
    return msgspec.msgpack.encode(samples)


def unpack(packed: bytes) -> Samples:
    """Raises msgspec.DecodeError, ValidationError."""
    return msgspec.msgpack.decode(packed, type=Samples)


def turn_sample(turn: Turn, number: int, session: str, kind: str, alone: bool) -> TurnSample:
    def ms(seconds: float | None) -> float | None:
        return None if seconds is None else round(seconds * 1000, 3)

    return TurnSample(
        session=session,
        turn=number,
        kind=kind,
        alone=alone,
        ended_at=round(turn.ended_at, 6),
        latency_ms=ms(turn.latency_s),
        server_ms=turn.total_ms or None,
        prepared_ms=turn.prepared_ms,
        parts=turn.parts,
        gap_ms=ms(turn.gap_s) or 0.0,
        audio_s=turn.samples / SAMPLE_RATE,
        cuts=turn.cuts,
        silent_ms=ms(turn.silent_s),
        away=turn.away,
        unfinished=turn.unfinished,
        failure=turn.failure,
        trace_id=turn.trace,
    )


def part_names(turns: Iterable[TurnSample]) -> list[str]:
    """The hops that the server named, in the order in which they first came."""
    return list(dict.fromkeys(name for turn in turns for name in turn.parts))


def turns_csv(turns: Sequence[TurnSample]) -> str:
    """One row a turn; a column for each part that any of them has."""
    parts = part_names(turns)
    columns = [name for name in TurnSample.__struct_fields__ if name != "parts"]
    rows = [
        [_cell(getattr(turn, name)) for name in columns] + [turn.parts.get(part) for part in parts] for turn in turns
    ]
    return _csv([*columns, *(f"part: {part}" for part in parts)], rows)


def sessions_csv(sessions: Sequence[SessionSample]) -> str:
    columns = list(SessionSample.__struct_fields__)
    return _csv(columns, [[_cell(getattr(session, name)) for name in columns] for session in sessions])


def _cell(value: object) -> object:
    if isinstance(value, bool):
        return int(value)
    return "; ".join(value) if isinstance(value, list) else value


def _csv(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return text.getvalue()
