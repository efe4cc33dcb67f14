"""Asking one replica after the other, for a bounded time."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from services.speech.errors import Reason, SpeechUnavailable
from services.speech.replicas import Replica, Replicas

PATIENCE_SECONDS = 3.0
"""How long a request goes on asking around. An embedded server is back from a crash within this."""
_ROUND_PAUSE_SECONDS = 0.1

ResultT = TypeVar("ResultT")


@dataclass(frozen=True)
class Patience:
    """How long a request goes on asking around, in seconds."""

    seconds: float = PATIENCE_SECONDS
    """While a replica is full or nothing listens there, as in a restart."""
    broken_seconds: float = PATIENCE_SECONDS
    """While servers answer and their model cannot: that ends with a restart, which takes longer to begin."""
    of_outage: bool = False
    """Both count from the first failure of an outage, whichever request met it: who comes later waits only for the
    rest. A request is tried once in any case."""

    def left(self, reasons: set[Reason], asking: float, outage: float) -> float:
        """How much of it is left after a round that failed for `reasons`, `asking` seconds after the request began and
        `outage` seconds after a replica last answered."""
        if Reason.AT_CAPACITY in reasons:
            return self.seconds - asking
        spent = max(asking, outage) if self.of_outage else asking
        return (self.seconds if Reason.UNREACHABLE in reasons else self.broken_seconds) - spent


async def ask_around(
    replicas: Replicas, ask: Callable[[Replica], Awaitable[ResultT]], patience: Patience = Patience()
) -> ResultT:
    """`ask` the replicas in turn until one does not raise SpeechUnavailable.

    Goes round again, with short pauses, until the patience is over; then raises the last failure.
    """
    loop = asyncio.get_running_loop()
    began = loop.time()
    while True:
        last: SpeechUnavailable | None = None
        reasons: set[Reason] = set()
        for replica in replicas.in_order():
            try:
                result = await ask(replica)
            except SpeechUnavailable as error:
                replicas.avoid(replica, error.reason)
                reasons.add(error.reason)
                last = error
            else:
                replicas.answered(replica)
                return result
        left = patience.left(reasons, loop.time() - began, replicas.outage())
        if last is not None and left <= _ROUND_PAUSE_SECONDS:
            raise last
        await asyncio.sleep(_ROUND_PAUSE_SECONDS)
