"""The sources of answers; the language model's against a real server on this machine that speaks SSE."""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.contracts.characters import Character
from services.contracts.errors import Code
from services.contracts.events import Turn
from services.dialogue import language_openai, thoughts
from services.dialogue.language import (
    AnswerRequest,
    AnswerSource,
    EchoSource,
    FallbackSource,
    LanguageError,
    LanguageFailed,
    LanguageTimeout,
    Message,
    Replaced,
    TemplateSource,
    build_messages,
)
from services.dialogue.language_openai import OpenAISource

REQUEST = AnswerRequest(messages=(Message("system", "Be brief."), Message("user", "hello")))
KEY = "very/secret.0123456789"


# --- a language model server ---


class Exchange:
    """One request, and the means to answer it."""

    def __init__(self, body: dict[str, Any], headers: dict[str, str], reader: Any, writer: Any) -> None:
        self.body, self.headers = body, headers
        self._reader, self._writer = reader, writer

    async def refuse(self, status: int, body: object = None, **headers: str) -> None:
        content = body.encode() if isinstance(body, str) else json.dumps(body or {}).encode()
        lines = [f"HTTP/1.1 {status} No", "content-type: application/json", f"content-length: {len(content)}"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        self._writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + content)
        await self._writer.drain()

    async def begin(self) -> None:
        self._writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
        await self._writer.drain()

    async def raw(self, text: str) -> None:
        data = text.encode()
        self._writer.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        await self._writer.drain()

    async def say(self, content: str | None = None, finish: str | None = None, **delta: str) -> None:
        if content is not None:
            delta["content"] = content
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        chunk = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}
        await self.raw(f"data: {json.dumps(chunk)}\n\n")

    async def end(self) -> None:
        await self.raw("data: [DONE]\n\n")
        self._writer.write(b"0\r\n\r\n")
        await self._writer.drain()

    async def stream(self, *tokens: str, finish: str = "stop") -> None:
        await self.begin()
        for token in tokens:
            await self.say(token)
        await self.say("", finish=finish)
        await self.end()

    def drop(self) -> None:
        self._writer.transport.abort()

    async def gone(self) -> None:
        """Returns when the client has closed the connection."""
        while await self._reader.read(1):
            pass


Script = Callable[[Exchange], Awaitable[None]]


@dataclass
class Server:
    scripts: list[Script]
    """What to do with each request; the last also with those after it."""
    url: str = ""
    bodies: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    connections: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
                headers = dict(line.lower().split(": ", 1) for line in head[1:] if line)
                body = json.loads(await reader.readexactly(int(headers.get("content-length", 0))) or b"{}")
                script = self.scripts[min(len(self.bodies), len(self.scripts) - 1)]
                self.bodies.append(body)
                self.headers.append(headers)
                await script(Exchange(body, headers, reader, writer))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def serving(*scripts: Script) -> AsyncIterator[Server]:
    server = Server(list(scripts))
    tasks: set[asyncio.Task[None]] = set()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(server.serve(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    listener = await asyncio.start_server(connected, "127.0.0.1", 0)
    server.url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}/v1"
    try:
        yield server
    finally:
        listener.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@asynccontextmanager
async def asking(url: str, **options: Any) -> AsyncIterator[OpenAISource]:
    defaults: dict[str, Any] = {"model": "m", "api_key": KEY, "first_token_seconds": 2.0, "total_seconds": 5.0}
    source = OpenAISource(url=url, jitter=random.Random(1), **(defaults | options))
    try:
        yield source
    finally:
        await source.aclose()


async def written(source: AnswerSource, request: AnswerRequest = REQUEST) -> list[str]:
    return [part async for part in source.answer(request)]


async def broken(source: AnswerSource, request: AnswerRequest = REQUEST) -> tuple[list[str], LanguageError]:
    """What was written before the failure, and the failure."""
    parts: list[str] = []

    async def listen() -> None:
        async for part in source.answer(request):
            parts.append(part)

    with pytest.raises(LanguageError) as caught:
        await listen()
    assert KEY not in str(caught.value)
    return parts, caught.value


async def failure(source: AnswerSource) -> LanguageError:
    """The failure of a source that has written nothing."""
    parts, error = await broken(source)
    assert parts == []
    return error


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


async def fine(exchange: Exchange) -> None:
    await exchange.stream("Fine", " now", ".")


# --- streaming ---


async def test_tokens_come_one_by_one_as_they_are_written() -> None:
    seen = asyncio.Queue[None]()

    async def script(exchange: Exchange) -> None:
        await exchange.begin()
        for token in ("One", " two", " three"):
            await exchange.say(token)
            await seen.get()  # the next token is written only when this one has arrived
        await exchange.say("", finish="stop")
        await exchange.end()

    async with serving(script) as server, asking(server.url) as source:
        parts: list[str] = []
        async for part in source.answer(REQUEST):
            parts.append(part)
            seen.put_nowait(None)
    assert parts == ["One", " two", " three"]


async def test_what_is_asked() -> None:
    request = AnswerRequest(messages=REQUEST.messages, model="other", temperature=0.2, max_tokens=99, seed=7)
    async with serving(fine) as server, asking(server.url) as source:
        await written(source, request)
        await written(source)
    first, second = server.bodies
    assert first == {
        "model": "other",
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "hello"}],
        "temperature": 0.2,
        "max_tokens": 99,
        "seed": 7,
        "stream": True,
    }
    assert second["model"] == "m"
    assert "seed" not in second
    assert server.headers[0]["authorization"] == f"bearer {KEY}"


