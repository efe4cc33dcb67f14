"""One utterance on its way to a recognition model.

Requests go one at a time: while one is under way, new samples gather and travel with the next. That keeps
their order, bounds what is in flight, and makes a lost replica simple: nothing is half sent.
The stream keeps the utterance's audio, so that another replica can be given all of it.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import grpc.aio
import msgspec
import numpy as np
from numpy.typing import NDArray

from services.contracts.audio import UPLINK
from services.contracts.speech import RecognitionOptions, RecognitionResult
from services.speech import liveness, wire
from services.speech.errors import Reason, SpeechError, SpeechUnavailable
from services.speech.measuring import RecognitionMeasures
from services.speech.replicas import Replica, Replicas, UtteranceUnknown, explain
from services.speech.retry import Patience, ask_around

MAX_SAMPLES = 60 * UPLINK.sample_rate
"""An utterance's audio is kept up to a minute; the models take no more either."""
MAX_ASKED = 8
_FAREWELL_SECONDS = 1.0
_RETRY_APPEND_SECONDS = 0.25
AHEAD_SAMPLES = UPLINK.sample_rate // 10
"""So much audio gathers before it is sent ahead of a question: a request for every frame would cost more than the
recognition of its 20 ms."""


@dataclass(frozen=True)
class StreamOptions:
    model: str
    deadline: float
    """Seconds that a partial or a final may take altogether."""
    patience: float
    """Seconds from its request on for which other replicas are asked, or the same again, for the transcript that ends
    the utterance. For anything else each is asked once: the audio is kept, and the next question comes soon."""
    lifeless: float
    """Seconds after which a replica that answers nothing at all is given up."""
    template: RecognitionOptions
    """`utterance`, language, prompt and word times of every request."""
    measures: RecognitionMeasures
    traceparent: str = ""
    """What the requests are part of."""


@dataclass
class _Asked:
    options: RecognitionOptions
    samples: int
    """It is about so many samples from the start, whatever was appended after it was asked."""
    answer: "asyncio.Future[RecognitionResult]"
    retried_until: float
    due: float


class _Connection:
    """The utterance's gRPC stream on one replica."""

    def __init__(self, replica: Replica, traceparent: str) -> None:
        self.replica = replica
        self._traceparent = traceparent
        self.sent = 0
        self.started = False
        """Whether a first request was answered, so that the replica knows the utterance."""
        self._call: Any = None

    async def exchange(self, request: Any) -> RecognitionResult | None:
        """Send one request and read until its end. Raises what `explain` makes of a failure."""
        if self._call is None:
            self._call = self.replica.open(self._traceparent)
        return await _exchange(self._call, self.replica, request)

    def leave(self) -> None:
        call, self._call = self._call, None
        if call is not None:
            self.replica.leave(call)


async def _exchange(call: Any, replica: Replica, request: Any) -> RecognitionResult | None:
    result: RecognitionResult | None = None
    try:
        await call.write(request)
        while True:
            response = await call.read()
            if response is wire.EOF:
                raise SpeechUnavailable(Reason.UNREACHABLE, f"{replica.address} ended the utterance's stream")
            found = wire.outputs(response)
            if "RESULT" in found:
                result = msgspec.json.decode(found["RESULT"], type=RecognitionResult)
            if wire.is_final(response):
                return result
    except (wire.ModelError, grpc.aio.AioRpcError, asyncio.InvalidStateError, msgspec.DecodeError) as error:
        raise explain(error, replica) from error


