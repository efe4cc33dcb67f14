"""The checks of a synthesis model."""

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from typing import Any

import numpy as np

from services.contracts import speech
from services.contracts.audio import DOWNLINK
from services.launcher.verify_wire import (
    FREED_SECONDS,
    SENTENCE,
    Answer,
    Broken,
    Stream,
    expect,
    expect_error,
    pcm,
    sequences,
    synthesis_tensors,
    within,
)

_LONG_SENTENCES = 20
_LONG_TEXT = " ".join([SENTENCE] * _LONG_SENTENCES)
_MOST_AT_ONCE = 256
"""So many long texts are asked for at once at most, to see one refused."""


async def samples(stub: Any, model: str) -> str:
    heard = pcm(await Stream(stub).request(model, "1", synthesis_tensors(SENTENCE)))
    seconds = len(heard) / DOWNLINK.sample_rate
    expect(1.0 <= seconds <= 10.0, f"{len(SENTENCE)} characters became {seconds:.2f} s of audio")
    rms = float(np.sqrt(np.mean(np.square(heard.astype(np.float64)))))
    expect(rms > 100, f"the audio is silent: RMS {rms:.1f} of 32768")
    clipped = float(np.mean(np.abs(heard.astype(np.int32)) >= 32767))
    expect(clipped < 0.01, f"{clipped:.1%} of the samples are at full scale")
    return f"{seconds:.2f} s of audio, RMS {rms:.0f}"


async def one_final(stub: Any, model: str) -> str:
    stream = Stream(stub)
    answers = await stream.request(model, "1", synthesis_tensors(SENTENCE))
    late = await stream.end()
    expect(not late, f"{len(late)} responses came after FINAL")
    return f"{len(answers)} responses, the last is FINAL"


async def sequence(stub: Any, model: str) -> str:
    answers = await Stream(stub).request(model, "1", synthesis_tensors(SENTENCE))
    numbers = sequences(answers)
    expect(len(numbers) > 0, "no response has a SEQUENCE")
    expect(numbers == list(range(len(numbers))), f"SEQUENCE does not count 0, 1, 2, ...: {numbers[:20]}")
    return f"0 to {numbers[-1]}"


async def errors(stub: Any, model: str) -> str:
    empty = expect_error(await Stream(stub).request(model, "1", synthesis_tensors("")), speech.INVALID_REQUEST)
    malformed = await Stream(stub).request(model, "1", synthesis_tensors(SENTENCE, voice=b"{"))
    expect_error(malformed, speech.INVALID_REQUEST)
    huge = await Stream(stub).request(model, "1", synthesis_tensors("a" * 1_000_000))
    expect_error(huge, speech.INVALID_REQUEST)
    return f"each an error with FINAL, such as: {empty}"


async def stopping(stub: Any, model: str) -> str:
    """A request that names an earlier one ends it; each has its FINAL."""
    sentence = len(pcm(await Stream(stub).request(model, "1", synthesis_tensors(SENTENCE))))
    stream, identity = Stream(stub), f"verify-{secrets.token_hex(8)}"
    await stream.send(model, identity, synthesis_tensors(_LONG_TEXT))
    first = await stream.read()
    expect(first is not None and not first.final, "a long text ended with its first response")
    await stream.send(model, "stop", synthesis_tensors(""), stop=identity)
    answers = await stream.rest()
    answers += await stream.rest()
    late = await stream.end()
    expect(not late, f"{len(late)} responses came after the last FINAL")
    finals = sorted(answer.identity for answer in answers if answer.final)
    expect(finals == sorted(["stop", identity]), f"the stopped request and the stop have a FINAL each; got {finals}")
    spoken = len(pcm([answer for answer in answers if answer.identity == identity])) / sentence
    expect(spoken < 0.8 * _LONG_SENTENCES, f"after a stop {spoken:.0f} of {_LONG_SENTENCES} sentences were spoken")
    return f"stopped after {spoken:.1f} of {_LONG_SENTENCES} sentences"


async def capacity_and_cancelling(stub: Any, model: str) -> str:
    """Long texts at once until one is refused; then all are cancelled and the model takes a new one."""
    streams: list[Stream] = []
    firsts: list[Answer] = []
    try:
        while not any(answer.error for answer in firsts):
            expect(len(streams) < _MOST_AT_ONCE, f"{len(streams)} long texts at once and none was refused")
            fresh = [Stream(stub) for _ in range(max(8, len(streams)))]
            streams += fresh
            firsts += await asyncio.gather(*(_begin(stream, model) for stream in fresh))
    finally:
        for stream in streams:
            stream.call.cancel()
    refused = [answer for answer in firsts if answer.error]
    expect(len(refused) < len(firsts), "every request was refused, even the first")
    for answer in refused:
        expect_error([answer], speech.AT_CAPACITY)
        expect(answer.final, "a refusal comes without FINAL")
    seconds = await within(FREED_SECONDS, lambda: _is_taken(stub, model), "the slots of cancelled requests stay taken")
    return (
        f"of {len(firsts)} at once {len(refused)} were refused; {seconds * 1000:.0f} ms after cancelling there was room"
    )


async def _begin(stream: Stream, model: str) -> Answer:
    await stream.send(model, "1", synthesis_tensors(_LONG_TEXT))
    answer = await stream.read()
    if answer is None:
        raise Broken("the stream was closed without an answer")
    return answer


async def _is_taken(stub: Any, model: str) -> bool:
    stream = Stream(stub)
    answer = await _begin(stream, model)
    stream.call.cancel()
    return not answer.error


CHECKS: dict[str, Callable[[Any, str], Awaitable[str]]] = {
    "a sentence becomes plausible PCM, byte for byte as announced": samples,
    "exactly one FINAL": one_final,
    "SEQUENCE without gaps": sequence,
    "a wrong request is an error with FINAL": errors,
    "a request is stopped by another": stopping,
    "UNAVAILABLE beyond the slots, cancelling frees them": capacity_and_cancelling,
}