async def test_a_connection_serves_many_answers() -> None:
    async with serving(fine) as server, asking(server.url) as source:
        for _ in range(3):
            assert await written(source) == ["Fine", " now", "."]
    assert server.connections == 1


async def test_warming_up_opens_the_connection_of_the_first_answer() -> None:
    async with serving(lambda exchange: exchange.refuse(200, {"data": []}), fine) as server:
        async with asking(server.url) as source:
            await source.warm()
            assert await written(source) == ["Fine", " now", "."]
    assert server.connections == 1


@pytest.mark.parametrize(
    "script", [lambda e: e.refuse(404, "<html>"), lambda e: e.refuse(200, "{"), lambda e: e.gone()]
)
async def test_warming_up_never_fails(script: Script) -> None:
    async with serving(script) as server, asking(server.url, first_token_seconds=0.05) as source:
        await source.warm()
    async with asking(server.url, first_token_seconds=0.5) as nobody:
        await nobody.warm()


async def test_a_model_that_is_being_loaded_is_waited_for_once() -> None:
    async def loads(exchange: Exchange) -> None:
        await asyncio.sleep(0.2)  # longer than a first token and a whole answer may take
        await exchange.stream("Here", ".")

    options = {"first_token_seconds": 0.05, "loading_seconds": 5.0, "total_seconds": 0.15}
    async with serving(loads) as server, asking(server.url, **options) as source:
        assert await written(source) == ["Here", "."]
        assert isinstance(await failure(source), LanguageTimeout)


async def test_a_server_of_our_own_has_its_model_loaded_and_one_that_is_paid_is_not_asked() -> None:
    async with serving(fine) as server, asking(server.url) as source:
        await source.load()
        assert [body["max_tokens"] for body in server.bodies] == [1]
    async with asking("https://llm.example.org/v1") as paid, asyncio.timeout(1):
        assert paid.costly
        await paid.load()


@pytest.mark.parametrize("script", [lambda e: e.refuse(404, "<html>"), lambda e: e.gone()])
async def test_loading_never_fails(script: Script) -> None:
    async with serving(script) as server, asking(server.url, first_token_seconds=0.05) as source:
        await source.load()


async def test_leading_white_space_is_not_an_answer() -> None:
    async with serving(lambda exchange: exchange.stream("\n", " \n", " Yes", " .")) as server:
        async with asking(server.url) as source:
            assert await written(source) == ["Yes", " ."]


async def test_an_answer_cut_by_its_length_is_an_answer() -> None:
    async with serving(lambda exchange: exchange.stream("It goes on", finish="length")) as server:
        async with asking(server.url) as source:
            assert await written(source) == ["It goes on"]


async def test_a_server_that_lingers_after_the_last_token_is_not_waited_for() -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.begin()
        await exchange.say("All.")
        await exchange.say("", finish="stop")
        await exchange.gone()

    async with serving(script) as server, asking(server.url, total_seconds=600) as source, asyncio.timeout(10):
        assert await written(source) == ["All."]


