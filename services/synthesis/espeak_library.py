"""Just enough of eSpeak NG's C interface, called directly.

eSpeak NG is licensed under the GPL. It is an optional engine, installed as a package of its own and loaded only
when the first `Espeak` is made; nothing outside this module knows it.

The library is one per process with global state: one lock, and one utterance at a time.
"""

import ctypes
import importlib
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.synthesis.errors import EngineError

_SYNCHRONOUS = 2  # AUDIO_OUTPUT_SYNCHRONOUS: samples go to the callback, on the caller's thread
_BUFFER_MS = 60
_DONT_EXIT = 0x8000  # espeakINITIALIZE_DONT_EXIT: an error is returned, the process is not ended
_UTF8 = 1
_RATE, _PITCH = 1, 3
_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)

MIN_WORDS_PER_MINUTE, MAX_WORDS_PER_MINUTE = 80, 450
"""espeakRATE_MINIMUM, espeakRATE_MAXIMUM."""
WORDS_PER_MINUTE = 175


class _VoiceEntry(ctypes.Structure):
    _fields_ = [
        ("name", ctypes.c_char_p),
        ("languages", ctypes.c_void_p),
        ("identifier", ctypes.c_char_p),
        ("gender", ctypes.c_ubyte),
        ("age", ctypes.c_ubyte),
        ("variant", ctypes.c_ubyte),
        ("xx1", ctypes.c_ubyte),
        ("score", ctypes.c_int),
        ("spare", ctypes.c_void_p),
    ]


class Espeak:
    """The engine. Make one per process; `speak` may be called from any thread. Raises EngineError."""

    def __init__(self) -> None:
        try:
            loader: Any = importlib.import_module("espeakng_loader")
        except ImportError as error:
            raise EngineError(
                "espeakng-loader is not installed; it comes with: pip install 'parley[embedded]'"
            ) from error
        path, data = loader.get_library_path(), loader.get_data_path()
        try:
            self._c = ctypes.CDLL(path)
            self._declare()
        except (OSError, AttributeError) as error:
            raise EngineError(f"{path} is not the eSpeak NG library that was expected: {error}") from error
        self._lock = threading.Lock()
        self._on_samples: Callable[[NDArray[np.int16]], bool] | None = None
        self._error: BaseException | None = None
        self.sample_rate: int = self._c.espeak_Initialize(_SYNCHRONOUS, _BUFFER_MS, data.encode(), _DONT_EXIT)
        if self.sample_rate <= 0:
            raise EngineError(f"eSpeak NG could not start with its data in {data}")
        self._callback = _Callback(self._receive)  # kept: the library holds a bare pointer to it
        self._c.espeak_SetSynthCallback(self._callback)
        self.voices = self._list_voices()
        """Names that a voice can be chosen by, such as "en-us" and "gmw/en"."""
        variants = Path(data, "voices", "!v")
        self.variants = frozenset(entry.name for entry in variants.iterdir()) if variants.is_dir() else frozenset[str]()

    def speak(
        self, text: str, voice: str, words_per_minute: int, on_samples: Callable[[NDArray[np.int16]], bool]
    ) -> None:
        """Speak `text`; `on_samples` gets int16 [n] at `sample_rate` in pieces of about 60 ms as they are made.

        It returns False to stop. Other callers wait meanwhile: a sentence takes about 2 ms, plus what
        `on_samples` takes. Raises EngineError, and whatever `on_samples` raised.
        """
        encoded = text.encode()
        with self._lock:
            self._check(self._c.espeak_SetVoiceByName(voice.encode()), f"choose the voice '{voice}'")
            self._check(self._c.espeak_SetParameter(_RATE, words_per_minute, 0), "set the rate")
            self._on_samples, self._error = on_samples, None
            try:
                result = self._c.espeak_Synth(encoded, len(encoded) + 1, 0, 1, 0, _UTF8, None, None)
            finally:
                self._on_samples = None
            if self._error is not None:
                raise self._error
            self._check(result, "speak")

    def _receive(self, samples: Any, count: int, _events: Any) -> int:
        if not samples or count <= 0 or self._on_samples is None:
            return 0
        try:
            return 0 if self._on_samples(np.ctypeslib.as_array(samples, (count,)).copy()) else 1
        except BaseException as error:
            # ctypes would print it and go on speaking; `speak` raises it when the library has returned.
            self._error = error
            return 1

    def _declare(self) -> None:
        c, integer, text, pointer = self._c, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p
        c.espeak_Initialize.argtypes = [integer, integer, text, integer]
        c.espeak_SetSynthCallback.argtypes = [_Callback]
        c.espeak_SetSynthCallback.restype = None
        c.espeak_SetVoiceByName.argtypes = [text]
        c.espeak_SetParameter.argtypes = [integer, integer, integer]
        c.espeak_Synth.argtypes = [
            text, ctypes.c_size_t, ctypes.c_uint, integer, ctypes.c_uint, ctypes.c_uint, pointer, pointer,
        ]  # fmt: skip
        c.espeak_ListVoices.argtypes = [pointer]
        c.espeak_ListVoices.restype = ctypes.POINTER(ctypes.POINTER(_VoiceEntry))

    def _list_voices(self) -> frozenset[str]:
        names: set[str] = set()
        entries = self._c.espeak_ListVoices(None)
        index = 0
        while entries[index]:
            identifier = entries[index].contents.identifier.decode("utf-8", "replace")
            names.add(identifier)
            names.add(identifier.rsplit("/", 1)[-1].lower())
            index += 1
        return frozenset(names)

    def _check(self, result: int, verb: str) -> None:
        if result != 0:
            raise EngineError(f"eSpeak NG could not {verb} (error {result})")
