"""How loud speech is from moment to moment."""

import numpy as np

from services.contracts.audio import UPLINK
from services.dialogue.vad import Samples

BLOCK = UPLINK.sample_rate // 200
"""5 ms."""
_DIP_BLOCKS = 8
"""40 ms, about the shortest gap between words."""


def loudness_of(samples: Samples) -> Samples:
    """Of each whole block."""
    blocks = samples[: len(samples) // BLOCK * BLOCK].reshape(-1, BLOCK)
    return np.sqrt(np.mean(blocks * blocks, axis=1))


def quietest(samples: Samples) -> int:
    """The middle of the quietest stretch that could lie between two words; the end when there is room for none."""
    loudness = loudness_of(samples)
    if len(loudness) < _DIP_BLOCKS:
        return len(samples)
    stretches = np.convolve(loudness, np.ones(_DIP_BLOCKS, np.float32), "valid")
    return (int(np.argmin(stretches)) + _DIP_BLOCKS // 2) * BLOCK
