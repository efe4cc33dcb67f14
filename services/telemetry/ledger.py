"""A turn's ledger: the named moments it passed, and the parts between them. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from services.contracts.moments import NETWORK, PARTS, Moment, Owner, Part

_LONGEST_MS = 600_000.0
_OUTSIDE = frozenset(
    {Moment.CAPTURED, Moment.EDGE_HEARD, Moment.EDGE_TOOK, Moment.EDGE_SENT, Moment.RECEIVED, Moment.PLAYED}
)
"""Moments that another clock than the worker's has seen."""
_WORKER = tuple(part for part in PARTS if not _OUTSIDE & {part[2], part[3]})
_NAMES: dict[tuple[Moment, Moment], tuple[str, Owner]] = {
    (start, end): (name, owner) for name, owner, start, end in PARTS
}


@dataclass(frozen=True)
class Ledger:
    spoken: bool = False
    client_end_ms: float = 0.0
    """When the user's speech ended (or the message was typed) on the client's clock, ms since 1970; 0: unknown."""
    moments: Mapping[Moment, float] = field(default_factory=lambda: MappingProxyType({}))
    """Seconds on the worker's clock; what the edge has seen, as well as its clock is known."""

    def stamp(self, moment: Moment, at: float) -> "Ledger":
        """The ledger with this moment; the first stamp of a moment counts."""
        if moment in self.moments:
            return self
        return Ledger(self.spoken, self.client_end_ms, MappingProxyType({**self.moments, moment: at}))


@dataclass(frozen=True)
class Heard:
    """What the client says of the first sample of an answer, on its own clock in ms since 1970."""

    received_ms: float
    """Its frame arrived."""
    played_ms: float
    """It left the player."""
    server_ahead_ms: float | None = None
    """So much the worker's clock is ahead of the client's, as far as the client knows."""


def parts(ledger: Ledger, heard: Heard) -> tuple[float, list[Part]]:
    """The time from the end of the user's speech to the first sample played, and its parts, in ms.

    The whole is measured on the client's clock alone and the worker's parts on the worker's alone. What is left are
    the ways there and back. They are divided by the edge's moments and by what is known of how far the clocks are
    apart; an error in that moves time from one way to another and changes neither the whole nor the worker's parts.
    The parts sum to the whole exactly. Where the edge said nothing, or the client does not know the server's clock,
    a part "network" stands for the ways that cannot be told apart. A client without a usable clock gets what the
    worker, the edge and the player know.
    """
    at = ledger.moments
    inside = [
        Part(name=name, owner=owner, ms=(at[end] - at[start]) * 1000)
        for name, owner, start, end in _WORKER
        if start in at and end in at
    ]
    player = max(0.0, heard.played_ms - heard.received_ms)
    known = sum(part.ms for part in inside) + player
    relayed = _relayed(ledger)
    total = heard.played_ms - ledger.client_end_ms
    usable = ledger.client_end_ms > 0 and 0 < total < _LONGEST_MS and player < total
    if not usable:
        total = known + sum(relayed or ())
    ways = total - known
    last = _part(Moment.RECEIVED, Moment.PLAYED, player)
    if relayed is None or ways < 0:
        return total, [*inside, Part(name=NETWORK, owner="network", ms=ways), last]

    share = min(1.0, ways / sum(relayed)) if any(relayed) else 1.0
    up, down, edge = (share * each for each in relayed)
    client = max(0.0, ways - up - down - edge)
    bus = [_part(Moment.EDGE_HEARD, Moment.SPEECH_ENDED, up), *inside]
    bus += [_part(Moment.AUDIO_SENT, Moment.EDGE_TOOK, down), _part(Moment.EDGE_TOOK, Moment.EDGE_SENT, edge)]
    if heard.server_ahead_ms is None or not usable:
        return total, [*bus, Part(name=NETWORK, owner="network", ms=client), last]
    captured_ms = ledger.client_end_ms + heard.server_ahead_ms
    there = min(max(0.0, at[Moment.EDGE_HEARD] * 1000 - captured_ms), client)
    return total, [
        _part(Moment.CAPTURED, Moment.EDGE_HEARD, there),
        *bus,
        _part(Moment.EDGE_SENT, Moment.RECEIVED, client - there),
        last,
    ]


def _relayed(ledger: Ledger) -> tuple[float, float, float] | None:
    """Edge to worker, worker to edge, and within the edge on the way back, in ms; None where it is not known."""
    at = ledger.moments
    arrived = at.get(Moment.SPEECH_ENDED if ledger.spoken else Moment.TURN_ENDED)
    if arrived is None or not {Moment.EDGE_HEARD, Moment.AUDIO_SENT, Moment.EDGE_TOOK, Moment.EDGE_SENT} <= at.keys():
        return None
    ways = (
        arrived - at[Moment.EDGE_HEARD],
        at[Moment.EDGE_TOOK] - at[Moment.AUDIO_SENT],
        at[Moment.EDGE_SENT] - at[Moment.EDGE_TOOK],
    )
    up, down, edge = (max(0.0, seconds) * 1000 for seconds in ways)
    return up, down, edge


def _part(start: Moment, end: Moment, ms: float) -> Part:
    name, owner = _NAMES[start, end]
    return Part(name=name, owner=owner, ms=ms)
