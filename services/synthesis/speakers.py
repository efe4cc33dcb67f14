"""Who may speak at a time: bounded slots, a thread each, and exactly one end to every request."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from services.contracts.characters import Voice
from services.synthesis.errors import AtCapacity


class Reply(Protocol):
    """Where the sound of one request goes: any number of `pcm`, then exactly one `finish` or `fail`."""

    def cancelled(self) -> bool: ...

    def pcm(self, samples: NDArray[np.int16]) -> None: ...

    def finish(self) -> None: ...

    def fail(self, error: Exception) -> None: ...


class Engine(Protocol):
    def speak(self, text: str, voice: Voice, on_pcm: Callable[[NDArray[np.int16]], bool]) -> None: ...


class Observer(Protocol):
    """What the metrics want to know."""

    def active(self, count: int) -> None: ...

    def rejected(self) -> None: ...

    def cancelled(self) -> None: ...

    def first_audio(self, seconds: float) -> None: ...


@dataclass(frozen=True)
class Request:
    text: str
    voice: Voice
    reply: Reply
    arrived: float
    """On the clock of `Speakers`."""
    speculative: bool = False
    """It may never be wanted; `refusal` has the rule for it."""


def refusal(slots: int, taken: int, speculative: bool) -> str:
    """Why a request gets no slot now, or "" when it gets one.

    A speculative one gets one while over a quarter of the slots is free, so that a single slot that is free will do.
    """
    free = slots - taken
    if free <= 0:
        return f"all {slots} slots are taken"
    if speculative and free * 4 <= slots:
        return "the free slots are kept for sentences that somebody waits for"
    return ""


class Speakers:
    """At most `slots` requests speak at a time. `submit` never waits."""

    def __init__(
        self, slots: int, engine: Engine, observer: Observer, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.clock = clock
        self._slots = slots
        self._engine = engine
        self._observer = observer
        self._lock = threading.Lock()
        self._threads: set[threading.Thread] = set()
        self._closing = False

    def submit(self, request: Request) -> None:
        """Speak the request on a thread of its own, or answer it at once with why not."""
        with self._lock:
            why_not = refusal(self._slots, len(self._threads), request.speculative)
            if self._closing:
                why_not = "the model is being unloaded"
            if not why_not:
                thread = threading.Thread(target=self._run, args=(request,), name="speaker", daemon=True)
                self._threads.add(thread)
                self._observer.active(len(self._threads))
                thread.start()
        if why_not:
            # Going without a prepared sentence is no trouble, and must not look like want of slots.
            if not request.speculative:
                self._observer.rejected()
            request.reply.fail(AtCapacity(why_not))

    def close(self) -> None:
        """Stop all and wait for their threads."""
        with self._lock:
            self._closing = True
            threads = list(self._threads)
        for thread in threads:
            thread.join()

    def _run(self, request: Request) -> None:
        reply = request.reply
        try:
            self._speak(request)
        except Exception as error:
            # Whatever happened, the caller must hear of it: a request without an end hangs for ever.
            reply.fail(error)
        else:
            reply.finish()
        finally:
            with self._lock:
                self._threads.discard(threading.current_thread())
                self._observer.active(len(self._threads))

    def _speak(self, request: Request) -> None:
        heard = False

        def forward(samples: NDArray[np.int16]) -> bool:
            nonlocal heard
            if self._closing or request.reply.cancelled():
                self._observer.cancelled()
                return False
            request.reply.pcm(samples)
            if not heard:
                heard = True
                self._observer.first_audio(self.clock() - request.arrived)
            return True

        self._engine.speak(request.text, request.voice, forward)
