"""Just enough of PocketSphinx's C interface, called directly.

The Python binding of 5.1.1 holds the interpreter's lock while it decodes: two decoders in two threads took
4.0 s for what one does in 1.8 s, and each second pass stalled every other thread by 120-240 ms. Called
through ctypes the lock is released and the same two threads took 2.1 s. The symbols are those of the
library's public header, exported by the binding's extension module.
"""

import ctypes
import importlib.util
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from services.recognition.errors import DecoderError

FRAMES_PER_SECOND = 100
_LOG_BASE = 1.0001
_SETTINGS: dict[str, str | int] = {
    # Two best Gaussians instead of four: word error equal within noise over five recording conditions
    # (loadtest/speech, quiet to 2x gain, -60 and -50 dBFS noise), 15 % less time.
    "topn": 2,
    "loglevel": "FATAL",
}
# The channel that a new speaker is assumed to have. With it word error was 0.02 over ten recording conditions;
# with the library's default of 40,3,-1 it was 0.04, and with the mean left by the speaker before, 0.04.
_CEPSTRAL_MEAN = b"41.00,-5.29,-0.12,5.09,2.48,-4.07,-1.37,-1.78,-5.08,-2.05,-6.45,-1.42,1.17"


@dataclass(frozen=True)
class TimedWord:
    word: str
    start: float
    """Seconds from the start of the decoder's segment."""
    end: float
    probability: float


class _Library:
    def __init__(self) -> None:
        spec = importlib.util.find_spec("pocketsphinx._pocketsphinx")
        if spec is None or spec.origin is None:
            raise DecoderError("pocketsphinx is not installed; it comes with: pip install 'parley[embedded]'")
        try:
            self.c = ctypes.CDLL(spec.origin)
            self._declare()
        except (OSError, AttributeError) as error:
            raise DecoderError(f"{spec.origin} is not the PocketSphinx library that was expected: {error}") from error
        self.model = Path(spec.origin).parent / "model" / "en-us"
        if not self.model.is_dir():
            raise DecoderError(f"pocketsphinx has no acoustic model at {self.model}")

    def _declare(self) -> None:
        pointer, integer, text = ctypes.c_void_p, ctypes.c_int, ctypes.c_char_p
        signatures: dict[str, tuple[Any, list[Any]]] = {
            "ps_config_init": (pointer, [pointer]),
            "ps_config_set_str": (pointer, [pointer, text, text]),
            "ps_config_set_int": (pointer, [pointer, text, ctypes.c_long]),
            "ps_config_free": (integer, [pointer]),
            "ps_init": (pointer, [pointer]),
            "ps_free": (integer, [pointer]),
            "ps_set_cmn": (integer, [pointer, text]),
            "ps_start_stream": (integer, [pointer]),
            "ps_start_utt": (integer, [pointer]),
            "ps_process_raw": (integer, [pointer, text, ctypes.c_size_t, integer, integer]),
            "ps_end_utt": (integer, [pointer]),
            "ps_get_hyp": (text, [pointer, pointer]),
            "ps_seg_iter": (pointer, [pointer]),
            "ps_seg_next": (pointer, [pointer]),
            "ps_seg_word": (text, [pointer]),
            "ps_seg_frames": (None, [pointer, pointer, pointer]),
            "ps_seg_prob": (ctypes.c_int32, [pointer, pointer, pointer, pointer]),
        }
        for name, (result, arguments) in signatures.items():
            function = getattr(self.c, name)
            function.restype, function.argtypes = result, arguments


# Reading numbers and the default language model are static data inside the library, not safe for two threads.
_statics = threading.Lock()
_library: _Library | None = None


def _load() -> _Library:
    global _library
    if _library is None:
        _library = _Library()
    return _library


class Decoder:
    """One PocketSphinx decoder: 75 MiB, 0.25 s to make, one segment of one utterance at a time.

    Not for two threads at once; different decoders run in parallel. Raises DecoderError.
    """

    def __init__(self) -> None:
        with _statics:
            library = _load()
            self._c = library.c
            paths = {
                "hmm": str(library.model / "en-us"),
                "lm": str(library.model / "en-us.lm.bin"),
                "dict": str(library.model / "cmudict-en-us.dict"),
            }
            config = self._c.ps_config_init(None)
            for name, value in (paths | _SETTINGS).items():
                if isinstance(value, int):
                    self._c.ps_config_set_int(config, name.encode(), value)
                else:
                    self._c.ps_config_set_str(config, name.encode(), value.encode())
            self._handle = self._c.ps_init(config)
            self._c.ps_config_free(config)
        if not self._handle:
            raise DecoderError(f"PocketSphinx could not load its model from {library.model}")

    def close(self) -> None:
        if self._handle:
            self._c.ps_free(self._handle)
            self._handle = None

    def forget_speaker(self) -> None:
        """The next segment is by another speaker over another microphone."""
        with _statics:
            self._check(self._c.ps_set_cmn(self._handle, _CEPSTRAL_MEAN), "set the cepstral mean")
        # Else the noise level learnt with the speaker before goes on being subtracted.
        self._check(self._c.ps_start_stream(self._handle), "forget the noise level")

    def start(self) -> None:
        self._check(self._c.ps_start_utt(self._handle), "start a segment")

    def process(self, pcm: bytes) -> None:
        """Decode PCM16, 16 kHz, mono."""
        done = self._c.ps_process_raw(self._handle, pcm, len(pcm) // 2, 0, 0)
        self._check(done, "decode audio")

    def finish(self) -> None:
        """End the segment with the second pass over the word lattice (about 50 ms for a sentence)."""
        self._check(self._c.ps_end_utt(self._handle), "finish a segment")

    def text(self) -> str:
        """The words so far, or after `finish`, the segment's words: lower case, single spaces."""
        hypothesis: bytes | None = self._c.ps_get_hyp(self._handle, None)
        return (hypothesis or b"").decode("utf-8", "replace").strip()

    def words(self) -> list[TimedWord]:
        """The words with their times and posterior probabilities; silence and noises are left out."""
        return list(self._iterate_words())

    def _iterate_words(self) -> Iterator[TimedWord]:
        segment = self._c.ps_seg_iter(self._handle)
        start, end = ctypes.c_int(), ctypes.c_int()
        while segment:
            raw: bytes = self._c.ps_seg_word(segment)
            self._c.ps_seg_frames(segment, ctypes.byref(start), ctypes.byref(end))
            log_probability = self._c.ps_seg_prob(segment, None, None, None)
            if word := spoken_word(raw.decode("utf-8", "replace")):
                yield TimedWord(
                    word=word,
                    start=start.value / FRAMES_PER_SECOND,
                    end=(end.value + 1) / FRAMES_PER_SECOND,
                    probability=min(1.0, _LOG_BASE**log_probability),
                )
            segment = self._c.ps_seg_next(segment)

    def _check(self, result: int, verb: str) -> None:
        if result < 0:
            raise DecoderError(f"PocketSphinx could not {verb}")


def spoken_word(entry: str) -> str:
    """A dictionary entry as a word: "the(2)" is "the"; fillers such as "<sil>" and "[NOISE]" are nothing."""
    if entry.startswith(("<", "[", "++")):
        return ""
    return entry.split("(", 1)[0]
