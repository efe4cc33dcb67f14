"""What the talkers say: real speech, some of it with a pause inside."""

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest import known
from loadtest.models.language import TOKENS
from loadtest.models.latencies import Latencies, from_environment
from loadtest.sentences import Script, framed, load, silence, with_pause
from services.contracts.audio import UPLINK


@given(st.integers(min_value=1, max_value=4000))
def test_frames_are_whole_and_the_end_of_speech_is_known_to_the_sample(samples: int):
    spoken = framed(np.full(samples, 1000, np.int16))
    assert {len(frame) for frame in spoken.frames} == {UPLINK.frame_bytes}
    assert spoken.seconds == pytest.approx(samples / UPLINK.sample_rate)
    assert b"".join(spoken.frames)[: samples * 2] == np.full(samples, 1000, "<i2").tobytes()


def test_a_pause_is_as_long_as_asked_and_lies_where_the_sentence_is_quiet():
    tone = np.full(16_000, 8000, np.int16)
    tone[7000:8000] = 0  # between two words
    paused = with_pause(tone, 0.5, np.random.default_rng(1))
    assert len(paused) == 16_000 + 8_000
    quiet = np.flatnonzero(np.abs(paused) < 100)
    assert 6900 < quiet[0] < 7000 + 8000
    assert np.abs(paused[7500 : 7500 + 8000]).max() < 100
    assert np.abs(paused[:6000]).min() == 8000
    assert np.abs(paused[-6000:]).min() == 8000


def test_silence_is_dithered_and_no_speech():
    heard = silence(16_000, np.random.default_rng(1))
    assert 0 < np.abs(heard).max() < 30
    assert len(np.unique(heard)) > 2


def test_every_recorded_sentence_takes_a_pause_without_losing_a_sample():
    for speech in load():
        paused = with_pause(speech, 0.3, np.random.default_rng(1))
        assert len(paused) == len(speech) + int(0.3 * UPLINK.sample_rate)


def test_the_same_seed_gives_the_same_script():
    first, second = (Script(0.5, 3) for _ in range(2))
    said = [[script.next(random.Random(i)) for i in range(20)] for script in (first, second)]
    assert said[0] == said[1]
    assert any(one.pause_s for one in said[0])
    assert any(not one.pause_s for one in said[0])
    assert all(0.3 <= one.pause_s <= 0.8 for one in said[0] if one.pause_s)


def test_without_pauses_nobody_pauses():
    script = Script(0.0, 1)
    assert not any(script.next(random.Random(i)).pause_s for i in range(20))


def test_the_known_parts_sum_up_with_the_tokens_that_our_cutter_waits_for():
    parts = known.parts(200, Latencies())
    # "Sure thing, the sky will be clear." is certain to be a sentence with the token after it.
    assert TOKENS[:7] == ["Sure", " thing,", " the", " sky", " will", " be", " clear."]
    assert known.tokens_to_the_first_piece(TOKENS) == 7
    assert sum(parts.values()) == 200 + 100 + 200 + 70 + 200


def test_latencies_come_from_the_environment():
    times = Latencies(stt_final_ms=5, tts_rate=0.5)
    assert from_environment(times.environment()) == times
    assert from_environment({}) == Latencies()
    with pytest.raises(ValueError, match="LOADTEST_LLM_FIRST_MS"):
        from_environment({"LOADTEST_LLM_FIRST_MS": "-1"})
