"""One session's mouth: has the answer written and its sentences synthesised, and plays them out in order.

Everything it starts belongs to a generation; `stop` ends it all.
"""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import aclosing
from dataclasses import dataclass, replace

import structlog

from services.contracts.characters import Voice
from services.contracts.errors import MEANINGS, Code
from services.dialogue.clock import Clock
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
from services.speech.errors import SpeechError
from services.speech.synthesiser import Synthesiser

log = structlog.get_logger(__name__)


@dataclass
class Speaker:
    synthesiser: Synthesiser
    clock: Clock
    deliver: Callable[[Event], None]
    playout: Playout

    def __post_init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def ask(self, generation: int, source: AnswerSource, request: AnswerRequest, prepared: bool) -> None:
        def replaced(by: Replaced) -> None:
            message = f"{by.failure} This answer is from {by.by.model or by.by.mode}."
            self.deliver(AnswerReplaced(at=self.clock(), generation=generation, code=by.failure.code, message=message))

        self.playout.begin(generation, hold=prepared)
        self._start(self._write(generation, source, replace(request, on_replaced=replaced)))

    def confirm(self, generation: int) -> None:
        """The prepared answer is the answer: its audio may leave."""
        self.playout.release(generation)

    def synthesise(self, generation: int, slot: int, text: str, voice: Voice, prepared: bool) -> None:
        self._start(self._speak(generation, slot, text, voice, prepared))

    def stop(self, generation: int) -> None:
        """Ends all work, drops all audio; only this generation's will be taken."""
        for task in self._tasks:
            task.cancel()
        self.playout.begin(generation)

    async def _write(self, generation: int, source: AnswerSource, request: AnswerRequest) -> None:
        try:
            async with aclosing(source.answer(request)) as parts:
                async for text in parts:
                    self.deliver(Token(at=self.clock(), generation=generation, text=text))
        except LanguageError as failure:
            self._failed(generation, failure.code, str(failure))
        except Exception:
            log.exception("writing an answer failed", generation=generation)
            self._failed(generation, Code.INTERNAL_ERROR, "")
        else:
            self.deliver(AnswerWritten(at=self.clock(), generation=generation))

    def _failed(self, generation: int, code: Code, message: str) -> None:
        self.deliver(AnswerFailed(at=self.clock(), generation=generation, code=code, message=message))

    async def _speak(self, generation: int, slot: int, text: str, voice: Voice, prepared: bool) -> None:
        began = self.clock()
        failure, heard = "", False
        try:
            async with aclosing(self.synthesiser.speak(text, voice, prepared)) as chunks:
                async for pcm in chunks:
                    heard = True
                    self.playout.add(generation, slot, pcm)
                    self.deliver(SpeechChunk(at=self.clock(), generation=generation, slot=slot, samples=len(pcm) // 2))
        except SpeechError as error:
            if prepared and not heard:
                self.deliver(SpeechRefused(at=self.clock(), generation=generation, slot=slot))
                return
            log.warning("a sentence was not spoken", generation=generation, slot=slot, cause=str(error))
            failure = MEANINGS[Code.SYNTHESIS_UNAVAILABLE].message
        except Exception:
            log.exception("synthesis failed", generation=generation, slot=slot)
            failure = MEANINGS[Code.SYNTHESIS_UNAVAILABLE].message
        self.playout.end(generation, slot)
        if failure:
            self.deliver(SpeechFailed(at=self.clock(), generation=generation, slot=slot, message=failure))
        else:
            seconds = self.clock() - began
            self.deliver(SpeechDone(at=self.clock(), generation=generation, slot=slot, seconds=seconds))

    def _start(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
