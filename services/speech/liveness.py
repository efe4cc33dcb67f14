"""Telling a model that is slow from one that is dead.

A model whose process was killed answers nothing, and Triton in front of it says so only after ten seconds. A model
under load answers late, but answers what costs it nothing at once; so who waits for long asks that.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from services.speech.errors import Reason, SpeechUnavailable
from services.speech.replicas import Replica

LIFELESS_SECONDS = 3.0
"""A replica that answers nothing at all for so long is dead. For two thirds of it a simple question waits: a model that
has every processor busy answers it in some tenths of a second."""

ResultT = TypeVar("ResultT")
Ping = Callable[[Replica], Awaitable[object]]
"""Returns when the model has answered a question that costs nothing. Raises what the clients raise."""


async def watched(
    replica: Replica, exchange: Coroutine[Any, Any, ResultT], ping: Ping, lifeless: float = LIFELESS_SECONDS
) -> ResultT:
    """What `exchange` with the replica gives, however late, while it answers a `ping` now and then.

    Raises SpeechUnavailable when it answers neither. A replica that has failed is looked at before it is asked again.
    """
    try:
        result = await _while_alive(replica, exchange, ping, lifeless)
    except SpeechUnavailable as error:
        replica.suspect = error.reason is not Reason.AT_CAPACITY
        raise
    replica.suspect = False
    return result


async def glance(replica: Replica, ping: Ping, lifeless: float = LIFELESS_SECONDS) -> None:
    """Raises SpeechUnavailable when a replica that has failed answers nothing yet. Costs nothing with any other."""
    if replica.suspect and not await _answers(replica, ping, lifeless / 6):
        raise _silent(replica)


async def _while_alive(
    replica: Replica, exchange: Coroutine[Any, Any, ResultT], ping: Ping, lifeless: float
) -> ResultT:
    asked = asyncio.create_task(exchange)
    try:
        while not (await asyncio.wait([asked], timeout=lifeless / 3))[0]:
            pinged = asyncio.create_task(_answers(replica, ping, lifeless * 2 / 3))
            try:
                await asyncio.wait([asked, pinged], return_when=asyncio.FIRST_COMPLETED)
                if not asked.done() and not pinged.result():
                    raise _silent(replica)
            finally:
                pinged.cancel()
        return asked.result()
    finally:
        asked.cancel()


async def _answers(replica: Replica, ping: Ping, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            await ping(replica)
    except TimeoutError:
        return False
    except SpeechUnavailable as error:
        # "No room" is an answer of the model. "Not healthy" is what Triton says of one whose process is gone.
        return error.reason is Reason.AT_CAPACITY
    except Exception:
        return True
    return True


def _silent(replica: Replica) -> SpeechUnavailable:
    return SpeechUnavailable(Reason.UNREACHABLE, f"{replica.address} takes requests and answers none")
