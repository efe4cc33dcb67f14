"""What the clients of the speech models see of them, as metrics with the model's name.

The inference server's own request metrics end when a model's `execute()` returns, which for models that answer from
threads is before they have done anything.
"""

from services.contracts.audio import DOWNLINK, UPLINK
from services.speech.errors import Reason, SpeechError, SpeechUnavailable
from services.telemetry import metrics

_REJECTED = "rejected"


class _Failures:
    def __init__(self, model: str) -> None:
        reasons = (*Reason, _REJECTED)
        self._failures = {str(reason): metrics.SPEECH_FAILURES.labels(model, str(reason)) for reason in reasons}

    def failed(self, error: SpeechError) -> None:
        """No replica gave what was asked for."""
        self._failures[str(error.reason) if isinstance(error, SpeechUnavailable) else _REJECTED].inc()


class RecognitionMeasures(_Failures):
    """Of one model; the labels are looked up once."""

    def __init__(self, model: str) -> None:
        super().__init__(model)
        self._final = metrics.RECOGNITION_FINAL.labels(model)
        self._factor = metrics.RECOGNITION_FACTOR.labels(model)
        self._audio = metrics.RECOGNISED_SECONDS.labels(model)

    def transcribed(self, seconds: float) -> None:
        """A transcript came so long after it was asked for."""
        self._final.observe(seconds)

    def utterance(self, samples: int, busy: float) -> None:
        """An utterance is over, and its requests took `busy` seconds together."""
        seconds = samples / UPLINK.sample_rate
        if seconds:
            self._audio.inc(seconds)
            self._factor.observe(busy / seconds)


class SynthesisMeasures(_Failures):
    """Of one model; the labels are looked up once."""

    def __init__(self, model: str) -> None:
        super().__init__(model)
        self._first_chunk = metrics.SYNTHESIS_FIRST_CHUNK.labels(model)
        self._factor = metrics.SYNTHESIS_FACTOR.labels(model)
        self._audio = metrics.SYNTHESISED_SECONDS.labels(model)

    def first_chunk(self, seconds: float) -> None:
        """A sentence's first samples came so long after it was asked for."""
        self._first_chunk.observe(seconds)

    def sentence(self, pcm_bytes: int, took: float) -> None:
        """A whole sentence took so long."""
        seconds = pcm_bytes / 2 / DOWNLINK.sample_rate
        if seconds:
            self._audio.inc(seconds)
            self._factor.observe(took / seconds)
