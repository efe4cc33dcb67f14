"""The embedded voice with the real engine."""

import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from services.contracts.audio import DOWNLINK
from services.contracts.characters import Voice
from services.synthesis.embedded import EmbeddedVoice, pause_after, sentences
from services.synthesis.errors import EngineError, TextInvalid, VoiceUnknown
from services.synthesis.shaping import LOUDNESS, loudness
from services.synthesis.voices import choose

SENTENCE = "The quick brown fox jumps over the lazy dog."
CHARACTERS = ["en-us+f3", "en-us+m3", "en-gb-x-rp+Alicia", "en-gb-scotland+grandpa", "en-us+whisper", "en-us+Storm"]


@pytest.fixture(scope="module")
def engine() -> EmbeddedVoice:
    return EmbeddedVoice()


def speak(engine: EmbeddedVoice, text: str, voice: Voice | None = None) -> list[NDArray[np.int16]]:
    pieces: list[NDArray[np.int16]] = []

    def take(samples: NDArray[np.int16]) -> bool:
        pieces.append(samples)
        return True

    engine.speak(text, voice or Voice(), take)
    return pieces


def waveform(pieces: list[NDArray[np.int16]]) -> NDArray[np.float32]:
    return np.concatenate(pieces).astype(np.float32) / 32768


def test_a_sentence_comes_in_wire_frames(engine: EmbeddedVoice):
    pieces = speak(engine, SENTENCE)
    assert all(piece.dtype == np.int16 for piece in pieces)
    assert 480 <= len(pieces[0]) <= DOWNLINK.frame_samples
    assert all(len(piece) == DOWNLINK.frame_samples for piece in pieces[1:-1])
    assert 0 < len(pieces[-1]) <= DOWNLINK.frame_samples
    assert 2.0 < sum(map(len, pieces)) / DOWNLINK.sample_rate < 4.0


@pytest.mark.parametrize("preset", CHARACTERS)
def test_voices_are_about_equally_loud(engine: EmbeddedVoice, preset: str):
    spoken = waveform(speak(engine, "My brother is going to the party tonight.", Voice(preset=preset)))
    decibels = 20 * np.log10(loudness(spoken) / LOUDNESS)
    assert abs(decibels) < 2.5
    assert np.abs(spoken).max() < 1.0