async def test_chunks_without_choices_are_passed_over() -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.begin()
        await exchange.raw(": comment\n\n")
        await exchange.raw('data: {"choices": []}\n\n')
        await exchange.raw('data: {"usage": {}}\n\n')
        await exchange.raw('data: {"choices": [{"index": 0}]}\n\n')
        await exchange.say(role="assistant")
        await exchange.say("Hi", finish="stop")
        await exchange.end()

    async with serving(script) as server, asking(server.url) as source:
        assert await written(source) == ["Hi"]


# --- thoughts ---


async def test_thoughts_are_neither_shown_nor_said() -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.begin()
        await exchange.say(reasoning_content="Hm, what do they want?")
        for token in ("<th", "ink>The us", "er <b> wants</thi", "nk>\n", "\nHello", " you < me", "."):
            await exchange.say(token)
        await exchange.say("", finish="stop")
        await exchange.end()

    async with serving(script) as server, asking(server.url) as source:
        assert await written(source) == ["Hello", " you < me", "."]


async def test_a_model_that_thinks_is_alive() -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.begin()
        await exchange.say(reasoning_content="hm")
        await asyncio.sleep(0.6)  # it thinks for longer than its first token may take
        await exchange.say("Done", finish="stop")
        await exchange.end()

    async with serving(script) as server, asking(server.url, first_token_seconds=0.5) as source:
        assert await written(source) == ["Done"]


async def test_nothing_but_thoughts_is_no_answer() -> None:
    async with serving(lambda exchange: exchange.stream("<think>and so on", finish="length")) as server:
        async with asking(server.url) as source:
            assert "thinking" in str(await failure(source))


@given(
    st.lists(st.sampled_from(["<think>", "</think>", "<", "a", "<thinking>", "</thinking>", " b ", "</", "th"])),
    st.lists(st.integers(0, 100)),
)
def test_thoughts_do_not_depend_on_tokens(parts: list[str], cuts: list[int]) -> None:
    text = "".join(parts)

    def answer(tokens: list[str]) -> str:
        state, out = thoughts.Thoughts(), ""
        for token in tokens:
            state, visible = thoughts.feed(state, token)
            out += visible
        return out + thoughts.finish(state)

    edges = sorted({0, len(text), *(cut % (len(text) + 1) for cut in cuts)})
    split = [text[start:end] for start, end in pairwise(edges)]
    assert answer(split) == answer([text]) == answer(list(text))
    assert "<think>" not in answer([text])


# --- time ---


async def test_a_first_token_that_does_not_come() -> None:
    gone = asyncio.Event()

    async def script(exchange: Exchange) -> None:
        await exchange.begin()
        await exchange.gone()
        gone.set()

    async with serving(script) as server, asking(server.url, first_token_seconds=0.05) as source:
        late = await failure(source)
        await asyncio.wait_for(gone.wait(), 5)
    assert isinstance(late, LanguageTimeout)
    assert late.code is Code.LANGUAGE_TIMEOUT
    assert "The language model m at 127.0.0.1:" in str(late)
    assert "within 0.05 seconds" in str(late)
    assert len(server.bodies) == 1


async def test_headers_that_do_not_come() -> None:
    async with serving(lambda exchange: exchange.gone()) as server:
        async with asking(server.url, first_token_seconds=0.05) as source:
            assert isinstance(await failure(source), LanguageTimeout)


async def test_a_stall_in_mid_answer_ends_it_and_is_not_asked_again() -> None:
    gone = asyncio.Event()

    async def script(exchange: Exchange) -> None:
        await exchange.begin()
        await exchange.say("Once")
        await exchange.gone()
        gone.set()

    async with serving(script) as server, asking(server.url, total_seconds=0.1) as source:
        parts, late = await broken(source)
        await asyncio.wait_for(gone.wait(), 5)
    assert parts == ["Once"]
    assert isinstance(late, LanguageTimeout)
    assert "did not finish its answer within 0.1 seconds" in str(late)
    assert len(server.bodies) == 1


async def test_an_answer_that_drips_on_and_on_is_ended() -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.begin()
        while True:
            await exchange.say(" and")
            await asyncio.sleep(0.05)  # the model's pace

    async with serving(script) as server, asking(server.url, total_seconds=0.3) as source, asyncio.timeout(10):
        parts, late = await broken(source)
    assert isinstance(late, LanguageTimeout)
    assert len(parts) <= 7


