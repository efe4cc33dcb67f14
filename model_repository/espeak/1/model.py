"""Triton model `espeak`: the embedded voice behind the synthesis contract (docs/triton.md)."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from model_repository import decoupled
from model_repository.traces import Traces
from services.contracts.characters import Voice
from services.contracts.speech import SPECULATIVE_PARAMETER
from services.synthesis.embedded import MAX_TEXT_CHARS, EmbeddedVoice
from services.synthesis.speakers import Request, Speakers
from services.telemetry import model_metrics, names

MAX_TEXT_BYTES = 4 * MAX_TEXT_CHARS
MAX_VOICE_BYTES = 16 * 1024


class _Reply:
    def __init__(self, responder: decoupled.Responder) -> None:
        self._responder = responder
        self.cancelled = responder.cancelled
        self.finish = responder.finish
        self.fail = responder.fail

    def pcm(self, samples: NDArray[np.int16]) -> None:
        self._responder.send("PCM", samples)


class _Metrics(decoupled.Metrics):
    def first_audio(self, seconds: float) -> None:
        self.observe("first_audio", seconds)


class TritonPythonModel:
    def initialize(self, args: dict[str, Any]) -> None:
        decoupled.require_numpy_1()
        slots = decoupled.slots(args["model_config"], "PARLEY_TTS_SLOTS")
        prefix = model_metrics.SYNTHESIS
        metrics = _Metrics(prefix, args["model_name"], slots, model_metrics.SECONDS[prefix])
        voice = EmbeddedVoice()
        voice.speak("Ready.", Voice(), lambda samples: True)
        self._speakers = Speakers(slots, voice, metrics)
        self._running = decoupled.Running()
        self._traces = Traces("parley-tts", args["model_name"])

    def execute(self, requests: list[Any]) -> None:
        arrived = self._speakers.clock()
        for request in requests:
            if self._running.stop(request):
                continue
            responder = self._running.begin(request)
            try:
                encoded = decoupled.tensor(request, "TEXT", np.uint8, MAX_TEXT_BYTES).tobytes()
                voice = decoupled.structure(request, "VOICE", Voice, MAX_VOICE_BYTES)
                try:
                    text = encoded.decode()
                except UnicodeDecodeError as error:
                    raise decoupled.InvalidRequest(f"TEXT is not UTF-8: {error}") from error
                observed = self._traces.begin(request, names.MODEL_SYNTHESISE, {names.CHARACTERS: len(text)})
                responder.observe(observed)
                speculative = decoupled.parameter(request, SPECULATIVE_PARAMETER) is True
                self._speakers.submit(Request(text, voice, _Reply(responder), arrived, speculative))
            except Exception as error:
                responder.fail(error)

    def finalize(self) -> None:
        self._speakers.close()
        self._traces.tracer.close()
