"""The synthesis client against doubles of the server."""

import asyncio
from typing import Any

import numpy as np
import pytest

from services.contracts.characters import Voice
from services.speech.errors import Reason, SpeechRejected, SpeechUnavailable
from services.speech.synthesiser import Synthesiser

TEXT = "one two three four"
CHUNKS = [np.full(len(word), number, np.int16).tobytes() for number, word in enumerate(TEXT.split())]


@pytest.fixture
async def synthesiser(triton: Any):
    client = Synthesiser(triton.address, "m", chunk_seconds=5.0, patience=0.3)
    yield client
    await client.close()


@pytest.fixture
async def pair(triton: Any, other_triton: Any):
    client = Synthesiser([triton.address, other_triton.address], "m", chunk_seconds=5.0, patience=0.5)
    yield client
    await client.close()


async def speak(client: Synthesiser, text: str = TEXT) -> list[bytes]:
    return [chunk async for chunk in client.speak(text, Voice())]


async def test_chunks_come_as_they_are_made(triton: Any, synthesiser: Synthesiser):
    gates = [asyncio.Event() for _ in CHUNKS]

    async def gate(number: int) -> None:
        await gates[number].wait()

    triton.chunk_gate = gate
    speech = synthesiser.speak(TEXT, Voice())
    for number, expected in enumerate(CHUNKS):
        gates[number].set()
        assert await anext(speech) == expected
    with pytest.raises(StopAsyncIteration):
        await anext(speech)


async def test_a_text_without_sound_is_an_empty_stream(synthesiser: Synthesiser):
    assert await speak(synthesiser, " ") == []


async def test_closing_the_generator_stops_the_request_without_cancelling_its_stream(
    triton: Any, synthesiser: Synthesiser
):
    released = asyncio.Event()

    async def gate(number: int) -> None:
        if number == 1:
            await released.wait()

    triton.chunk_gate = gate
    speech = synthesiser.speak(TEXT, Voice())
    assert await anext(speech) == CHUNKS[0]
    await speech.aclose()
    released.set()
    await triton.until_quiet()
    assert len(triton.stops) == 1
    assert triton.cancelled_streams == 0


async def test_a_model_that_does_not_stop_is_cancelled(triton: Any, synthesiser: Synthesiser):
    async def gate(number: int) -> None:
        if number == 1:
            await asyncio.Event().wait()

    triton.chunk_gate = gate
    speech = synthesiser.speak(TEXT, Voice())
    assert await anext(speech) == CHUNKS[0]
    await speech.aclose()
    await triton.until_quiet()


async def test_cancelling_the_task_cancels_the_request(triton: Any, synthesiser: Synthesiser, hang: type[Exception]):
    asked = asyncio.Event()

    def stuck(request: Any) -> None:
        asked.set()
        raise hang

    triton.before = stuck
    task = asyncio.create_task(speak(synthesiser))
    await asked.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await triton.until_quiet()


async def test_a_sentence_that_may_never_be_wanted_asks_one_replica_once(
    triton: Any, other_triton: Any, pair: Synthesiser
):
    def full(request: Any) -> None:
        raise ValueError("at_capacity: all 2 slots are taken")

    triton.before = other_triton.before = full
    with pytest.raises(SpeechUnavailable) as raised:
        await anext(pair.speak(TEXT, Voice(), speculative=True))
    assert raised.value.reason is Reason.AT_CAPACITY
    assert triton.speculative + other_triton.speculative == [True]


async def test_and_says_so_to_it(triton: Any, synthesiser: Synthesiser):
    assert [chunk async for chunk in synthesiser.speak(TEXT, Voice(), speculative=True)] == CHUNKS
    assert await speak(synthesiser) == CHUNKS
    assert triton.speculative == [True, False]


async def test_a_full_or_dead_replica_is_passed_over(triton: Any, other_triton: Any, pair: Synthesiser):
    def full(request: Any) -> None:
        raise ValueError("at_capacity: all 2 slots are taken")

    triton.before = full
    assert [await speak(pair) for _ in range(3)] == [CHUNKS] * 3
    await triton.stop()
    assert [await speak(pair) for _ in range(3)] == [CHUNKS] * 3


