"""The stand-in recogniser: words by the second and finals after a fixed time; load tests only.

It keeps the rules of `services.recognition.utterances` (slots, order, speculation, forgetting) without a thread
per utterance.
"""

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from loadtest.models.timers import After
from services.contracts.audio import UPLINK
from services.contracts.events import Word
from services.contracts.speech import UTTERANCE_FORGOTTEN_SECONDS, RecognitionResult
from services.recognition.errors import AtCapacity, DeadlineExceeded, UtteranceTooLong, UtteranceUnknown
from services.recognition.utterances import Observer, Request

WORDS = ("lisbon", "weather", "tomorrow", "sunshine", "umbrella", "clouds", "evening", "wind", "harbour", "twenty")
"""None of them leaves a sentence open, so that the end of a turn is judged by silence alone."""
WORDS_PER_SECOND = 2.5
MAX_SECONDS = 60.0
MAX_WAITING = 256
_SWEPT_EVERY = 1.0


def words(seconds: float) -> list[Word]:
    """What is recognised of so much audio."""
    length = 1 / WORDS_PER_SECOND
    count = int(seconds * WORDS_PER_SECOND + 0.5) if seconds else 0
    return [
        Word(word=WORDS[number % len(WORDS)], start=number * length, end=(number + 1) * length)
        for number in range(count)
    ]


@dataclass
class _Utterance:
    samples: int = 0
    transcribed: int | None = None
    """So many samples the last final was about."""
    waiting: deque[Request] = field(default_factory=deque[Request])
    busy: bool = False
    asked_at: float = 0.0
    ended: bool = False


class StandinRecogniser:
    def __init__(
        self, slots: int, final_seconds: float, after: After, observer: Observer, clock: Callable[[], float]
    ) -> None:
        self.clock = clock
        self._slots = slots
        self._final_seconds = final_seconds
        self._after = after
        self._observer = observer
        self._lock = threading.RLock()
        self._utterances: dict[str, _Utterance] = {}
        after(_SWEPT_EVERY, self._sweep)

    def submit(self, request: Request) -> None:
        """Answers at once what takes no time; the rest comes later, in the order of its utterance's requests."""
        with self._lock:
            try:
                utterance = self._find(request)
            except (AtCapacity, UtteranceUnknown) as error:
                request.reply.fail(error)
                return
            if utterance is None:
                request.reply.finish(None)
                return
            utterance.asked_at = self.clock()
            utterance.waiting.append(request)
            self._go_on(request.options.utterance, utterance)

    def _find(self, request: Request) -> _Utterance | None:
        identity = request.options.utterance
        utterance = self._utterances.get(identity)
        if request.options.kind == "drop":
            if utterance is not None:
                self._forget(identity, utterance)
            return None
        if utterance is None:
            if not request.options.first:
                raise UtteranceUnknown(f"no utterance '{identity}' is open here")
            if len(self._utterances) >= self._slots:
                self._observer.rejected()
                raise AtCapacity(f"all {self._slots} slots are taken")
            utterance = self._utterances[identity] = _Utterance()
            self._observer.active(len(self._utterances))
        elif len(utterance.waiting) >= MAX_WAITING:
            raise AtCapacity(f"{MAX_WAITING} requests of utterance '{identity}' wait already")
        return utterance

    def _go_on(self, identity: str, utterance: _Utterance) -> None:
        while utterance.waiting and not utterance.busy and not utterance.ended:
            request = utterance.waiting.popleft()
            if request.reply.cancelled():
                self._observer.cancelled()
                request.reply.finish(None)
                self._forget(identity, utterance)
                return
            if request.options.first:
                utterance.samples, utterance.transcribed = 0, None
            if utterance.samples + len(request.samples) > MAX_SECONDS * UPLINK.sample_rate:
                request.reply.fail(UtteranceTooLong(f"an utterance has at most {MAX_SECONDS:.0f} s"))
                continue
            utterance.samples += len(request.samples)
            match request.options.kind:
                case "final" if utterance.transcribed != utterance.samples:
                    utterance.busy = True
                    self._after(self._final_seconds, lambda one=request: self._transcribed(one, utterance))
                case "final" | "partial":
                    self._answer(request, utterance)
                case _:
                    request.reply.finish(None)

    def _transcribed(self, request: Request, utterance: _Utterance) -> None:
        with self._lock:
            utterance.busy = False
            if utterance.ended:
                request.reply.finish(None)
                return
            if request.reply.cancelled():
                self._observer.cancelled()
                request.reply.finish(None)
                self._forget(request.options.utterance, utterance)
                return
            utterance.transcribed = utterance.samples
            self._answer(request, utterance)
            self._go_on(request.options.utterance, utterance)

    def _answer(self, request: Request, utterance: _Utterance) -> None:
        options, waited = request.options, self.clock() - request.arrived
        is_final = options.kind == "final"
        if 0 < options.deadline_ms < waited * 1000:
            request.reply.fail(DeadlineExceeded(f"it waited {waited * 1000:.0f} of {options.deadline_ms} ms"))
        else:
            seconds = utterance.samples / UPLINK.sample_rate
            found = words(seconds)
            result = RecognitionResult(
                utterance=options.utterance,
                text=" ".join(word.word for word in found),
                words=found if options.word_times and is_final else [],
                language="en",
                is_final=is_final,
                audio_seconds=seconds,
            )
            request.reply.finish(result)
            self._observer.answered(options.kind, waited)
        if is_final and not options.speculative:
            self._forget(options.utterance, utterance)

    def _forget(self, identity: str, utterance: _Utterance) -> None:
        utterance.ended = True
        if self._utterances.get(identity) is utterance:
            del self._utterances[identity]
            self._observer.active(len(self._utterances))
        while utterance.waiting:
            utterance.waiting.popleft().reply.fail(UtteranceUnknown(f"utterance '{identity}' has been forgotten"))

    def _sweep(self) -> None:
        with self._lock:
            now = self.clock()
            for identity, utterance in list(self._utterances.items()):
                if not utterance.busy and now - utterance.asked_at > UTTERANCE_FORGOTTEN_SECONDS:
                    self._forget(identity, utterance)
        self._after(_SWEPT_EVERY, self._sweep)
