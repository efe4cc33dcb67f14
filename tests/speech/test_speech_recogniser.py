"""The recognition client against doubles of the server."""

import asyncio
from typing import Any

import numpy as np
import pytest

from services.speech.errors import Reason, SpeechRejected, SpeechUnavailable
from services.speech.recogniser import Recogniser
from services.speech.recognition_stream import AHEAD_SAMPLES, MAX_SAMPLES


def samples(count: int):
    return np.zeros(count, np.float32)


@pytest.fixture
async def recogniser(triton: Any):
    client = Recogniser(triton.address, "m", deadline=5.0, patience=0.3)
    yield client
    await client.close()


@pytest.fixture
async def pair(triton: Any, other_triton: Any):
    client = Recogniser(f"{triton.address}, {other_triton.address}", "m", deadline=5.0, patience=0.5)
    yield client
    await client.close()


async def test_an_answer_covers_everything_appended_before_it(triton: Any, recogniser: Recogniser):
    stream = recogniser.open("u")
    for _ in range(50):
        assert stream.append(samples(320))
    assert (await stream.partial()).text == "16000 samples"
    stream.append(samples(320))
    final = await stream.final()
    assert final.text == "16320 samples"
    assert final.is_final
    assert sum(request["samples"] for request in triton.requests) == 16320
    assert [request.get("first", False) for request in triton.requests] == [True] + [False] * (len(triton.requests) - 1)


async def test_opening_sends_nothing(triton: Any, recogniser: Recogniser):
    stream = recogniser.open("u")
    assert (await stream.final()).text == ""
    assert triton.requests == []


async def test_an_utterance_goes_on_after_a_speculative_final(triton: Any, recogniser: Recogniser):
    stream = recogniser.open("u")
    stream.append(samples(320))
    assert (await stream.final(speculative=True)).text == "320 samples"
    stream.append(samples(320))
    assert (await stream.final()).text == "640 samples"
    assert not stream.append(samples(320))
    await triton.until_quiet()
    assert triton.utterances == {}
    assert [request["kind"] for request in triton.requests].count("drop") == 0


async def test_a_prepared_transcript_is_final_at_once_and_the_replica_may_forget(triton: Any, recogniser: Recogniser):
    stream = recogniser.open("u")
    stream.append(samples(320))
    prepared = await stream.final(speculative=True)
    requests = len(triton.requests)
    assert await stream.final() == prepared
    assert [request["kind"] for request in triton.requests].count("final") == 1
    assert not stream.append(samples(320))
    await stream.wait_closed()
    assert [request["kind"] for request in triton.requests[requests:]] == ["drop"]
    assert triton.utterances == {}
    await triton.until_quiet()


async def test_it_is_final_even_when_its_replica_is_gone(triton: Any, recogniser: Recogniser):
    stream = recogniser.open("u")
    stream.append(samples(320))
    prepared = await stream.final(speculative=True)
    await triton.stop()
    async with asyncio.timeout(0.1):
        assert await stream.final() == prepared
    await stream.wait_closed()


async def test_a_partial_transcript_is_not_taken_for_a_prepared_one(triton: Any, recogniser: Recogniser):
    stream = recogniser.open("u")
    stream.append(samples(320))
    await stream.partial()
    assert (await stream.final()).is_final
    assert [request["kind"] for request in triton.requests].count("final") == 1


async def test_options_travel(triton: Any, recogniser: Recogniser):
    stream = recogniser.open("u", language="en", prompt="Parley", word_times=True)
    stream.append(samples(320))
    await stream.final()
    last = triton.requests[-1]
    assert (last["language"], last["prompt"], last["word_times"], last["deadline_ms"]) == ("en", "Parley", True, 5000)


async def test_a_forgotten_utterance_is_sent_again(triton: Any, recogniser: Recogniser):
    stream = recogniser.open("u")
    stream.append(samples(320))
    await stream.partial()
    triton.utterances.clear()
    stream.append(samples(320))
    assert (await stream.partial()).text == "640 samples"
    assert (await stream.final()).text == "640 samples"


async def test_a_lost_replica_costs_one_resend(triton: Any, other_triton: Any, pair: Recogniser):
    stream = pair.open("u")
    stream.append(samples(320))
    await stream.partial()
    first, second = (triton, other_triton) if triton.requests else (other_triton, triton)
    await first.stop()
    stream.append(samples(320))
    assert (await stream.final()).text == "640 samples"
    assert [(request["samples"], request.get("first", False)) for request in second.requests] == [(640, True)]


async def test_a_restarted_replica_is_found_again(triton: Any):
    client = Recogniser(triton.address, "m", deadline=8.0, patience=6.0)
    stream = client.open("u")
    stream.append(samples(320))
    await stream.partial()
    await triton.stop()
    asked = asyncio.create_task(stream.final())
    await asyncio.sleep(0)
    await triton.start()
    assert (await asked).text == "320 samples"
    await client.close()


