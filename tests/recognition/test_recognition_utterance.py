"""One utterance through the real decoder."""

import json
import wave
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from services.recognition.decoder_pool import DecoderPool
from services.recognition.errors import AudioInvalid, UtteranceTooLong
from services.recognition.pocketsphinx_library import Decoder, spoken_word
from services.recognition.utterance import Utterance

SPEECH = Path(__file__).parents[2] / "loadtest" / "speech"
SENTENCES = json.loads((SPEECH / "sentences.json").read_text())
FRAME = 320


def recording(index: int) -> NDArray[np.float32]:
    with wave.open(str(SPEECH / SENTENCES[index]["file"])) as file:
        return np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.float32) / 32768


def hush(seconds: float) -> NDArray[np.float32]:
    return np.random.default_rng(0).normal(0, 1e-4, round(seconds * 16_000)).astype(np.float32)


def hiss(seconds: float, level: float) -> NDArray[np.float32]:
    return np.random.default_rng(1).normal(0, level, round(seconds * 16_000)).astype(np.float32)


@pytest.fixture(scope="module")
def decoders():
    pool = DecoderPool(2)
    yield pool
    pool.close()


@pytest.fixture
def utterance(decoders: DecoderPool):
    utterance = Utterance("u", decoders)
    yield utterance
    utterance.close()


def hear(utterance: Utterance, *sounds: NDArray[np.float32]) -> None:
    """As it comes from a microphone: 20 ms at a time."""
    samples = np.concatenate(sounds)
    for start in range(0, len(samples), FRAME):
        utterance.append(samples[start : start + FRAME])


def word_errors(expected: str, heard: str) -> int:
    reference, hypothesis = expected.split(), heard.split()
    row = list(range(len(hypothesis) + 1))
    for i, word in enumerate(reference, 1):
        previous, row[0] = row[0], i
        for j, other in enumerate(hypothesis, 1):
            previous, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, previous + (word != other))
    return row[-1]


def test_everyday_sentences_are_understood_with_the_callers_silence_around_them(decoders: DecoderPool):
    errors = words = 0
    for index, sentence in enumerate(SENTENCES):
        utterance = Utterance(str(index), decoders)
        hear(utterance, hush(0.3), recording(index), hush(0.5))
        errors += word_errors(sentence["text"], utterance.final().text)
        words += len(sentence["text"].split())
        utterance.close()
    assert errors / words <= 0.1


