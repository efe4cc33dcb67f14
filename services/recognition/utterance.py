"""One utterance, recognised while it is spoken.

Samples go through the decoder once, as they come. A *segment* is a stretch that the decoder has finished
with its second pass. A speculative final finishes the segment at a pause; when the user goes on, the next
sound begins another segment and the texts join, so nothing is decoded twice.
"""

from collections import deque

import numpy as np
from numpy.typing import NDArray

from services.contracts.audio import UPLINK
from services.contracts.events import Segment, Word
from services.contracts.speech import RecognitionResult
from services.recognition.decoder_pool import DecoderPool
from services.recognition.errors import AudioInvalid, DecoderError, UtteranceTooLong
from services.recognition.pocketsphinx_library import Decoder, TimedWord
from services.recognition.sound import FRAME_SAMPLES, frame_levels, is_steady, quiet_below, to_pcm16

MAX_SECONDS = 60.0
HELD_FRAMES = 15
"""300 ms of quiet stay in front of a sound: soft onsets lie there, and the decoder wants a little silence."""
ONSET_FRAMES = 3
"""A segment starts with 60 ms of sound; a click is shorter."""
LANGUAGE = "en"

_NO_SAMPLES: NDArray[np.float32] = np.zeros(0, np.float32)


class Utterance:
    """Not for two threads at once. `close` gives the decoder back and may be called at any time."""

    def __init__(self, identity: str, decoders: DecoderPool) -> None:
        self.identity = identity
        self._decoders = decoders
        self._decoder: Decoder | None = None
        self._decoding = False
        self._partial_frame = _NO_SAMPLES
        self._held: deque[NDArray[np.float32]] = deque(maxlen=HELD_FRAMES + ONSET_FRAMES)
        self._onset = 0
        self._heard = 0
        """Samples taken, of the whole utterance."""
        self._segment_start = 0
        self._segment_levels: list[NDArray[np.float32]] = []
        self._speech_levels: NDArray[np.float32] = _NO_SAMPLES
        self._segments: list[Segment] = []
        self._words: list[Word] = []

    def append(self, samples: NDArray[np.float32]) -> None:
        """Take float32 [n] at 16 kHz. Raises UtteranceTooLong, AudioInvalid, DecoderError."""
        if self._heard + len(samples) > MAX_SECONDS * UPLINK.sample_rate:
            raise UtteranceTooLong(f"an utterance has at most {MAX_SECONDS:.0f} s of audio")
        if not np.isfinite(samples).all():
            raise AudioInvalid("the samples hold NaN or infinity")
        self._heard += len(samples)
        pending = np.concatenate([self._partial_frame, samples])
        whole = len(pending) // FRAME_SAMPLES * FRAME_SAMPLES
        self._partial_frame = pending[whole:]
        frames = pending[:whole]
        if not self._decoding:
            frames = self._skip_quiet(frames)
        if len(frames):
            self._decode(frames)

    def partial(self, word_times: bool = False) -> RecognitionResult:
        """What is recognised so far; the finished segments are committed."""
        text, words = "", []
        if self._decoding and self._decoder and not is_steady(self._levels()):
            text = self._decoder.text()
            words = self._on_utterance_clock(self._decoder.words()) if word_times and text else []
        committed = self._committed_text()
        joined = f"{committed} {text}".strip()
        return self._result(joined, len(committed), self._words + words if word_times else [], is_final=False)

    def final(self, word_times: bool = False) -> RecognitionResult:
        """Finish the current segment and return the transcript of the whole utterance.

        Further samples may follow. Without new sound since the last final nothing is decoded.
        Raises DecoderError.
        """
        if self._decoding:
            if len(self._partial_frame):
                self._decode(self._partial_frame)
            self._finish_segment()
        elif len(self._partial_frame):
            self._held.append(self._partial_frame)
        self._partial_frame = _NO_SAMPLES
        text = self._committed_text()
        return self._result(text, len(text), self._words if word_times else [], is_final=True)

    def close(self) -> None:
        decoder, self._decoder = self._decoder, None
        if decoder is None:
            return
        if self._decoding:
            # Ends the segment without anyone waiting for its second pass; a decoder in mid-segment cannot be lent.
            self._decoding = False
            try:
                decoder.finish()
            except DecoderError:
                decoder.close()
                self._decoders.discard()
                return
        self._decoders.give_back(decoder)

    def _skip_quiet(self, frames: NDArray[np.float32]) -> NDArray[np.float32]:
        """Hold back quiet frames; at the onset of sound start a segment and return all that it is to hear."""
        threshold = quiet_below(self._speech_levels)
        for index, level in enumerate(frame_levels(frames)):
            self._held.append(frames[index * FRAME_SAMPLES : (index + 1) * FRAME_SAMPLES])
            self._onset = self._onset + 1 if level > threshold else 0
            if self._onset == ONSET_FRAMES:
                rest = frames[(index + 1) * FRAME_SAMPLES :]
                held = np.concatenate(list(self._held))
                self._start_segment(self._heard - len(self._partial_frame) - len(rest) - len(held))
                return np.concatenate([held, rest])
        return _NO_SAMPLES

    def _start_segment(self, position: int) -> None:
        if self._decoder is None:
            self._decoder = self._decoders.borrow()
        self._decoder.start()
        self._decoding = True
        self._segment_start = position
        self._segment_levels = []
        self._held.clear()
        self._onset = 0

    def _decode(self, samples: NDArray[np.float32]) -> None:
        assert self._decoder is not None
        self._segment_levels.append(frame_levels(samples))
        self._decoder.process(to_pcm16(samples))

    def _finish_segment(self) -> None:
        assert self._decoder is not None
        self._decoding = False
        self._decoder.finish()
        levels = self._levels()
        text = self._decoder.text()
        if not text or is_steady(levels):
            return
        self._speech_levels = np.concatenate([self._speech_levels, levels])
        words = self._on_utterance_clock(self._decoder.words())
        start = words[0].start if words else self._segment_start / UPLINK.sample_rate
        end = words[-1].end if words else self._heard / UPLINK.sample_rate
        self._segments.append(Segment(text=text, start=start, end=end))
        self._words.extend(words)

    def _levels(self) -> NDArray[np.float32]:
        return np.concatenate(self._segment_levels) if self._segment_levels else _NO_SAMPLES

    def _committed_text(self) -> str:
        return " ".join(segment.text for segment in self._segments)

    def _on_utterance_clock(self, words: list[TimedWord]) -> list[Word]:
        offset = self._segment_start / UPLINK.sample_rate
        return [
            Word(
                word=word.word,
                start=round(offset + word.start, 3),
                end=round(offset + word.end, 3),
                probability=round(word.probability, 3),
            )
            for word in words
        ]

    def _result(self, text: str, committed: int, words: list[Word], *, is_final: bool) -> RecognitionResult:
        return RecognitionResult(
            utterance=self.identity,
            text=text,
            committed=committed,
            segments=list(self._segments),
            words=list(words),
            language=LANGUAGE,
            language_probability=1.0,
            is_final=is_final,
            audio_seconds=round(self._heard / UPLINK.sample_rate, 3),
        )
