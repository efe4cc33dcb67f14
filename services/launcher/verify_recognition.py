"""The checks of a recognition model. None depends on what is understood."""

from collections.abc import Awaitable, Callable
from typing import Any

from services.contracts import speech
from services.contracts.audio import UPLINK
from services.launcher.verify_wire import (
    FREED_SECONDS,
    MOST_SLOTS,
    NO_SAMPLES,
    Answer,
    Stream,
    babble,
    expect,
    expect_error,
    new_utterance,
    recognition_tensors,
    result,
    sequences,
    within,
)


async def in_order(stub: Any, model: str) -> str:
    """Seven requests sent without waiting; each is answered, in order, with one FINAL."""
    stream, utterance, piece = Stream(stub), new_utterance(), babble(0.1)
    for number in range(5):
        tensors = recognition_tensors(utterance, "append", piece, first=number == 0)
        await stream.send(model, str(number), tensors)
    await stream.send(model, "5", recognition_tensors(utterance, "partial", piece))
    await stream.send(model, "6", recognition_tensors(utterance, "final", NO_SAMPLES))
    answers: list[Answer] = []
    for _ in range(7):
        answers += await stream.rest()
    late = await stream.end()
    expect(not late, f"{len(late)} responses came after the last FINAL")
    finals = [answer.identity for answer in answers if answer.final]
    expect(finals == [str(number) for number in range(7)], f"requests 0 to 6 ended in the order {finals}")
    appended = [answer for answer in answers if answer.identity < "5"]
    expect(all(not answer.outputs and not answer.error for answer in appended), "an append answers only FINAL")
    partial = result([answer for answer in answers if answer.identity == "5"])
    final = result([answer for answer in answers if answer.identity == "6"])
    for name, found, is_final in (("partial", partial, False), ("final", final, True)):
        expect(found.utterance == utterance, f"the {name} is of utterance {found.utterance!r}")
        expect(abs(found.audio_seconds - 0.6) < 0.03, f"the {name} heard {found.audio_seconds} s of 0.6 s")
        expect(0 <= found.committed <= len(found.text), f"the {name} commits {found.committed} characters of its text")
        expect(found.is_final == is_final, f"is_final of the {name} is {found.is_final}")
    expect(sequences(answers) == [0, 0], f"each result has SEQUENCE 0; got {sequences(answers)}")
    return f"7 requests, final text {final.text!r}"


async def speculation(stub: Any, model: str) -> str:
    """After a speculative final the utterance goes on; a confirmed one ends it."""
    stream, utterance = Stream(stub), new_utterance()

    async def ask(identity: str, speculative: bool, seconds: float, first: bool = False) -> Any:
        samples = babble(seconds) if seconds else NO_SAMPLES
        tensors = recognition_tensors(utterance, "final", samples, first=first, speculative=speculative)
        return result(await stream.request(model, identity, tensors))

    speculative = await ask("1", True, 0.5, first=True)
    again = await ask("2", True, 0.0)
    expect(again.text == speculative.text, f"without new samples {speculative.text!r} became {again.text!r}")
    longer = await ask("3", False, 0.5)
    expect(abs(longer.audio_seconds - 1.0) < 0.03, f"after going on it heard {longer.audio_seconds} s of 1.0 s")
    over = await stream.request(model, "4", recognition_tensors(utterance, "partial", NO_SAMPLES))
    expect_error(over, speech.UTTERANCE_UNKNOWN)
    return f"speculative {speculative.text!r}, confirmed {longer.text!r}, then forgotten"


async def unknown(stub: Any, model: str) -> str:
    tensors = recognition_tensors(new_utterance(), "append", babble(0.1))
    return expect_error(await Stream(stub).request(model, "1", tensors), speech.UTTERANCE_UNKNOWN)


async def errors(stub: Any, model: str) -> str:
    tensors = recognition_tensors(new_utterance(), "append", babble(0.1), first=True)
    tensors["OPTIONS"] = tensors["OPTIONS"][:-1]
    malformed = expect_error(await Stream(stub).request(model, "1", tensors), speech.INVALID_REQUEST)
    utterance = new_utterance()
    stream = Stream(stub)
    too_long = recognition_tensors(utterance, "append", babble(61.0), first=True)
    expect_error(await stream.request(model, "1", too_long), speech.INVALID_REQUEST)
    await stream.request(model, "2", recognition_tensors(utterance, "drop", NO_SAMPLES))
    return f"each an error with FINAL, such as: {malformed}"


async def capacity_and_dropping(stub: Any, model: str) -> str:
    """Utterances are opened until one is refused; dropping one makes room at once."""
    stream = Stream(stub)
    opened, refused = await _fill(stream, model)
    try:
        expect_error(refused, speech.AT_CAPACITY)
        expect(len(opened) > 0, "every utterance was refused, even the first")
        await stream.request(model, "drop", recognition_tensors(opened.pop(), "drop", NO_SAMPLES))
        seconds = await within(
            FREED_SECONDS, lambda: _opens(stream, model, opened), "the slot of a dropped utterance stays taken"
        )
    finally:
        await _drop_all(stream, model, opened)
    return f"{len(opened)} utterances, the next was refused; {seconds * 1000:.0f} ms after a drop there was room"


async def cancelling(stub: Any, model: str) -> str:
    """A stream cancelled while its request runs gives its slot back."""
    stream, doomed = Stream(stub), Stream(stub)
    utterance = new_utterance()
    await doomed.send(model, "1", recognition_tensors(utterance, "append", babble(30.0), first=True))
    await doomed.send(model, "2", recognition_tensors(utterance, "final", NO_SAMPLES))
    opened, refused = await _fill(stream, model)
    try:
        expect_error(refused, speech.AT_CAPACITY)
        doomed.call.cancel()
        seconds = await within(
            FREED_SECONDS, lambda: _opens(stream, model, opened), "the slot of a cancelled request stays taken"
        )
    finally:
        await _drop_all(stream, model, opened)
    return f"{seconds * 1000:.0f} ms after cancelling there was room"


async def _fill(stream: Stream, model: str) -> tuple[list[str], list[Answer]]:
    """Open utterances until one is refused: the open ones, and the refusal."""
    opened: list[str] = []
    while True:
        utterance = new_utterance()
        answers = await stream.request(
            model, utterance, recognition_tensors(utterance, "append", NO_SAMPLES, first=True)
        )
        if any(answer.error for answer in answers):
            return opened, answers
        opened.append(utterance)
        if len(opened) >= MOST_SLOTS:
            await _drop_all(stream, model, opened)
            expect(False, f"{MOST_SLOTS} utterances were opened and none was refused")


async def _opens(stream: Stream, model: str, opened: list[str]) -> bool:
    utterance = new_utterance()
    tensors = recognition_tensors(utterance, "append", babble(1.0 / UPLINK.sample_rate), first=True)
    answers = await stream.request(model, utterance, tensors)
    if any(answer.error for answer in answers):
        return False
    opened.append(utterance)
    return True


async def _drop_all(stream: Stream, model: str, opened: list[str]) -> None:
    for utterance in opened:
        await stream.request(model, utterance, recognition_tensors(utterance, "drop", NO_SAMPLES))


CHECKS: dict[str, Callable[[Any, str], Awaitable[str]]] = {
    "several requests on one stream, in order, one FINAL each": in_order,
    "speculative finals go on, confirmed ones end": speculation,
    "an unknown utterance is named so": unknown,
    "a wrong request is an error with FINAL": errors,
    "UNAVAILABLE beyond the slots, a drop frees one": capacity_and_dropping,
    "cancelling frees a slot": cancelling,
}
