"""Answers from any server that speaks OpenAI's chat completions: OpenRouter, vLLM, Ollama, OpenAI."""

import asyncio
import contextlib
import json
import math
import random
import re
import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field, replace
from email.utils import parsedate_to_datetime
from typing import Any, cast
from urllib.parse import urlsplit

import httpx2
import openai
from openai.types.chat import ChatCompletionChunk, ChatCompletionMessageParam

from services.addresses import is_local
from services.contracts import events, trace
from services.dialogue.language import AnswerRequest, LanguageError, LanguageFailed, LanguageTimeout, Message
from services.dialogue.thoughts import Thoughts, feed, finish
from services.telemetry import metrics

ATTEMPTS = 3
BACKOFF_SECONDS = 0.2
"""Before the second attempt, on average; doubles with each."""
RATE_LIMITED_BACKOFF_SECONDS = 0.5
"""The same where the server limits our rate and does not say for how long; tried as often as the time allows."""
LINGER_SECONDS = 0.25
"""How long after the model's last token we wait for the server to end its stream, which keeps the connection."""
STALL_SECONDS = 8.0
"""A model that has begun and then writes nothing for so long, not even thoughts, has stopped."""
IDLE_CONNECTION_SECONDS = 120.0
"""A conversation pauses for longer than the HTTP library's 5 s; a new TLS connection costs a noticeable delay."""
MAX_SENTENCE = 200
"""So much of a server's own words goes into our errors."""

_TOO_LONG = re.compile(r"too (?:large|long|big|many|high)|exceed|context[ _-]?(?:length|size|window)", re.IGNORECASE)
"""The request is more than the model takes: asking in other words would not help."""
_SECRETS = re.compile(r"\b(?:sk|pk|gsk|hf|key)[-_][\w*.-]{6,}|Bearer +\S+")


@dataclass(frozen=True)
class _Dialect:
    """Which parameters a model takes; learned from what it refuses."""

    tokens: str = "max_tokens"
    refused: frozenset[str] = frozenset()

    def without(self, refusal: str) -> "_Dialect | None":
        """How to ask after a refusal that says `refusal`; None: it refused something that we cannot leave out."""
        if _TOO_LONG.search(refusal):
            return None
        other = {"max_tokens": "max_completion_tokens", "max_completion_tokens": "max_tokens"}[self.tokens]
        if self.tokens in refusal and other not in self.refused:
            return replace(self, tokens=other, refused=self.refused | {self.tokens})
        for name in ("temperature", "seed"):
            if name in refusal and name not in self.refused:
                return replace(self, refused=self.refused | {name})
        return None


class _Retry(Exception):
    """An attempt failed in a way that may pass. `after`: seconds that the server asks us to wait."""

    def __init__(self, failure: LanguageError, after: float | None = None, *, rate_limited: bool = False) -> None:
        super().__init__(str(failure))
        self.failure = failure
        self.after = after
        self.rate_limited = rate_limited


@dataclass(frozen=True)
class _Part:
    """What one event of the stream says."""

    text: str
    alive: bool
    """The model has written something, if only thoughts, or has ended."""
    reason: str
    """Why it ended; empty while it has not."""


Stream = openai.AsyncStream[ChatCompletionChunk]


