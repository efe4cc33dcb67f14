"""Spans as data, and where they go: to an OpenTelemetry collector, or nowhere.

A turn crosses processes and tasks, and most of its spans are known only when they are over: they are made from the
turn's ledger. So nothing here is "current": whoever records a span says which one it is and what it belongs to, and
spans of two sessions cannot be mixed up. The SDK's own tracer exports them; its environment variables (OTEL_*) hold
for sampling, batches, headers and resource attributes.
"""

import logging
import os
import secrets
import threading
import time
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from services.contracts import trace
from services.contracts.trace import TraceContext
from services.telemetry import names

ENDPOINT = "PARLEY_OTLP_ENDPOINT"
TRACES_PATH = "/v1/traces"
CLOSE_SECONDS = 1.0
"""What is left to the collector to take the last spans when a process ends."""
_QUIET_SECONDS = 60.0
_NOISY = ("opentelemetry.exporter.otlp.proto.http.trace_exporter", "opentelemetry.sdk._shared_internal")

Value = str | int | float | bool
Kind = Literal["internal", "server", "client", "producer", "consumer"]


@dataclass(slots=True)
class Event:
    name: str
    at: float
    """Seconds since 1970."""


@dataclass(slots=True)
class Span:
    """A piece of work, from when it began; `Tracer.end` makes it complete. Times are seconds since 1970."""

    name: str
    context: TraceContext
    start: float
    parent: TraceContext | None = None
    kind: Kind = "internal"
    attributes: dict[str, Value] = field(default_factory=dict[str, Value])
    events: list[Event] = field(default_factory=list[Event])
    links: tuple[TraceContext, ...] = ()


class Tracer(Protocol):
    def begin(self) -> TraceContext:
        """The context of a new trace; it says whether anybody keeps it."""
        ...

    def end(self, span: Span, at: float, error: str = "") -> None:
        """The span is complete. Never waits and never fails; one whose trace nobody keeps costs nothing."""
        ...

    def close(self) -> None:
        """Hand over what is still here, for `CLOSE_SECONDS` at most."""
        ...


class NoTracer:
    """Nobody keeps anything."""

    def begin(self) -> TraceContext:
        return trace.new(sampled=False)

    def end(self, span: Span, at: float, error: str = "") -> None:
        pass

    def close(self) -> None:
        pass


def tracer(service: str, endpoint: str) -> Tracer:
    """`endpoint`: the base URL of an OTLP/HTTP receiver, such as http://collector:4318; empty for none."""
    return OtlpTracer(service, endpoint) if endpoint else NoTracer()


def from_environment(service: str) -> Tracer:
    """For processes that have no configuration of their own."""
    return tracer(service, os.environ.get(ENDPOINT, ""))


class OtlpTracer:
    """The SDK loses spans rather than time: a bounded queue, and one thread that sends them in batches."""

    def __init__(self, service: str, endpoint: str) -> None:
        # Half a second of imports that only those pay who want traces.
        from opentelemetry import trace as api
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.sdk.trace.id_generator import IdGenerator

        class Ids(IdGenerator):
            """Gives out the ids that we have told others already."""

            trace_id = 0
            span_id = 0

            def generate_trace_id(self) -> int:
                return self.trace_id

            def generate_span_id(self) -> int:
                return self.span_id

            def is_trace_id_random(self) -> bool:
                return True

        for name in _NOISY:
            logging.getLogger(name).addFilter(_Seldom())
        self._api = api
        self._ids = Ids()
        self._lock = threading.Lock()
        self._exporter = OTLPSpanExporter(endpoint=endpoint.rstrip("/") + TRACES_PATH)
        self._provider = TracerProvider(
            resource=Resource.create({"service.name": service, "service.instance.id": secrets.token_hex(8)}),
            id_generator=self._ids,
            shutdown_on_exit=False,
        )
        self._provider.add_span_processor(BatchSpanProcessor(self._exporter))
        self._tracer = self._provider.get_tracer(names.SCOPE)
        self._kinds: dict[Kind, Any] = {
            "internal": api.SpanKind.INTERNAL,
            "server": api.SpanKind.SERVER,
            "client": api.SpanKind.CLIENT,
            "producer": api.SpanKind.PRODUCER,
            "consumer": api.SpanKind.CONSUMER,
        }

    def begin(self) -> TraceContext:
        context = trace.new()
        decision = self._provider.sampler.should_sample(None, int(context.trace_id, 16), names.TURN).decision
        return context if decision.is_sampled() else TraceContext(context.trace_id, context.span_id, sampled=False)

    def end(self, span: Span, at: float, error: str = "") -> None:
        if not span.context.sampled:
            return
        api = self._api
        parent = api.set_span_in_context(
            api.NonRecordingSpan(self._context(span.parent)) if span.parent else api.INVALID_SPAN
        )
        with self._lock:  # models end spans from threads
            self._ids.trace_id, self._ids.span_id = int(span.context.trace_id, 16), int(span.context.span_id, 16)
            made = self._tracer.start_span(
                span.name,
                parent,
                self._kinds[span.kind],
                span.attributes,
                [api.Link(self._context(link)) for link in span.links],
                _nanoseconds(span.start),
            )
        for event in span.events:
            made.add_event(event.name, timestamp=_nanoseconds(event.at))
        if error:
            made.set_status(api.StatusCode.ERROR, error)
        made.end(_nanoseconds(max(at, span.start)))

    def close(self) -> None:
        # The SDK waits 30 s for a collector that does not answer; a process that ends has no such time.
        leaving = threading.Thread(target=self._provider.shutdown, daemon=True)
        leaving.start()
        leaving.join(CLOSE_SECONDS)
        if leaving.is_alive():
            self._exporter.shutdown()

    def _context(self, of: TraceContext) -> Any:
        return self._api.SpanContext(
            int(of.trace_id, 16), int(of.span_id, 16), is_remote=True, trace_flags=self._api.TraceFlags(of.sampled)
        )


class _Seldom(logging.Filter):
    """One line a minute: a collector that is away is told for every batch."""

    def __init__(self) -> None:
        super().__init__()
        self._said_at = -_QUIET_SECONDS

    def filter(self, record: logging.LogRecord) -> bool:
        if time.monotonic() - self._said_at < _QUIET_SECONDS:
            return False
        self._said_at = time.monotonic()
        return True


def _nanoseconds(seconds: float) -> int:
    return int(seconds * 1e9)