async def test_only_waiting_for_the_model_counts() -> None:
    async with serving(fine) as server, asking(server.url, total_seconds=0.5) as source:
        parts: list[str] = []
        async for part in source.answer(REQUEST):
            parts.append(part)
            await asyncio.sleep(0.3)  # a listener who takes longer, over all, than the model may
    assert parts == ["Fine", " now", "."]


# --- cancelling ---


@pytest.mark.parametrize("how", ["close", "cancel"])
async def test_ending_the_answer_ends_the_request(how: str) -> None:
    gone = asyncio.Event()

    async def script(exchange: Exchange) -> None:
        await exchange.begin()
        await exchange.say("Once")
        await exchange.gone()
        gone.set()

    async with serving(script) as server, asking(server.url) as source:
        first = asyncio.Event()

        async def listen() -> None:
            async with aclosing(source.answer(REQUEST)) as parts:
                async for _ in parts:
                    first.set()
                    if how == "close":
                        return

        task = asyncio.create_task(listen())
        await first.wait()
        if how == "cancel":
            task.cancel()
        await asyncio.wait([task])
        await asyncio.wait_for(gone.wait(), 5)
        assert task.cancelled() is (how == "cancel")


async def test_cancelling_before_the_first_token_ends_the_request() -> None:
    asked, gone = asyncio.Event(), asyncio.Event()

    async def script(exchange: Exchange) -> None:
        asked.set()
        await exchange.gone()
        gone.set()

    async with serving(script) as server, asking(server.url) as source:
        task = asyncio.create_task(written(source))
        await asked.wait()
        task.cancel()
        await asyncio.wait_for(gone.wait(), 5)


# --- failing, and asking again ---


async def drops(exchange: Exchange) -> None:
    exchange.drop()


async def drops_before_a_token(exchange: Exchange) -> None:
    await exchange.begin()
    await exchange.say(role="assistant")
    exchange.drop()


@pytest.mark.parametrize(
    "script",
    [
        drops,
        drops_before_a_token,
        lambda exchange: exchange.refuse(429, retry_after="0.01"),
        lambda exchange: exchange.refuse(429, retry_after_ms="10"),
        lambda exchange: exchange.refuse(429, retry_after="Wed, 21 Oct 2015 07:28:00 GMT"),
        lambda exchange: exchange.refuse(429, retry_after="soon"),
        lambda exchange: exchange.refuse(500),
        lambda exchange: exchange.refuse(503, "<html>busy</html>"),
    ],
)
async def test_what_may_pass_is_tried_again(script: Script) -> None:
    async with serving(script, fine) as server, asking(server.url) as source:
        assert await written(source) == ["Fine", " now", "."]
    assert len(server.bodies) == 2


async def test_it_is_tried_three_times() -> None:
    async with serving(lambda exchange: exchange.refuse(502, {"error": "bad gateway"})) as server:
        async with asking(server.url) as source:
            assert str(await failure(source)).endswith("failed (502): bad gateway.")
    assert len(server.bodies) == 3


@pytest.mark.parametrize(
    ("headers", "when"),
    [
        ({"retry_after": "60"}, "60 seconds"),
        ({"retry_after": "7300"}, "3 hours"),
        ({"retry_after_ms": "130000"}, "3 minutes"),
        ({"date": "Wed, 21 Oct 2015 07:28:00 GMT", "retry_after": "Wed, 21 Oct 2015 07:28:30 GMT"}, "30 seconds"),
    ],
)
async def test_a_server_that_wants_more_patience_than_there_is_is_not_asked_again(
    headers: dict[str, str], when: str
) -> None:
    async with serving(lambda exchange: exchange.refuse(429, {"message": "Slow down"}, **headers)) as server:
        async with asking(server.url) as source, asyncio.timeout(10):
            refused = await failure(source)
    assert "asked more than it allows (429): Slow down." in str(refused)
    assert str(refused).endswith(f"Its provider limits the rate; try again in {when}.")
    assert len(server.bodies) == 1


async def test_a_rate_limit_without_an_end_is_tried_again_ever_more_slowly_within_the_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(language_openai, "RATE_LIMITED_BACKOFF_SECONDS", 0.01)
    async with serving(lambda exchange: exchange.refuse(429)) as server:
        async with asking(server.url, first_token_seconds=0.5) as source:
            assert str(await failure(source)).endswith("Its provider limits the rate; try again in a while.")
    assert 4 <= len(server.bodies) <= 8


