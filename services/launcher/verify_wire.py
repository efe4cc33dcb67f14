"""What the checks of `verify_triton` are made of: a stream read response by response, and expectations."""

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from services.contracts.audio import UPLINK
from services.contracts.characters import Voice
from services.contracts.speech import RecognitionOptions, RecognitionResult
from services.speech import wire

ANSWER_SECONDS = 20.0
"""A check that waits longer for one response has failed: nothing may hang."""
FREED_SECONDS = 3.0
"""A slot must be free so soon after its request was cancelled or its utterance dropped."""
MOST_SLOTS = 1024
SENTENCE = "The quick brown fox jumps over the lazy dog."


class Broken(Exception):
    """The contract does not hold; the text says in what."""


@dataclass(frozen=True)
class Answer:
    """One response, read without looking away from its errors."""

    identity: str
    error: str
    final: bool
    outputs: dict[str, tuple[str, list[int], bytes]]
    """Name to datatype, shape and bytes."""


class Stream:
    """One inference stream, read response by response."""

    def __init__(self, stub: Any) -> None:
        self.call = stub.ModelStreamInfer()

    async def send(self, model: str, identity: str, tensors: dict[str, NDArray[Any]], stop: str = "") -> None:
        await self.call.write(wire.request(model, identity, tensors, stop))

    async def read(self) -> Answer | None:
        """The next response; None when the server has closed the stream. Raises Broken when it does not come."""
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                response = await self.call.read()
        except TimeoutError as error:
            raise Broken(f"no response within {ANSWER_SECONDS:.0f} s: the request hangs") from error
        if response is wire.EOF:
            return None
        answer = response.infer_response
        outputs = {
            output.name: (output.datatype, list(output.shape), raw)
            for output, raw in zip(answer.outputs, answer.raw_output_contents, strict=False)
        }
        if len(answer.outputs) != len(answer.raw_output_contents):
            raise Broken(f"{len(answer.outputs)} outputs but {len(answer.raw_output_contents)} payloads")
        parameters = answer.parameters
        final = "triton_final_response" in parameters and parameters["triton_final_response"].bool_param
        return Answer(answer.id, response.error_message, final, outputs)

    async def request(self, model: str, identity: str, tensors: dict[str, NDArray[Any]]) -> list[Answer]:
        """Send, and read to the final response. Raises Broken."""
        await self.send(model, identity, tensors)
        return await self.rest()

    async def rest(self) -> list[Answer]:
        """Read to the next final response. Raises Broken."""
        answers: list[Answer] = []
        while True:
            answer = await self.read()
            if answer is None:
                raise Broken("the stream was closed before the request's FINAL")
            answers.append(answer)
            if answer.final:
                return answers

    async def end(self) -> list[Answer]:
        """Close our side and return what still comes, which should be nothing."""
        await self.call.done_writing()
        late: list[Answer] = []
        while (answer := await self.read()) is not None:
            late.append(answer)
        return late


def synthesis_tensors(text: str, voice: bytes | None = None) -> dict[str, NDArray[Any]]:
    encoded = msgspec.json.encode(Voice()) if voice is None else voice
    return {"TEXT": wire.text_tensor(text), "VOICE": wire.text_tensor(encoded)}


def recognition_tensors(
    utterance: str,
    kind: Literal["append", "partial", "final", "drop"],
    samples: NDArray[np.float32],
    *,
    first: bool = False,
    speculative: bool = False,
) -> dict[str, NDArray[Any]]:
    options = RecognitionOptions(utterance=utterance, kind=kind, first=first, speculative=speculative)
    return {"AUDIO": samples, "OPTIONS": wire.text_tensor(msgspec.json.encode(options))}


def babble(seconds: float) -> NDArray[np.float32]:
    """Noise that rises and falls like syllables: sound to work on, whatever is understood of it."""
    count = round(seconds * UPLINK.sample_rate)
    noise = np.random.default_rng(7).normal(0.0, 0.1, count)
    syllables = 0.5 + 0.5 * np.sin(2 * np.pi * 4 * np.arange(count) / UPLINK.sample_rate)
    return (noise * syllables).astype(np.float32)


NO_SAMPLES: NDArray[np.float32] = np.zeros(0, np.float32)


def expect(holds: bool, message: str) -> None:
    if not holds:
        raise Broken(message)


def expect_error(answers: list[Answer], name: str) -> str:
    """One response: an error of that name, and FINAL."""
    expect(len(answers) == 1, f"an error is one response; got {len(answers)}")
    message = answers[0].error
    expect(message.startswith(name), f"expected an error beginning with '{name}'; got {message or 'no error'!r}")
    return message


def sequences(answers: list[Answer]) -> list[int]:
    """The SEQUENCE of each response that has outputs. Raises Broken."""
    numbers: list[int] = []
    for answer in answers:
        if not answer.outputs:
            continue
        expect("SEQUENCE" in answer.outputs, "a response has outputs but no SEQUENCE")
        datatype, shape, raw = answer.outputs["SEQUENCE"]
        expect(datatype == "INT32" and shape == [1] and len(raw) == 4, f"SEQUENCE is {datatype} {shape}, not INT32 [1]")
        numbers.append(int(np.frombuffer(raw, "<i4")[0]))
    return numbers


def pcm(answers: list[Answer]) -> NDArray[np.int16]:
    """All samples of a synthesis. Raises Broken."""
    pieces: list[NDArray[np.int16]] = []
    for answer in answers:
        expect(not answer.error, f"the model answered with an error: {answer.error}")
        if "PCM" not in answer.outputs:
            continue
        datatype, shape, raw = answer.outputs["PCM"]
        expect(datatype == "INT16" and len(shape) == 1, f"PCM is {datatype} {shape}, not INT16 [n]")
        expect(len(raw) == 2 * shape[0], f"PCM says {shape[0]} samples and carries {len(raw)} bytes")
        pieces.append(np.frombuffer(raw, "<i2"))
    return np.concatenate(pieces) if pieces else np.zeros(0, np.int16)


def result(answers: list[Answer]) -> RecognitionResult:
    """The RESULT of a recognition request. Raises Broken."""
    found = [answer.outputs["RESULT"] for answer in answers if "RESULT" in answer.outputs]
    errors = [answer.error for answer in answers if answer.error]
    expect(not errors, f"the model answered with an error: {errors[:1]}")
    expect(len(found) == 1, f"a question has one RESULT; got {len(found)}")
    datatype, shape, raw = found[0]
    expect(datatype == "UINT8" and shape == [len(raw)], f"RESULT is {datatype} {shape} with {len(raw)} bytes")
    try:
        return msgspec.json.decode(raw, type=RecognitionResult)
    except msgspec.DecodeError as error:
        raise Broken(f"RESULT is not the contract's JSON: {error}") from error


async def within(seconds: float, attempt: Callable[[], Awaitable[bool]], failure: str) -> float:
    """Try until it works; the seconds it took. Raises Broken."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    while not await attempt():
        if loop.time() - began > seconds:
            raise Broken(failure)
        await asyncio.sleep(0.02)
    return loop.time() - began


def new_utterance() -> str:
    return f"verify-{secrets.token_hex(8)}"
