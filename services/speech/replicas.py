"""Choosing among the replicas of one model, and telling what went wrong with one."""

import asyncio
import itertools
import math
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import grpc
import grpc.aio

from services.contracts import speech, trace
from services.speech import wire
from services.speech.errors import Reason, SpeechRejected, SpeechUnavailable

AVOID_SECONDS = 1.0
"""A replica that failed is asked last for so long."""
OUTAGE_SECONDS = 5.0
"""A replica that failed and was not asked again for so long may long be well: its next failure is another outage."""


class UtteranceUnknown(Exception):
    """The replica has forgotten the utterance, or was restarted: send its audio again."""


@dataclass(eq=False)
class Replica:
    address: str
    channel: grpc.aio.Channel
    stub: Any
    streams: int = 0
    """Streams of ours that are open on it."""
    avoided_until: float = 0.0
    failing_since: float = 0.0
    """The first failure of the outage that the last failure belongs to."""
    failed_at: float = -math.inf
    """The last failure since it answered."""
    suspect: bool = False
    """The last request to it failed; see `liveness`."""

    def open(self, traceparent: str = "") -> Any:
        """A bidirectional inference stream, part of that trace; give it to `leave` in the end."""
        self.streams += 1
        return self.stub.ModelStreamInfer(metadata=((trace.HEADER, traceparent),) if traceparent else None)

    def leave(self, call: Any) -> None:
        """Cancels the stream, so that the server frees what its requests hold."""
        self.streams -= 1
        call.cancel()

    @contextmanager
    def stream(self) -> Iterator[Any]:
        """`open` for the length of a block."""
        call = self.open()
        try:
            yield call
        finally:
            self.leave(call)


class Replicas:
    """Static addresses ("host:port"), one channel each, made in the running event loop when first needed."""

    def __init__(self, addresses: str | Iterable[str], clock: Callable[[], float] = time.monotonic) -> None:
        listed = addresses.split(",") if isinstance(addresses, str) else addresses
        self.addresses = tuple(address.strip() for address in listed if address.strip())
        if not self.addresses:
            raise ValueError("a speech client needs at least one address, host:port")
        self._clock = clock
        self._replicas: list[Replica] = []
        self._turn = itertools.count()

    def all(self) -> list[Replica]:
        if not self._replicas:
            for address in self.addresses:
                channel = wire.channel(address)
                self._replicas.append(Replica(address, channel, wire.stub(channel)))
        return list(self._replicas)

    def in_order(self) -> list[Replica]:
        """Whom to ask first: not lately failed, then fewest streams, then taking turns."""
        replicas = self.all()
        start = next(self._turn) % len(replicas)
        now = self._clock()
        turned = replicas[start:] + replicas[:start]
        return sorted(turned, key=lambda replica: (replica.avoided_until > now, replica.streams))

    def avoid(self, replica: Replica, reason: Reason) -> None:
        """It failed."""
        now = self._clock()
        replica.avoided_until = now + AVOID_SECONDS
        if reason is Reason.AT_CAPACITY:
            return
        if now - replica.failed_at > OUTAGE_SECONDS:
            replica.failing_since = now
        replica.failed_at = now

    def answered(self, replica: Replica) -> None:
        """It did what it was asked for."""
        replica.failed_at = -math.inf

    def outage(self) -> float:
        """For how many seconds all replicas have been failing; 0 while one of them is not."""
        now = self._clock()
        return min(
            now - replica.failing_since if now - replica.failed_at <= OUTAGE_SECONDS else 0.0 for replica in self.all()
        )

    async def close(self) -> None:
        for replica in self._replicas:
            await replica.channel.close()
        self._replicas = []


def explain(error: Exception, replica: Replica) -> Exception:
    """What a failed exchange with a replica means.

    SpeechUnavailable: another replica, or a later try, may do. SpeechRejected: none will. UtteranceUnknown.
    """
    place = replica.address
    if isinstance(error, wire.ModelError):
        text = str(error)
        if text.startswith(speech.UTTERANCE_UNKNOWN):
            return UtteranceUnknown(text)
        if text.startswith(speech.AT_CAPACITY):
            return SpeechUnavailable(Reason.AT_CAPACITY, f"{place} {text}")
        if text.startswith(speech.INVALID_REQUEST):
            return SpeechRejected(text)
        if text.startswith(speech.DEADLINE_EXCEEDED):
            return SpeechUnavailable(Reason.DEADLINE, f"{place} {text}")
        return SpeechUnavailable(Reason.FAILED, f"{place} {text}")
    if isinstance(error, grpc.aio.AioRpcError):
        if error.code() == grpc.StatusCode.UNAVAILABLE:
            return SpeechUnavailable(Reason.UNREACHABLE, f"{place} cannot be reached: {error.details()}")
        return SpeechUnavailable(Reason.FAILED, f"{place} answered {error.code().name}: {error.details()}")
    if isinstance(error, TimeoutError):
        return SpeechUnavailable(Reason.DEADLINE, f"{place} did not answer in time")
    if isinstance(error, asyncio.InvalidStateError):
        return SpeechUnavailable(Reason.UNREACHABLE, f"{place} has closed the stream")
    return SpeechUnavailable(Reason.FAILED, f"{place} answered what nobody can read: {error}")
