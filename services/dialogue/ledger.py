"""A turn's ledger: the named moments it passed, and the parts between them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from services.contracts.moments import PARTS, Moment, Part

_LONGEST_MS = 600_000.0


@dataclass(frozen=True)
class Ledger:
    spoken: bool = False
    client_end_ms: float = 0.0
    """When the user's speech ended (or the message was typed) on the client's clock, ms since 1970; 0: unknown."""
    moments: Mapping[Moment, float] = field(default_factory=lambda: MappingProxyType({}))
    """Seconds on the worker's clock."""

    def stamp(self, moment: Moment, at: float) -> "Ledger":
        """The ledger with this moment; the first stamp of a moment counts."""
        if moment in self.moments:
            return self
        return Ledger(self.spoken, self.client_end_ms, MappingProxyType({**self.moments, moment: at}))


def parts(ledger: Ledger, received_ms: float, started_ms: float) -> tuple[float, list[Part]]:
    """The time from the end of the user's speech to the first sample played, and its parts, in ms.

    `received_ms` and `started_ms` are the client's: arrival of the first audio frame, first sample out of
    the player. The whole is measured on the client's clock alone and the worker's parts on the worker's
    alone, so no clock is compared with another: what is left of the whole is the network. The parts sum
    to the whole exactly. A client without a usable clock gets the worker's and the player's parts.
    """
    found: list[Part] = []
    for name, owner, start, end in PARTS:
        if start in ledger.moments and end in ledger.moments:
            found.append(Part(name=name, owner=owner, ms=(ledger.moments[end] - ledger.moments[start]) * 1000))
    player = max(0.0, started_ms - received_ms)
    worker = sum(part.ms for part in found)
    total = started_ms - ledger.client_end_ms
    if not (ledger.client_end_ms and 0 < total < _LONGEST_MS and player < total):
        total = worker + player
    found.append(Part(name="network", owner="network", ms=total - worker - player))
    found.append(Part(name="player", owner="player", ms=player))
    return total, found