class RecognitionStream:
    """Made by `Recogniser.open`. Use it from the event loop only."""

    def __init__(
        self, replicas: Replicas, options: StreamOptions, on_closed: Callable[["RecognitionStream"], None]
    ) -> None:
        self._replicas = replicas
        self._options = options
        self._on_closed = on_closed
        self._audio: list[NDArray[np.float32]] = []
        self._total = 0
        self._asked: deque[_Asked] = deque()
        self._wake = asyncio.Event()
        self._pump: asyncio.Task[None] | None = None
        self._connection: _Connection | None = None
        self._last_final: tuple[int, RecognitionResult] | None = None
        """How many samples the last transcript covers, and the transcript."""
        self._holder: Replica | None = None
        """The replica that may hold a slot for the utterance."""
        self._busy = 0.0
        """Seconds that the requests so far took."""
        self._closed = False

    def append(self, samples: NDArray[np.float32]) -> bool:
        """Take float32 [n] at 16 kHz; returns at once. False: the utterance is full or over, and took nothing."""
        if self._closed or self._total + len(samples) > MAX_SAMPLES:
            return False
        self._audio.append(np.array(samples, np.float32))
        self._total += len(samples)
        self._start()
        return True

    async def partial(self) -> RecognitionResult:
        """What is recognised of the samples so far. Raises SpeechUnavailable, SpeechRejected."""
        return await self._ask("partial", speculative=False)

    async def final(self, speculative: bool = False) -> RecognitionResult:
        """The transcript of the samples so far.

        `speculative`: the user may go on, and further samples may follow. Otherwise the utterance is over and
        its slot free; what was asked for speculatively about the same samples is the answer then, at once.
        Raises SpeechUnavailable, SpeechRejected.
        """
        known = self._last_final
        if not (speculative or self._closed or self._asked) and known and known[0] == self._total:
            self._closed = True
            self._start()
            return known[1]
        return await self._ask("final", speculative)

    def abandon(self) -> None:
        """Nobody wants the rest; the model forgets the utterance. Returns at once; harmless after the end."""
        if not self._closed:
            self._closed = True
            if self._pump is None:
                self._on_closed(self)
            else:
                self._pump.cancel()

    async def wait_closed(self) -> None:
        """Until the replica has been told; for shutting down."""
        if self._pump is not None:
            await asyncio.wait([self._pump])

    async def _ask(self, kind: Any, speculative: bool) -> RecognitionResult:
        if self._closed:
            raise RuntimeError("the utterance is over")
        if len(self._asked) >= MAX_ASKED:
            raise RuntimeError(f"{MAX_ASKED} answers of one utterance are awaited already")
        loop = asyncio.get_running_loop()
        deadline = self._options.deadline
        options = msgspec.structs.replace(
            self._options.template, kind=kind, speculative=speculative, deadline_ms=round(deadline * 1000)
        )
        now = loop.time()
        patience = self._options.patience if kind == "final" and not speculative else 0.0
        asked = _Asked(options, self._total, loop.create_future(), now + patience, now + deadline)
        self._asked.append(asked)
        self._start()
        try:
            result = await self._answered(asked)
        except SpeechError as error:
            if kind == "final":
                self._options.measures.failed(error)
            raise
        if kind == "final":
            self._options.measures.transcribed(loop.time() - asked.due + deadline)
        return result

    async def _answered(self, asked: _Asked) -> RecognitionResult:
        try:
            async with asyncio.timeout_at(asked.due):
                return await asked.answer
        except TimeoutError as error:
            message = f"no {asked.options.kind} of {self._options.model} within {self._options.deadline:.0f} s"
            raise SpeechUnavailable(Reason.DEADLINE, message) from error

    def _start(self) -> None:
        """Wake the pump; begin it with the first need, so that opening a stream costs nothing."""
        self._wake.set()
        if self._pump is None:
            self._pump = asyncio.create_task(self._run(), name=f"recognise {self._options.template.utterance[:8]}")

    async def _run(self) -> None:
        try:
            while not self._closed:
                await self._wake.wait()
                self._wake.clear()
                while self._asked and not self._closed:
                    await self._answer(self._asked.popleft())
                if not self._closed:
                    await self._send_ahead()
        finally:
            self._closed = True
            for asked in self._asked:
                _refuse(asked)
            self._asked.clear()
            self._audio.clear()
            if self._last_final is not None:
                self._options.measures.utterance(self._last_final[0], self._busy)
            await self._farewell()
            self._on_closed(self)

    async def _farewell(self) -> None:
        """Have the replica forget the utterance at once.

        On a stream of its own: cancelling the utterance's stream is noticed only while a request is under way.
        """
        self._disconnect()
        replica, self._holder = self._holder, None
        if replica is None:
            return
        try:
            async with asyncio.timeout(_FAREWELL_SECONDS):
                await self._drop(replica, self._id)
        except (TimeoutError, SpeechError, UtteranceUnknown):
            pass  # a replica that is gone has forgotten anyway; else it does after ten idle seconds

    async def _ping(self, replica: Replica) -> None:
        """A `drop` is answered ahead of all that waits; this one is of an utterance that there is not."""
        await self._drop(replica, "ping")

    async def _drop(self, replica: Replica, utterance: str) -> None:
        request = self._request(RecognitionOptions(utterance=utterance, kind="drop"), 0, 0)
        with replica.stream() as call:
            await _exchange(call, replica, request)

    @property
    def _id(self) -> str:
        return self._options.template.utterance

    async def _answer(self, asked: _Asked) -> None:
        if asked.answer.done():  # its caller has given up
            return
        is_final = asked.options.kind == "final"
        confirms = is_final and not asked.options.speculative
        try:
            result = await self._within(asked)
            if confirms:
                self._holder = None
        except SpeechError as error:
            if not (is_final and self._last_final and self._last_final[0] == asked.samples):
                if not asked.answer.done():
                    asked.answer.set_exception(error)
                return
            # The transcript of exactly these samples is known; what is lost is only the model's agreement.
            result = self._last_final[1]
        except BaseException:
            _refuse(asked)
            raise
        finally:
            self._closed = self._closed or confirms
        if is_final:
            self._last_final = (asked.samples, result)
        if not asked.answer.done():
            asked.answer.set_result(result)

    async def _within(self, asked: _Asked) -> RecognitionResult:
        if asked.samples == 0:
            return RecognitionResult(utterance=self._id, text="", is_final=asked.options.kind == "final")
        try:
            async with asyncio.timeout_at(asked.due):
                result = await self._exchange(asked.options, asked.samples, asked.retried_until)
        except TimeoutError as error:
            self._disconnect()
            raise SpeechUnavailable(Reason.DEADLINE, f"{self._options.model} did not answer in time") from error
        if result is None:
            raise SpeechUnavailable(Reason.FAILED, f"{self._options.model} ended a request without a result")
        return result

    async def _send_ahead(self) -> None:
        """Send what has gathered, so that an answer asked for later has little left to do."""
        if self._total - (self._connection.sent if self._connection else 0) < AHEAD_SAMPLES:
            return
        options = msgspec.structs.replace(self._options.template, kind="append")
        try:
            async with asyncio.timeout(self._options.deadline):
                await self._exchange(options, self._total, retried_until=0.0)
        except (SpeechError, TimeoutError):
            # Nobody waits for this; the samples are kept, and the next samples or question try again.
            self._disconnect()
            await asyncio.sleep(_RETRY_APPEND_SECONDS)

    async def _exchange(self, options: RecognitionOptions, upto: int, retried_until: float) -> RecognitionResult | None:
        """One request that brings the model to `upto` samples, on the present connection or on another replica."""
        if self._connection is not None:
            try:
                return await self._send(self._connection, options, upto)
            except (SpeechUnavailable, UtteranceUnknown) as error:
                if isinstance(error, SpeechUnavailable):
                    self._replicas.avoid(self._connection.replica, error.reason)
                self._disconnect()
        left = max(0.0, retried_until - asyncio.get_running_loop().time())
        patience = Patience(left, left)
        return await ask_around(self._replicas, lambda replica: self._begin(replica, options, upto), patience)

    async def _begin(self, replica: Replica, options: RecognitionOptions, upto: int) -> RecognitionResult | None:
        await liveness.glance(replica, self._ping, self._options.lifeless)
        connection = _Connection(replica, self._options.traceparent)
        self._holder = replica
        try:
            result = await self._send(connection, options, upto)
        except BaseException as error:
            connection.leave()
            if isinstance(error, UtteranceUnknown):
                message = f"{replica.address} does not take the utterance: {error}"
                raise SpeechUnavailable(Reason.FAILED, message) from error
            raise
        self._connection = connection
        return result

    async def _send(self, connection: _Connection, options: RecognitionOptions, upto: int) -> RecognitionResult | None:
        options = msgspec.structs.replace(options, first=not connection.started)
        start = min(connection.sent, upto)
        clock = asyncio.get_running_loop().time
        begun = clock()
        exchange = connection.exchange(self._request(options, start, upto))
        result = await liveness.watched(connection.replica, exchange, self._ping, self._options.lifeless)
        self._busy += clock() - begun
        connection.started = True
        connection.sent = max(connection.sent, upto)
        return result

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.leave()

    def _request(self, options: RecognitionOptions, start: int, end: int) -> Any:
        tensors = {"AUDIO": self._between(start, end), "OPTIONS": wire.text_tensor(msgspec.json.encode(options))}
        return wire.request(self._options.model, self._id, tensors)

    def _between(self, start: int, end: int) -> NDArray[np.float32]:
        """Samples `start` to `end`; from the end backwards, since nearly always only the newest are wanted."""
        if start == end:
            return np.zeros(0, np.float32)
        pieces: list[NDArray[np.float32]] = []
        last = self._total
        for piece in reversed(self._audio):
            first = last - len(piece)
            if last <= start:
                break
            if first < end:
                pieces.append(piece[max(0, start - first) : max(0, end - first)])
            last = first
        return np.concatenate(pieces[::-1])


def _refuse(asked: _Asked) -> None:
    if not asked.answer.done():
        asked.answer.set_exception(SpeechUnavailable(Reason.FAILED, "the utterance was abandoned"))