def test_a_partial_grows_into_the_final(utterance: Utterance):
    samples = recording(1)
    hear(utterance, hush(0.3), samples[: len(samples) // 2])
    partial = utterance.partial()
    assert partial.text.startswith("what is")
    assert partial.committed == 0
    assert not partial.is_final
    hear(utterance, samples[len(samples) // 2 :])
    final = utterance.final()
    assert final.text == SENTENCES[1]["text"]
    assert final.committed == len(final.text)
    assert final.is_final


def test_a_user_who_goes_on_after_a_pause_gets_one_transcript(utterance: Utterance):
    hear(utterance, hush(0.3), recording(0), hush(0.2))
    first = utterance.final()
    assert first.text == SENTENCES[0]["text"]
    hear(utterance, hush(0.3), recording(1)[:16_000])
    partial = utterance.partial()
    assert partial.committed == len(first.text)
    assert partial.text.startswith(first.text + " what")
    hear(utterance, recording(1)[16_000:], hush(0.2))
    final = utterance.final(word_times=True)
    assert final.text == f"{SENTENCES[0]['text']} {SENTENCES[1]['text']}"
    assert [segment.text for segment in final.segments] == [SENTENCES[0]["text"], SENTENCES[1]["text"]]
    assert " ".join(word.word for word in final.words) == final.text


def test_words_and_segments_are_timed_from_the_start_of_the_utterance(utterance: Utterance):
    hear(utterance, hush(1.0), recording(0), hush(0.3))
    final = utterance.final(word_times=True)
    spoken = 1.0 + len(recording(0)) / 16_000
    assert final.segments[0].start == pytest.approx(1.0, abs=0.1)
    assert final.segments[0].end == pytest.approx(spoken, abs=0.15)
    starts = [word.start for word in final.words]
    assert starts == sorted(starts)
    assert all(word.start < word.end for word in final.words)
    assert all(0 < word.probability <= 1 for word in final.words)
    assert final.audio_seconds == pytest.approx(spoken + 0.3, abs=0.01)


def test_words_come_only_when_asked_for(utterance: Utterance):
    hear(utterance, recording(0))
    assert utterance.final().words == []


@pytest.mark.parametrize("sound", [hush(0.4), hush(3.0), hiss(0.3, 0.003), hiss(3.0, 0.01), hiss(3.0, 0.1)])
def test_silence_and_steady_noise_say_nothing(utterance: Utterance, sound: NDArray[np.float32]):
    hear(utterance, sound)
    assert utterance.partial().text == ""
    final = utterance.final()
    assert final.text == ""
    assert final.segments == []


def test_a_click_does_not_begin_a_segment(utterance: Utterance):
    click = hush(0.5)
    click[4000:4300] = 0.5
    hear(utterance, click)
    assert utterance.final().text == ""


class CountingDecoder(Decoder):
    finished = 0

    def finish(self) -> None:
        type(self).finished += 1
        super().finish()


def test_confirming_a_speculative_final_decodes_nothing():
    pool = DecoderPool(1, CountingDecoder)
    utterance = Utterance("u", pool)
    hear(utterance, recording(0), hush(0.2))
    speculative = utterance.final()
    hear(utterance, hush(0.3))
    finished = CountingDecoder.finished
    confirmed = utterance.final()
    assert confirmed.text == speculative.text
    assert CountingDecoder.finished == finished
    utterance.close()
    pool.close()


def test_the_next_speaker_is_not_heard_through_the_last_ones_microphone(decoders: DecoderPool):
    def transcribe(samples: NDArray[np.float32]) -> str:
        utterance = Utterance("u", decoders)
        hear(utterance, samples)
        text = utterance.final(word_times=True)
        utterance.close()
        return repr(text)

    alone = transcribe(recording(5))
    transcribe(recording(0) * 0.02)
    assert transcribe(recording(5)) == alone


def test_an_utterance_has_at_most_a_minute(utterance: Utterance):
    utterance.append(np.zeros(60 * 16_000, np.float32))
    with pytest.raises(UtteranceTooLong, match="60 s"):
        utterance.append(np.zeros(1, np.float32))


def test_samples_that_are_not_numbers_are_refused(utterance: Utterance):
    with pytest.raises(AudioInvalid):
        utterance.append(np.array([0.0, np.nan], np.float32))
    hear(utterance, recording(0))
    assert utterance.final().text == SENTENCES[0]["text"]


def test_a_closed_utterance_gives_its_decoder_back_even_in_mid_segment():
    pool = DecoderPool(1)
    for _ in range(2):
        utterance = Utterance("u", pool)
        hear(utterance, recording(0)[:8000])
        utterance.close()
    last = Utterance("u", pool)
    hear(last, recording(0))
    assert last.final().text == SENTENCES[0]["text"]
    last.close()
    pool.close()


def test_a_pool_lends_no_more_than_it_has():
    pool = DecoderPool(1)
    decoder = pool.borrow()
    with pytest.raises(LookupError, match="all 1"):
        pool.borrow()
    pool.give_back(decoder)
    assert pool.borrow() is decoder
    pool.give_back(decoder)
    pool.close()


@pytest.mark.parametrize(
    ("entry", "word"),
    [("the(2)", "the"), ("hello", "hello"), ("<sil>", ""), ("</s>", ""), ("[NOISE]", ""), ("++UH++", "")],
)
def test_dictionary_entries_as_words(entry: str, word: str):
    assert spoken_word(entry) == word