@pytest.mark.parametrize(
    ("status", "body", "says"),
    [
        (401, {"error": {"message": f"Incorrect API key provided: {KEY}."}}, "refused the key (401): Incorrect"),
        (401, {"error": {"message": "Incorrect key: sk-ver***********6789"}}, "Check PARLEY_LLM_API_KEY."),
        (403, {"detail": "no"}, "refused the key (403): no."),
        (404, {"error": {"message": "model m not found"}}, "Check PARLEY_LLM_URL and PARLEY_LLM_MODEL."),
        (404, "<html>not here</html>", "is not there (404)."),
        (400, {"error": {"message": "bad " * 200}}, " …"),
    ],
)
async def test_what_will_not_pass_is_said_at_once(status: int, body: object, says: str) -> None:
    async with serving(lambda exchange: exchange.refuse(status, body)) as server, asking(server.url) as source:
        refused = await failure(source)
    assert isinstance(refused, LanguageFailed)
    assert says in str(refused)
    assert "6789" not in str(refused)
    assert f"m at {server.url.split('/')[2]}" in str(refused)
    assert len(str(refused)) < 400
    assert len(server.bodies) == 1


async def test_nobody_listens_there() -> None:
    async with serving(fine) as server:
        url = server.url
    async with asking(url, first_token_seconds=1.0) as source:
        refused = await failure(source)
    assert isinstance(refused, LanguageFailed)
    assert "cannot be reached" in str(refused)
    assert "PARLEY_LLM_URL" in str(refused)


async def after_a_token(exchange: Exchange, then: Callable[[Exchange], Awaitable[None]]) -> None:
    await exchange.begin()
    await exchange.say("Once")
    await then(exchange)


@pytest.mark.parametrize(
    ("then", "says"),
    [
        (drops, "broke off in the middle of its answer"),
        (lambda exchange: exchange.end(), "broke off its answer"),
        (lambda exchange: exchange.raw("data: {oops\n\n"), "not a stream"),
        (lambda exchange: exchange.raw('data: {"error": {"message": "out of memory"}}\n\n'), "out of memory."),
    ],
)
async def test_nothing_is_asked_again_after_the_first_token(then: Script, says: str) -> None:
    async with serving(lambda exchange: after_a_token(exchange, then)) as server, asking(server.url) as source:
        parts, error = await broken(source)
    assert says in str(error)
    assert parts == ["Once"]
    assert len(server.bodies) == 1


async def test_something_else_than_a_stream() -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.begin()
        await exchange.raw("data: {oops\n\n")

    async with serving(script) as server, asking(server.url) as source:
        assert "not a stream of chat completions" in str(await failure(source))


async def test_an_empty_answer_is_a_failure() -> None:
    async with serving(lambda exchange: exchange.stream(finish="content_filter")) as server:
        async with asking(server.url) as source:
            assert "answered with nothing (content_filter)" in str(await failure(source))


@pytest.mark.parametrize(
    ("refusal", "left_out", "instead"),
    [
        ("Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.", "max_tokens", "max_completion_"),
        ("Unsupported value: 'temperature' does not support 0.7.", "temperature", "max_tokens"),
        ("Extra inputs are not permitted: seed", "seed", "max_tokens"),
    ],
)
async def test_a_refused_parameter_is_left_out_from_then_on(refusal: str, left_out: str, instead: str) -> None:
    request = AnswerRequest(messages=REQUEST.messages, seed=1)
    scripts: list[Script] = [lambda exchange: exchange.refuse(400, {"error": {"message": refusal}}), fine]
    async with serving(*scripts) as server, asking(server.url) as source:
        assert await written(source, request) == ["Fine", " now", "."]
        await written(source, request)
    assert [left_out in body for body in server.bodies] == [True, False, False]
    assert all(any(name.startswith(instead) for name in body) for body in server.bodies[1:])


async def test_a_refused_parameter_is_asked_for_again_when_leaving_it_out_did_not_help() -> None:
    refusal = {"error": {"message": "Something about max_tokens and temperature."}}
    scripts: list[Script] = [lambda exchange: exchange.refuse(400, refusal)] * 3 + [fine]
    async with serving(*scripts) as server, asking(server.url) as source:
        await failure(source)
        assert await written(source) == ["Fine", " now", "."]
    assert len(server.bodies) == 4
    assert server.bodies[3] == server.bodies[0]


