"""What workers tell every edge of a turn that was measured, so that any edge can show where the fleet's time goes.

It names nobody and quotes nothing: neither the session nor a word of what was said is in it.
"""

import msgspec

from services.contracts.events import TurnMetrics
from services.contracts.moments import Part


class MeasuredTurn(msgspec.Struct, frozen=True, kw_only=True):
    at: float
    """Seconds since 1970, on the worker's clock."""
    total_ms: float
    spoken: bool
    parts: list[Part]
    trace_id: str = ""
    """Empty: the turn was not traced."""


_decoder = msgspec.json.Decoder(MeasuredTurn)


def measured(turn: TurnMetrics, at: float) -> MeasuredTurn:
    return MeasuredTurn(at=at, total_ms=turn.total_ms, spoken=turn.spoken, parts=turn.parts, trace_id=turn.trace_id)


def encode(turn: MeasuredTurn) -> bytes:
    return msgspec.json.encode(turn)


def decode(message: bytes) -> MeasuredTurn:
    """Raises msgspec.DecodeError."""
    return _decoder.decode(message)
