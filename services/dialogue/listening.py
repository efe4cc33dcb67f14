"""One session's ear: frames in; voice decisions and transcripts out.

It keeps a second of audio, so that an utterance begins a little before the detector noticed it, and holds
audio back in a pause, so that recognition can prepare the transcript while the user may still go on.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import structlog
from structlog.contextvars import bound_contextvars

from services.contracts.audio import MAX_UPLINK_SAMPLES, UPLINK
from services.contracts.errors import MEANINGS, Code
from services.contracts.frame import Header
from services.contracts.speech import RecognitionResult
from services.dialogue import barge_in
from services.dialogue.inputs import (
    Event,
    FinalTranscript,
    PartialTranscript,
    RecognitionFailed,
    VoiceStarted,
    VoiceStopped,
)
from services.dialogue.loudness import BLOCK, loudness_of, quietest
from services.dialogue.timeline import AudioClock
from services.dialogue.tracing import TurnTrace
from services.dialogue.vad import SENSITIVITIES, WINDOW, DetectionTicks, Recurrence, Samples
from services.speech.errors import SpeechError
from services.speech.recogniser import Recogniser
from services.speech.recognition_stream import RecognitionStream
from services.telemetry import metrics, names
from services.telemetry.clocks import Clock
from services.telemetry.tracing import Span, Value

log = structlog.get_logger(__name__)

PREROLL_SAMPLES = int(0.3 * UPLINK.sample_rate)
"""So much audio before the first voiced window belongs to the utterance: soft beginnings."""
_KEPT_SAMPLES = int((barge_in.ADAPTING_S + barge_in.LONGEST_ONSET_S + 0.4) * UPLINK.sample_rate)
"""A voice over an answer is known to be one so late, and its beginning is wanted then."""
_KEPT_FRAMES = 128
"""The detector's word on where speech ended comes a few frames late."""
_FADED = 0.02
"""Of the loudest 5 ms of the last second: 34 dB under it speech has ended, if that is not the room's noise."""
_LATEST_WORD = 2 * WINDOW
_LONG_SAMPLES = 47 * UPLINK.sample_rate
"""An utterance of this length may be cut before long (`endpointing.Patience.longest_s`): from here on its audio is
given on late, so that there is a choice of where."""
_CHOICE_SAMPLES = int(1.5 * UPLINK.sample_rate)
"""The choice: a few words, and less than is kept, since what comes after the cut begins the next utterance."""
_LONGEST_GAP_FRAMES = 50
"""Frames lost in a row, up to 1 s, are filled with silence; more is a break in the stream."""
_PARTIAL_S = 0.2
_BREAK_S = 0.6
"""A client that stops sending in the middle of speech, without a word, has stopped speaking."""


