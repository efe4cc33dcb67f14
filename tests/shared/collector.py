"""A collector for tests: takes OTLP over HTTP and keeps the spans; or is in the way, as a broken one can be."""

import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


@dataclass(frozen=True)
class Kept:
    """A span as it arrived. Times are seconds since 1970."""

    service: str
    name: str
    trace_id: str
    span_id: str
    parent_id: str
    start: float
    end: float
    attributes: dict[str, Any]
    links: tuple[str, ...]
    """Span ids."""
    events: tuple[str, ...]
    failed: bool


class Collector:
    def __init__(self, silent: bool = False) -> None:
        """`silent`: it takes connections and answers nothing."""
        self.spans: list[Kept] = []
        self.changed = threading.Condition()
        self._released = threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                if silent:
                    outer._released.wait(60)
                    return
                outer._take(ExportTraceServiceRequest.FromString(body))
                self.send_response(200)
                self.send_header("content-type", "application/x-protobuf")
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        self.endpoint = f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        self._released.set()
        self._server.shutdown()
        self._server.server_close()

    def wait_for(self, enough: Any, seconds: float = 20.0) -> list[Kept]:
        """The spans, once `enough` of them says so."""
        with self.changed:
            assert self.changed.wait_for(lambda: enough(self.spans), seconds), [span.name for span in self.spans]
            return list(self.spans)

    def _take(self, request: Any) -> None:
        with self.changed:
            for group in request.resource_spans:
                resource = _attributes(group.resource.attributes)
                for scope in group.scope_spans:
                    self.spans += [_kept(resource["service.name"], span) for span in scope.spans]
            self.changed.notify_all()


def _kept(service: str, span: Any) -> Kept:
    return Kept(
        service,
        span.name,
        span.trace_id.hex(),
        span.span_id.hex(),
        span.parent_span_id.hex(),
        span.start_time_unix_nano / 1e9,
        span.end_time_unix_nano / 1e9,
        _attributes(span.attributes),
        tuple(link.span_id.hex() for link in span.links),
        tuple(event.name for event in span.events),
        span.status.code == 2,
    )


def _attributes(given: Any) -> dict[str, Any]:
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in given}
