"""The fixed binary header in front of every message on NATS and of binary audio on the WebSocket.

The header is all that the edge reads. Layout, little endian, 24 bytes:

    offset  size  field
    0       1     kind        what follows the header, see `Kind`
    1       1     version     1
    2       2     flags       see `Flags`
    4       4     epoch       which attachment of the session this belongs to
    8       4     generation  which answer this belongs to; the holder of an older one drops it
    12      4     sequence    counts up by one per sender and session
    16      8     time        sender's clock, microseconds since 1970
"""

import struct
from dataclasses import dataclass
from enum import IntEnum, IntFlag

VERSION = 1
HEADER_BYTES = 24
_LAYOUT = struct.Struct("<BBHIIIQ")
assert _LAYOUT.size == HEADER_BYTES


class Kind(IntEnum):
    AUDIO = 1
    """PCM16, uplink or downlink format by direction."""
    JSON = 2
    """A command (towards the worker) or an event (towards the browser), UTF-8."""
    CONTROL = 3
    """Between edge and worker only; never reaches a browser. See `assignment.Control`."""


class Flags(IntFlag):
    NONE = 0
    LAST = 1
    """The last audio frame of its generation, where that was known in time; `audio_stream_stop` always says."""
    FLUSH = 2
    """Whoever queues audio drops what it holds of generations older than this header's."""


class FrameError(ValueError):
    """The bytes are not a message of ours; the text says what was expected and what came."""


@dataclass(frozen=True, slots=True)
class Header:
    kind: Kind
    epoch: int = 0
    generation: int = 0
    sequence: int = 0
    time_us: int = 0
    flags: Flags = Flags.NONE


_KINDS = {int(kind): kind for kind in Kind}


def pack(header: Header, payload: bytes | bytearray | memoryview) -> bytes:
    """The message: header followed by payload."""
    return (
        _LAYOUT.pack(
            header.kind,
            VERSION,
            header.flags,
            header.epoch,
            header.generation,
            header.sequence,
            header.time_us,
        )
        + payload
    )


def peek(message: bytes) -> tuple[int, int, int, int, int, int]:
    """Kind, flags, epoch, generation, sequence and time of a message as plain numbers.

    For whoever relays every message and keeps none: `unpack` costs ten times as much.
    Raises FrameError when the message is too short or not of this version.
    """
    if len(message) < HEADER_BYTES:
        raise FrameError(f"a message has at least {HEADER_BYTES} bytes of header; this one has {len(message)} bytes")
    kind, version, flags, epoch, generation, sequence, time_us = _LAYOUT.unpack_from(message)
    if version != VERSION:
        raise FrameError(f"the header's version is {VERSION}; this one says {version}")
    if kind not in _KINDS:
        raise FrameError(f"the header's kind is one of {sorted(_KINDS)}; this one says {kind}")
    return kind, flags & 3, epoch, generation, sequence, time_us


def unpack(message: bytes) -> Header:
    """The header of a message; the payload is `message[HEADER_BYTES:]`.

    Raises FrameError when the message is too short or not of this version.
    """
    kind, flags, epoch, generation, sequence, time_us = peek(message)
    return Header(_KINDS[kind], epoch, generation, sequence, time_us, Flags(flags))


def with_epoch(message: bytes, epoch: int) -> bytes:
    """The same message under another epoch."""
    return message[:4] + epoch.to_bytes(4, "little") + message[8:]