async def test_a_full_replica_is_passed_over(triton: Any, other_triton: Any, pair: Recogniser):
    def full(request: Any) -> None:
        raise ValueError("at_capacity: all 2 slots are taken")

    triton.before = full
    for number in range(4):
        stream = pair.open(str(number))
        stream.append(samples(320))
        assert (await stream.final()).text == "320 samples"
    assert len([request for request in other_triton.requests if request["kind"] == "final"]) == 4


async def test_streams_spread_over_the_replicas(triton: Any, other_triton: Any, pair: Recogniser):
    streams = [pair.open(str(number)) for number in range(6)]
    for stream in streams:
        stream.append(samples(320))
        await stream.partial()
    assert len(triton.utterances) == len(other_triton.utterances) == 3


async def test_all_full_is_a_typed_refusal(triton: Any, recogniser: Recogniser):
    def full(request: Any) -> None:
        raise ValueError("at_capacity: all 2 slots are taken")

    triton.before = full
    stream = recogniser.open("u")
    stream.append(samples(320))
    with pytest.raises(SpeechUnavailable, match="slots are taken") as raised:
        await stream.final()
    assert raised.value.reason is Reason.AT_CAPACITY


async def test_no_server_is_a_typed_refusal():
    client = Recogniser("127.0.0.1:1", "m", patience=0.2)
    stream = client.open("u")
    stream.append(samples(320))
    with pytest.raises(SpeechUnavailable) as raised:
        await stream.partial()
    assert raised.value.reason is Reason.UNREACHABLE
    await client.close()


async def test_a_model_that_hangs_meets_the_deadline(triton: Any, hang: type[Exception]):
    def stuck(request: Any) -> None:
        raise hang

    client = Recogniser(triton.address, "m", deadline=0.2)
    triton.before = stuck
    stream = client.open("u")
    stream.append(samples(320))
    with pytest.raises(SpeechUnavailable) as raised:
        await stream.final()
    assert raised.value.reason is Reason.DEADLINE
    await client.close()
    await triton.until_quiet()


async def test_a_wrong_request_is_not_tried_again(triton: Any, recogniser: Recogniser):
    def wrong(request: Any) -> None:
        raise ValueError("invalid_request: no such language")

    triton.before = wrong
    stream = recogniser.open("u")
    stream.append(samples(320))
    with pytest.raises(SpeechRejected, match="no such language"):
        await stream.final()


async def test_a_known_transcript_survives_the_loss_of_its_model(triton: Any, recogniser: Recogniser):
    stream = recogniser.open("u")
    stream.append(samples(320))
    speculative = await stream.final(speculative=True)
    await triton.stop()
    assert (await stream.final()).text == speculative.text


@pytest.mark.parametrize("asked_before", [True, False])
async def test_an_abandoned_utterance_is_dropped_at_once(triton: Any, recogniser: Recogniser, asked_before: bool):
    stream = recogniser.open("u")
    stream.append(samples(320))
    if asked_before:
        await stream.partial()
    stream.abandon()
    stream.abandon()
    await stream.wait_closed()
    assert triton.utterances == {}
    assert not stream.append(samples(320))
    await triton.until_quiet()


async def test_abandoning_releases_who_waits(triton: Any, recogniser: Recogniser, hang: type[Exception]):
    asked = asyncio.Event()

    def stuck(options: Any) -> None:
        if options["kind"] == "final":
            asked.set()
            raise hang

    triton.before = stuck
    stream = recogniser.open("u")
    stream.append(samples(320))
    waiting = asyncio.create_task(stream.final())
    await asked.wait()
    stream.abandon()
    with pytest.raises(SpeechUnavailable, match="abandoned"):
        await waiting
    await stream.wait_closed()
    assert [request["kind"] for request in triton.requests][-1] == "drop"


async def test_a_minute_is_the_most(recogniser: Recogniser):
    stream = recogniser.open("u")
    assert stream.append(samples(MAX_SAMPLES))
    assert not stream.append(samples(1))
    assert (await stream.final()).text == f"{MAX_SAMPLES} samples"


async def test_the_canary_names_the_replica_that_fails(triton: Any, other_triton: Any, pair: Recogniser):
    await pair.canary()

    def broken(request: Any) -> None:
        raise ValueError("model_failed: Stub process is not healthy")

    other_triton.before = broken
    with pytest.raises(SpeechUnavailable, match=other_triton.address) as raised:
        await pair.canary()
    assert "not healthy" in str(raised.value)
    assert raised.value.reason is Reason.FAILED


async def test_a_full_model_is_alive(triton: Any, recogniser: Recogniser):
    def full(request: Any) -> None:
        raise ValueError("at_capacity: all 2 slots are taken")

    triton.before = full
    await recogniser.canary()


async def test_closing_drops_what_is_open(triton: Any):
    client = Recogniser(triton.address, "m")
    for number in range(3):
        stream = client.open(str(number))
        stream.append(samples(320))
        await stream.partial()
    client.open("never used")
    await client.close()
    assert triton.utterances == {}


