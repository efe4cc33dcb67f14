"""Where the answers come from: decided at start and said aloud, never silently.

A language model from the settings; else one that runs at one of the usual addresses of this machine; else
template answers, with a sentence on how to connect a model.
"""

import asyncio
import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

import msgspec

from services.addresses import is_local
from services.launcher import http

Mode = Literal["llm", "template", "echo"]

ASKED_WITHIN = 0.5
"""Seconds that a server on this machine has to list its models."""
SETTINGS_ASKED_WITHIN = 5.0

HOW_TO_CONNECT = (
    "To connect a language model, start Ollama, llama.cpp, LM Studio or vLLM on this machine, "
    "or set PARLEY_LLM_URL (and PARLEY_LLM_API_KEY) in .env, and start again."
)

_NO_CHAT = re.compile(r"embed|rerank|whisper|\btts\b", re.IGNORECASE)


@dataclass(frozen=True)
class LocalServer:
    name: str
    url: str
    """Base address: `/models` is asked below it."""


LOCAL_SERVERS = (
    LocalServer("Ollama", "http://127.0.0.1:11434/v1"),
    LocalServer("llama.cpp", "http://127.0.0.1:8080/v1"),
    LocalServer("LM Studio", "http://127.0.0.1:1234/v1"),
    LocalServer("vLLM", "http://127.0.0.1:8000/v1"),
)
"""In order of preference."""


@dataclass(frozen=True)
class AnswerSource:
    mode: Mode
    url: str = ""
    api_key: str = ""
    model: str = ""
    detail: str = ""
    """A sentence for the terminal and the page."""
    doubtful: bool = False
    """The server of the settings did not answer just now, or does not list the model."""

    def __repr__(self) -> str:
        return f"AnswerSource({self.mode!r}, url={self.url!r}, model={self.model!r}, detail={self.detail!r})"

    def environment(self) -> dict[str, str]:
        """What the dialogue worker is given."""
        return {
            "PARLEY_LLM_MODE": self.mode,
            "PARLEY_LLM_URL": self.url,
            "PARLEY_LLM_API_KEY": self.api_key,
            "PARLEY_LLM_MODEL": self.model,
            "PARLEY_LLM_DETAIL": self.detail,
        }


class AnswerSourceError(Exception):
    """The settings ask for a language model that cannot be had; the text says which setting to change."""


class KeyRefusedError(http.NoAnswerError):
    """The server wants a key, or another one."""


class _Model(msgspec.Struct):
    id: str


class _Models(msgspec.Struct):
    data: list[_Model]


async def models_of(url: str, api_key: str, within: float) -> list[str]:
    """The models that a server lists, in its order. Raises http.NoAnswerError when it lists none in time.

    KeyRefusedError is one of them.
    """
    headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
    status, body = await http.get(f"{url}/models", within, headers)
    if status in (401, 403):
        raise KeyRefusedError(f"{url}/models answered with status {status}")
    if status != 200:
        raise http.NoAnswerError(f"{url}/models answered with status {status}")
    try:
        return [model.id for model in msgspec.json.decode(body, type=_Models).data]
    except msgspec.DecodeError as error:
        raise http.NoAnswerError(f"{url}/models answered with something that is no list of models") from error


async def choose(
    mode: Literal["auto", "llm", "template", "echo"],
    url: str,
    api_key: str,
    model: str,
    servers: Sequence[LocalServer] = LOCAL_SERVERS,
) -> AnswerSource:
    """The source to use. Raises AnswerSourceError when a language model is asked for and cannot be had."""
    match mode:
        case "echo":
            return AnswerSource("echo", detail="Answers repeat what was said (PARLEY_LLM_MODE=echo).")
        case "template":
            return AnswerSource(
                "template", detail=f"Answers are templates (PARLEY_LLM_MODE=template). {HOW_TO_CONNECT}"
            )
        case "auto" | "llm" if url:
            return await _from_settings(url, api_key, model)
        case "llm":
            raise AnswerSourceError(
                "PARLEY_LLM_URL: needed with PARLEY_LLM_MODE=llm, such as http://127.0.0.1:11434/v1"
            )
        case "auto":
            return await _found_here(model, servers)


