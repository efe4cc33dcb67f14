"""Client of a synthesis model: a sentence in, PCM out as it is made."""

import asyncio
from collections.abc import AsyncGenerator, Iterable

from services.contracts.characters import Voice
from services.speech.errors import Reason, SpeechError, SpeechUnavailable
from services.speech.measuring import SynthesisMeasures
from services.speech.replicas import Replica, Replicas
from services.speech.retry import Patience, ask_around
from services.speech.sentence_stream import SentenceStream

PATIENCE_SECONDS = 2.5
"""Somebody waits for the sound, and reads meanwhile. An embedded server is back from a crash within about 2 s."""
BROKEN_SECONDS = 0.5


class Synthesiser:
    """One gRPC stream per sentence, on channels shared by all."""

    def __init__(
        self,
        addresses: str | Iterable[str],
        model: str,
        *,
        chunk_seconds: float = 10.0,
        patience: float = PATIENCE_SECONDS,
    ) -> None:
        """`addresses`: "host:port", several with commas. A chunk that takes over `chunk_seconds` is a failure.

        `patience`: seconds that an outage of all replicas is waited out, counted from its beginning.
        """
        self._replicas = Replicas(addresses)
        self._model = model
        self._measures = SynthesisMeasures(model)
        self._chunk_seconds = chunk_seconds
        self._patience = Patience(patience, min(patience, BROKEN_SECONDS), of_outage=True)
        self._ending: set[asyncio.Task[None]] = set()

    @property
    def model(self) -> str:
        return self._model

    async def speak(
        self, text: str, voice: Voice, speculative: bool = False, traceparent: str = ""
    ) -> AsyncGenerator[bytes, None]:
        """Yield PCM16, mono, 24 kHz. Closing the generator, or cancelling its task, stops the model at once.

        Another replica is tried only while nothing was yielded: half a sentence twice is worse than none.
        `speculative`: the sentence may never be wanted, so one replica is asked, once, for a slot that it can spare.
        `traceparent`: what the sentence is part of.
        Raises SpeechUnavailable, SpeechRejected.
        """

        async def begin(replica: Replica) -> tuple[SentenceStream, bytes | None]:
            stream = SentenceStream(replica, self._model, text, voice, self._chunk_seconds, speculative, traceparent)
            try:
                return stream, await stream.read()
            except BaseException:
                self._end(stream)
                raise

        clock = asyncio.get_running_loop().time
        asked = clock()
        try:
            if speculative:
                stream, chunk = await begin(self._replicas.in_order()[0])
            else:
                stream, chunk = await ask_around(self._replicas, begin, self._patience)
            self._measures.first_chunk(clock() - asked)
            size = 0
            try:
                while chunk is not None:
                    size += len(chunk)
                    yield chunk
                    chunk = await stream.read()
            finally:
                self._end(stream)
        except SpeechError as error:
            # Going without a prepared sentence is no trouble.
            if not speculative:
                self._measures.failed(error)
            raise
        self._measures.sentence(size, clock() - asked)

    async def canary(self, timeout: float = 5.0) -> None:
        """Every replica speaks a word. Raises SpeechUnavailable with a sentence that names the one that does not.

        A replica with all slots taken is alive.
        """
        for replica in self._replicas.all():
            try:
                async with asyncio.timeout(timeout):
                    heard = await self._word(replica)
            except SpeechUnavailable as error:
                if error.reason is Reason.AT_CAPACITY:
                    continue
                message = f"{self._model} at {replica.address} gave no speech: {error}"
                raise SpeechUnavailable(error.reason, message) from error
            except TimeoutError as error:
                message = f"{self._model} at {replica.address} gave no speech within {timeout:.0f} s"
                raise SpeechUnavailable(Reason.DEADLINE, message) from error
            if not heard:
                raise SpeechUnavailable(Reason.FAILED, f"{self._model} at {replica.address} answered without any sound")

    async def close(self) -> None:
        """Wait for streams that are ending, and close the channels."""
        if self._ending:
            await asyncio.wait(self._ending)
        await self._replicas.close()

    async def _word(self, replica: Replica) -> int:
        stream = SentenceStream(replica, self._model, "Yes.", Voice(), self._chunk_seconds)
        heard = 0
        try:
            while (chunk := await stream.read()) is not None:
                heard += len(chunk)
        finally:
            self._end(stream)
        return heard

    def _end(self, stream: SentenceStream) -> None:
        """In the background: who closes a sentence does not wait for the model to notice."""
        task = asyncio.create_task(stream.end(), name="end of a sentence")
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)
