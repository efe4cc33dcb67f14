"""The embedded models behind a real tritonserver, through the clients."""

import asyncio
import itertools
import json
import re
import urllib.request
import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from services.contracts.characters import Voice
from services.contracts.speech import RecognitionResult
from services.launcher import verify_triton
from services.speech.errors import Reason, SpeechRejected, SpeechUnavailable
from services.speech.recogniser import Recogniser
from services.speech.synthesiser import Synthesiser

SPEECH = Path(__file__).parents[2] / "loadtest" / "speech"
SENTENCES = json.loads((SPEECH / "sentences.json").read_text())
QUIET = np.random.default_rng(0).normal(0, 1e-4, 16_000).astype(np.float32)
STT_SLOTS, TTS_SLOTS = 20, 24


@pytest.fixture
async def recogniser(embedded: Any):
    client = Recogniser(embedded.address, "pocketsphinx", deadline=100.0, patience=0.0)
    yield client
    await client.close()


@pytest.fixture
async def synthesiser(embedded: Any):
    client = Synthesiser(embedded.address, "espeak", patience=0.0)
    yield client
    await client.close()


def recording(index: int) -> NDArray[np.float32]:
    with wave.open(str(SPEECH / SENTENCES[index]["file"])) as file:
        return np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.float32) / 32768


def as_called(index: int) -> NDArray[np.float32]:
    """What the caller sends of a sentence: 300 ms before it, 200 ms after it."""
    return np.concatenate([QUIET[:4800], recording(index), QUIET[:3200]])


async def recognise(recogniser: Recogniser, identity: str, samples: NDArray[np.float32]) -> RecognitionResult:
    stream = recogniser.open(identity)
    for start in range(0, len(samples), 320):
        assert stream.append(samples[start : start + 320])
        await asyncio.sleep(0)
    return await stream.final()


def word_errors(expected: str, heard: str) -> int:
    reference, hypothesis = expected.split(), heard.split()
    row = list(range(len(hypothesis) + 1))
    for i, word in enumerate(reference, 1):
        previous, row[0] = row[0], i
        for j, other in enumerate(hypothesis, 1):
            previous, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, previous + (word != other))
    return row[-1]


def metrics(embedded: Any) -> dict[str, float]:
    with urllib.request.urlopen(embedded.server.metrics_url, timeout=5) as answer:
        lines = answer.read().decode()
    return {name: float(value) for name, value in re.findall(r"^(parley_\w+)\{[^}]*\} (\S+)$", lines, re.MULTILINE)}


async def until_free(embedded: Any) -> dict[str, float]:
    """The metrics once nobody holds a slot."""
    async with asyncio.timeout(5):
        while True:
            now = metrics(embedded)
            if now["parley_stt_active_streams"] == now["parley_tts_active_streams"] == 0:
                return now
            await asyncio.sleep(0.02)


async def test_everyday_sentences_are_understood(recogniser: Recogniser):
    errors = words = 0
    for index, sentence in enumerate(SENTENCES):
        result = await recognise(recogniser, f"sentence-{index}", as_called(index))
        errors += word_errors(sentence["text"], result.text)
        words += len(sentence["text"].split())
        assert result.is_final
        assert result.audio_seconds == pytest.approx(len(as_called(index)) / 16_000, abs=0.001)
    assert errors / words <= 0.15


async def test_partials_come_while_the_user_speaks_and_a_pause_is_free(recogniser: Recogniser):
    stream = recogniser.open("paused", word_times=True)
    samples = as_called(1)
    stream.append(samples[:24_000])
    partial = await stream.partial()
    assert partial.text.startswith("what is")
    stream.append(samples[24_000:])
    speculative = await stream.final(speculative=True)
    assert speculative.text == SENTENCES[1]["text"]
    stream.append(as_called(0))
    both = await stream.final()
    assert both.text == f"{SENTENCES[1]['text']} {SENTENCES[0]['text']}"
    assert [word.word for word in both.words] == both.text.split()