def test_a_client_without_addresses_says_so():
    with pytest.raises(ValueError, match="host:port"):
        Recogniser(" , ", "m")


async def test_frames_gather_before_they_are_sent_ahead(triton: Any, recogniser: Recogniser):
    stream = recogniser.open("u")
    for _ in range(20):
        stream.append(samples(320))
        await asyncio.sleep(0)  # the stream looks at what it has
    assert (await stream.final()).text == "6400 samples"
    assert next(request["samples"] for request in triton.requests if request["kind"] == "append") == AHEAD_SAMPLES
    assert sum(request["samples"] for request in triton.requests) == 6400


class TestLiveness:
    """A model whose process was killed takes requests and answers none; a slow one answers what costs it nothing."""

    async def test_a_dead_model_is_told_long_before_the_deadline(self, triton: Any, hang: type[Exception]):
        def dead(request: Any) -> None:
            raise hang

        client = Recogniser(triton.address, "m", deadline=30.0, patience=0.3, lifeless=0.3)
        triton.before = dead
        stream = client.open("u")
        stream.append(samples(320))
        with pytest.raises(SpeechUnavailable, match="answers none") as raised:
            async with asyncio.timeout(5):
                await stream.final()
        assert raised.value.reason is Reason.UNREACHABLE
        await client.close()

    async def test_a_slow_one_has_until_the_deadline(self, triton: Any, hang: type[Exception]):
        pings: asyncio.Queue[str] = asyncio.Queue()

        def slow(request: Any) -> None:
            if request["kind"] == "drop":
                pings.put_nowait(request["utterance"])
            if request["kind"] == "final":
                raise hang

        client = Recogniser(triton.address, "m", deadline=1.0, patience=0.1, lifeless=0.3)
        triton.before = slow
        stream = client.open("u")
        stream.append(samples(320))
        with pytest.raises(SpeechUnavailable) as raised:
            await stream.final()
        assert raised.value.reason is Reason.DEADLINE
        assert pings.qsize() >= 3
        assert "u" not in {pings.get_nowait() for _ in range(3)}
        await client.close()

    async def test_the_utterance_of_a_dead_model_goes_to_another(
        self, triton: Any, other_triton: Any, hang: type[Exception]
    ):
        client = Recogniser(f"{triton.address}, {other_triton.address}", "m", deadline=30.0, patience=0.3, lifeless=0.3)
        stream = client.open("u")
        stream.append(samples(320))
        await stream.partial()
        first = triton if triton.requests else other_triton

        def dead(request: Any) -> None:
            raise hang

        first.before = dead
        stream.append(samples(3200))
        async with asyncio.timeout(5):
            assert (await stream.final()).text == "3520 samples"
        await client.close()

    async def test_it_is_found_again_when_it_answers_again(self, triton: Any, hang: type[Exception]):
        died = asyncio.Event()

        def dead(request: Any) -> None:
            if request["utterance"] == "ping":
                died.set()
            raise hang

        client = Recogniser(triton.address, "m", deadline=30.0, patience=5.0, lifeless=0.3)
        stream = client.open("u")
        triton.before = dead
        stream.append(samples(320))
        asked = asyncio.create_task(stream.final())
        await died.wait()
        triton.before = lambda request: None
        async with asyncio.timeout(5):
            assert (await asked).text == "320 samples"
        await client.close()

    async def test_one_that_says_it_is_not_healthy_and_then_nothing_is_not_waited_for_twice(
        self, triton: Any, hang: type[Exception]
    ):
        """Triton fails what was under way when a model's process died, and leaves unanswered what comes after it."""
        finals: list[str] = []

        def dead(request: Any) -> None:
            if request["kind"] == "final":
                finals.append(request["utterance"])
            if len(finals) == 1 and request["kind"] == "final":
                raise ValueError("Stub process 'm_0_0' is not healthy.")
            raise hang

        client = Recogniser(triton.address, "m", deadline=30.0, patience=0.5, lifeless=0.6)
        stream = client.open("u")
        triton.before = dead
        stream.append(samples(320))
        with pytest.raises(SpeechUnavailable, match="answers none"):
            async with asyncio.timeout(5):
                await stream.final()
        assert finals == ["u"]
        await client.close()

    async def test_what_is_sent_ahead_does_not_keep_the_end_waiting(self, triton: Any):
        """Nobody waits for it: its patience would be added to that of the transcript."""
        client = Recogniser(triton.address, "m", deadline=30.0, patience=60.0)
        await triton.stop()
        stream = client.open("u")
        stream.append(samples(3200))
        await asyncio.sleep(0)
        with pytest.raises(SpeechUnavailable) as raised:
            async with asyncio.timeout(5):
                await stream.partial()
        assert raised.value.reason is Reason.UNREACHABLE
        await client.close()
