"""A model's own spans, within the trace that a request names.

The caller sends `traceparent` as gRPC metadata of the request's stream, and the server hands it on as a request
parameter (`--grpc-header-forward-pattern`). Requests that name no trace leave no span.
"""

from typing import Any

from model_repository import decoupled
from services.contracts import trace
from services.telemetry import names, tracing
from services.telemetry.clocks import steady_clock
from services.telemetry.tracing import Event, Span, Value


class RequestSpan:
    """One request, from its arrival to its FINAL. Used by one thread at a time."""

    def __init__(self, traces: "Traces", span: Span) -> None:
        self._traces = traces
        self._span = span

    def chunk(self) -> None:
        """A response has gone out; the first one is an event."""
        if not self._span.events:
            self._span.events.append(Event(names.FIRST_CHUNK, self._traces.clock()))

    def end(self, error: str = "") -> None:
        self._traces.tracer.end(self._span, self._traces.clock(), error)


class Traces:
    def __init__(self, service: str, model: str) -> None:
        self.clock = steady_clock()
        self.tracer = tracing.from_environment(service)
        self._model = model

    def begin(self, request: Any, name: str, attributes: dict[str, Value]) -> RequestSpan | None:
        """None: the request names no trace, or one that nobody keeps."""
        named = decoupled.parameter(request, trace.HEADER)
        parent = trace.parse(named) if isinstance(named, str) else None
        if parent is None or not parent.sampled:
            return None
        known = {names.REQUEST_MODEL: self._model, **attributes}
        return RequestSpan(self, Span(name, parent.child(), self.clock(), parent, "server", known))
