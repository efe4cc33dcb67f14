"""Triton model `standin_voice`, for load tests only: a tone of fixed latency behind the synthesis contract."""

import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[4]))

from loadtest.models import latencies
from loadtest.models.synthesis import StandinVoice
from loadtest.models.timers import Timers
from model_repository import decoupled
from model_repository.traces import Traces
from services.contracts.characters import Voice
from services.contracts.speech import SPECULATIVE_PARAMETER
from services.synthesis.speakers import Request
from services.telemetry import names

MAX_TEXT_CHARS = 2000
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
        histograms = {"first_audio": "From a request's arrival to its first samples"}
        metrics = _Metrics("parley_tts", args["model_name"], slots, histograms)
        self._timers = Timers()
        self._traces = Traces("parley-tts", args["model_name"])
        times = latencies.from_environment()
        self._voice = StandinVoice(
            slots, times.tts_first_ms / 1000, times.tts_rate, self._timers.after, metrics, time.monotonic
        )
        self._running = decoupled.Running()

    def execute(self, requests: list[Any]) -> None:
        arrived = self._voice.clock()
        for request in requests:
            if self._running.stop(request):
                continue
            responder = self._running.begin(request)
            try:
                text = (
                    decoupled.tensor(request, "TEXT", np.uint8, 4 * MAX_TEXT_CHARS).tobytes().decode(errors="replace")
                )
                if not text.strip() or len(text) > MAX_TEXT_CHARS:
                    raise decoupled.InvalidRequest(f"TEXT has 1 to {MAX_TEXT_CHARS} characters; got {len(text)}")
                voice = decoupled.structure(request, "VOICE", Voice, MAX_VOICE_BYTES)
                observed = self._traces.begin(request, names.MODEL_SYNTHESISE, {names.CHARACTERS: len(text)})
                responder.observe(observed)
                speculative = decoupled.parameter(request, SPECULATIVE_PARAMETER) is True
                self._voice.submit(Request(text, voice, _Reply(responder), arrived, speculative))
            except Exception as error:
                responder.fail(error)

    def finalize(self) -> None:
        self._timers.close()
        self._traces.tracer.close()
