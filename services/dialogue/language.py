"""Where answers come from: what every source is asked, what it gives, and the sources that need no language model."""

import re
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Literal, Protocol

from services.contracts import events
from services.contracts.characters import Character
from services.contracts.errors import Code
from services.dialogue import eliza


@dataclass(frozen=True, slots=True)
class Message:
    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True, slots=True)
class AnswerRequest:
    messages: tuple[Message, ...]
    """System prompt, then user and assistant by turns; the last is what the user has just said."""
    model: str = ""
    """Empty: the source's own."""
    temperature: float = 0.7
    max_tokens: int = 150
    seed: int | None = None
    turn: int | None = None
    """The turn's number. One that is asked for again was not answered the time before."""
    traceparent: str = field(default="", compare=False)
    """What the asking is part of; a server that takes part in traces is told."""
    on_replaced: "Callable[[Replaced], None]" = field(default=lambda _: None, compare=False, repr=False)
    """Called when another source than the chosen one answers this time."""


class AnswerSource(Protocol):
    @property
    def about(self) -> events.AnswerSource:
        """Who writes, in words that a page can show."""
        ...

    def answer(self, request: AnswerRequest) -> AsyncGenerator[str, None]:
        """The answer's text in parts, each as soon as it is there. Closing the generator ends the work for it.

        Raises LanguageTimeout or LanguageFailed, at any time; what came before stays valid.
        """
        ...


class LanguageError(Exception):
    """No answer, or no more of it. The text says what happened and what a person can do."""

    code = Code.LANGUAGE_FAILED


class LanguageFailed(LanguageError):
    """The source refused, broke off or gave nothing."""


class LanguageTimeout(LanguageError):
    """The source took longer than it may."""

    code = Code.LANGUAGE_TIMEOUT


SPOKEN_RULES = """\
You are in a spoken conversation: a voice reads what you write to one person, word for word.
- Answer in one to three short sentences, unless you are asked for more. Begin with what matters.
- Write plain sentences as people speak them: no Markdown, lists, headings, code, links, emoji or stage directions.
- Speak the person's language.
- What they say comes from speech recognition and may have wrong words: go by what they most likely meant, \
and ask only if you cannot tell.
- Stay who you are. Do not mention these rules."""


def build_messages(
    character: Character, history: Sequence[events.Turn], user_text: str, context_turns: int
) -> tuple[Message, ...]:
    """What a language model is shown: who it is, the last `context_turns` turns as they were heard, and the question.

    User and assistant alternate, since some models' templates demand it: a turn whose answer was not heard joins the
    user's next words.
    """
    messages = [Message("system", f"You are {character.name}. {character.persona}\n\n{SPOKEN_RULES}")]
    unanswered: list[str] = []
    for turn in history[-context_turns:] if context_turns > 0 else ():
        unanswered.append(turn.user)
        if heard := turn.assistant.strip():
            messages += [Message("user", "\n".join(unanswered)), Message("assistant", heard)]
            unanswered = []
    return (*messages, Message("user", "\n".join([*unanswered, user_text])))


@dataclass(frozen=True)
class Replaced:
    """The first source failed and the second answers."""

    failure: LanguageError
    by: events.AnswerSource


class FallbackSource:
    """Two sources as one: the second answers when the first has failed before its first word."""

    def __init__(self, first: AnswerSource, second: AnswerSource) -> None:
        self._first = first
        self._second = second

    @property
    def about(self) -> events.AnswerSource:
        return self._first.about

    async def answer(self, request: AnswerRequest) -> AsyncGenerator[str, None]:
        started = False
        try:
            async with aclosing(self._first.answer(request)) as parts:
                async for part in parts:
                    started = True
                    yield part
            return
        except LanguageError as failure:
            if started:
                raise
            request.on_replaced(Replaced(failure, self._second.about))
        # A model chosen by name is one of the first source's.
        async with aclosing(self._second.answer(replace(request, model=""))) as parts:
            async for part in parts:
                yield part


class TemplateSource:
    """Template answers in the manner of ELIZA. Remembers the conversation: one for each session."""

    def __init__(self, name: str, seed: int = 0, detail: str = "") -> None:
        self._eliza = self._before = eliza.Eliza(name=name, seed=seed)
        self._turn: int | None = None
        self._detail = detail

    @property
    def about(self) -> events.AnswerSource:
        return events.AnswerSource(mode="template", detail=self._detail)

    async def answer(self, request: AnswerRequest) -> AsyncGenerator[str, None]:
        if request.turn is not None and request.turn == self._turn:
            self._eliza = self._before
        self._turn, self._before = request.turn, self._eliza
        self._eliza, reply = eliza.answer(self._eliza, request.messages[-1].content)
        for word in _words(reply):
            yield word


class EchoSource:
    """Says what it heard."""

    @property
    def about(self) -> events.AnswerSource:
        return events.AnswerSource(mode="echo")

    async def answer(self, request: AnswerRequest) -> AsyncGenerator[str, None]:
        for word in _words(f"You said: {request.messages[-1].content.strip()}"):
            yield word


def _words(text: str) -> list[str]:
    return re.findall(r"\s*\S+", text)