async def test_a_sentence_is_spoken_byte_for_byte(synthesiser: Synthesiser):
    chunks = [chunk async for chunk in synthesiser.speak("My brother is going to the party tonight.", Voice())]
    assert all(len(chunk) == 4800 for chunk in chunks[1:-1])
    pcm = np.frombuffer(b"".join(chunks), "<i2").astype(np.float64)
    assert 1.5 < len(pcm) / 24_000 < 4.0
    assert 1000 < np.sqrt(np.mean(pcm**2)) < 8000


async def test_an_unknown_voice_is_refused_with_what_there_is(synthesiser: Synthesiser):
    with pytest.raises(SpeechRejected, match=r"no voice 'en-gb'.*en-gb-x-rp"):
        await anext(synthesiser.speak("Hello.", Voice(preset="en-gb")))


async def test_twenty_utterances_and_twenty_sentences_at_once(
    embedded: Any, recogniser: Recogniser, synthesiser: Synthesiser
):
    async def speak(number: int) -> int:
        text = "Well. " * (number + 1)
        return sum([len(chunk) async for chunk in synthesiser.speak(text, Voice())])

    spoken, heard = await asyncio.gather(
        asyncio.gather(*(speak(number) for number in range(20))),
        asyncio.gather(*(recognise(recogniser, f"at-once-{n}", as_called(n % 4)) for n in range(20))),
    )
    assert all(longer > shorter for shorter, longer in itertools.pairwise(spoken))
    texts = [result.text for result in heard]
    errors = sum(word_errors(SENTENCES[n % 4]["text"], text) for n, text in enumerate(texts))
    assert errors / sum(len(SENTENCES[n % 4]["text"].split()) for n in range(20)) <= 0.15
    await until_free(embedded)


async def test_beyond_the_slots_is_refused_and_abandoning_makes_room(embedded: Any, recogniser: Recogniser):
    await until_free(embedded)
    streams = [recogniser.open(f"slot-{number}") for number in range(STT_SLOTS)]
    for stream in streams:
        stream.append(QUIET[:320])
        await stream.partial()
    late = recogniser.open("late")
    late.append(QUIET[:320])
    with pytest.raises(SpeechUnavailable, match="all 20 slots") as raised:
        await late.final()
    assert raised.value.reason is Reason.AT_CAPACITY
    await recogniser.canary()
    for stream in streams:
        stream.abandon()
        await stream.wait_closed()
    now = await until_free(embedded)
    assert now["parley_stt_rejected_total"] >= 1


async def test_a_cancelled_sentence_frees_its_slot(embedded: Any, synthesiser: Synthesiser):
    before = metrics(embedded)["parley_tts_cancelled_total"]
    for _ in range(3):
        speech = synthesiser.speak("This goes on and on. " * 90, Voice())
        await anext(speech)
        await speech.aclose()
    now = await until_free(embedded)
    assert now["parley_tts_cancelled_total"] > before


async def test_a_storm_of_interruptions_leaves_the_server_whole(embedded: Any, synthesiser: Synthesiser):
    async def interrupt(number: int) -> None:
        for turn in range(25):
            speech = synthesiser.speak("My brother is going to the party tonight. " * 6, Voice())
            for _ in range(1 + (number + turn) % 20):
                await anext(speech)
            await speech.aclose()

    await asyncio.gather(*(interrupt(number) for number in range(8)))
    await until_free(embedded)
    await synthesiser.canary()
    assert embedded.process.poll() is None


async def test_the_models_publish_their_own_metrics(embedded: Any, recogniser: Recogniser, synthesiser: Synthesiser):
    await recogniser.canary()
    await synthesiser.canary()
    now = metrics(embedded)
    assert now["parley_stt_slots"] == STT_SLOTS
    assert now["parley_tts_slots"] == TTS_SLOTS
    assert now["parley_stt_final_seconds_count"] >= 1
    assert now["parley_tts_first_audio_seconds_count"] >= 1


async def test_the_embedded_models_keep_the_contracts(embedded: Any, capsys: pytest.CaptureFixture[str]):
    checks = await verify_triton.verify(f"grpc://{embedded.address}", "pocketsphinx", "espeak")
    assert len(checks) >= 12
    assert [check for check in checks if not check.passed] == []
