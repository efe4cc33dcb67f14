"""What the clients note of the models, by the metrics that a scraper sees."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from services.contracts.characters import Voice
from services.speech.errors import SpeechUnavailable
from services.speech.recogniser import Recogniser
from services.speech.synthesiser import Synthesiser
from services.telemetry import metrics

Noted = Callable[[str], float]


@pytest.fixture
def noted() -> Noted:
    """How far a metric of the model "measured" has moved since the test began."""

    def value(name: str, **labels: str) -> float:
        return metrics.WORKER.get_sample_value(name, {"model": "measured", **labels}) or 0.0

    def split(text: str) -> float:
        name, _, reason = text.partition(" ")
        return value(name, **({"reason": reason} if reason else {})) - before.get(text, 0.0)

    before: dict[str, float] = {}
    for text in (
        "parley_recognition_final_seconds_count",
        "parley_recognition_real_time_factor_count",
        "parley_recognition_audio_seconds_total",
        "parley_synthesis_first_chunk_seconds_count",
        "parley_synthesis_real_time_factor_count",
        "parley_synthesis_audio_seconds_total",
        "parley_speech_failures_total at_capacity",
    ):
        before[text] = split(text)
    return split


async def test_an_utterance(triton: Any, noted: Noted):
    client = Recogniser(triton.address, "measured")
    stream = client.open("u")
    stream.append(np.zeros(8000, np.float32))
    await stream.partial()
    await stream.final(speculative=True)
    await stream.final()
    await client.close()
    assert noted("parley_recognition_final_seconds_count") == 1, "what was known already was not asked for again"
    assert noted("parley_recognition_real_time_factor_count") == 1
    assert noted("parley_recognition_audio_seconds_total") == 0.5


async def test_a_sentence(triton: Any, noted: Noted):
    client = Synthesiser(triton.address, "measured")
    size = sum([len(chunk) async for chunk in client.speak("one two", Voice())])
    await client.close()
    assert noted("parley_synthesis_first_chunk_seconds_count") == 1
    assert noted("parley_synthesis_real_time_factor_count") == 1
    assert noted("parley_synthesis_audio_seconds_total") == pytest.approx(size / 2 / 24_000)


async def test_a_sentence_that_nobody_waits_for_any_more_says_nothing_of_the_model(triton: Any, noted: Noted):
    client = Synthesiser(triton.address, "measured")
    speech = client.speak("one two", Voice())
    await anext(speech)
    await speech.aclose()
    await client.close()
    assert noted("parley_synthesis_real_time_factor_count") == 0
    assert noted("parley_speech_failures_total at_capacity") == 0


@pytest.mark.parametrize(("speculative", "failures"), [(False, 1), (True, 0)])
async def test_a_full_model_is_a_failure_to_those_who_wait(triton: Any, noted: Noted, speculative: bool, failures: int):
    def full(_request: Any) -> None:
        raise ValueError("at_capacity: all 2 slots are taken")

    triton.before = full
    client = Synthesiser(triton.address, "measured", patience=0.0)
    with pytest.raises(SpeechUnavailable):
        await anext(client.speak("one", Voice(), speculative))
    await client.close()
    assert noted("parley_speech_failures_total at_capacity") == failures
