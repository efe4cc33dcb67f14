"""Where answers come from: found, chosen and said, against small servers on this machine."""

import asyncio
import contextlib
import json
import random
from collections.abc import AsyncIterator, Sequence
from typing import Literal

import pytest

from services.launcher import answer_source
from services.launcher.answer_source import AnswerSource, AnswerSourceError, LocalServer, choose
from services.launcher.http import MAX_BODY_BYTES, NoAnswerError, get
from services.launcher.ports import internal


@contextlib.asynccontextmanager
async def answering(reply: bytes | None, seen: list[str] | None = None) -> AsyncIterator[str]:
    """The base address of a server that gives every request the same bytes, or never answers when None."""
    done = asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readuntil(b"\r\n\r\n")
        if seen is not None:
            seen.append(request.decode())
        if reply is None:
            await done.wait()
        else:
            with contextlib.suppress(ConnectionError):
                writer.write(reply)
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    finally:
        done.set()
        server.close()


def http_reply(body: bytes, status: str = "200 OK") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def listing(*models: str) -> bytes:
    return http_reply(
        json.dumps({"object": "list", "data": [{"id": model, "object": "model"} for model in models]}).encode()
    )


async def nobody() -> str:
    return f"http://127.0.0.1:{internal(1, random.Random())[0]}/v1"


NO_LIST = (
    http_reply(b"<html>a page</html>"),
    http_reply(b'{"data": "none"}'),
    http_reply(b"nothing here", "404 Not Found"),
    b"SSH-2.0-OpenSSH_9.2\r\n",
    b"",
    b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n",
    http_reply(b" " * (2 * MAX_BODY_BYTES)),
)


async def test_auto_takes_the_first_server_that_lists_a_model() -> None:
    async with (
        answering(listing()) as empty,
        answering(listing("llama3.2")) as first,
        answering(listing("other")) as second,
    ):
        servers = [LocalServer("Ollama", await nobody()), LocalServer("llama.cpp", empty)]
        servers += [LocalServer("LM Studio", first), LocalServer("vLLM", second)]
        source = await choose("auto", "", "", "", servers)
    assert (source.mode, source.url, source.model) == ("llm", first, "llama3.2")
    assert source.detail == f"Answers come from llama3.2 of LM Studio, found at {first}."
    assert source.environment()["PARLEY_LLM_URL"] == first


async def test_models_that_cannot_chat_are_passed_over() -> None:
    async with answering(listing("nomic-embed-text", "bge-reranker", "qwen3:4b")) as url:
        source = await choose("auto", "", "", "", [LocalServer("Ollama", url)])
    assert source.model == "qwen3:4b"


@pytest.mark.parametrize("reply", NO_LIST)
async def test_something_else_at_the_usual_address_is_no_language_model(reply: bytes) -> None:
    async with answering(reply) as url:
        source = await choose("auto", "", "", "", [LocalServer("llama.cpp", url)])
    assert source.mode == "template"
    assert "none was found on this machine" in source.detail
    assert "PARLEY_LLM_URL" in source.detail


async def test_servers_that_never_answer_are_asked_at_once_and_not_for_long() -> None:
    async with answering(None) as silent, answering(None) as mute:
        servers = [LocalServer("Ollama", silent), LocalServer("llama.cpp", mute)]
        async with asyncio.timeout(answer_source.ASKED_WITHIN * 1.8):
            source = await choose("auto", "", "", "", servers)
    assert source.mode == "template"


async def test_auto_with_a_model_looks_for_the_server_that_has_it() -> None:
    async with answering(listing("a")) as one, answering(listing("b", "c")) as two:
        servers = [LocalServer("Ollama", one), LocalServer("vLLM", two)]
        assert (await choose("auto", "", "", "c", servers)).url == two
        nowhere = await choose("auto", "", "", "d", servers)
    assert nowhere.mode == "template"
    assert "lists 'd' (PARLEY_LLM_MODEL)" in nowhere.detail


@pytest.mark.parametrize("mode", ["auto", "llm"])
async def test_the_settings_come_first_and_are_believed(mode: answer_source.Mode) -> None:
    url = await nobody()
    source = await choose(mode, url, "key", "my-model", [])
    assert (source.mode, source.url, source.api_key, source.model) == ("llm", url, "key", "my-model")
    assert "could not be asked" in source.detail