async def _from_settings(url: str, api_key: str, model: str) -> AnswerSource:
    doubt = ""
    try:
        listed = await models_of(url, api_key, SETTINGS_ASKED_WITHIN)
    except http.NoAnswerError as error:
        if not model and isinstance(error, KeyRefusedError):
            wrong = "does not take this one" if api_key else "wants one"
            raise AnswerSourceError(f"PARLEY_LLM_API_KEY: the server of PARLEY_LLM_URL {wrong}: {error}") from error
        if not model:
            raise AnswerSourceError(
                f"PARLEY_LLM_URL: the server there could not be asked for its models: {error}. Is the address right, "
                "and is the server running?"
            ) from error
        doubt = f" It could not be asked for its models just now: {error}."
    else:
        if not model and not _chat_models(listed):
            raise AnswerSourceError(f"PARLEY_LLM_MODEL: needed, since {url}/models lists no model that can chat")
        model = model or _chat_models(listed)[0]
        doubt = _not_listed(model, listed)
    return AnswerSource("llm", url, api_key, model, f"Answers come from {model} at {url}.{doubt}", bool(doubt))


async def _found_here(wanted: str, servers: Sequence[LocalServer]) -> AnswerSource:
    answers = await asyncio.gather(
        *(models_of(server.url, "", ASKED_WITHIN) for server in servers), return_exceptions=True
    )
    for server, listed in zip(servers, answers, strict=True):
        if isinstance(listed, http.NoAnswerError):
            continue
        if isinstance(listed, BaseException):
            raise listed
        usable = [name for name in _chat_models(listed) if not wanted or name == wanted]
        if usable:
            detail = f"Answers come from {usable[0]} of {server.name}, found at {server.url}."
            return AnswerSource("llm", server.url, "", usable[0], detail)
    missing = f"No language model server on this machine lists {wanted!r} (PARLEY_LLM_MODEL)" if wanted else ""
    reason = missing or "No language model is set and none was found on this machine"
    return AnswerSource("template", detail=f"{reason}, so answers are templates. {HOW_TO_CONNECT}")


def preparing(source: AnswerSource, speculation: Literal["auto", "on", "off"]) -> str:
    """A sentence on whether answers are prepared in pauses. Whether they cost anything is judged by the address."""
    host = urlsplit(source.url).hostname or ""
    if speculation == "off":
        return "Answers are not prepared in your pauses (PARLEY_SPECULATION=off)."
    if source.mode != "llm":
        return "Answers are prepared in your pauses, which is free (PARLEY_SPECULATION=off ends that)."
    if is_local(host):
        return (
            f"Answers are prepared in your pauses, since {host} is on this machine or network and taken for free; "
            "if it is paid by the token, set PARLEY_SPECULATION=off."
        )
    if speculation == "on":
        return f"Sessions may ask for answers prepared in pauses, which {host} is paid for (PARLEY_SPECULATION=on)."
    return (
        f"Answers are not prepared in your pauses, since {host} is taken to be paid by the token; "
        "PARLEY_SPECULATION=on lets sessions ask for it."
    )


def _not_listed(model: str, listed: Sequence[str]) -> str:
    """A sentence where the server lists models, and not this one; Ollama leaves out the tag where it is `latest`."""
    if not listed or model in listed or f"{model}:latest" in listed:
        return ""
    near = difflib.get_close_matches(model, listed, n=3) or listed[:3]
    return f" It lists no model of that name; PARLEY_LLM_MODEL could be {', '.join(near)}."


def _chat_models(listed: Sequence[str]) -> list[str]:
    return [name for name in listed if not _NO_CHAT.search(name)]
