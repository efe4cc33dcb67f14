"""One session's mouth: has the answer written and its sentences synthesised, and plays them out in order.

Everything it starts belongs to a generation; `stop` ends it all.
"""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import aclosing
from dataclasses import dataclass, replace

import structlog
from structlog.contextvars import bound_contextvars

from services.contracts.audio import DOWNLINK
from services.contracts.characters import Voice
from services.contracts.errors import MEANINGS, Code
from services.dialogue.inputs import (
    AnswerFailed,
    AnswerReplaced,
    AnswerWritten,
    Event,
    SpeechChunk,
    SpeechDone,
    SpeechFailed,
    SpeechRefused,
    Token,
)
from services.dialogue.language import AnswerRequest, AnswerSource, LanguageError, Replaced
from services.dialogue.playout import Playout
from services.dialogue.tracing import TurnTrace
from services.speech.errors import SpeechError
from services.speech.synthesiser import Synthesiser
from services.telemetry import names, tracing
from services.telemetry.clocks import Clock
from services.telemetry.tracing import Span, Value

log = structlog.get_logger(__name__)


@dataclass
class Speaker:
    synthesiser: Synthesiser
    clock: Clock
    deliver: Callable[[Event], None]
    playout: Playout

    def __post_init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def ask(
        self, generation: int, source: AnswerSource, request: AnswerRequest, trace: TurnTrace, prepared: bool
    ) -> None:
        def replaced(by: Replaced) -> None:
            message = f"{by.failure} This answer is from {by.by.model or by.by.mode}."
            self.deliver(AnswerReplaced(at=self.clock(), generation=generation, code=by.failure.code, message=message))

        self.playout.begin(generation, hold=prepared)
        known: dict[str, Value] = {
            names.OPERATION: names.CHAT,
            names.PROVIDER: "openai" if source.about.mode == "llm" else source.about.mode,
            names.REQUEST_MODEL: request.model or source.about.model,
            names.REQUEST_MAX_TOKENS: request.max_tokens,
            names.REQUEST_TEMPERATURE: request.temperature,
            names.GENERATION: generation,
            names.PREPARED: prepared,
        }
        span = trace.begin(names.CHAT, known)
        request = replace(request, on_replaced=replaced, traceparent=span.context.traceparent)
        self._start(self._write(generation, source, request, trace, span), trace)

    def confirm(self, generation: int) -> None:
        """The prepared answer is the answer: its audio may leave."""
        self.playout.release(generation)

    def synthesise(self, generation: int, slot: int, text: str, voice: Voice, trace: TurnTrace, prepared: bool) -> None:
        known: dict[str, Value] = {
            names.OPERATION: names.SYNTHESISE,
            names.REQUEST_MODEL: self.synthesiser.model,
            names.OUTPUT_TYPE: "speech",
            names.GENERATION: generation,
            names.SLOT: slot,
            names.CHARACTERS: len(text),
            names.PREPARED: prepared,
        }
        span = trace.begin(names.SYNTHESISE, known)
        self._start(self._speak(generation, slot, text, voice, prepared, trace, span), trace)

    def stop(self, generation: int) -> None:
        """Ends all work, drops all audio; only this generation's will be taken."""
        for task in self._tasks:
            task.cancel()
        self.playout.begin(generation)

    async def _write(
        self, generation: int, source: AnswerSource, request: AnswerRequest, trace: TurnTrace, span: Span
    ) -> None:
        error = ""
        try:
            async with aclosing(source.answer(request)) as parts:
                async for text in parts:
                    self._first(span, names.FIRST_TOKEN, names.TIME_TO_FIRST_CHUNK)
                    self.deliver(Token(at=self.clock(), generation=generation, text=text))
        except LanguageError as failure:
            error = str(failure)
            self._failed(generation, failure.code, error)
        except asyncio.CancelledError:
            span.attributes[names.CANCELLED] = True
            raise
        except Exception:
            log.exception("writing an answer failed", generation=generation)
            error = "writing an answer failed"
            self._failed(generation, Code.INTERNAL_ERROR, "")
        else:
            self.deliver(AnswerWritten(at=self.clock(), generation=generation))
        finally:
            trace.end(span, error)

    def _first(self, span: Span, event: str, seconds: str) -> None:
        """The first of what is waited for has come."""
        if not span.events:
            now = self.clock()
            span.events.append(tracing.Event(event, now))
            span.attributes[seconds] = now - span.start

    def _failed(self, generation: int, code: Code, message: str) -> None:
        self.deliver(AnswerFailed(at=self.clock(), generation=generation, code=code, message=message))

    async def _speak(
        self, generation: int, slot: int, text: str, voice: Voice, prepared: bool, trace: TurnTrace, span: Span
    ) -> None:
        began = self.clock()
        failure, cause, heard = "", "", 0
        try:
            speech = self.synthesiser.speak(text, voice, prepared, span.context.traceparent)
            async with aclosing(speech) as chunks:
                async for pcm in chunks:
                    self._first(span, names.FIRST_CHUNK, names.FIRST_CHUNK_SECONDS)
                    heard += len(pcm)
                    self.playout.add(generation, slot, pcm)
                    self.deliver(SpeechChunk(at=self.clock(), generation=generation, slot=slot, samples=len(pcm) // 2))
        except SpeechError as error:
            if prepared and not heard:
                span.attributes[names.REFUSED] = True
                self.deliver(SpeechRefused(at=self.clock(), generation=generation, slot=slot))
                return
            cause = str(error)
            log.warning("a sentence was not spoken", generation=generation, slot=slot, cause=cause)
            failure = MEANINGS[Code.SYNTHESIS_UNAVAILABLE].message
        except asyncio.CancelledError:
            span.attributes[names.CANCELLED] = True
            raise
        except Exception:
            log.exception("synthesis failed", generation=generation, slot=slot)
            cause = "synthesis failed"
            failure = MEANINGS[Code.SYNTHESIS_UNAVAILABLE].message
        finally:
            span.attributes[names.AUDIO_SECONDS] = heard / 2 / DOWNLINK.sample_rate
            trace.end(span, cause)
        self.playout.end(generation, slot)
        if failure:
            self.deliver(SpeechFailed(at=self.clock(), generation=generation, slot=slot, message=failure))
        else:
            seconds = self.clock() - began
            self.deliver(SpeechDone(at=self.clock(), generation=generation, slot=slot, seconds=seconds))

    def _start(self, work: Coroutine[None, None, None], trace: TurnTrace) -> None:
        with bound_contextvars(**trace.log):
            task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
