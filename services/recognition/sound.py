"""Telling sound from quiet, well enough not to decode silence.

The caller's voice activity detector decides when there is speech. This only keeps the decoder from
guessing words into the quiet before and after it.
"""

import numpy as np
from numpy.typing import NDArray

FRAME_SAMPLES = 320
"""20 ms at 16 kHz."""
QUIET = 0.001
"""RMS of full scale (-60 dBFS): what is below is never speech, even from a distant microphone."""
BELOW_SPEECH = 0.05
"""Frames 26 dB below the loud parts of the speech heard so far count as quiet."""
STEADY_RATIO = 2.0
"""Speech rises and falls by more than 10 dB between syllables; sound that stays within 6 dB is noise."""


def frame_levels(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """RMS of each whole 20 ms frame; float32 [n] at 16 kHz in, [n // 320] out."""
    frames = samples[: len(samples) // FRAME_SAMPLES * FRAME_SAMPLES].reshape(-1, FRAME_SAMPLES)
    return np.sqrt(np.mean(np.square(frames), axis=1))


def quiet_below(levels: NDArray[np.float32]) -> float:
    """The RMS under which a frame is quiet, given the levels of the speech before it (may be none)."""
    if len(levels) == 0:
        return QUIET
    return max(QUIET, float(np.quantile(levels, 0.9)) * BELOW_SPEECH)


def is_steady(levels: NDArray[np.float32]) -> bool:
    """Whether at least 300 ms of sound hardly change in level, which speech never does."""
    if len(levels) < 15:
        return False
    quiet, loud = np.quantile(levels, [0.1, 0.95])
    return bool(loud < quiet * STEADY_RATIO)


def to_pcm16(samples: NDArray[np.float32]) -> bytes:
    """float32 in -1..1 (clipped) as PCM16."""
    return (np.clip(samples, -1.0, 1.0) * 32767.0).astype("<i2").tobytes()
