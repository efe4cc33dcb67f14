"""How far the workers' clocks are ahead of this edge's: each is asked for its time now and then."""

import asyncio

import msgspec

from services.contracts import subjects
from services.contracts.assignment import CLOCK_SECONDS, ClockReply
from services.edge.bus import Bus, NoResponder, Unavailable
from services.edge.workers import Roster
from services.telemetry.clocks import Clock, ClockOffset

REPLY_SECONDS = 1.0
_LOOK_SECONDS = 0.25
_decoder = msgspec.json.Decoder(ClockReply)


class Timekeeper:
    """`clock`: monotonic, the roster's. `wall`: seconds since 1970 that never jump."""

    def __init__(self, bus: Bus, roster: Roster, clock: Clock, wall: Clock) -> None:
        self._bus = bus
        self._roster = roster
        self._clock = clock
        self._wall = wall
        self._offsets: dict[str, ClockOffset] = {}
        self._asked: dict[str, float] = {}

    def ahead(self, wid: str) -> float | None:
        """That worker's clock less ours, in seconds; None while it is not known."""
        known = self._offsets.get(wid)
        best = known.best if known else None
        return best.ahead if best else None

    async def run(self) -> None:
        """Asks whoever is there, newcomers at once and everybody every CLOCK_SECONDS. Never returns."""
        while True:
            now = self._clock()
            there = set(self._roster.there(now))
            for gone in self._asked.keys() - there:
                del self._asked[gone]
                self._offsets.pop(gone, None)
            due = [wid for wid in there if now - self._asked.get(wid, -CLOCK_SECONDS) >= CLOCK_SECONDS]
            await asyncio.gather(*(self._ask(wid) for wid in due))
            await asyncio.sleep(_LOOK_SECONDS)

    async def _ask(self, wid: str) -> None:
        self._asked[wid] = self._clock()
        sent = self._wall()
        try:
            reply = _decoder.decode(await self._bus.request(subjects.clock(wid), b"", REPLY_SECONDS))
        except (NoResponder, Unavailable, msgspec.DecodeError):
            return  # it is on its way out or in, or too busy to be a good clock; it is asked again
        offset = self._offsets.setdefault(wid, ClockOffset())
        offset.exchanged(sent, reply.took_us / 1e6, reply.answered_us / 1e6, self._wall())
