"""Which trace a piece of work belongs to, as every process passes it on: W3C Trace Context's `traceparent`."""

import re
import secrets
from dataclasses import dataclass

HEADER = "traceparent"
"""The name of the header of HTTP and NATS, and of the gRPC metadata and request parameter."""
_PATTERN = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?")


@dataclass(frozen=True, slots=True)
class TraceContext:
    """One span of one trace."""

    trace_id: str
    """32 hex digits."""
    span_id: str
    """16 hex digits."""
    sampled: bool = True
    """Somebody keeps the trace: what belongs to it is worth recording."""

    @property
    def traceparent(self) -> str:
        return f"00-{self.trace_id}-{self.span_id}-{'01' if self.sampled else '00'}"

    def child(self) -> "TraceContext":
        """A new span of the same trace."""
        return TraceContext(self.trace_id, secrets.token_hex(8), self.sampled)


def new(sampled: bool = True) -> TraceContext:
    """The first span of a trace of its own."""
    return TraceContext(secrets.token_hex(16), secrets.token_hex(8), sampled)


def parse(traceparent: str) -> TraceContext | None:
    """None for what is no traceparent: work whose trace cannot be told is done all the same."""
    found = _PATTERN.fullmatch(traceparent.strip().lower())
    if found is None or (traceparent.startswith("00") and len(traceparent.strip()) != 55):
        return None
    return TraceContext(found[1], found[2], bool(int(found[3], 16) & 1))
