"""What the Python models of this repository share: reading requests and answering them, by docs/triton.md.

A model's `model.py` puts the repository's parent folder on its path to import this; Triton's Python stub looks only
into the model's own folder and the environment's site-packages.
"""

import json
import os
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeVar

import msgspec
import numpy as np
import triton_python_backend_utils as pb_utils  # pyright: ignore[reportMissingImports]
from numpy.typing import NDArray

from services.contracts import speech
from services.telemetry import model_metrics
from services.telemetry.model_metrics import ModelMetric

SECONDS_BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4]
StructT = TypeVar("StructT", bound=msgspec.Struct)


class InvalidRequest(ValueError):
    """The request's tensors are not what the contract says."""

    failure = speech.INVALID_REQUEST


def require_numpy_1() -> None:
    """tritonserver before 24.11 hands out empty or misshapen tensors under numpy 2, without any error."""
    if int(np.__version__.split(".")[0]) >= 2:
        raise RuntimeError(
            f"the models need numpy below 2, since this tritonserver corrupts tensors with it; found {np.__version__}"
        )


def slots(model_config: str, variable: str) -> int:
    """How many requests the model takes at a time: the environment's `variable`, else the parameter `slots`."""
    text = os.environ.get(variable) or json.loads(model_config)["parameters"]["slots"]["string_value"]
    if not text.isdecimal() or not 1 <= int(text) <= 1024:
        raise ValueError(f"{variable} is {text!r}; it takes a number of slots from 1 to 1024")
    return int(text)


def tensor(request: Any, name: str, dtype: type[np.generic], most: int) -> NDArray[Any]:
    """A copy of a one-dimensional input of at most `most` elements. Raises InvalidRequest."""
    found = pb_utils.get_input_tensor_by_name(request, name)
    if found is None:
        raise InvalidRequest(f"the input {name} is missing")
    # Copied, because the input's memory is given back when execute() returns.
    array = np.array(found.as_numpy())
    if array.ndim != 1 or array.dtype != dtype:
        raise InvalidRequest(f"{name} is {np.dtype(dtype).name} [n]; got {array.dtype.name} {list(array.shape)}")
    if len(array) > most:
        raise InvalidRequest(f"{name} has at most {most} elements; got {len(array)}")
    return array


def structure(request: Any, name: str, kind: type[StructT], most: int) -> StructT:
    """The struct in a JSON input (UINT8 [n]). Raises InvalidRequest."""
    encoded = tensor(request, name, np.uint8, most).tobytes()
    try:
        return msgspec.json.decode(encoded, type=kind)
    except msgspec.DecodeError as error:
        raise InvalidRequest(f"{name}: {error}") from error


def parameter(request: Any, name: str) -> object:
    """A request parameter; None when it was not given."""
    return json.loads(request.parameters() or "{}").get(name)


class Observer(Protocol):
    """Who follows a request to its end; see `traces.RequestSpan`."""

    def chunk(self) -> None: ...

    def end(self, error: str = "") -> None: ...


class Responder:
    """The answer of one request. Whatever is called and from where, exactly one FINAL goes out."""

    def __init__(self, request: Any, on_final: Callable[[], None] = lambda: None) -> None:
        self._sender: Any = request.get_response_sender()
        self._on_final = on_final
        self._observer: Observer | None = None
        self._stopped = False
        self._sequence = 0
        self._lock = threading.Lock()

    def observe(self, observer: Observer | None) -> None:
        """Before the work begins: somebody wants to know how it goes."""
        self._observer = observer

    def stop(self) -> None:
        """From now on the request counts as cancelled."""
        self._stopped = True

    def cancelled(self) -> bool:
        # Asking after FINAL crashes some versions of the server, so the sender is gone by then.
        with self._lock:
            return self._stopped or self._sender is None or self._sender.is_cancelled()

    def send(self, name: str, array: NDArray[Any]) -> None:
        """One response with the output `name`, more follow."""
        with self._lock:
            if self._sender is not None:
                self._sender.send(self._response(name, array))
                if self._observer is not None:
                    self._observer.chunk()

    def finish_with(self, name: str, array: NDArray[Any]) -> None:
        """The last response, with an output."""
        with self._lock:
            self._final(self._response(name, array))

    def finish(self) -> None:
        """FINAL without outputs."""
        with self._lock:
            self._final(None)

    def fail(self, error: Exception) -> None:
        """FINAL with an error; its message begins with the failure's name in the contract."""
        failure: str = getattr(error, "failure", speech.MODEL_FAILED)
        if failure == speech.MODEL_FAILED:
            pb_utils.Logger.log_error("".join(traceback.format_exception(error)))
        with self._lock:
            sentence = f"{failure}: {str(error) or type(error).__name__}"
            self._final(pb_utils.InferenceResponse(error=pb_utils.TritonError(sentence, _status(failure))), sentence)

    def _response(self, name: str, array: NDArray[Any]) -> Any:
        number = np.array([self._sequence], np.int32)
        self._sequence += 1
        return pb_utils.InferenceResponse([pb_utils.Tensor(name, array), pb_utils.Tensor("SEQUENCE", number)])

    def _final(self, response: Any, error: str = "") -> None:
        sender, self._sender = self._sender, None
        if sender is None:
            return
        self._on_final()
        flags = pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL
        if response is None:
            sender.send(flags=flags)
        else:
            sender.send(response, flags=flags)
        if self._observer is not None:
            self._observer.end(error)


