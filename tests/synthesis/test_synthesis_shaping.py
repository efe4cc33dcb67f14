"""Level, rate, silence and pieces, without an engine."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from services.contracts.audio import DOWNLINK
from services.synthesis.shaping import Shaper, limit

RATE = 22_050


def tone(seconds: float) -> NDArray[np.int16]:
    return (np.sin(2 * np.pi * 220 * np.arange(round(seconds * RATE)) / RATE) * 8000).astype(np.int16)


def shape(*chunks: NDArray[np.int16], pause: float = 0.0, gain: float = 1.0) -> list[NDArray[np.int16]]:
    pieces: list[NDArray[np.int16]] = []

    def take(samples: NDArray[np.int16]) -> bool:
        pieces.append(samples)
        return True

    shaper = Shaper(RATE, gain, take)
    for chunk in chunks:
        shaper.feed(chunk)
    shaper.pause(pause)
    shaper.finish()
    return pieces


@given(st.lists(st.integers(1, 3000), min_size=1, max_size=20))
def test_nothing_is_lost_however_it_is_cut(cuts: list[int]):
    whole = tone(1.0)
    chunks = np.split(whole, np.cumsum(cuts)[np.cumsum(cuts) < len(whole)])
    spoken = np.concatenate(shape(*chunks)).astype(np.float64)
    assert abs(len(spoken) - DOWNLINK.sample_rate) <= 2
    assert abs(np.sqrt(np.mean(spoken**2)) / (8000 / np.sqrt(2)) - 1) < 0.02


def test_the_first_piece_does_not_wait_for_a_full_frame():
    pieces: list[int] = []

    def take(samples: NDArray[np.int16]) -> bool:
        pieces.append(len(samples))
        return True

    Shaper(RATE, 1.0, take).feed(tone(0.06))
    assert len(pieces) == 1


def test_silence_before_the_first_sound_is_cut_and_inside_is_kept():
    silence = np.zeros(RATE // 2, np.int16)
    spoken = np.concatenate(shape(silence, tone(0.5), silence, tone(0.5), pause=0.25))
    assert abs(len(spoken) / DOWNLINK.sample_rate - (0.5 + 0.5 + 0.5 + 0.25)) < 0.025


def test_pure_silence_sends_nothing():
    assert shape(np.zeros(RATE, np.int16), pause=0.5) == []


def test_nothing_is_sent_after_being_told_to_stop():
    pieces: list[int] = []

    def refuse(samples: NDArray[np.int16]) -> bool:
        pieces.append(len(samples))
        return False

    shaper = Shaper(RATE, 1.0, refuse)
    assert not shaper.feed(tone(1.0))
    assert not shaper.pause(0.2)
    shaper.finish()
    assert len(pieces) == 1


@given(st.floats(-100, 100, width=32))
def test_the_limiter_never_reaches_full_scale_and_keeps_what_is_quiet(level: float):
    bent = float(limit(np.array([level], np.float32))[0])
    assert abs(bent) <= 1.0
    if abs(level) <= 0.8:
        assert bent == np.float32(level)
    else:
        assert abs(bent) >= 0.8
        assert np.sign(bent) == np.sign(level)