async def test_half_a_sentence_is_not_said_twice(triton: Any, other_triton: Any, pair: Synthesiser):
    async def gate(number: int) -> None:
        if number == 2:
            raise ConnectionError("gone")

    triton.chunk_gate = other_triton.chunk_gate = gate
    speech = pair.speak(TEXT, Voice())
    assert [await anext(speech), await anext(speech)] == CHUNKS[:2]
    with pytest.raises(SpeechUnavailable):
        await anext(speech)
    assert len(triton.texts + other_triton.texts) == 1


async def test_all_full_is_a_typed_refusal(triton: Any, synthesiser: Synthesiser):
    def full(request: Any) -> None:
        raise ValueError("at_capacity: all 2 slots are taken")

    triton.before = full
    with pytest.raises(SpeechUnavailable) as raised:
        await speak(synthesiser)
    assert raised.value.reason is Reason.AT_CAPACITY
    assert len(triton.texts) > 1


async def test_a_server_that_is_restarted_meanwhile_is_waited_for(triton: Any):
    client = Synthesiser(triton.address, "m", patience=30.0)
    await triton.stop()
    asked = asyncio.create_task(speak(client))
    while client._replicas.outage() == 0.0:  # noqa: ASYNC110 - nothing tells of a failed try
        await asyncio.sleep(0)
    await triton.start()
    assert await asked == CHUNKS
    await client.close()


async def test_a_model_that_is_broken_is_not_waited_for_as_long_as_a_restart(triton: Any):
    def broken(request: Any) -> None:
        raise ValueError("Stub process 'm_0_0' is not healthy.")

    triton.before = broken
    client = Synthesiser(triton.address, "m", patience=30.0)
    async with asyncio.timeout(5):
        with pytest.raises(SpeechUnavailable, match="not healthy"):
            await speak(client)
    assert len(triton.texts) > 1
    await client.close()


async def test_an_outage_is_waited_out_once_and_not_for_every_sentence(triton: Any, synthesiser: Synthesiser):
    await triton.stop()
    loop = asyncio.get_running_loop()
    took: list[float] = []
    for _ in range(2):
        began = loop.time()
        with pytest.raises(SpeechUnavailable) as raised:
            await speak(synthesiser)
        assert raised.value.reason is Reason.UNREACHABLE
        took.append(loop.time() - began)
    assert took[0] >= 0.2
    assert took[1] < 0.1


async def test_an_unknown_voice_is_not_tried_again(triton: Any, synthesiser: Synthesiser):
    def wrong(request: Any) -> None:
        raise ValueError("invalid_request: there is no voice 'x'")

    triton.before = wrong
    with pytest.raises(SpeechRejected, match="no voice 'x'"):
        await speak(synthesiser)
    assert len(triton.texts) == 1


async def test_a_model_that_hangs_meets_the_deadline(triton: Any, hang: type[Exception]):
    def stuck(request: Any) -> None:
        raise hang

    triton.before = stuck
    client = Synthesiser(triton.address, "m", chunk_seconds=0.1, patience=0.0)
    with pytest.raises(SpeechUnavailable) as raised:
        await speak(client)
    assert raised.value.reason is Reason.DEADLINE
    await client.close()


async def test_the_canary_hears_a_word(triton: Any, synthesiser: Synthesiser, hang: type[Exception]):
    await synthesiser.canary()

    def stuck(request: Any) -> None:
        raise hang

    triton.before = stuck
    with pytest.raises(SpeechUnavailable, match=r"gave no speech within"):
        await synthesiser.canary(timeout=0.1)


async def test_a_full_model_is_alive(triton: Any, synthesiser: Synthesiser):
    def full(request: Any) -> None:
        raise ValueError("at_capacity: all 2 slots are taken")

    triton.before = full
    await synthesiser.canary()