@pytest.mark.parametrize(
    "refusal",
    [
        "'max_tokens' or 'max_completion_tokens' is too large: 150. The model's context has 4096 tokens.",
        "This model's maximum context length is 8192 tokens; reduce max_tokens.",
        "The request exceeds what is there for max_tokens.",
    ],
)
async def test_a_prompt_that_is_too_long_is_not_asked_in_other_words(refusal: str) -> None:
    scripts: list[Script] = [lambda exchange: exchange.refuse(400, {"error": {"message": refusal}}), fine]
    async with serving(*scripts) as server, asking(server.url) as source:
        assert isinstance(await failure(source), LanguageFailed)
        await written(source)
    assert ["max_tokens" in body for body in server.bodies] == [True, True]


# --- one after the other ---


async def test_the_fallback_answers_and_says_so() -> None:
    notices: list[Replaced] = []
    second = TemplateSource("Aria")
    async with serving(lambda exchange: exchange.refuse(401)) as server, asking(server.url) as first:
        source = FallbackSource(first, second)
        request = AnswerRequest(REQUEST.messages, on_replaced=notices.append)
        assert "".join(await written(source, request))
    assert [(type(notice.failure), notice.by) for notice in notices] == [(LanguageFailed, second.about)]
    assert source.about.mode == "llm"


async def test_the_fallback_is_asked_for_its_own_model() -> None:
    async with serving(lambda exchange: exchange.refuse(404)) as ill, serving(fine) as well:
        async with asking(ill.url) as first, asking(well.url, model="spare") as second:
            source = FallbackSource(first, second)
            assert await written(source, AnswerRequest(REQUEST.messages, model="chosen")) == ["Fine", " now", "."]
    assert ill.bodies[0]["model"] == "chosen"
    assert well.bodies[0]["model"] == "spare"


async def test_the_fallback_does_not_take_over_a_begun_answer() -> None:
    notices: list[Replaced] = []
    async with serving(lambda exchange: after_a_token(exchange, drops)) as server, asking(server.url) as first:
        request = AnswerRequest(REQUEST.messages, on_replaced=notices.append)
        parts, _ = await broken(FallbackSource(first, EchoSource()), request)
    assert parts == ["Once"]
    assert notices == []


async def test_closing_through_the_fallback_ends_the_request() -> None:
    gone = asyncio.Event()

    async def script(exchange: Exchange) -> None:
        await exchange.begin()
        await exchange.say("Once")
        await exchange.gone()
        gone.set()

    async with serving(script) as server, asking(server.url) as first:
        async with aclosing(FallbackSource(first, EchoSource()).answer(REQUEST)) as parts:
            assert await anext(parts) == "Once"
        await asyncio.wait_for(gone.wait(), 5)


# --- sources without a model ---


async def test_echo_says_what_it_heard() -> None:
    assert await written(EchoSource()) == ["You", " said:", " hello"]


async def test_template_answers_remember_the_session() -> None:
    source = TemplateSource("Aria", detail="Connect one.")
    first = "".join(await written(source))
    second = "".join(await written(source))
    assert first
    assert second != first
    assert (source.about.mode, source.about.detail) == ("template", "Connect one.")


# --- what the model is shown ---

ARIA = Character(id="aria", name="Aria", persona="You love maps.")
HISTORY = [
    Turn(number=1, user="one", assistant="first"),
    Turn(number=2, user="two", assistant=""),
    Turn(number=3, user="three", assistant="third, cut ", cut=True),
    Turn(number=4, user="four", assistant=" "),
]


def shown(turns: int) -> list[tuple[str, str]]:
    return [(message.role, message.content) for message in build_messages(ARIA, HISTORY, "five", turns)[1:]]


def test_history_alternates_and_has_only_what_was_heard() -> None:
    assert shown(5) == [
        ("user", "one"),
        ("assistant", "first"),
        ("user", "two\nthree"),
        ("assistant", "third, cut"),
        ("user", "four\nfive"),
    ]


@pytest.mark.parametrize(("turns", "first"), [(0, "five"), (1, "four\nfive"), (2, "three"), (50, "one")])
def test_the_context_window_is_counted_in_turns(turns: int, first: str) -> None:
    assert shown(turns)[0] == ("user", first)


def test_the_system_prompt_has_the_persona_and_how_to_speak() -> None:
    system = build_messages(ARIA, [], "hi", 5)[0]
    assert system.role == "system"
    assert system.content.startswith("You are Aria. You love maps.")
    assert "Markdown" in system.content
