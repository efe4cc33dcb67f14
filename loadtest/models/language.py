"""The stand-in language model: `python -m loadtest.models.language PORT`; load tests only.

An OpenAI-compatible server on 127.0.0.1 that gives every question the same answer, token by token at a fixed pace.
"""

import asyncio
import json
import re
import sys
from collections.abc import AsyncIterator

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from loadtest.models import latencies
from loadtest.models.latencies import Latencies

MODEL = "standin"
REPLY = "Sure thing, the sky will be clear. Expect a light wind from the west and about twenty degrees."
TOKENS = re.findall(r"\s*\S+", REPLY)


def _event(delta: dict[str, str], reason: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": reason}
    chunk = {"id": "chatcmpl-standin", "object": "chat.completion.chunk", "created": 0, "model": MODEL}
    return f"data: {json.dumps({**chunk, 'choices': [choice]})}\n\n".encode()


EVENTS = [_event({"content": token}) for token in TOKENS]
END = _event({}, "stop") + b"data: [DONE]\n\n"


async def paced(times: Latencies) -> AsyncIterator[bytes]:
    """The reply's events when they are due, counted from the request."""
    loop = asyncio.get_running_loop()
    due = loop.time() + times.llm_first_ms / 1000
    for event in EVENTS:
        await asyncio.sleep(max(0.0, due - loop.time()))
        yield event
        due += times.llm_token_ms / 1000
    yield END


def application(times: Latencies) -> Starlette:
    async def completions(request: Request) -> Response:
        if not (await request.json()).get("stream"):
            return JSONResponse({"error": {"message": "the stand-in only streams"}}, 400)
        return StreamingResponse(paced(times), media_type="text/event-stream")

    async def models(_request: Request) -> Response:
        return JSONResponse({"object": "list", "data": [{"id": MODEL, "object": "model"}]})

    routes = [
        Route("/v1/models", models),
        Route("/v1/chat/completions", completions, methods=["POST"]),
    ]
    return Starlette(routes=routes)


def main() -> None:
    [port] = sys.argv[1:]
    uvicorn.run(
        application(latencies.from_environment()),
        host="127.0.0.1",
        port=int(port),
        loop="uvloop",
        http="httptools",
        log_level="warning",
        access_log=False,
    )


if __name__ == "__main__":
    main()
