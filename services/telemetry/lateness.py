"""How late a process's event loop is: the one figure that every session of it feels."""

import asyncio

from services.telemetry import metrics

_EVERY_SECONDS = 0.1


async def watch() -> None:
    """Wakes ten times a second and notes how much too late, for ever."""
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + _EVERY_SECONDS
        await asyncio.sleep(_EVERY_SECONDS)
        metrics.LOOP_LATE.observe(max(0.0, loop.time() - due))
