"""A bounded stock of decoders, made when they are first needed and kept."""

import threading
from collections.abc import Callable

from services.recognition.pocketsphinx_library import Decoder


class DecoderPool:
    """At most `size` decoders. `borrow` never waits: whoever borrows holds one of `size` slots already."""

    def __init__(self, size: int, make: Callable[[], Decoder] = Decoder) -> None:
        self._size = size
        self._make = make
        self._lock = threading.Lock()
        self._idle: list[Decoder] = []
        self._made = 0

    def warm_up(self, count: int) -> None:
        """Make decoders until `count` are there. Raises DecoderError."""
        borrowed = [self.borrow() for _ in range(min(count, self._size))]
        for decoder in borrowed:
            self.give_back(decoder)

    def borrow(self) -> Decoder:
        """A decoder that has forgotten its last speaker. Raises DecoderError, LookupError beyond `size`."""
        with self._lock:
            decoder = self._idle.pop() if self._idle else None
            if decoder is None:
                if self._made >= self._size:
                    raise LookupError(f"all {self._size} decoders are borrowed")
                self._made += 1
        if decoder is None:
            try:
                decoder = self._make()
            except BaseException:
                self.discard()
                raise
        decoder.forget_speaker()
        return decoder

    def give_back(self, decoder: Decoder) -> None:
        """Between segments only: after `finish`, or never started."""
        with self._lock:
            self._idle.append(decoder)

    def discard(self) -> None:
        """One borrowed decoder is no longer usable; another may be made in its place."""
        with self._lock:
            self._made -= 1

    def close(self) -> None:
        with self._lock:
            idle, self._idle = self._idle, []
            self._made -= len(idle)
        for decoder in idle:
            decoder.close()
