"""What a session says to its client: numbered, and kept until it is unlikely to be asked for again."""

from collections import deque
from collections.abc import Callable

import msgspec

from services.contracts import events
from services.contracts.frame import HEADER_BYTES, Flags, Header, Kind, pack, unpack
from services.telemetry.clocks import Clock

REPLAY_BYTES = 512 * 1024
"""Kept for a client that reconnects: 1.5 s of audio ahead are 72 kB, events are small."""

_SEQUENCE = 2**32


class Outbox:
    def __init__(self, publish: Callable[[bytes], None], clock: Clock) -> None:
        self._publish = publish
        self._clock = clock
        self.epoch = 0
        self.attached = False
        """Without a connection messages are kept, not published."""
        self.sequence = 0
        """Of the last message."""
        self._kept: deque[tuple[int, bytes]] = deque()
        self._kept_bytes = 0

    def event(self, event: events.AnyEvent, generation: int = 0, flags: Flags = Flags.NONE) -> None:
        numbered = msgspec.structs.replace(event, sequence=self._next())
        self._send(Kind.JSON, generation, flags, events.encode(numbered))

    def audio(self, generation: int, pcm: bytes, last: bool = False) -> int:
        """Sends a frame and returns its sequence number."""
        self._next()
        self._send(Kind.AUDIO, generation, Flags.LAST if last else Flags.NONE, pcm)
        return self.sequence

    def control(self, payload: bytes) -> None:
        """To the edge; not part of the numbered messages."""
        self._publish(pack(Header(Kind.CONTROL, epoch=self.epoch), payload))

    def welcome(self, ready: events.Ready, last_sequence: int) -> None:
        """`ready` goes before everything else and takes no number of its own: what the client has seen stays true."""
        numbered = msgspec.structs.replace(ready, sequence=last_sequence)
        header = Header(Kind.JSON, self.epoch, ready.generation, last_sequence, self._now_us())
        self._publish(pack(header, events.encode(numbered)))

    def remembers(self, last_sequence: int) -> bool:
        """Everything after that message can be sent again."""
        first = self._kept[0][0] if self._kept else self.sequence + 1
        return first - 1 <= last_sequence <= self.sequence

    def replay(self, last_sequence: int) -> None:
        """Sends what came after that message again, in the epoch of now."""
        for sequence, message in self._kept:
            if sequence > last_sequence:
                old = unpack(message)
                header = Header(old.kind, self.epoch, old.generation, sequence, old.time_us, old.flags)
                self._publish(pack(header, message[HEADER_BYTES:]))

    def forget(self) -> None:
        """Nothing will be asked for again."""
        self._kept.clear()
        self._kept_bytes = 0

    def _next(self) -> int:
        self.sequence = (self.sequence + 1) % _SEQUENCE
        return self.sequence

    def _send(self, kind: Kind, generation: int, flags: Flags, payload: bytes) -> None:
        message = pack(Header(kind, self.epoch, generation, self.sequence, self._now_us(), flags), payload)
        self._kept.append((self.sequence, message))
        self._kept_bytes += len(message)
        while self._kept_bytes > REPLAY_BYTES:
            self._kept_bytes -= len(self._kept.popleft()[1])
        if self.attached:
            self._publish(message)

    def _now_us(self) -> int:
        return int(self._clock() * 1e6)
