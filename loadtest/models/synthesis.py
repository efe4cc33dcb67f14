"""The stand-in voice: a tone as long as the text would take to say; load tests only."""

import threading
from collections.abc import Callable

import numpy as np

from loadtest.models.timers import After
from services.contracts.audio import DOWNLINK
from services.synthesis.errors import AtCapacity
from services.synthesis.speakers import Observer, Request, refusal

SECONDS_PER_CHARACTER = 0.06
CHUNK_SAMPLES = DOWNLINK.sample_rate // 10
_TONE_HZ = 440  # 44 whole cycles in a chunk, so that chunks join without a click
TONE = (8000 * np.sin(2 * np.pi * _TONE_HZ / DOWNLINK.sample_rate * np.arange(CHUNK_SAMPLES))).astype(np.int16)


class StandinVoice:
    def __init__(
        self,
        slots: int,
        first_seconds: float,
        rate: float,
        after: After,
        observer: Observer,
        clock: Callable[[], float],
    ) -> None:
        self.clock = clock
        self._slots = slots
        self._first_seconds = first_seconds
        self._rate = rate
        self._after = after
        self._observer = observer
        self._lock = threading.Lock()
        self._active = 0

    def submit(self, request: Request) -> None:
        """Speak the request from later on, or answer it at once with why not."""
        with self._lock:
            why_not = refusal(self._slots, self._active, request.speculative)
            if not why_not:
                self._active += 1
                self._observer.active(self._active)
        if why_not:
            if not request.speculative:
                self._observer.rejected()
            request.reply.fail(AtCapacity(why_not))
            return
        samples = round(len(request.text) * SECONDS_PER_CHARACTER * DOWNLINK.sample_rate)
        self._speak_on(request, self.clock() + self._first_seconds, samples, first=True)

    def _speak_on(self, request: Request, due: float, left: int, first: bool = False) -> None:
        self._after(max(0.0, due - self.clock()), lambda: self._speak(request, due, left, first))

    def _speak(self, request: Request, due: float, left: int, first: bool) -> None:
        reply = request.reply
        if reply.cancelled():
            self._observer.cancelled()
            self._end(request)
            return
        size = min(left, CHUNK_SAMPLES)
        reply.pcm(TONE[:size])
        if first:
            self._observer.first_audio(self.clock() - request.arrived)
        if left == size:
            self._end(request)
        else:
            self._speak_on(request, due + size / DOWNLINK.sample_rate * self._rate, left - size)

    def _end(self, request: Request) -> None:
        with self._lock:
            self._active -= 1
            self._observer.active(self._active)
        request.reply.finish()