def test_voices_differ(engine: EmbeddedVoice):
    def pitch(preset: str) -> float:
        """Hz: the middle of the strongest periodicities (70 to 350 Hz) of its 40 ms stretches."""
        spoken = waveform(speak(engine, SENTENCE, Voice(preset=preset)))
        low, high = DOWNLINK.sample_rate // 350, DOWNLINK.sample_rate // 70
        found: list[float] = []
        for frame in spoken[: len(spoken) // 960 * 960].reshape(-1, 960):
            if np.sqrt(np.mean(frame**2)) < 0.05:
                continue
            periodicity = np.correlate(frame, frame, "full")[959:] / np.arange(960, 0, -1)
            found.append(DOWNLINK.sample_rate / (low + int(np.argmax(periodicity[low:high]))))
        return float(np.median(found))

    assert pitch("en-us+f3") > 1.5 * pitch("en-us+m3")


def test_sentences_are_apart_by_a_breath_and_start_at_once(engine: EmbeddedVoice):
    spoken = np.abs(waveform(speak(engine, SENTENCE)))
    sounding = np.flatnonzero(spoken > 0.003)
    assert sounding[0] / DOWNLINK.sample_rate <= 0.021
    assert 0.19 < (len(spoken) - sounding[-1]) / DOWNLINK.sample_rate < 0.3


def test_speed_changes_the_length(engine: EmbeddedVoice):
    def seconds(speed: float) -> float:
        return sum(map(len, speak(engine, SENTENCE, Voice(speed=speed)))) / DOWNLINK.sample_rate

    slow, plain, fast = seconds(0.5), seconds(1.0), seconds(2.0)
    assert slow > 1.6 * plain > 2.5 * fast


def test_stopping_stops_at_the_chunk(engine: EmbeddedVoice):
    taken: list[int] = []

    def take(samples: NDArray[np.int16]) -> bool:
        taken.append(len(samples))
        return len(taken) < 3

    engine.speak(SENTENCE * 10, Voice(), take)
    assert len(taken) == 3
    assert speak(engine, SENTENCE)  # and the engine is usable at once


def test_an_error_in_the_listener_reaches_the_caller_and_not_the_next(engine: EmbeddedVoice):
    def take(samples: NDArray[np.int16]) -> bool:
        raise ConnectionError("the listener is gone")

    with pytest.raises(ConnectionError):
        engine.speak(SENTENCE, Voice(), take)
    assert speak(engine, SENTENCE)


def test_many_speak_at_once_without_mixing(engine: EmbeddedVoice):
    texts = ["One.", "One, two, three, four, five, six, seven, eight, nine, ten."] * 8
    lengths: list[int] = [0] * len(texts)

    def run(index: int) -> None:
        lengths[index] = sum(map(len, speak(engine, texts[index])))

    threads = [threading.Thread(target=run, args=(index,)) for index in range(len(texts))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(lengths[0::2]) * 3 < min(lengths[1::2])


def test_text_without_anything_to_say_is_silent(engine: EmbeddedVoice):
    assert speak(engine, "...") == []


@pytest.mark.parametrize("text", ["", "   ", "\x00\x07\n"])
def test_empty_text_is_refused(engine: EmbeddedVoice, text: str):
    with pytest.raises(TextInvalid, match="empty"):
        speak(engine, text)


def test_a_text_too_long_is_refused_with_both_lengths(engine: EmbeddedVoice):
    with pytest.raises(TextInvalid, match=r"2000.*2001"):
        speak(engine, "a" * 2001)


@pytest.mark.parametrize(("preset", "says"), [("en-gb", "en-gb-x-rp"), ("klingon", "en-us"), ("en-us+f33", "f3")])
def test_an_unknown_voice_is_refused_with_what_there_is(engine: EmbeddedVoice, preset: str, says: str):
    with pytest.raises(VoiceUnknown, match=says):
        speak(engine, SENTENCE, Voice(preset=preset))


@pytest.mark.parametrize("speed", [0.49, 2.01, float("nan"), float("inf"), -1.0])
def test_a_speed_out_of_range_is_refused(engine: EmbeddedVoice, speed: float):
    with pytest.raises(VoiceUnknown, match="speed"):
        speak(engine, SENTENCE, Voice(speed=speed))


def test_presets_are_looked_up_in_any_case():
    chosen = choose(Voice(preset="gmw/en-US+f3"), {"gmw/en-US", "en-us"}, {"f3"})
    assert chosen.name == "gmw/en-US+f3"
    assert choose(Voice(preset="EN-US"), {"en-us"}, set()).name == "en-us"


def test_sentences_are_spoken_one_by_one():
    assert sentences("Hello there!  How are you?\nFine.") == ["Hello there!", "How are you?", "Fine."]


@pytest.mark.parametrize(
    ("text", "seconds"), [("Yes.", 0.2), ('He said "no."', 0.2), ("First,", 0.1), ("and then", 0.04)]
)
def test_the_pause_fits_the_ending(text: str, seconds: float):
    assert pause_after(text) == seconds


@given(st.text(max_size=120))
def test_no_text_breaks_the_engine(text: str):
    voice = shared_engine()
    try:
        speak(voice, text)
    except TextInvalid:
        assert not text.strip() or not any(character.isprintable() for character in text)


_shared: list[EmbeddedVoice] = []


def shared_engine() -> EmbeddedVoice:
    if not _shared:
        _shared.append(EmbeddedVoice())
    return _shared[0]


def test_a_missing_engine_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(__import__("sys").modules, "espeakng_loader", None)
    with pytest.raises(EngineError, match=r"parley\[embedded\]"):
        EmbeddedVoice()
