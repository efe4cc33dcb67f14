"""From the engine's samples to what goes on the wire: level, rate, silence, pieces."""

from collections.abc import Callable

import numpy as np
import soxr
from numpy.typing import NDArray

from services.contracts.audio import DOWNLINK

LOUDNESS = 0.112
"""RMS of speech (-19 dBFS): every voice is brought to it."""
_SILENCE = 0.003
"""Below -50 dBFS nothing is heard."""
_LEAD_SAMPLES = DOWNLINK.sample_rate // 50
"""20 ms stay in front of the first sound, so that it does not click."""
_KNEE = 0.8


def loudness(samples: NDArray[np.float32]) -> float:
    """RMS of what lies between the first and the last sound; 0 when there is none."""
    sounding = np.flatnonzero(np.abs(samples) > _SILENCE)
    if len(sounding) == 0:
        return 0.0
    return float(np.sqrt(np.mean(np.square(samples[sounding[0] : sounding[-1] + 1]))))


def limit(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Bend what is above -2 dBFS so that it never reaches full scale."""
    size = np.abs(samples)
    bent = _KNEE + (1 - _KNEE) * np.tanh((size - _KNEE) / (1 - _KNEE))
    return np.where(size > _KNEE, np.sign(samples) * bent, samples).astype(np.float32)


class Shaper:
    """A stream of int16 at the engine's rate into int16 pieces of one wire frame at 24 kHz.

    The resampler is soxr's LQ: it gives samples with the first chunk (HQ holds back 40 to 60 ms), and speech
    of the engine has nothing near the band's edge that the better filter would keep.
    """

    def __init__(self, sample_rate: int, gain: float, emit: Callable[[NDArray[np.int16]], bool]) -> None:
        """`emit` returns False to stop."""
        self._sample_rate = sample_rate
        self._gain = gain
        self._emit = emit
        self._resampler = self._new_resampler()
        self._waiting: NDArray[np.float32] = np.zeros(0, np.float32)
        self._sounding = False
        self.stopped = False

    def feed(self, samples: NDArray[np.int16]) -> bool:
        """Take more of the engine's samples. False: stop speaking."""
        scaled = samples.astype(np.float32) * (self._gain / 32768.0)
        return self._take(self._resampler.resample_chunk(limit(scaled)))

    def pause(self, seconds: float) -> bool:
        """End a sentence and be silent for a while; nothing when nothing was heard yet. False: stop speaking."""
        going_on = self._take(self._resampler.resample_chunk(np.zeros(0, np.float32), last=True))
        self._resampler = self._new_resampler()
        if self._sounding and going_on:
            going_on = self._take(np.zeros(round(seconds * DOWNLINK.sample_rate), np.float32))
        return going_on

    def finish(self) -> None:
        """Send what is left: the last, shorter piece."""
        if self._sounding and len(self._waiting) and not self.stopped:
            self._send(self._waiting)
        self._waiting = self._waiting[:0]

    def _new_resampler(self) -> soxr.ResampleStream:
        return soxr.ResampleStream(self._sample_rate, DOWNLINK.sample_rate, 1, dtype="float32", quality="LQ")

    def _take(self, samples: NDArray[np.float32]) -> bool:
        self._waiting = np.concatenate([self._waiting, samples])
        if not self._sounding:
            sounding = np.flatnonzero(np.abs(self._waiting) > _SILENCE)
            if len(sounding) == 0:
                self._waiting = self._waiting[-_LEAD_SAMPLES:]
                return not self.stopped
            self._waiting = self._waiting[max(0, int(sounding[0]) - _LEAD_SAMPLES) :]
            self._sounding = True
            # The first piece goes at once, however short: the listener waits for it.
            self._send(self._waiting[: DOWNLINK.frame_samples])
            self._waiting = self._waiting[DOWNLINK.frame_samples :]
        while not self.stopped and len(self._waiting) >= DOWNLINK.frame_samples:
            self._send(self._waiting[: DOWNLINK.frame_samples])
            self._waiting = self._waiting[DOWNLINK.frame_samples :]
        return not self.stopped

    def _send(self, samples: NDArray[np.float32]) -> None:
        if not self._emit((samples * 32767.0).astype(np.int16)):
            self.stopped = True
