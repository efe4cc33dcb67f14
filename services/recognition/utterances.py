"""The utterances that a model holds: who may start one, in what order its requests run, when it is forgotten.

Each utterance has one thread, so its requests run strictly in order, and different utterances run in parallel.
An utterance holds a slot from its first request until its confirmed final, a drop, a cancelled request or
ten idle seconds.
"""

import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from services.contracts.audio import UPLINK
from services.contracts.speech import UTTERANCE_FORGOTTEN_SECONDS, RecognitionOptions, RecognitionResult
from services.recognition.errors import (
    AtCapacity,
    AudioInvalid,
    DeadlineExceeded,
    UtteranceTooLong,
    UtteranceUnknown,
)

MAX_WAITING = 256
"""Requests of one utterance that may wait; a live one has a handful."""
PIECE_SAMPLES = UPLINK.sample_rate // 10
"""Cancellation is looked at after every 100 ms of audio."""


class Reply(Protocol):
    """Where the answer of one request goes: exactly one `finish` or `fail`. Used by one thread at a time."""

    def cancelled(self) -> bool: ...

    def finish(self, result: RecognitionResult | None) -> None: ...

    def fail(self, error: Exception) -> None: ...


class Recognition(Protocol):
    """One utterance under way, see `utterance.Utterance`."""

    def append(self, samples: NDArray[np.float32]) -> None: ...

    def partial(self, word_times: bool = False) -> RecognitionResult: ...

    def final(self, word_times: bool = False) -> RecognitionResult: ...

    def close(self) -> None: ...


class Observer(Protocol):
    """What the metrics want to know."""

    def active(self, count: int) -> None: ...

    def rejected(self) -> None: ...

    def cancelled(self) -> None: ...

    def answered(self, kind: str, seconds: float) -> None: ...


@dataclass(frozen=True)
class Request:
    options: RecognitionOptions
    samples: NDArray[np.float32]
    """float32 [n] at 16 kHz; may be empty."""
    reply: Reply
    arrived: float
    """On the clock of `Utterances`."""


@dataclass
class _Entry:
    identity: str
    requests: "queue.SimpleQueue[Request | None]" = field(default_factory=queue.SimpleQueue)
    """None wakes the thread of a dropped utterance."""
    dropped: bool = False


class Utterances:
    """At most `slots` utterances at a time. `submit` never waits for recognition."""

    def __init__(
        self,
        slots: int,
        begin: Callable[[str], Recognition],
        observer: Observer,
        idle_seconds: float = UTTERANCE_FORGOTTEN_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.clock = clock
        self._slots = slots
        self._begin = begin
        self._observer = observer
        self._idle_seconds = idle_seconds
        self._lock = threading.Lock()
        self._entries: dict[str, _Entry] = {}
        self._threads: set[threading.Thread] = set()
        """Those that hold a slot: they still do while a forgotten utterance gives its decoder back."""

    def submit(self, request: Request) -> None:
        """Queue the request of its utterance, or answer it at once with why not."""
        try:
            accepted = self._accept(request)
        except (AtCapacity, UtteranceUnknown) as error:
            if isinstance(error, AtCapacity):
                self._observer.rejected()
            request.reply.fail(error)
            return
        if not accepted:
            request.reply.finish(None)

    def close(self) -> None:
        """Drop every utterance and wait for their threads."""
        with self._lock:
            threads = list(self._threads)
            for entry in self._entries.values():
                self._drop(entry)
            self._entries.clear()
        for thread in threads:
            thread.join()

    def _accept(self, request: Request) -> bool:
        """False: there is nothing left to do for it. Raises AtCapacity, UtteranceUnknown."""
        identity = request.options.utterance
        with self._lock:
            entry = self._entries.get(identity)
            if request.options.kind == "drop":
                if entry is not None:
                    self._drop(entry)
                    del self._entries[identity]
                return False
            if entry is None:
                if not request.options.first:
                    raise UtteranceUnknown(f"no utterance '{identity}' is open here")
                entry = self._open(identity)
            elif entry.requests.qsize() >= MAX_WAITING:
                raise AtCapacity(f"{MAX_WAITING} requests of utterance '{identity}' wait already")
            entry.requests.put(request)
            return True

    def _open(self, identity: str) -> _Entry:
        if len(self._threads) >= self._slots:
            raise AtCapacity(f"all {self._slots} slots are taken")
        entry = _Entry(identity)
        thread = threading.Thread(target=self._run, args=(entry,), name=f"utterance {identity[:8]}", daemon=True)
        self._entries[identity] = entry
        self._threads.add(thread)
        self._observer.active(len(self._threads))
        thread.start()
        return entry

    def _drop(self, entry: _Entry) -> None:
        entry.dropped = True
        entry.requests.put(None)

    def _run(self, entry: _Entry) -> None:
        recognition: Recognition | None = None
        try:
            while (request := self._next(entry)) is not None:
                try:
                    if recognition is None or request.options.first:
                        if recognition is not None:
                            recognition.close()
                        recognition = self._begin(entry.identity)
                    goes_on = self._handle(request, recognition, entry)
                except Exception as error:
                    # Whatever happened, the caller must hear of it: a request without an answer hangs for ever.
                    request.reply.fail(error)
                    goes_on = isinstance(error, AudioInvalid | UtteranceTooLong)
                if not goes_on:
                    break
        finally:
            self._forget(entry)
            try:
                if recognition is not None:
                    recognition.close()
            finally:
                with self._lock:
                    self._threads.discard(threading.current_thread())
                    self._observer.active(len(self._threads))

    def _next(self, entry: _Entry) -> Request | None:
        """The next request; None when the utterance was dropped or nobody asked for a while."""
        try:
            request = entry.requests.get(timeout=self._idle_seconds)
        except queue.Empty:
            return None
        if request is not None and entry.dropped:
            request.reply.finish(None)
            return None
        return request

    def _handle(self, request: Request, recognition: Recognition, entry: _Entry) -> bool:
        """Do one request. False: the utterance is over."""
        options, reply = request.options, request.reply
        samples = request.samples
        while True:
            if entry.dropped or reply.cancelled():
                self._observer.cancelled()
                reply.finish(None)
                return False
            if not len(samples):
                break
            recognition.append(samples[:PIECE_SAMPLES])
            samples = samples[PIECE_SAMPLES:]
        if options.kind == "append":
            reply.finish(None)
            return True
        confirmed = options.kind == "final" and not options.speculative
        waited = self.clock() - request.arrived
        if 0 < options.deadline_ms < waited * 1000:
            reply.fail(DeadlineExceeded(f"the {options.kind} waited {waited * 1000:.0f} of {options.deadline_ms} ms"))
            return not confirmed
        answer = recognition.partial if options.kind == "partial" else recognition.final
        reply.finish(answer(options.word_times))
        self._observer.answered(options.kind, self.clock() - request.arrived)
        return not confirmed

    def _forget(self, entry: _Entry) -> None:
        """Take no more requests for it and answer those that still wait."""
        with self._lock:
            if self._entries.get(entry.identity) is entry:
                del self._entries[entry.identity]
        while True:
            try:
                request = entry.requests.get_nowait()
            except queue.Empty:
                return
            if request is None:
                continue
            if entry.dropped:
                request.reply.finish(None)
            else:
                request.reply.fail(UtteranceUnknown(f"utterance '{entry.identity}' has just been forgotten"))