class FrameRefused(ValueError):
    """An audio frame that cannot be taken; `code` is for the client."""

    def __init__(self, code: Code, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass
class _Utterance:
    number: int
    stream: RecognitionStream
    trace: TurnTrace
    span: Span
    wanted: Literal["prepare", "finish"] | None = None
    """What to ask recognition for next, before any further partial transcript."""
    signal: asyncio.Event = field(default_factory=asyncio.Event)
    over: asyncio.Event = field(default_factory=asyncio.Event)
    """Its final transcript is wanted, and nothing else of it."""
    length: int = 0
    """Samples that were given to it."""
    tail: deque[Samples] = field(default_factory=lambda: deque[Samples]())
    """Of a long one: its last samples, which recognition has not got yet."""
    held: list[Samples] | None = None
    """Audio after a pause began; None while there is none."""
    pauses: int = 0
    """So far."""
    partials: int = 0
    failure: str = ""
    task: asyncio.Task[None] | None = None

    def give(self, samples: Samples) -> None:
        self.length += len(samples)
        self.tail.append(samples)
        choice = _CHOICE_SAMPLES if self.length > _LONG_SAMPLES else 0
        waiting = sum(len(one) for one in self.tail)
        while self.tail and waiting > choice:
            first = self.tail.popleft()
            waiting -= len(first)
            self.stream.append(first)

    def give_all(self) -> None:
        while self.tail:
            self.stream.append(self.tail.popleft())


class Listener:
    def __init__(
        self,
        ticks: DetectionTicks,
        recogniser: Recogniser,
        clock: Clock,
        deliver: Callable[[Event], None],
        name: Callable[[int], str],
    ) -> None:
        """`deliver` takes what was heard; `name` makes an utterance's id for the models from its number."""
        self._ticks = ticks
        self._recogniser = recogniser
        self._clock = clock
        self._deliver = deliver
        self._name = name
        self.sensitivity = SENSITIVITIES[1]
        self.language = "auto"
        self._expected: int | None = None
        self._frames: deque[tuple[int, int]] = deque(maxlen=_KEPT_FRAMES)
        """Of the last frames: the sample behind each, and its number."""
        self.spoken: tuple[int, float] | None = None
        """The frame with the last sample of speech, and how many seconds that is before the frame's end."""
        self._arrived_at = 0.0
        self._utterances: dict[int, _Utterance] = {}
        self._current: _Utterance | None = None
        self.forget()

    # --- Audio -----------------------------------------------------------------------------------------------

    def feed(self, header: Header, pcm: bytes, hearing: bool) -> None:
        """One uplink frame. While not `hearing` only its number is taken. Raises FrameRefused."""
        lost = self._check(header, pcm)
        if not hearing:
            return
        samples = np.frombuffer(pcm, "<i2").astype(np.float32) / 32768
        if 0 < lost <= _LONGEST_GAP_FRAMES:
            metrics.UPLINK_LOST_FRAMES.inc(lost)
            self._take(np.zeros(lost * UPLINK.frame_samples, np.float32))
        first = self._end
        self._arrived_at = self._clock()
        self._timeline.arrived(first + len(samples), self._arrived_at, first, header.time_us / 1000)
        self._frames.append((first + len(samples), header.sequence))
        self._take(samples)

    def renumber(self) -> None:
        """Another connection of the client may count its frames anew."""
        self._expected = None

    def _check(self, header: Header, pcm: bytes) -> int:
        """The number of frames lost before this one."""
        if not pcm or len(pcm) % 2 or len(pcm) > MAX_UPLINK_SAMPLES * 2:
            raise FrameRefused(
                Code.MALFORMED_FRAME,
                f"An audio frame has 1 to {MAX_UPLINK_SAMPLES} samples of 16 bits; this one has {len(pcm)} bytes.",
            )
        expected = header.sequence if self._expected is None else self._expected
        if header.sequence < expected:
            raise FrameRefused(
                Code.FRAME_OUT_OF_ORDER, f"Audio frame {header.sequence} came where {expected} or later was due."
            )
        self._expected = header.sequence + 1
        return header.sequence - expected

    def _take(self, samples: Samples) -> None:
        self._kept.append((self._end, samples))
        self._end += len(samples)
        while self._kept and self._kept[0][0] + len(self._kept[0][1]) < self._end - _KEPT_SAMPLES:
            self._kept.popleft()
        current = self._current
        if current is not None:
            if current.held is None:
                current.give(samples)
                self._given = self._end
            else:
                current.held.append(samples)
        self._window = np.concatenate([self._window, samples])
        while len(self._window) >= WINDOW:
            window, self._window = self._window[:WINDOW], self._window[WINDOW:]
            self._ticks.submit(self._recurrence, window, self._judge(self._windows_end))
            self._windows_end += WINDOW

    def _judge(self, start: int) -> Callable[[float], None]:
        era = self._era

        def judge(score: float) -> None:
            if era is self._era:
                self._scored(start, score)

        return judge

    def _scored(self, start: int, score: float) -> None:
        """The window that begins at sample `start` has this probability of voice."""
        if not self._voiced and score >= self.sensitivity.begin:
            self._begin_voice(start)
        elif self._voiced and score < self.sensitivity.end:
            self._voiced = False
            end = self._last_sound(start)
            self._spoke_until(end)
            self._deliver(VoiceStopped(at=self._timeline.worker_time(end), client_ms=self._timeline.client_ms(end)))

    def _begin_voice(self, start: int) -> None:
        self._voiced = True
        self._voice_start = start
        asyncio.get_running_loop().call_later(_BREAK_S, self._watch, self._era)
        self._deliver(VoiceStarted(at=self._timeline.worker_time(start), client_ms=self._timeline.client_ms(start)))

    def _last_sound(self, start: int) -> int:
        """Where the speech ended that the detector misses from sample `start` on.

        The detector's word comes a window or two late, for it looks back as well. In quiet surroundings the sound
        itself tells to a few milliseconds; in noise nothing stands out, and the detector's word stands.
        """
        heard = np.concatenate([samples for _, samples in self._kept])
        heard = heard[: max(0, start - self._kept[0][0])][-UPLINK.sample_rate :]
        loudness = loudness_of(heard[len(heard) % BLOCK :])
        if not len(loudness):
            return start
        sounding = np.flatnonzero(loudness > _FADED * loudness.max())
        return (
            max(start - _LATEST_WORD, start - (len(loudness) - 1 - int(sounding[-1])) * BLOCK)
            if len(sounding)
            else start
        )

    def _spoke_until(self, sample: int) -> None:
        frame = next(((end, number) for end, number in self._frames if end >= sample), None)
        self.spoken = (frame[1], (frame[0] - sample) / UPLINK.sample_rate) if frame else None

    def expect_voice(self) -> None:
        """The next window with voice begins a turn, even if the voice has not paused."""
        self._voiced = False

    def _watch(self, era: object) -> None:
        """While there is voice, frames must come."""
        if era is not self._era or not self._voiced:
            return
        waited = self._clock() - self._arrived_at
        if waited < _BREAK_S:
            asyncio.get_running_loop().call_later(_BREAK_S - waited, self._watch, era)
            return
        self._voiced = False
        self._spoke_until(self._end)
        at, client_ms = self._timeline.worker_time(self._end), self._timeline.client_ms(self._end)
        self._deliver(VoiceStopped(at=at, client_ms=client_ms))

    def forget(self) -> None:
        """What was heard so far belongs to another moment: the detector and the pre-roll start anew."""
        self._era = object()
        self._recurrence = Recurrence()
        self._timeline = AudioClock()
        self._kept: deque[tuple[int, Samples]] = deque()
        self._end = 0
        self._window: Samples = np.zeros(0, np.float32)
        self._windows_end = 0
        self._voiced = False
        self._voice_start = 0
        self._frames.clear()
        self.spoken = None
        self._given = 0
        """Samples before this one are in some utterance already."""

    # --- Utterances ------------------------------------------------------------------------------------------

    def open(self, number: int, trace: TurnTrace) -> None:
        """What was heard since shortly before the voice began, and what follows, is an utterance of that turn."""
        name = self._name(number)
        known: dict[str, Value] = {
            names.OPERATION: names.RECOGNISE,
            names.REQUEST_MODEL: self._recogniser.model,
            names.UTTERANCE: name,
        }
        span = trace.begin(names.RECOGNISE, known)
        stream = self._recogniser.open(
            name, language=self.language, word_times=True, traceparent=span.context.traceparent
        )
        utterance = _Utterance(number, stream, trace, span)
        begin = max(self._given, self._voice_start - PREROLL_SAMPLES)
        for start, samples in self._kept:
            if start + len(samples) > begin:
                utterance.give(samples[max(0, begin - start) :])
        self._given = self._end
        self._utterances[number] = utterance
        self._current = utterance
        with bound_contextvars(**trace.log):
            utterance.task = asyncio.create_task(self._follow(utterance))

    def pause(self, number: int) -> None:
        utterance = self._utterances.get(number)
        if utterance and utterance.held is None:
            utterance.give_all()
            utterance.held = []
            utterance.pauses += 1
            utterance.wanted = utterance.wanted or "prepare"
            utterance.signal.set()

    def resume(self, number: int) -> None:
        utterance = self._utterances.get(number)
        if utterance and utterance.held is not None:
            for samples in utterance.held:
                utterance.give(samples)
            utterance.held = None
            self._given = self._end

    def close(self, number: int) -> None:
        """The transcript of what came before the pause, or up to now, is final."""
        utterance = self._utterances.get(number)
        if utterance:
            if self._voiced:
                self._spoke_until(self._end)  # it ends before the voice does
            if self._current is utterance:
                self._current = None
            utterance.give_all()
            utterance.wanted = "finish"
            utterance.signal.set()
            utterance.over.set()

    def cut(self, number: int) -> None:
        """Closes an utterance in the middle of speech, where it was quietest of late; the voice goes on from there."""
        utterance = self._utterances.get(number)
        end = self._end
        if utterance and utterance.tail:
            tail = np.concatenate(utterance.tail)
            kept = quietest(tail)
            utterance.tail = deque([tail[:kept]])
            end -= len(tail) - kept
        self.close(number)
        self._given = end
        self._begin_voice(end)

    def drop(self) -> None:
        """Nobody wants the transcripts of what is open."""
        for number in list(self._utterances):
            self.abandon(number)

    def abandon(self, number: int) -> None:
        """Nobody waits for this transcript any longer."""
        utterance = self._utterances.get(number)
        if utterance:
            # Said here and not left to its task, which may not have begun yet.
            self._forget_utterance(utterance)
            utterance.stream.abandon()
            if utterance.task:
                utterance.task.cancel()

    async def _follow(self, utterance: _Utterance) -> None:
        """Asks for transcripts, one request after the other, until the final one is there."""
        stream, number = utterance.stream, utterance.number
        shown = ""
        try:
            while True:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(utterance.signal.wait(), _PARTIAL_S)
                utterance.signal.clear()
                wanted, utterance.wanted = utterance.wanted, None
                if wanted == "finish":
                    result = await stream.final(speculative=False)
                    utterance.span.attributes[names.AUDIO_SECONDS] = result.audio_seconds
                    await self._await_earlier(utterance)
                    self._forget_utterance(utterance)
                    self._deliver(FinalTranscript(at=self._clock(), utterance=number, result=result))
                    return
                if wanted is None and utterance.held is not None:
                    continue
                pauses = utterance.pauses
                try:
                    question = stream.final(speculative=True) if wanted else stream.partial()
                    result = await _unless(utterance.over, question)
                except SpeechError as error:
                    # The stream keeps the audio: what could not be shown meanwhile may still be recognised in the end.
                    log.debug("a partial transcript was not made", utterance=number, cause=str(error))
                    if wanted and utterance.held is not None:
                        utterance.wanted = utterance.wanted or wanted
                    continue
                if result is None:
                    continue
                utterance.partials += 1
                whole = bool(wanted) and utterance.held is not None and utterance.pauses == pauses
                if whole or (result.text.strip() and result.text != shown):
                    shown = result.text
                    self._deliver(PartialTranscript(at=self._clock(), utterance=number, result=result, whole=whole))
        except SpeechError as error:
            log.warning("an utterance was not recognised", utterance=number, cause=str(error))
            utterance.failure = str(error)
            await self._await_earlier(utterance)
            self._fail(utterance)
        except Exception:
            log.exception("recognition failed", utterance=number)
            utterance.failure = "recognition failed"
            self._fail(utterance)
        finally:
            self._forget_utterance(utterance)
            stream.abandon()

    async def _await_earlier(self, utterance: _Utterance) -> None:
        """Transcripts end in the order in which they were spoken, whichever was recognised first."""
        earlier = [one.task for one in self._utterances.values() if one.number < utterance.number and one.task]
        if earlier:
            await asyncio.wait(earlier)

    def _fail(self, utterance: _Utterance) -> None:
        self._forget_utterance(utterance)
        message = MEANINGS[Code.RECOGNITION_UNAVAILABLE].message
        self._deliver(RecognitionFailed(at=self._clock(), utterance=utterance.number, message=message))

    def _forget_utterance(self, utterance: _Utterance) -> None:
        if self._utterances.pop(utterance.number, None) is not None:
            utterance.span.attributes[names.PARTIALS] = utterance.partials
            utterance.trace.end(utterance.span, utterance.failure)
        if self._current is utterance:
            self._current = None


async def _unless(over: asyncio.Event, question: Coroutine[Any, Any, RecognitionResult]) -> RecognitionResult | None:
    """The answer, or None when it is `over` before: that a recogniser is gone may take long to be known."""
    asked, ended = asyncio.create_task(question), asyncio.create_task(over.wait())
    try:
        await asyncio.wait([asked, ended], return_when=asyncio.FIRST_COMPLETED)
        return asked.result() if asked.done() else None
    finally:
        asked.cancel()
        ended.cancel()
