"""Client of a recognition model: an utterance in, as it is spoken; partial and final transcripts out."""

import asyncio
import secrets
from collections.abc import Iterable

import msgspec
import numpy as np

from services.contracts.audio import UPLINK
from services.contracts.speech import RecognitionOptions
from services.speech.errors import Reason, SpeechUnavailable
from services.speech.liveness import LIFELESS_SECONDS
from services.speech.measuring import RecognitionMeasures
from services.speech.recognition_stream import RecognitionStream, StreamOptions
from services.speech.replicas import Replica, Replicas
from services.speech.retry import PATIENCE_SECONDS

_CANARY_SAMPLES = UPLINK.sample_rate // 2


class Recogniser:
    """One gRPC stream per utterance, on channels shared by all."""

    def __init__(
        self,
        addresses: str | Iterable[str],
        model: str,
        *,
        deadline: float = 10.0,
        patience: float = PATIENCE_SECONDS,
        lifeless: float = LIFELESS_SECONDS,
    ) -> None:
        """`addresses`: "host:port", several with commas. `deadline`: seconds for one partial or final altogether.

        `patience`: seconds of it that may go into asking other replicas, or the same one again. `lifeless`: seconds
        after which a replica that answers nothing at all is taken for dead; a slow one has until the deadline.
        """
        self._replicas = Replicas(addresses)
        self._model = model
        self._measures = RecognitionMeasures(model)
        self._deadline = deadline
        self._patience = patience
        self._lifeless = lifeless
        self._open: set[RecognitionStream] = set()

    @property
    def model(self) -> str:
        return self._model

    def open(
        self,
        utterance: str,
        *,
        language: str = "auto",
        prompt: str = "",
        word_times: bool = False,
        traceparent: str = "",
    ) -> RecognitionStream:
        """A stream for one utterance. Nothing is sent before its first samples. `traceparent`: what it is part of."""
        template = RecognitionOptions(
            utterance=utterance, kind="append", language=language, prompt=prompt, word_times=word_times
        )
        options = StreamOptions(
            self._model, self._deadline, self._patience, self._lifeless, template, self._measures, traceparent
        )
        stream = RecognitionStream(self._replicas, options, self._open.discard)
        self._open.add(stream)
        return stream

    async def canary(self, timeout: float = 5.0) -> None:
        """Every replica recognises half a second of quiet.

        Raises SpeechUnavailable with a sentence that names the replica that does not. One with all slots taken
        is alive.
        """
        for replica in self._replicas.all():
            await self._canary_of(replica, timeout)

    async def close(self) -> None:
        """Abandon what is open and close the channels."""
        streams = list(self._open)
        for stream in streams:
            stream.abandon()
        await asyncio.gather(*(stream.wait_closed() for stream in streams))
        await self._replicas.close()

    async def _canary_of(self, replica: Replica, timeout: float) -> None:
        only = Replicas([replica.address])
        template = RecognitionOptions(utterance=f"canary-{secrets.token_hex(8)}", kind="append")
        options = StreamOptions(self._model, timeout, 0.0, timeout, template, self._measures)
        stream = RecognitionStream(only, options, lambda stream: None)
        hum = np.sin(np.arange(_CANARY_SAMPLES, dtype=np.float32) * np.float32(2 * np.pi * 150 / UPLINK.sample_rate))
        stream.append(hum * np.float32(0.01))
        try:
            result = await stream.final()
        except SpeechUnavailable as error:
            if error.reason is Reason.AT_CAPACITY:
                return
            message = f"{self._model} at {replica.address} gave no transcript: {error}"
            raise SpeechUnavailable(error.reason, message) from error
        finally:
            stream.abandon()
            await stream.wait_closed()
            await only.close()
        if result.utterance != template.utterance:
            message = (
                f"{self._model} at {replica.address} answered for another utterance: {msgspec.json.encode(result)!r}"
            )
            raise SpeechUnavailable(Reason.FAILED, message)
