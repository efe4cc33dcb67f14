"""Sounds for the tests: speech as the server would send it, and how alike two recordings are."""

import wave
from pathlib import Path

import numpy as np
import numpy.typing as npt

SPEECH = Path(__file__).parents[2] / "loadtest" / "speech"
Samples = npt.NDArray[np.float64]


def read_wav(path: Path) -> tuple[int, Samples]:
    """Rate and samples, -1..1."""
    with wave.open(str(path)) as source:
        data = np.frombuffer(source.readframes(source.getnframes()), "<i2")
        return source.getframerate(), data / 32768


def resampled(samples: Samples, rate: int, target: int) -> Samples:
    """By straight lines; good enough to compare envelopes with."""
    times = np.arange(int(len(samples) * target / rate)) / target
    return np.interp(times, np.arange(len(samples)) / rate, samples)


def pcm(samples: Samples) -> bytes:
    return (np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes()


def speech_24k(file: str = "02-slt.wav") -> bytes:
    """A spoken sentence as PCM16 at 24 kHz."""
    rate, samples = read_wav(SPEECH / file)
    return pcm(resampled(samples, rate, 24_000))


def tone_24k(seconds: float, hertz: float = 440) -> bytes:
    return pcm(0.4 * np.sin(2 * np.pi * hertz * np.arange(int(24_000 * seconds)) / 24_000))


def envelope(samples: Samples, rate: int) -> Samples:
    """Loudness per 10 ms."""
    step = rate // 100
    blocks = samples[: len(samples) // step * step].reshape(-1, step)
    return np.sqrt((blocks**2).mean(axis=1))


def likeness(found: Samples, wanted: Samples) -> float:
    """The best correlation of `wanted` with any stretch of `found` (envelopes); 1 is the same sound."""
    if len(found) < len(wanted):
        return 0.0
    wanted = wanted - wanted.mean()
    best = 0.0
    for shift in range(len(found) - len(wanted) + 1):
        part = found[shift : shift + len(wanted)] - found[shift : shift + len(wanted)].mean()
        norm = float(np.linalg.norm(part) * np.linalg.norm(wanted))
        best = max(best, float(part @ wanted) / norm if norm else 0.0)
    return best