@dataclass
class OpenAISource:
    """One server and its model. Shared by all sessions of a process: `aclose` it at the end.

    The first token, be it of an answer or of a model's thoughts, is awaited for `first_token_seconds`, retries
    included; of the whole answer, `total_seconds` may be spent waiting for the model. A server of our own network may
    have to load a model first: until it has once answered, its first token is awaited for `loading_seconds`, if those
    are more.
    """

    url: str
    model: str
    api_key: str = field(default="", repr=False)
    first_token_seconds: float = 5.0
    loading_seconds: float = 0.0
    total_seconds: float = 30.0
    detail: str = ""
    jitter: random.Random = field(default_factory=random.Random, repr=False)
    """Spreads the retries of many sessions."""

    def __post_init__(self) -> None:
        self._host = urlsplit(self.url).netloc.rsplit("@", 1)[-1] or self.url
        self._client = openai.AsyncOpenAI(
            base_url=self.url,
            api_key=self.api_key or "none",
            max_retries=0,
            http_client=openai.DefaultAsyncHttpxClient(
                timeout=None,  # our own deadlines cover every wait
                limits=httpx2.Limits(
                    max_connections=1000, max_keepalive_connections=100, keepalive_expiry=IDLE_CONNECTION_SECONDS
                ),
            ),
        )
        # The library imports this on first use, which the first answer would have to wait for.
        self._completions = self._client.chat.completions
        self._dialects: dict[str, _Dialect] = {}
        self._loaded: set[str] = set()

    @property
    def costly(self) -> bool:
        """Its answers are paid for by the token, as far as the address tells: it is not one of our own network's."""
        return not is_local(urlsplit(self.url).hostname or "")

    @property
    def about(self) -> events.AnswerSource:
        return events.AnswerSource(mode="llm", model=self.model, detail=self.detail)

    async def warm(self) -> None:
        """Opens the first connection and loads what the library loads on first use: about 0.1 s that the first
        answer need not wait for. Never fails: what is wrong with the server, the first answer says."""
        with contextlib.suppress(openai.OpenAIError, TimeoutError, ValueError):
            async with asyncio.timeout(self.first_token_seconds):
                await self._client.models.list()

    async def load(self) -> None:
        """Has a server of our own network load the model before anyone waits for it, by asking for one token. A server
        that is paid by the token is not asked. Never fails, as `warm`."""
        if self.costly:
            return
        request = AnswerRequest(messages=(Message("user", "Hello"),), max_tokens=1)
        with contextlib.suppress(LanguageError):
            async for _ in self.answer(request):
                pass  # to its end, which keeps the connection

    async def aclose(self) -> None:
        await self._client.close()

    async def answer(self, request: AnswerRequest) -> AsyncGenerator[str, None]:
        """See `AnswerSource`. Retries, with jittered backoff, only before the first token."""
        outcome = "dropped"
        try:
            async with contextlib.aclosing(self._answer(replace(request, model=request.model or self.model))) as parts:
                async for text in parts:
                    yield text
            outcome = "answered"
        except LanguageTimeout:
            outcome = "timeout"
            raise
        except LanguageError:
            outcome = "failed"
            raise
        finally:
            metrics.LANGUAGE_REQUESTS.labels(outcome).inc()

    async def _answer(self, request: AnswerRequest) -> AsyncGenerator[str, None]:
        clock = asyncio.get_running_loop().time
        asked = clock()
        stream, part = await self._begin(request, self._patience(request.model))
        metrics.LANGUAGE_FIRST_TOKEN.observe(clock() - asked)
        left = self.total_seconds - min(clock() - asked, self.first_token_seconds)
        thoughts, answered, reason, tokens = Thoughts(), False, "", 0
        try:
            while part is not None:
                tokens += part.alive
                thoughts, text = feed(thoughts, part.text)
                reason = part.reason or reason
                if text := text if answered else text.lstrip():
                    answered = True
                    yield text
                since = clock()
                part = await self._next(stream, request.model, left, finished=bool(reason))
                left -= clock() - since
        finally:
            metrics.LANGUAGE_TOKENS.inc(tokens)
            await stream.close()
        if rest := finish(thoughts):
            answered = True
            yield rest
        if answered and not reason:
            raise LanguageFailed(f"{self._who(request.model)} broke off its answer without saying why.")
        if not answered:
            why = "it spent all its tokens on thinking" if reason == "length" else reason or "no reason given"
            raise LanguageFailed(f"{self._who(request.model)} answered with nothing ({why}).")

    def _patience(self, model: str) -> float:
        """Seconds to the first token."""
        if self.costly or model in self._loaded:
            return self.first_token_seconds
        return max(self.first_token_seconds, self.loading_seconds)

    async def _begin(self, request: AnswerRequest, within: float) -> tuple[Stream, _Part | None]:
        """A stream and its first token, from as many attempts as the time allows."""
        clock = asyncio.get_running_loop().time
        deadline = clock() + within
        attempt = 1
        earlier: LanguageError | None = None
        while True:
            try:
                async with asyncio.timeout_at(deadline):
                    return await self._attempt(request)
            except TimeoutError:
                raise earlier or LanguageTimeout(
                    f"{self._who(request.model)} said nothing within {within:g} seconds."
                ) from None
            except _Retry as retry:
                wait = retry.after
                if wait is None:
                    backoff = RATE_LIMITED_BACKOFF_SECONDS if retry.rate_limited else BACKOFF_SECONDS
                    wait = backoff * 2 ** (attempt - 1) * self.jitter.uniform(0.5, 1.5)
                if (attempt >= ATTEMPTS and not retry.rate_limited) or clock() + wait >= deadline:
                    raise retry.failure from retry.__cause__
                earlier = retry.failure
                metrics.LANGUAGE_RETRIES.inc()
            attempt += 1
            await asyncio.sleep(wait)

    async def _attempt(self, request: AnswerRequest) -> tuple[Stream, _Part | None]:
        """Asks once, again in other words if the server refuses a parameter, and waits for the first token."""
        dialect = known = self._dialects.get(request.model, _Dialect())
        while True:
            try:
                stream = await self._completions.create(
                    stream=True,
                    model=request.model,
                    messages=cast(
                        "list[ChatCompletionMessageParam]",
                        [{"role": message.role, "content": message.content} for message in request.messages],
                    ),
                    extra_headers={trace.HEADER: request.traceparent} if request.traceparent else None,
                    **_parameters(request, dialect),
                )
            except (openai.BadRequestError, openai.UnprocessableEntityError) as error:
                other = dialect.without(str(error))
                if other is None:
                    raise self._failure(error, request.model) from error
                dialect = other
                continue
            except openai.APIStatusError as error:
                failure = self._failure(error, request.model)
                if error.status_code in (408, 409, 429) or error.status_code >= 500:
                    after = _retry_after(error.response.headers)
                    raise _Retry(failure, after, rate_limited=error.status_code == 429) from error
                raise failure from error
            except openai.APIConnectionError as error:
                raise _Retry(self._failure(error, request.model)) from error
            if dialect != known:
                if len(self._dialects) >= 64:  # model names come from users
                    self._dialects.clear()
                self._dialects[request.model] = dialect
            try:
                while (chunk := await anext(stream, None)) is not None:
                    part = _part(chunk)
                    if part.alive:
                        if len(self._loaded) >= 64:  # as above
                            self._loaded.clear()
                        self._loaded.add(request.model)
                        return stream, part
                raise LanguageFailed(f"{self._who(request.model)} answered with nothing.")
            except openai.APIConnectionError as error:
                await stream.close()
                raise _Retry(self._failure(error, request.model)) from error
            except (openai.APIError, ValueError) as error:
                await stream.close()
                raise self._failure(error, request.model) from error
            except BaseException:
                await stream.close()
                raise

    async def _next(self, stream: Stream, model: str, left: float, *, finished: bool) -> _Part | None:
        """The next part of the stream; None at its end. `finished`: the model's last token has come."""
        try:
            async with asyncio.timeout(min(left, LINGER_SECONDS if finished else STALL_SECONDS)):
                chunk = await anext(stream, None)
                return None if chunk is None else _part(chunk)
        except TimeoutError:
            if finished:
                return None
            if left > STALL_SECONDS:
                stalled = f"{self._who(model)} wrote nothing more for {STALL_SECONDS:g} seconds."
                raise LanguageTimeout(stalled) from None
            raise LanguageTimeout(
                f"{self._who(model)} did not finish its answer within {self.total_seconds:g} seconds."
            ) from None
        except openai.APIConnectionError as error:
            if finished:
                return None
            raise LanguageFailed(f"{self._who(model)} broke off in the middle of its answer.") from error
        except (openai.APIError, ValueError) as error:
            if finished:
                return None
            raise self._failure(error, model) from error

    def _who(self, model: str) -> str:
        return f"The language model {model} at {self._host}"

    def _failure(self, error: Exception, model: str) -> LanguageError:
        """The error in our words: who, what, and what a person can do. Never the key."""
        who = self._who(model)
        if isinstance(error, openai.APIStatusError):
            said = self._sentence(error)
            match error.status_code:
                case 401 | 403:
                    return LanguageFailed(
                        f"{who} refused the key ({error.status_code}){said} Check PARLEY_LLM_API_KEY."
                    )
                case 404:
                    return LanguageFailed(f"{who} is not there (404){said} Check PARLEY_LLM_URL and PARLEY_LLM_MODEL.")
                case 429:
                    after = _retry_after(error.response.headers)
                    when = "a while" if after is None else _span(after)
                    return LanguageFailed(
                        f"{who} is asked more than it allows (429){said} Its provider limits the rate; "
                        f"try again in {when}."
                    )
                case status:
                    return LanguageFailed(f"{who} failed ({status}){said}")
        if isinstance(error, openai.APITimeoutError):
            return LanguageTimeout(f"{who} did not answer in time.")
        if isinstance(error, openai.APIConnectionError):
            cause = self._clean(str(error.__cause__ or error))
            return LanguageFailed(f"{who} cannot be reached: {cause} Is it running? Check PARLEY_LLM_URL.")
        if isinstance(error, openai.APIError):
            return LanguageFailed(f"{who} broke off its answer: {self._clean(error.message)}")
        return LanguageFailed(f"{who} sent something that is not a stream of chat completions.")

    def _sentence(self, error: openai.APIStatusError) -> str:
        """What the server itself said, as ": …." or "."."""
        said = _message(error.body) or _message(_json(error.response.text))
        return f": {self._clean(said)}" if said else "."

    def _clean(self, said: str) -> str:
        if self.api_key:
            said = said.replace(self.api_key, "(the key)")
        said = " ".join(_SECRETS.sub("(a key)", said).split())
        if len(said) > MAX_SENTENCE:
            said = said[:MAX_SENTENCE].rsplit(" ", 1)[0] + " …"
        return said if said.endswith((".", "!", "?", "…")) else said + "."


