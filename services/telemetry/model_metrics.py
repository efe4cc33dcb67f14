"""The metrics that the speech models publish at the inference server's metrics port, labelled with `model`.

Plain data, since the models' processes load as little as they can. A model's prefix is `parley_stt` (recognition) or
`parley_tts` (synthesis).
"""

from typing import Literal, NamedTuple

RECOGNITION, SYNTHESIS = "parley_stt", "parley_tts"


class ModelMetric(NamedTuple):
    name: str
    kind: Literal["gauge", "counter", "histogram"]
    description: str


SLOTS = ModelMetric("slots", "gauge", "Requests that the model takes at a time.")
ACTIVE = ModelMetric("active_streams", "gauge", "Requests that hold a slot.")
BUSY = ModelMetric(
    "busy_slot_seconds_total",
    "counter",
    "Time that slots were held, all together; its rate over the slots is how full the model was on average.",
)
STARTED = ModelMetric("started_total", "counter", "Requests that got a slot.")
REJECTED = ModelMetric(
    "rejected_total", "counter", "Requests refused for want of a slot, speculative sentences not counted."
)
CANCELLED = ModelMetric("cancelled_total", "counter", "Requests cancelled by the caller.")
COMMON = (SLOTS, ACTIVE, BUSY, STARTED, REJECTED, CANCELLED)

SECONDS = {
    RECOGNITION: {
        "partial": "From a partial's arrival to its answer.",
        "final": "From a final's arrival to its transcript, speculative or confirmed.",
    },
    SYNTHESIS: {"first_audio": "From a request's arrival to its first samples."},
}
"""Histograms, each named `_seconds`."""


def of(prefix: str) -> list[ModelMetric]:
    """All of a model's metrics, with their whole names."""
    histograms = [ModelMetric(f"{name}_seconds", "histogram", text) for name, text in SECONDS[prefix].items()]
    return [ModelMetric(f"{prefix}_{name}", kind, text) for name, kind, text in (*COMMON, *histograms)]
