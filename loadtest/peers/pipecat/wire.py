"""Pipecat's wire format: its protobuf `Frame`, with audio in both directions and `interruption` back.

Written by hand, so that the client needs nothing of Pipecat's. Fields, from its frames.proto: Frame is one of
audio = 2 and interruption = 5 among others; AudioRawFrame has audio = 3, sample_rate = 4, num_channels = 5.
"""

from collections.abc import Iterator

from loadtest import wires
from loadtest.wires import Heard, Message
from services.contracts.audio import UPLINK

_AUDIO, _INTERRUPTION = 2, 5
_PCM = 3
_LENGTH_DELIMITED = 2


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def _delimited(number: int, content: bytes) -> bytes:
    return bytes((number << 3 | _LENGTH_DELIMITED,)) + _varint(len(content)) + content


_FORMAT = bytes((4 << 3,)) + _varint(UPLINK.sample_rate) + bytes((5 << 3, 1))


def _read_varint(message: bytes, at: int) -> tuple[int, int]:
    value, shift = 0, 0
    while True:
        byte = message[at]
        value |= (byte & 0x7F) << shift
        at += 1
        if not byte & 0x80:
            return value, at
        shift += 7


def fields(message: bytes) -> Iterator[tuple[int, bytes]]:
    """The length-delimited fields of a protobuf message; numbers are passed over."""
    at = 0
    while at < len(message):
        key, at = _read_varint(message, at)
        value, at = _read_varint(message, at)
        if key & 7 == _LENGTH_DELIMITED:
            yield key >> 3, message[at : at + value]
            at += value
        elif key & 7:
            raise ValueError(f"a field of wire type {key & 7}; Pipecat's frames have none")


class PipecatWire:
    """One session with `server.py`. Its answers are told from silence by whether they sound."""

    path = "/ws"
    half_duplex = False
    says_end = False
    tokens: int | None = 7
    """Its sentence ends with the seventh token and is sure with the eighth."""

    def opening(self) -> list[Message]:
        return []

    def listen(self) -> list[Message]:
        return []

    def frame(self, pcm: bytes, captured_us: int) -> bytes:
        return _delimited(_AUDIO, _delimited(_PCM, pcm) + _FORMAT)

    def playing(self, received_ms: float) -> list[Message]:
        return []

    def played(self, samples: int) -> list[Message]:
        return []

    def interrupt(self) -> list[Message]:
        raise ValueError("Pipecat is interrupted by voice only")

    def hear(self, message: Message) -> Iterator[Heard]:
        assert isinstance(message, bytes)
        for number, content in fields(message):
            if number == _INTERRUPTION:
                yield wires.VoiceNoticed()
                yield wires.Flush()
            elif number == _AUDIO:
                pcm = next((inner for field, inner in fields(content) if field == _PCM), b"")
                if pcm.strip(b"\0"):
                    yield wires.Sound(len(pcm) // 2)
