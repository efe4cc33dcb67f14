"""The voice of a machine without GPU and downloads: eSpeak NG at 24 kHz, every voice about equally loud."""

import re
import threading
import unicodedata
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from services.contracts.characters import Voice
from services.synthesis.errors import TextInvalid
from services.synthesis.espeak_library import WORDS_PER_MINUTE, Espeak
from services.synthesis.shaping import LOUDNESS, Shaper, loudness
from services.synthesis.voices import choose

MAX_TEXT_CHARS = 2000
_SENTENCE_END = re.compile(r"(?<=[.!?…。！？])\s+")
_REFERENCE = "The quick brown fox jumps over the lazy dog."
_QUIETEST = 0.02
"""A voice below -34 dBFS is raised no further: only its noise would grow."""


class EmbeddedVoice:
    """Make one per process. Raises EngineError."""

    def __init__(self) -> None:
        self._espeak = Espeak()
        self._lock = threading.Lock()
        self._gains: dict[str, float] = {}

    def speak(self, text: str, voice: Voice, on_pcm: Callable[[NDArray[np.int16]], bool]) -> None:
        """Speak `text`; `on_pcm` gets int16 [n <= 2400] at 24 kHz as they are made and returns False to stop.

        The first piece comes within about a millisecond. Silence before the first sound is cut; after a sentence
        a natural pause follows (the engine leaves none). Raises VoiceUnknown, TextInvalid, EngineError.
        """
        chosen = choose(voice, self._espeak.voices, self._espeak.variants)
        shaper = Shaper(self._espeak.sample_rate, self._gain(chosen.name), on_pcm)
        # One sentence at a time holds the engine, so that a long text does not keep others waiting.
        for sentence in sentences(text):
            self._espeak.speak(sentence, chosen.name, chosen.words_per_minute, shaper.feed)
            if not shaper.pause(pause_after(sentence)):
                return
        shaper.finish()

    def _gain(self, name: str) -> float:
        """What brings the voice to the common loudness; measured once, with one spoken sentence (2 ms)."""
        with self._lock:
            known = self._gains.get(name)
        if known is not None:
            return known
        pieces: list[NDArray[np.int16]] = []

        def collect(samples: NDArray[np.int16]) -> bool:
            pieces.append(samples)
            return True

        self._espeak.speak(_REFERENCE, name, WORDS_PER_MINUTE, collect)
        spoken = np.concatenate(pieces) if pieces else np.zeros(0, np.int16)
        gain = LOUDNESS / max(loudness(spoken.astype(np.float32) / 32768.0), _QUIETEST)
        with self._lock:
            self._gains[name] = gain
        return gain


def sentences(text: str) -> list[str]:
    """The text's sentences without control characters. Raises TextInvalid when empty or too long."""
    if len(text) > MAX_TEXT_CHARS:
        raise TextInvalid(f"a text has at most {MAX_TEXT_CHARS} characters; this one has {len(text)}")
    visible = "".join(" " if unicodedata.category(character) == "Cc" else character for character in text).strip()
    if not visible:
        raise TextInvalid("the text is empty")
    return _SENTENCE_END.split(visible)


def pause_after(sentence: str) -> float:
    """Seconds of silence that belong after a piece of text, by how it ends."""
    last = sentence.rstrip("\"'”’)]» ")[-1:]
    if last in ".!?…。！？":
        return 0.2
    return 0.1 if last in ",;:—–" else 0.04
