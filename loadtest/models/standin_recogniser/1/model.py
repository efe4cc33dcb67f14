"""Triton model `standin_recogniser`, for load tests only: fixed latency behind the recognition contract."""

import sys
import time
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[4]))

from loadtest.models import latencies
from loadtest.models.recognition import MAX_SECONDS, StandinRecogniser
from loadtest.models.timers import Timers
from model_repository import decoupled
from model_repository.traces import Traces
from services.contracts.audio import UPLINK
from services.contracts.speech import RecognitionOptions, RecognitionResult
from services.recognition.utterances import Request
from services.telemetry import names
from services.telemetry.tracing import Value

MAX_SAMPLES = int(MAX_SECONDS * UPLINK.sample_rate)
MAX_OPTIONS_BYTES = 16 * 1024


class _Reply:
    def __init__(self, responder: decoupled.Responder) -> None:
        self._responder = responder
        self.cancelled = responder.cancelled
        self.fail = responder.fail

    def finish(self, result: RecognitionResult | None) -> None:
        if result is None:
            self._responder.finish()
        else:
            self._responder.finish_with("RESULT", np.frombuffer(msgspec.json.encode(result), np.uint8))


class _Metrics(decoupled.Metrics):
    def answered(self, kind: str, seconds: float) -> None:
        self.observe(kind, seconds)


class TritonPythonModel:
    def initialize(self, args: dict[str, Any]) -> None:
        decoupled.require_numpy_1()
        slots = decoupled.slots(args["model_config"], "PARLEY_STT_SLOTS")
        histograms = {"partial": "From a partial's arrival to its answer", "final": "From a final's arrival"}
        metrics = _Metrics("parley_stt", args["model_name"], slots, histograms)
        self._timers = Timers()
        self._traces = Traces("parley-stt", args["model_name"])
        seconds = latencies.from_environment().stt_final_ms / 1000
        self._recogniser = StandinRecogniser(slots, seconds, self._timers.after, metrics, time.monotonic)

    def execute(self, requests: list[Any]) -> None:
        arrived = self._recogniser.clock()
        for request in requests:
            responder = decoupled.Responder(request)
            try:
                options = decoupled.structure(request, "OPTIONS", RecognitionOptions, MAX_OPTIONS_BYTES)
                if not 1 <= len(options.utterance) <= 128:
                    raise decoupled.InvalidRequest("OPTIONS: an utterance's id has 1 to 128 characters")
                samples = decoupled.tensor(request, "AUDIO", np.float32, MAX_SAMPLES)
                if options.kind == "final":
                    kind = "speculative" if options.speculative else "final"
                    attributes: dict[str, Value] = {names.KIND: kind, names.UTTERANCE: options.utterance}
                    responder.observe(self._traces.begin(request, names.MODEL_RECOGNISE, attributes))
                self._recogniser.submit(Request(options, samples, _Reply(responder), arrived))
            except Exception as error:
                responder.fail(error)

    def finalize(self) -> None:
        self._timers.close()
        self._traces.tracer.close()