def _parameters(request: AnswerRequest, dialect: _Dialect) -> dict[str, Any]:
    parameters: dict[str, Any] = {dialect.tokens: request.max_tokens, "temperature": request.temperature}
    if request.seed is not None:
        parameters["seed"] = request.seed
    return {name: value for name, value in parameters.items() if name not in dialect.refused}


def _part(chunk: object) -> _Part:
    """Servers differ in what they leave out, and the library does not check what they send."""
    choices: list[Any] = getattr(chunk, "choices", None) or []
    choice = choices[0] if choices else None
    delta = getattr(choice, "delta", None)
    text = getattr(delta, "content", None) or getattr(delta, "refusal", None) or ""
    thought = getattr(delta, "reasoning_content", None) or getattr(delta, "reasoning", None)
    reason = getattr(choice, "finish_reason", None) or ""
    return _Part(str(text), bool(text or thought or reason), str(reason))


def _retry_after(headers: httpx2.Headers) -> float | None:
    """Seconds, from a number or a date; the server's own clock, where it says its time, is the one that counts."""
    after = None
    with contextlib.suppress(ValueError):
        if "retry-after-ms" in headers:
            after = float(headers["retry-after-ms"]) / 1000
        elif (said := headers.get("retry-after", "")).strip()[:1].isalpha():
            now = parsedate_to_datetime(headers["date"]).timestamp() if "date" in headers else time.time()
            after = parsedate_to_datetime(said).timestamp() - now
        else:
            after = float(said)
    return max(0.0, after) if after is not None and math.isfinite(after) else None


def _span(seconds: float) -> str:
    """A wait in words, rounded up."""
    for unit, size in (("hour", 3600), ("minute", 60)):
        if seconds > 2 * size:
            return f"{math.ceil(seconds / size)} {unit}s"
    count = max(1, math.ceil(seconds))
    return f"{count} second{'s' if count > 1 else ''}"


def _json(text: str) -> object:
    with contextlib.suppress(ValueError):
        return json.loads(text)
    return None


def _message(body: object) -> str:
    """The sentence in an error's body: {"error": {"message": …}}, {"message": …}, {"error": …}. A web page has none."""
    if isinstance(body, str):
        return "" if body.lstrip().startswith("<") else body
    if isinstance(body, dict):
        fields = cast("dict[str, object]", body)
        for name in ("error", "message", "detail"):
            if said := _message(fields.get(name)):
                return said
    return ""
