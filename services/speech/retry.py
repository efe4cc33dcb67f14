"""Asking one replica after the other, for a bounded time."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from services.speech.errors import SpeechUnavailable
from services.speech.replicas import Replica, Replicas

PATIENCE_SECONDS = 3.0
"""How long a request goes on asking around. An embedded server is back from a crash within this."""
_ROUND_PAUSE_SECONDS = 0.1

ResultT = TypeVar("ResultT")


async def ask_around(
    replicas: Replicas, ask: Callable[[Replica], Awaitable[ResultT]], patience: float = PATIENCE_SECONDS
) -> ResultT:
    """`ask` the replicas in turn until one does not raise SpeechUnavailable.

    Goes round again, with short pauses, until `patience` seconds have passed; then raises the last failure.
    """
    loop = asyncio.get_running_loop()
    until = loop.time() + patience
    while True:
        last: SpeechUnavailable | None = None
        for replica in replicas.in_order():
            try:
                return await ask(replica)
            except SpeechUnavailable as error:
                replicas.avoid(replica)
                last = error
        if last is not None and loop.time() + _ROUND_PAUSE_SECONDS >= until:
            raise last
        await asyncio.sleep(_ROUND_PAUSE_SECONDS)
