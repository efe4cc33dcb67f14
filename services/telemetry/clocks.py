"""Our clock, and how far another machine's is ahead of it, from questions that the other answers with its time.

As in NTP (RFC 5905, section 8): a question leaves at `sent` and its answer comes at `received`, both on our clock; the
other took the question at `took` and answered at `answered` on its own. If both ways take equally long, the offset is
exact; it is wrong by half the round trip at most. The quickest of the last few exchanges is the best witness.
"""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

Clock = Callable[[], float]

KEPT = 8
"""Exchanges. At one in 10 s a drift of 20 ppm, which is a common one, adds up to 1.6 ms over them."""


def steady_clock() -> Clock:
    """Seconds since 1970 that never jump: it starts at the wall clock's time and then follows the monotonic one."""
    offset = time.time() - time.monotonic()
    return lambda: offset + time.monotonic()


@dataclass(frozen=True, slots=True)
class Offset:
    """Seconds."""

    ahead: float
    """The other's clock less ours."""
    error: float
    """At most so much is it wrong."""


class ClockOffset:
    def __init__(self) -> None:
        self._exchanges: deque[Offset] = deque(maxlen=KEPT)

    def exchanged(self, sent: float, took: float, answered: float, received: float) -> None:
        """One question and its answer. An exchange in which time ran backwards says nothing."""
        away = (received - sent) - (answered - took)
        if away >= 0 and answered >= took:
            self._exchanges.append(Offset(((took - sent) + (answered - received)) / 2, away / 2))

    @property
    def best(self) -> Offset | None:
        """None before the first exchange."""
        return min(self._exchanges, key=lambda each: each.error, default=None)
