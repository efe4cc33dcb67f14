"""Triton model `pocketsphinx`: the embedded recogniser behind the recognition contract (docs/triton.md)."""

import sys
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from model_repository import decoupled
from model_repository.traces import Traces
from services.contracts.audio import UPLINK
from services.contracts.speech import RecognitionOptions, RecognitionResult
from services.recognition import embedded
from services.recognition.utterance import MAX_SECONDS
from services.recognition.utterances import Request
from services.telemetry import model_metrics, names
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
            encoded = np.frombuffer(msgspec.json.encode(result), np.uint8)
            self._responder.finish_with("RESULT", encoded)


class _Metrics(decoupled.Metrics):
    def answered(self, kind: str, seconds: float) -> None:
        self.observe(kind, seconds)


class TritonPythonModel:
    def initialize(self, args: dict[str, Any]) -> None:
        decoupled.require_numpy_1()
        slots = decoupled.slots(args["model_config"], "PARLEY_STT_SLOTS")
        prefix = model_metrics.RECOGNITION
        metrics = _Metrics(prefix, args["model_name"], slots, model_metrics.SECONDS[prefix])
        self._utterances = embedded.load(slots, metrics)
        self._traces = Traces("parley-stt", args["model_name"])

    def execute(self, requests: list[Any]) -> None:
        arrived = self._utterances.clock()
        for request in requests:
            responder = decoupled.Responder(request)
            try:
                options = decoupled.structure(request, "OPTIONS", RecognitionOptions, MAX_OPTIONS_BYTES)
                if not 1 <= len(options.utterance) <= 128:
                    raise decoupled.InvalidRequest("OPTIONS: an utterance's id has 1 to 128 characters")
                samples = decoupled.tensor(request, "AUDIO", np.float32, MAX_SAMPLES)
                if options.kind == "final":  # a span for each partial would tell little and cost more than the rest
                    kind = "speculative" if options.speculative else "final"
                    attributes: dict[str, Value] = {names.KIND: kind, names.UTTERANCE: options.utterance}
                    responder.observe(self._traces.begin(request, names.MODEL_RECOGNISE, attributes))
                self._utterances.submit(Request(options, samples, _Reply(responder), arrived))
            except Exception as error:
                responder.fail(error)

    def finalize(self) -> None:
        self._utterances.close()
        self._traces.tracer.close()
