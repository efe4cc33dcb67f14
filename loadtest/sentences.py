"""The spoken sentences of the load tests, as wire-ready frames; some with a pause for thought inside."""

import json
import random
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from services.contracts.audio import UPLINK
from services.launcher.talker import read_speech

FOLDER = Path(__file__).parent / "speech"
PAUSES_S = (0.3, 0.8)
_DITHER = 3
"""Amplitude of the noise in silence: a recording's silence is not all zeros."""
_QUIET = 300
"""A sample beyond this is speech."""
_EDGE_S = 0.02
"""Speech fades out into a pause and in again, as it does when somebody stops to think."""

Pcm = NDArray[np.int16]


@dataclass(frozen=True)
class Spoken:
    """A sentence to be said: frames of UPLINK.frame_bytes, the last padded with silence."""

    frames: tuple[bytes, ...]
    padding_s: float
    """So much of the last frame is padding: speech ends that much before it does."""
    lead_s: float = 0.0
    """So much quiet is before the first sound."""
    pause_s: float = 0.0
    """How long the speaker stops inside; 0: not at all."""

    @property
    def seconds(self) -> float:
        return len(self.frames) * UPLINK.frame_seconds - self.padding_s


def load(folder: Path = FOLDER) -> list[Pcm]:
    """All sentences, in the order of `sentences.json`."""
    return [read_speech(folder / each["file"]) for each in _listed(folder)]


def _listed(folder: Path) -> list[dict[str, str]]:
    return json.loads((folder / "sentences.json").read_text())


def silence(samples: int, rng: np.random.Generator) -> Pcm:
    """Silence as a microphone hears it."""
    return rng.integers(-_DITHER, _DITHER + 1, samples).astype(np.int16)


def with_pause(speech: Pcm, seconds: float, rng: np.random.Generator) -> Pcm:
    """The sentence with so long a silence where it is quietest in its middle, which is between two words."""
    edge = int(_EDGE_S * UPLINK.sample_rate)
    energy = np.convolve(np.square(speech.astype(np.float64)), np.ones(2 * edge), "same")
    first, last = int(len(speech) * 0.3), int(len(speech) * 0.7)
    at = first + int(np.argmin(energy[first:last]))
    before, after = speech[:at].astype(np.float64), speech[at:].astype(np.float64)
    fade = np.linspace(1, 0, edge)
    before[-edge:] *= fade
    after[:edge] *= fade[::-1]
    gap = silence(int(seconds * UPLINK.sample_rate), rng)
    return np.concatenate([before.astype(np.int16), gap, after.astype(np.int16)])


def framed(speech: Pcm, pause_s: float = 0.0) -> Spoken:
    missing = -len(speech) % UPLINK.frame_samples
    padded = np.concatenate([speech, np.zeros(missing, np.int16)]).astype("<i2").tobytes()
    size = UPLINK.frame_bytes
    frames = tuple(padded[at : at + size] for at in range(0, len(padded), size))
    lead = int(np.argmax(np.abs(speech.astype(np.int32)) > _QUIET))
    return Spoken(frames, missing / UPLINK.sample_rate, lead / UPLINK.sample_rate, pause_s)


class Script:
    """What all sessions say: each sentence whole, and with pauses. The same seed gives the same script."""

    def __init__(self, pauses: float, seed: int) -> None:
        """`pauses`: the share of utterances with a pause inside, 0 to 1."""
        rng = np.random.default_rng(seed)
        recorded = load()
        self._pauses = pauses
        self._whole = [framed(speech) for speech in recorded]
        shortest, longest = PAUSES_S
        lengths = np.linspace(shortest, longest, len(recorded))
        self._paused = [
            framed(with_pause(speech, seconds, rng), seconds) for speech, seconds in zip(recorded, lengths, strict=True)
        ]
        self._texts = [each["text"] for each in _listed(FOLDER)]
        self.silences = tuple(silence(UPLINK.frame_samples, rng).astype("<i2").tobytes() for _ in range(50))

    def next(self, choose: random.Random) -> Spoken:
        sentences = self._paused if choose.random() < self._pauses else self._whole
        return choose.choice(sentences)

    def text(self, choose: random.Random) -> str:
        """A sentence in writing."""
        return choose.choice(self._texts)