async def test_a_model_that_the_server_does_not_list_is_doubted_with_close_names() -> None:
    async with answering(listing("qwen3:4b", "llama3.2:latest", "qwen3:8b")) as url:
        wrong = await choose("llm", url, "", "qwen3:4", [])
        strange = await choose("llm", url, "", "unknown", [])
        right = [await choose("llm", url, "", name, []) for name in ("qwen3:4b", "llama3.2")]
    assert (wrong.doubtful, wrong.model) == (True, "qwen3:4")
    assert wrong.detail.endswith(" It lists no model of that name; PARLEY_LLM_MODEL could be qwen3:4b, qwen3:8b.")
    assert strange.detail.endswith("PARLEY_LLM_MODEL could be qwen3:4b, llama3.2:latest, qwen3:8b.")
    assert not any(source.doubtful for source in right)


@pytest.mark.parametrize(
    ("mode", "url", "speculation", "says"),
    [
        ("llm", "http://127.0.0.1:4000/v1", "auto", "since 127.0.0.1 is on this machine"),
        ("llm", "http://127.0.0.1:4000/v1", "off", "Answers are not prepared in your pauses (PARLEY_SPECULATION=off)."),
        ("llm", "https://llm.example.org/v1", "auto", "since llm.example.org is taken to be paid by the token"),
        ("llm", "https://llm.example.org/v1", "on", "which llm.example.org is paid for"),
        ("template", "", "auto", "which is free"),
    ],
)
def test_whether_answers_are_prepared_is_said_with_the_reason(
    mode: answer_source.Mode, url: str, speculation: Literal["auto", "on", "off"], says: str
) -> None:
    sentence = answer_source.preparing(AnswerSource(mode, url), speculation)
    assert says in sentence
    assert "PARLEY_SPECULATION" in sentence


async def test_without_a_model_the_server_of_the_settings_is_asked_with_the_key() -> None:
    seen: list[str] = []
    async with answering(listing("gpt-x", "gpt-y"), seen) as url:
        source = await choose("llm", url, "secret-key", "", [])
    assert source.model == "gpt-x"
    assert "GET /v1/models HTTP/1.0" in seen[0]
    assert "Authorization: Bearer secret-key" in seen[0]
    assert "secret-key" not in repr(source) + source.detail


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("", "PARLEY_LLM_URL: needed"),
        ("http://127.0.0.1:1/v1", r"^PARLEY_LLM_URL: .* 127\.0\.0\.1:1: Connection refused\."),
    ],
)
async def test_a_model_that_was_asked_for_and_cannot_be_had_is_an_error(url: str, says: str) -> None:
    with pytest.raises(AnswerSourceError, match=says):
        await choose("llm", url, "", "", [])


@pytest.mark.parametrize(("key", "says"), [("", "wants one"), ("sk-wrong", "does not take this one")])
@pytest.mark.parametrize("status", ["401 Unauthorized", "403 Forbidden"])
async def test_a_key_that_is_refused_is_blamed_on_the_key(key: str, says: str, status: str) -> None:
    async with answering(http_reply(b"no", status)) as url:
        with pytest.raises(AnswerSourceError) as refused:
            await choose("auto", url, key, "", [])
    assert str(refused.value).startswith(f"PARLEY_LLM_API_KEY: the server of PARLEY_LLM_URL {says}: ")
    assert "sk-wrong" not in str(refused.value)


@pytest.mark.parametrize("mode", ["template", "echo"])
async def test_modes_without_a_model_ask_nobody(mode: answer_source.Mode) -> None:
    seen: list[str] = []
    async with answering(listing("llama"), seen) as url:
        source = await choose(mode, url, "", "", [LocalServer("Ollama", url)])
    assert source.mode == mode
    assert source.url == ""
    assert f"PARLEY_LLM_MODE={mode}" in source.detail
    assert seen == []


async def test_a_get_reads_to_the_end_of_the_connection_when_no_length_is_given() -> None:
    async with answering(b"HTTP/1.0 503 Busy\r\n\r\n" + b"x" * 100_000) as url:
        status, body = await get(url, 5.0)
    assert (status, len(body)) == (503, 100_000)


@pytest.mark.parametrize("url", ["http://127.0.0.1:99999/", "http://127.0.0.1:1/", "https://127.0.0.1:1/"])
async def test_a_get_that_fails_says_so_in_one_kind_of_error(url: str) -> None:
    with pytest.raises(NoAnswerError):
        await get(url, 2.0)


def test_the_usual_addresses_are_local_and_in_order_of_preference() -> None:
    names: Sequence[str] = [server.name for server in answer_source.LOCAL_SERVERS]
    assert names == ["Ollama", "llama.cpp", "LM Studio", "vLLM"]
    assert all(server.url.startswith("http://127.0.0.1:") for server in answer_source.LOCAL_SERVERS)
