"""The order and the pace in which an answer's audio leaves the worker.

Plain data structure, no I/O: chunks go in per slot in whatever order synthesis delivers them, frames come
out strictly in slot order, and never more than `credit` samples beyond what the listener acknowledged.
"""

from collections import deque
from dataclasses import dataclass, field

from services.contracts.audio import DOWNLINK

CREDIT_SAMPLES = int(1.5 * DOWNLINK.sample_rate)


@dataclass
class _SlotAudio:
    chunks: deque[bytes] = field(default_factory=deque[bytes])
    ended: bool = False


class Playout:
    """Holds the audio of one generation at a time."""

    def __init__(self, credit: int = CREDIT_SAMPLES) -> None:
        self._credit = credit
        self._frame_bytes = DOWNLINK.frame_bytes
        self.begin(0)

    def begin(self, generation: int, hold: bool = False) -> None:
        """Drops what is held; from now on audio of this generation is taken and no other. `hold`: and none of it is
        given out before `release`."""
        self.generation = generation
        self._hold = hold
        self.sent = 0
        """Samples given out by `take`."""
        self._played = 0
        self._slots: dict[int, _SlotAudio] = {}
        self._next = 0
        self._count: int | None = None
        self._pending = bytearray()
        self._drained = False

    def add(self, generation: int, slot: int, pcm: bytes) -> None:
        if generation == self.generation and slot >= self._next:
            self._slots.setdefault(slot, _SlotAudio()).chunks.append(pcm)

    def end(self, generation: int, slot: int) -> None:
        """No more audio of this slot comes; with none at all it is passed over."""
        if generation == self.generation and slot >= self._next:
            self._slots.setdefault(slot, _SlotAudio()).ended = True

    def close(self, generation: int, slots: int) -> None:
        """The answer has so many slots."""
        if generation == self.generation:
            self._count = slots

    def release(self, generation: int) -> None:
        if generation == self.generation:
            self._hold = False

    def played(self, generation: int, samples: int) -> None:
        if generation == self.generation:
            self._played = min(max(self._played, samples), self.sent)

    def take(self) -> bytes | None:
        """The next frame to send (PCM16, at most DOWNLINK.frame_samples), or None while there is none or no credit.

        A frame is short only where nothing more is at hand; credit is spent a whole frame at a time.
        """
        if self._hold:
            return None
        self._gather()
        size = min(len(self._pending), self._frame_bytes)
        room = self._credit - (self.sent - self._played)
        if not size or room * 2 < size:
            return None
        frame = bytes(self._pending[:size])
        del self._pending[:size]
        self.sent += size // 2
        return frame

    def exhausted(self) -> bool:
        """The last frame of the answer has been taken, and it is known to have been the last."""
        self._gather()
        return self._count is not None and self._next >= self._count and not self._pending

    def drained(self) -> bool:
        """True once, when the answer is exhausted."""
        if self._hold or self._drained or not self.exhausted():
            return False
        self._drained = True
        return True

    def _gather(self) -> None:
        """Moves what is in order into `_pending`, a frame's worth at a time."""
        while len(self._pending) < self._frame_bytes:
            slot = self._slots.get(self._next)
            if slot is None:
                return
            if slot.chunks:
                self._pending += slot.chunks.popleft()
            elif slot.ended:
                del self._slots[self._next]
                self._next += 1
            else:
                return
