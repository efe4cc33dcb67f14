"""One connection's queue towards the browser, and the rules of epoch and generation. Pure.

Nothing is dropped but what must not be heard: messages of an older attachment, and audio of an answer
that was interrupted. A client that does not keep up fills the queue to its bound; then it is ended.
"""

from collections import deque
from enum import Enum, auto
from typing import NamedTuple

from services.contracts.frame import HEADER_BYTES, Flags, Kind, peek

MAX_BYTES = 1024 * 1024
_AUDIO = int(Kind.AUDIO)
_CONTROL = int(Kind.CONTROL)
_FLUSH = int(Flags.FLUSH)
_OWN = -1
"""In place of a sequence number: an event of the edge itself."""


class Outcome(Enum):
    QUEUED = auto()
    HELD = auto()
    """Kept until the connection knows its epoch."""
    STALE = auto()
    """Of an older epoch, or audio of an interrupted answer: dropped."""
    SUPERSEDED = auto()
    """Of a newer epoch: another connection took the session."""
    OVERFLOW = auto()
    """The queue is full, the message is not in it, and the connection cannot go on."""
    CONTROL = auto()
    """For the edge, not for the browser."""


class Outgoing(NamedTuple):
    is_audio: bool
    generation: int
    data: bytes
    """Audio: the message with its header. Otherwise: JSON, without."""


class Downlink:
    """Filled from NATS by `put`, emptied to the WebSocket by `get`.

    Raises FrameError from `put` for what is no message of ours.
    """

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self.max_bytes = max_bytes
        self.bytes = 0
        """Payload bytes in the queue, held ones included."""
        self.epoch: int | None = None
        """None while the connection is being attached."""
        self.last_sequence = 0
        """The number of the last message taken for the browser."""
        self.purged = 0
        """Audio frames that an interruption removed, since the beginning."""
        self._floor = 0
        self._queue: deque[Outgoing] = deque()
        self._held: list[bytes] = []

    def __len__(self) -> int:
        return len(self._queue)

    def put(self, message: bytes) -> Outcome:
        """A message from the worker, header first."""
        kind, flags, epoch, generation, sequence, _ = peek(message)
        if self.epoch is None:
            if self.bytes + len(message) > self.max_bytes:
                return Outcome.OVERFLOW
            self._held.append(message)
            self.bytes += len(message)
            return Outcome.HELD
        if epoch != self.epoch:
            return Outcome.STALE if epoch < self.epoch else Outcome.SUPERSEDED
        if flags & _FLUSH:
            self._flush(generation)
        if kind == _CONTROL:
            return Outcome.CONTROL
        self.last_sequence = sequence
        if kind == _AUDIO:
            if generation < self._floor:
                self.purged += 1
                return Outcome.STALE
            return self._append(Outgoing(True, generation, message))
        return self._append(Outgoing(False, generation, message[HEADER_BYTES:]))

    def put_event(self, event: bytes) -> Outcome:
        """An event of the edge itself, as JSON; may be queued at any time."""
        return self._append(Outgoing(False, _OWN, event))

    def get(self) -> Outgoing | None:
        """The next message for the browser, or None when there is none now."""
        if not self._queue:
            return None
        outgoing = self._queue.popleft()
        self.bytes -= len(outgoing.data)
        return outgoing

    def detach(self) -> None:
        """From now on messages are held: the session is being attached anew, under an epoch not known yet."""
        self.epoch = None

    def attach(self, epoch: int) -> list[bytes]:
        """The attachment's epoch is known. Returns what was held and is to be `put` again, in order.

        A new holder may count generations from its checkpoint, so earlier interruptions no longer bind.
        """
        held, self._held = self._held, []
        self.bytes -= sum(map(len, held))
        self.epoch = epoch
        self._floor = 0
        return held

    def _append(self, outgoing: Outgoing) -> Outcome:
        if self.bytes + len(outgoing.data) > self.max_bytes:
            return Outcome.OVERFLOW
        self._queue.append(outgoing)
        self.bytes += len(outgoing.data)
        return Outcome.QUEUED

    def _flush(self, generation: int) -> None:
        self._floor = max(self._floor, generation)
        stale = [held for held in self._queue if held.is_audio and held.generation < generation]
        if stale:
            self.purged += len(stale)
            self.bytes -= sum(len(held.data) for held in stale)
            self._queue = deque(held for held in self._queue if not held.is_audio or held.generation >= generation)
