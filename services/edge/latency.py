"""Where the time of the fleet's last turns went, from what workers tell every edge. Pure: the time is passed in."""

import math
from collections import deque
from collections.abc import Sequence

import msgspec

from services.contracts.moments import Part
from services.contracts.turns import MeasuredTurn

KEPT = 1000
"""Turns; some 2 KB each."""
TARGET_MS = 2000.0
MAX_PARTS = 40
SLOWEST = 10
FRESH_SECONDS = 1.0
"""A view is made anew so often at most: whoever asks more often gets the same one, and costs next to nothing."""


class Spread(msgspec.Struct, frozen=True):
    """Percentiles in ms, each the time of a turn that there was (nearest rank)."""

    count: int
    p50: float
    p95: float
    p99: float
    max: float


class Hop(msgspec.Struct, frozen=True):
    name: str
    owner: str
    spread: Spread
    dominated: int
    """Turns in which it took longer than any other."""


class Example(msgspec.Struct, frozen=True):
    """One turn."""

    at: float
    total_ms: float
    spoken: bool
    parts: list[Part]
    slowest: str
    """Its longest part."""
    trace_id: str


class View(msgspec.Struct, frozen=True):
    at: float
    target_ms: float
    late: int
    """Turns over the target."""
    total: Spread | None
    """None: there was no turn yet."""
    hops: list[Hop]
    """In the order in which a turn passes them."""
    median: Example | None
    p95: Example | None
    """The turns at these ranks, whose parts sum to their totals, as percentiles of parts do not."""
    slowest: list[Example]


class Turns:
    """The last KEPT turns, in memory only."""

    def __init__(self, kept: int = KEPT) -> None:
        self._turns: deque[MeasuredTurn] = deque(maxlen=kept)
        self._view: bytes = b""
        self._made_at = -math.inf

    def add(self, turn: MeasuredTurn) -> None:
        if turn.parts and len(turn.parts) <= MAX_PARTS and math.isfinite(turn.total_ms):
            self._turns.append(turn)

    def encoded(self, now: float, wall: float) -> bytes:
        """The view as JSON. `now` is of any one clock in seconds, `wall` is seconds since 1970."""
        if now - self._made_at >= FRESH_SECONDS:
            self._view, self._made_at = msgspec.json.encode(view(list(self._turns), wall)), now
        return self._view


def view(turns: Sequence[MeasuredTurn], wall: float) -> View:
    ranked = sorted(turns, key=lambda turn: turn.total_ms)
    if not ranked:
        return View(wall, TARGET_MS, 0, None, [], None, None, [])
    return View(
        at=wall,
        target_ms=TARGET_MS,
        late=sum(turn.total_ms > TARGET_MS for turn in ranked),
        total=_spread([turn.total_ms for turn in ranked]),
        hops=_hops(turns),
        median=_example(ranked[_rank(len(ranked), 0.5)]),
        p95=_example(ranked[_rank(len(ranked), 0.95)]),
        slowest=[_example(turn) for turn in reversed(ranked[-SLOWEST:])],
    )


def order(turns: Sequence[MeasuredTurn]) -> list[str]:
    """The names of all parts, in an order that agrees with that of every turn.

    Not all turns pass all parts: a typed one has no end of speech. A name that was not met yet has its place behind
    the one that it follows.
    """
    names: list[str] = []
    for turn in turns:
        place = 0
        for part in turn.parts:
            if part.name in names:
                place = names.index(part.name) + 1
            else:
                names.insert(place, part.name)
                place += 1
    return names


def _hops(turns: Sequence[MeasuredTurn]) -> list[Hop]:
    times: dict[str, list[float]] = {}
    owners: dict[str, str] = {}
    dominated: dict[str, int] = {}
    for turn in turns:
        for part in turn.parts:
            times.setdefault(part.name, []).append(part.ms)
            owners[part.name] = part.owner
        slowest = _slowest(turn)
        dominated[slowest] = dominated.get(slowest, 0) + 1
    return [Hop(name, owners[name], _spread(sorted(times[name])), dominated.get(name, 0)) for name in order(turns)]


def _spread(ranked: list[float]) -> Spread:
    p50, p95, p99 = (ranked[_rank(len(ranked), share)] for share in (0.5, 0.95, 0.99))
    return Spread(len(ranked), *(round(ms, 2) for ms in (p50, p95, p99, ranked[-1])))


def _rank(count: int, share: float) -> int:
    return max(0, math.ceil(share * count) - 1)


def _slowest(turn: MeasuredTurn) -> str:
    return max(turn.parts, key=lambda part: part.ms).name


def _example(turn: MeasuredTurn) -> Example:
    return Example(turn.at, turn.total_ms, turn.spoken, turn.parts, _slowest(turn), turn.trace_id)