class Running:
    """The requests under way by their ids, so that a later request can stop an earlier one.

    Cancelling the stream does it, too, but tritonserver 2.51 has died under storms of streams that were cancelled
    while responses flowed (compare triton-inference-server/server#8034), and every interruption would be one.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._responders: dict[str, Responder] = {}

    def begin(self, request: Any) -> Responder:
        """The responder of a request; one without an id cannot be stopped."""
        identity: str = request.request_id()
        responder = Responder(request, lambda: self._end(identity, responder))
        if identity:
            with self._lock:
                self._responders[identity] = responder
        return responder

    def stop(self, request: Any) -> bool:
        """Whether this request was one to stop another; it is answered then."""
        identity = parameter(request, speech.STOP_PARAMETER)
        if not isinstance(identity, str):
            return False
        with self._lock:
            responder = self._responders.get(identity)
        if responder is not None:
            responder.stop()
        Responder(request).finish()
        return True

    def _end(self, identity: str, responder: Responder) -> None:
        with self._lock:
            if self._responders.get(identity) is responder:
                del self._responders[identity]


def _status(failure: str) -> int:
    statuses = {
        speech.AT_CAPACITY: pb_utils.TritonError.UNAVAILABLE,
        speech.INVALID_REQUEST: pb_utils.TritonError.INVALID_ARG,
        speech.UTTERANCE_UNKNOWN: pb_utils.TritonError.NOT_FOUND,
        speech.DEADLINE_EXCEEDED: pb_utils.TritonError.CANCELLED,
    }
    return statuses.get(failure, pb_utils.TritonError.INTERNAL)


class Metrics:
    """The model's own gauges, counters and histograms; Triton's are wrong for models that answer from threads.

    One lock for all: two metric calls at once from two threads of a model corrupt the memory that it shares with
    the server (2.51: the server died of it within 0.2 s in four of four runs of 20 streams; with the lock it
    lived through all of twelve).
    """

    def __init__(self, prefix: str, model: str, slots: int, seconds: Mapping[str, str]) -> None:
        """`seconds`: the histograms' names and descriptions."""
        self._lock = threading.Lock()
        self._labels = {"model": model}
        self._families: list[Any] = []
        self._prefix = prefix
        self._metric(model_metrics.SLOTS).set(slots)
        self._active = self._metric(model_metrics.ACTIVE)
        self._busy = self._metric(model_metrics.BUSY)
        self._started = self._metric(model_metrics.STARTED)
        self._rejected = self._metric(model_metrics.REJECTED)
        self._cancelled = self._metric(model_metrics.CANCELLED)
        self._seconds = {
            name: self._metric(ModelMetric(f"{name}_seconds", "histogram", description), buckets=SECONDS_BUCKETS)
            for name, description in seconds.items()
        }
        self._count = 0
        self._counted_at = time.monotonic()

    def active(self, count: int) -> None:
        """So many requests hold a slot from now on."""
        with self._lock:
            now = time.monotonic()
            self._busy.increment(self._count * (now - self._counted_at))
            if count > self._count:
                self._started.increment(count - self._count)
            self._count, self._counted_at = count, now
            self._active.set(count)

    def rejected(self) -> None:
        with self._lock:
            self._rejected.increment(1)

    def cancelled(self) -> None:
        with self._lock:
            self._cancelled.increment(1)

    def observe(self, name: str, seconds: float) -> None:
        with self._lock:
            self._seconds[name].observe(seconds)

    def _metric(self, metric: ModelMetric, **options: Any) -> Any:
        kind = getattr(pb_utils.MetricFamily, metric.kind.upper())
        name = f"{self._prefix}_{metric.name}"
        family = pb_utils.MetricFamily(name=name, description=metric.description, kind=kind)
        self._families.append(family)  # a metric dies with its family
        return family.Metric(labels=self._labels, **options)
